"""`niello pulse crlb`: the physical limit of a measurement, as numbers and over the signal-to-noise ratio."""

from __future__ import annotations

from math import log10
from pathlib import Path
from typing import Any

from flows.curves_picture import Curve, Panel, curves_picture
from flows.errors import BadInput
from flows.output import check_output, write_output
from flows.pulse.setups import read_setup
from flows.store import disk_errors
from sim.pulse.fisher import Bound, bound
from sim.pulse.setup import Setup

CURVE_DB = tuple(range(27, 58, 5))
"""Signal-to-noise ratios of the curve."""


def crlb(name: str, snr_db: float | None, adc_bits: int | None, plot: Path | None) -> dict[str, Any]:
    """The bound of a set-up: fitted baseline, known baseline, known stretch, and over the signal-to-noise ratio.

    Raises
    ------
    BadInput
        If the set-up or an option is wrong, or a record says nothing of its pulse.
    """
    if plot:
        check_output(plot)
    setup = read_setup(name, snr_db=snr_db, adc_bits=adc_bits)
    curve = [_with_snr(setup, db) for db in CURVE_DB]
    found = {"setup": name, "snr_db": setup.snr_db, **_figures(setup, bound(setup))}
    found["baseline_known"] = _figures(setup, bound(setup, baseline_known=True))
    if setup.stretch_spread:
        found["stretch_known"] = _figures(setup, bound(setup, stretch_known=True))
    found["curve"] = [{"snr_db": float(db), **_figures(setup, each)} for db, each in zip(CURVE_DB, curve, strict=True)]
    if plot:
        with disk_errors(plot, hint="make room, or name another file"):
            write_output(plot, _picture(name, curve).encode())
    return found


def _with_snr(setup: Setup, snr_db: float) -> Bound:
    return bound(Setup.parse(setup.model_dump() | {"snr_db": float(snr_db)}))


def _figures(setup: Setup, limit: Bound) -> dict[str, float]:
    if not (limit.time_ps < 1e3 * setup.samples * setup.sample_ns):
        raise BadInput(
            "the records say nothing of the pulses' times",
            hint="more samples after the onset, a faster ADC, or less noise",
        )
    return {"time_ps": round(limit.time_ps, 3), "energy_percent": round(100 * limit.amplitude, 4)}


def _picture(name: str, curve: list[Bound]) -> str:
    def panel(title: str, y_name: str, values: list[float]) -> Panel:
        logs = [log10(value) for value in values]
        least, most = int(min(logs) // 1), int(max(logs) // 1) + 1
        points = list(zip(map(float, CURVE_DB), logs, strict=True))
        marks = [float(mark) for mark in range(least, most + 1)]
        return Panel(title, "SNR, dB", y_name, [float(db) for db in CURVE_DB], marks, [Curve(name, points, points)])

    panels = [
        panel("Time", "log10 of ps rms", [each.time_ps for each in curve]),
        panel("Energy", "log10 of % rms", [100 * each.amplitude for each in curve]),
    ]
    what = "The Cramer-Rao bound of time and energy over the signal-to-noise ratio"
    return curves_picture("pulse_crlb", f"Limit of {name}", what, panels)
