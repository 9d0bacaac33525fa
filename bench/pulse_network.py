"""Trained networks beside the optimal filter: errors on the same records, memory, products, time."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from bench.common import say
from hdl.pulse.cnn_config import CnnConfig
from hdl.pulse.config import FilterConfig
from sim.pulse import cnn_vectors
from sim.pulse.bank import heights, make_bank, onsets
from sim.pulse.cnn_compile import compile_network
from sim.pulse.cnn_network import Network
from sim.pulse.cnn_train import FORMS, estimate, levels, train
from sim.pulse.filter_model import PILE_UP, fit
from sim.pulse.fisher import bound
from sim.pulse.setup import Setup
from sim.pulse.signals import Records, records

Floats = npt.NDArray[np.float64]

CASES: dict[str, dict[str, Any]] = {
    "one amplitude": {},
    "amplitudes of 0.1 to 1": {"amplitude_least": 0.1},
    "stretches of 5 %": {"stretch_spread": 0.05},
    "30 % pile-up": {"pile_up_share": 0.3, "full_scale": 2.5},
    "8 and 40 ns": {"shape": "biexponential"},
}
SEEDS = (1, 2, 3, 4, 5)
STEPS, COUNT = 6000, 50_000
LONG = {("30 % pile-up", "mlp"): (20_000, 200_000)}
"""Steps of training and records that are learnt from; two pulses are more to learn than one."""

JUDGED, JUDGED_SEED = 50_000, 99
CLOCK_HZ = 50e6
FILTER = {"samples": 32, "taps": 30, "pre": 7}
STEEP = {"samples": 32, "taps": 29, "pre": 6}
"""For steep pulses, whose fit begins further from the first guess."""
MOST_SAMPLES, MOST_SHARE = 3.0, 0.5
"""Errors beyond are counted, and left out of rms errors."""


def network() -> dict[str, Any]:
    """For each kind of pulses rms errors of filter and networks, golden models all; what each takes."""
    config, found = CnnConfig.parse({"samples": 32}), {}
    for case, given in CASES.items():
        setup = Setup.parse(given)
        limit, drawn = bound(Setup.parse(given | {"pile_up_share": 0.0})), records(setup, JUDGED, JUDGED_SEED)
        each: dict[str, Any] = {"bound": {"time_ps": limit.time_ps, "energy_percent": 100 * limit.amplitude}}
        each["filter"] = _filtered(setup, setup, drawn, shape=bool(setup.stretch_spread))
        if setup.shape != "cr_rc":  # a bank made for other pulses than those that come
            each["filter, r0's bank"] = _filtered(Setup.parse({}), setup, drawn, shape=False)
        for form in FORMS:
            made = [train(setup, *LONG.get((case, form), (STEPS, COUNT)), seed, form) for seed in SEEDS]
            errors = [network_errors(setup, one, drawn) for one in made]
            each[form] = {name: float(np.mean([error[name] for error in errors])) for name in errors[0]}
            each[form] |= {f"{name} of seeds": [round(error[name], 4) for error in errors] for name in errors[0]}
            each[form] |= _taken(config, made[0])
        found[case] = each
        for name, figures in each.items():
            told = {key: round(value, 4) for key, value in figures.items() if isinstance(value, float)}
            say(f"{case}, {name}", str(told), "", "none")
    return found


def _errors(setup: Setup, drawn: Records, onset: Floats, amplitude: Floats) -> dict[str, float]:
    """Rms errors about their median, which calibration takes away, of those within the limits; how many are beyond."""
    late, high = onset - drawn.first.onset, amplitude / drawn.first.amplitude
    late, high = late - np.median(late), high / np.median(high) - 1
    near = (np.abs(late) <= MOST_SAMPLES) & (np.abs(high) <= MOST_SHARE)
    time, energy = (float(np.sqrt(np.mean(error[near] ** 2))) for error in (late, high))
    return {"time_ps": 1e3 * setup.sample_ns * time, "energy_percent": 100 * energy, "beyond": float(1 - near.mean())}


def _filtered(of: Setup, setup: Setup, drawn: Records, *, shape: bool) -> dict[str, float]:
    """The optimal filter, with a bank for the pulses of a set-up; with pile-up, also what it keeps by chi."""
    steep = setup.shape != "cr_rc"
    config = FilterConfig.parse((STEEP if steep else FILTER) | {"shape": shape, "stretches": 3 if shape else 1})
    bank, settings = make_bank(of, config)
    passes = 4 if steep else settings["passes"]
    got = fit(config, settings | {"passes": passes}, bank, drawn.codes)
    onset, amplitude = onsets(got), heights(got)
    found = _errors(setup, drawn, onset, amplitude)
    if setup.pile_up_share:
        kept = (got["flags"] & PILE_UP) == 0
        first = type(drawn.first)(*(values[kept] for values in drawn.first))
        good = _errors(setup, drawn._replace(first=first), onset[kept], amplitude[kept])
        found |= {"kept": float(kept.mean())} | {f"kept_{name}": value for name, value in good.items()}
    rows = len(config.weight_rows) + len(config.template_rows)
    return found | {
        "bytes": float(2 * config.places * config.taps * rows),
        "products": float(config.taps * (passes * len(config.weight_rows) + len(config.template_rows) + 1)),
        "us": 1e6 * config.fit_cycles(passes) / CLOCK_HZ,
    }


def network_errors(setup: Setup, one: Network, drawn: Records) -> dict[str, float]:
    """Of a network's golden model, as `_errors`."""
    got = estimate(setup, one, drawn.codes)
    return _errors(setup, drawn, got.onset, got.amplitude)


def _taken(config: CnnConfig, one: Network) -> dict[str, float]:
    """Bytes of an image, products, and time in the layers at `CLOCK_HZ`."""
    image = compile_network(one, config)
    cycles = sum(image.read_cycles(config)) + len(image.program) * config.layer_cycles
    windows = levels(Setup.parse({}), np.zeros((1, config.samples), np.int16))
    products = cnn_vectors.operations(config, {"windows": windows, "network": cnn_vectors.file_of(one)}) // 2
    return {"bytes": float(4 * len(image.words)), "products": float(products), "us": 1e6 * cycles / CLOCK_HZ}
