"""Windows of two pulses: the first one's time and energy by the fit of both."""

from __future__ import annotations

from typing import Any

import numpy as np

from bench.common import say
from hdl.pulse.config import APART_BITS, FilterConfig
from sim.pulse.bank import heights, make_bank, onsets
from sim.pulse.filter_model import PILE_UP, fit
from sim.pulse.fisher import bound
from sim.pulse.setup import Setup
from sim.pulse.signals import records

EVENTS, SEED = 50_000, 99
FILTER = {"samples": 32, "taps": 30, "pre": 7, "pairs": True}
STEEP = {"taps": 29, "pre": 6}
"""For steep pulses, whose fit begins further from the first guess, with more passes."""
PILED = {"pile_up_share": 0.3, "full_scale": 2.5}
CASES: dict[str, dict[str, Any]] = {
    "r0": {},
    "12 bits": {"adc_bits": 12},
    "37 dB": {"snr_db": 37.0},
    "57 dB": {"snr_db": 57.0},
    "amplitudes of 0.1 to 1": {"amplitude_least": 0.1},
    "half of the noise coloured": {"coloured_share": 0.5},
    "8 and 40 ns": {"shape": "biexponential"},
}
MOST_SAMPLES, MOST_SHARE = 3.0, 0.5
"""Errors beyond are counted, and left out of rms errors, as in `network`."""


def pairs() -> dict[str, Any]:
    """30 % of windows with a second pulse 20 to 160 ns later: rms errors of all of them about their median."""
    config, found = FilterConfig.parse(FILTER), dict[str, Any]()
    say("memory", f"{_bytes(config)}", "bytes", "ECP5-25F has 126,000")
    for case, given in CASES.items():
        setup = Setup.parse(PILED | given)
        steep = setup.shape != "cr_rc"
        fitted = FilterConfig.parse(FILTER | STEEP) if steep else config
        bank, settings = make_bank(setup, fitted)
        drawn = records(setup, EVENTS, SEED)
        got = fit(fitted, settings | ({"passes": 4, "pair_passes": 5} if steep else {}), bank, drawn.codes)
        late, high = onsets(got) - drawn.first.onset, heights(got) / drawn.first.amplitude
        late, high = late - np.median(late), high / np.median(high) - 1
        near = (np.abs(late) <= MOST_SAMPLES) & (np.abs(high) <= MOST_SHARE)
        two, said = drawn.second.amplitude > 0, got["shape"] > 0
        flagged = (got["flags"] & PILE_UP) > 0
        apart = got["shape"] / (1 << APART_BITS) - (drawn.second.onset - drawn.first.onset)
        found[case] = each = {
            "time_ps": 1e3 * setup.sample_ns * float(np.sqrt(np.mean(late[near] ** 2))),
            "energy_percent": 100 * float(np.sqrt(np.mean(high[near] ** 2))),
            "beyond": float(1 - near.mean()),
            "pairs_found": float(said[two].mean()),
            "single_taken_for_pairs": float(said[~two].mean()),
            "still_too_much_left": float(flagged.mean()),
            "apart_samples": float(np.sqrt(np.mean(apart[two & said] ** 2))),
            "unflagged_time_ps": 1e3 * setup.sample_ns * float(np.sqrt(np.mean(late[near & ~flagged] ** 2))),
            "bound_ps": bound(setup.model_copy(update={"pile_up_share": 0.0})).time_ps,
        }
        wanted = {"time_ps": "at most 75"} if case == "r0" else {}
        for name, figure in each.items():
            say(f"{case}: {name}", f"{figure:.4g}", "", wanted.get(name, "none"))
    once = config.fit_cycles(2)
    found["cycles"] = {"one": once, "two": once + config.pair_cycles(2, 3, 14)}  # as for r0
    say("cycles of a window of one pulse, of two", str(list(found["cycles"].values())), "", "none")
    return found


def _bytes(config: FilterConfig) -> int:
    """Of the bank, the second pulse's copy of the templates, and what it adds to taps."""
    rows = len(config.weight_rows) + len(config.template_rows)
    words = config.places * config.taps * rows + config.places // 2 * config.taps * len(config.template_rows)
    return 2 * words + 4 * config.taps
