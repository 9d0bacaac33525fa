"""How near the optimal filter comes to what can be known of a pulse."""

from __future__ import annotations

from math import log10
from typing import Any

import numpy as np

from bench.common import ROOT, say
from flows.curves_picture import Curve, Panel, curves_picture
from hdl.pulse.config import FilterConfig
from sim.pulse.bank import heights, make_bank, onsets
from sim.pulse.filter_model import PILE_UP, fit
from sim.pulse.fisher import bound
from sim.pulse.setup import Setup
from sim.pulse.signals import records

PICTURE = ROOT / "docs" / "pulse_limit.svg"
SNR_DB = (27.0, 32.0, 37.0, 42.0, 47.4, 52.0, 57.0)
EVENTS, SEEDS = 20_000, (1, 2, 3, 4, 5)
FILTER = {"samples": 32, "taps": 30, "pre": 7}
MOST, STRETCHES = 1.05, "stretch of 5 %, 3 stretches"


def limit() -> dict[str, Any]:
    """r0 with amplitudes of 0.1 to 1: rms errors over the bound, and of full height with 12 bits in ps and %."""
    found = {f"{db:g} dB": measure({"snr_db": db, "amplitude_least": 0.1}) for db in SNR_DB}
    for name, each in found.items():
        wanted = 1.12 if name == "27 dB" else 1.05
        say(f"{name}, 10:1: time over the bound", f"{each['time_ratio']:.3f}", "", f"at most {wanted}")
        say(f"{name}, 10:1: energy over the bound", f"{each['energy_ratio']:.3f}", "", f"at most {wanted}")
    reference = measure({"adc_bits": 12})
    say("47.4 dB, full height, 12 bits: time", f"{reference['time_ps']:.2f}", "ps", "at most 61.3")
    say("47.4 dB, full height, 12 bits: energy", f"{reference['energy_percent']:.4f}", "%", "at most 0.23")
    PICTURE.write_text(_picture(found))
    return {**found, "r0, 12 bits": reference}


def others() -> dict[str, Any]:
    """Other noise, converters and pulses: rms errors over the bound, and what chi says of pile-up."""
    steep = {"shape": "biexponential"}
    room = {"samples": 32, "taps": 29, "pre": 6}
    cases: dict[str, Any] = {
        "half of the noise coloured": measure({"coloured_share": 0.5}),
        "30 ps of jitter": measure({"jitter_ps": 30.0}),
        "8 bits": measure({"adc_bits": 8}),
        "6 bits": measure({"adc_bits": 6}),
        "8 and 40 ns, 2 passes": measure(steep, room),
        "8 and 40 ns, 4 passes": measure(steep, room, passes=4),
        "stretch of 5 %, shape row, 3 passes": measure({"stretch_spread": 0.05}, FILTER | {"shape": True}, passes=3),
        STRETCHES: measure({"stretch_spread": 0.05}, FILTER | {"shape": True, "stretches": 3}, passes=3),
        "30 % pile-up, the lone ones": measure({"pile_up_share": 0.3, "full_scale": 2.5}),
    }
    for name, each in cases.items():
        wanted = f"at most {MOST}" if name == STRETCHES else "none"
        say(f"{name}: time over the bound", f"{each['time_ratio']:.3f}", "", wanted)
        say(f"{name}: energy over the bound", f"{each['energy_ratio']:.3f}", "", wanted)
    piled = cases["30 % pile-up, the lone ones"]
    for kind in ("found", "false_alarms", "kept", "kept_time_ps", "kept_energy_percent"):
        say(f"30 % pile-up, chi: {kind}", f"{piled[kind]:.4f}", "", "none")
    return cases


def measure(given: dict[str, Any], size: dict[str, Any] | None = None, passes: int = 2) -> dict[str, float]:
    """Rms errors of lone pulses; with pile-up also what is flagged, and of what is kept."""
    setup, config = Setup.parse(given), FilterConfig.parse(size or FILTER)
    bank, settings = make_bank(setup, config)
    late, high, flagged, piled = [], [], [], []
    for seed in SEEDS:
        drawn = records(setup, EVENTS, seed)
        got = fit(config, settings | {"passes": passes}, bank, drawn.codes)
        late.append((onsets(got) - drawn.first.onset) * setup.sample_ns * 1e3)
        high.append(100 * (heights(got) / drawn.first.amplitude - 1))
        flagged.append((got["flags"] & PILE_UP) > 0)
        piled.append(drawn.second.amplitude > 0)
    ps, percent, alarm, two = (np.concatenate(each) for each in (late, high, flagged, piled))
    best = bound(Setup.parse({**given, "pile_up_share": 0.0}))

    def rms(x: Any) -> float:
        return round(float(np.sqrt(np.mean(x**2))), 4)

    found = {"time_ps": rms(ps[~two]), "energy_percent": rms(percent[~two]), "false_alarms": float(alarm[~two].mean())}
    found["bound_ps"], found["bound_percent"] = round(best.time_ps, 4), round(100 * best.amplitude, 4)
    found["time_ratio"] = round(found["time_ps"] / best.time_ps, 4)
    found["energy_ratio"] = round(found["energy_percent"] / 100 / best.amplitude, 4)
    if two.any():
        found |= {"found": float(alarm[two].mean()), "kept": float((~alarm).mean())}
        found |= {"kept_time_ps": rms(ps[~alarm]), "kept_energy_percent": rms(percent[~alarm])}
    return found


def _picture(found: dict[str, dict[str, float]]) -> str:
    def panel(title: str, unit: str, reached: str, best: str) -> Panel:
        points = [(db, log10(each[reached])) for db, each in zip(SNR_DB, found.values(), strict=True)]
        line = [(db, log10(each[best])) for db, each in zip(SNR_DB, found.values(), strict=True)]
        marks = [float(mark) for mark in range(int(line[-1][1] // 1), int(points[0][1] // 1) + 2)]
        curves = [Curve("Cramér–Rao bound", line, []), Curve("optimal filter", [], points)]
        return Panel(title, "SNR, dB", f"log10 of {unit} rms", [27.0, 37.0, 47.0, 57.0], marks, curves)

    panels = [panel("Time", "ps", "time_ps", "bound_ps"), panel("Energy", "%", "energy_percent", "bound_percent")]
    what = "Resolution of the optimal filter on r0, amplitudes 0.1 to 1, over the signal-to-noise ratio, and the bound"
    return curves_picture("pulse_limit", "The optimal filter at the limit", what, panels)
