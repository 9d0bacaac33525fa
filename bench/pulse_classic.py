"""What the classic estimators make of the events that the optimal filter is measured with."""

from __future__ import annotations

from typing import Any

import numpy as np

from bench.common import say
from bench.pulse_limit import EVENTS, SEEDS, measure
from hdl.pulse.classic_config import ENERGY_SOURCES, ClassicConfig
from sim.pulse.bank import heights, onsets
from sim.pulse.classic_calibrate import Estimator, constant_fraction, energy, leading_edge
from sim.pulse.classic_model import estimate
from sim.pulse.setup import Setup
from sim.pulse.signals import records

CASES = {"one amplitude": {}, "10:1": {"amplitude_least": 0.1}}
CALIBRATION_PULSES, CALIBRATION_SEED = 100_000, 1000
TARGETS = {"LED: time": 193, "CFD: time": 102, "CFD, table: time": 86}
"""Of one amplitude, ps: what coarser grids gave, the LED's threshold as it came."""


def classic() -> dict[str, Any]:
    """r0 at 47.4 dB: rms errors of time and energy, of one amplitude and of amplitudes of 0.1 to 1, ps and %."""
    result = {name: _measured(given) for name, given in CASES.items()}
    for case, figures in result.items():
        for name, value in figures.items():
            target = f"at most {TARGETS[name]}" if case == "one amplitude" and name in TARGETS else "none"
            say(f"{case}, {name}", f"{value:.4g}", "ps" if name.endswith("time") else "%", target)
    return result


def _measured(given: dict[str, Any]) -> dict[str, float]:
    setup, config = Setup.parse(given), ClassicConfig.parse({"samples": 32})
    pulses = records(setup, CALIBRATION_PULSES, CALIBRATION_SEED)
    best = measure(given)
    found = {"bound: time": best["bound_ps"], "pulse.filter: time": best["time_ps"]}
    timers = {
        "CFD, table": constant_fraction(setup, config, pulses, table=True),
        "CFD": constant_fraction(setup, config, pulses, table=False),
        "LED": leading_edge(setup, config, pulses),
    }
    found |= {f"{name}: time": _rms(setup, config, each)[0] for name, each in timers.items()}
    found |= {"bound: energy": best["bound_percent"], "pulse.filter: energy": best["energy_percent"]}
    meters = {source: energy(setup, config, pulses, source) for source in ENERGY_SOURCES}
    return found | {f"{name}: energy": _rms(setup, config, each)[1] for name, each in meters.items()}


def _rms(setup: Setup, config: ClassicConfig, estimator: Estimator) -> tuple[float, float]:
    """Errors of time, ps, and of energy, %."""
    late, high = [], []
    for seed in SEEDS:
        drawn = records(setup, EVENTS, seed)
        got = estimate(config, estimator.settings, estimator.table, drawn.codes)
        late.append((onsets(got) - drawn.first.onset) * setup.sample_ns * 1e3)
        high.append(100 * (estimator.gain * heights(got) / drawn.first.amplitude - 1))
    return float(np.sqrt(np.mean(np.square(late)))), float(np.sqrt(np.mean(np.square(high))))
