"""Figures of the circuit level of sfq: a JTL against JoSIM, the decks' margins and times."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np

from bench.common import say
from hdl.sfq.cell_files import load_library
from sim.sfq.circuit import Array, Circuit
from sim.sfq.circuit_solver import simulate
from sim.sfq.deck_margins import centred, critical, margins
from sim.sfq.deck_timing import HOP_PS, delays, windows
from sim.sfq.decks import DECKS, JTL_PH, drawn_jtl, jtl

JOSIM_PS = {0.6: 2.497, 0.7: 2.080, 0.75: 1.910, 0.8: 1.760, 0.9: 1.493}
"""From one junction of a JTL to the next, by bias: JoSIM 2.7."""

RSFQLIB_SCALES = (0.7, 0.8, 0.9, 1.0, 1.1, 1.2, 1.3)
RSFQLIB_PS = {
    "JTL": (7.14, 6.46, 5.91, 5.46, 5.06, 4.71, 4.39),
    "DFF": (11.22, 9.58, 8.56, 7.80, 7.18, 6.64, 6.15),
}
"""From flip to flip by the factor on a cell's bias: RSFQlib's own decks in JoSIM. Our DFF is another deck."""

OPTIMISED = ("SPLIT", "DFF", "T", "T1")


def circuit() -> dict[str, Any]:
    """All figures that take seconds."""
    return {"jtl": _jtl(), "bias": _bias(), "decks": {name: _deck(name) for name in OPTIMISED}}


def optimise() -> dict[str, Any]:
    """What a search from the decks' parameters finds; minutes."""
    found = {}
    for name in OPTIMISED:
        cell = load_library("rsfqlib")[name]
        found[name] = centred(DECKS[name], cell)
        worst, margin = critical(margins(DECKS[name], cell, found[name]))
        say(f"{name}, critical margin after a search", 100 * margin, f"% ({worst})", "20")
    return found


def _jtl() -> dict[str, Any]:
    line, stages = Circuit(), [f"n{number}" for number in range(24)]
    line.input("in")
    line.inductor("in", "n0", JTL_PH)
    jtl(line, stages, np.array([*JOSIM_PS]))
    flips = simulate(line, {"in": [40.0]}, 110, ["n8", "n18"]).times_ps
    hops = (flips["n18"][:, 0] - flips["n8"][:, 0]) / 10
    for (bias, wanted), hop in zip(JOSIM_PS.items(), hops, strict=True):
        say(f"JTL at {bias} bias, ps a junction", round(float(hop), 3), "ps", f"{wanted}, within 1 %")
    return {"ps_per_junction": {bias: round(float(hop), 4) for bias, hop in zip(JOSIM_PS, hops, strict=True)}}


def cell_ps(scales: Array) -> Array:
    """Flip to flip over a JTL cell whose bias is scaled, between others at nominal bias, with a layout's parasitics."""
    line = Circuit()
    line.input("in")
    for scale, (start, end) in zip((1, 1, scales, 1, 1), pairwise(["in", "p", "a", "q", "r", "end"]), strict=True):
        line.scale = scale
        drawn_jtl(line, start, end)
    flips = simulate(line, {"in": [40.0]}, 110, ["p.y", "q.x"]).times_ps
    return flips["q.x"][:, 0] - flips["p.y"][:, 0]


def _bias() -> dict[str, Any]:
    scales, deck = np.array(RSFQLIB_SCALES), DECKS["DFF"]
    ((_, dff),) = delays(deck, load_library("rsfqlib")["DFF"], deck.parameters, scale=scales).items()
    found = {}
    for name, times in {"JTL": cell_ps(scales), "DFF": dff}.items():
        wanted = np.array(RSFQLIB_PS[name])
        off, shape = times / wanted - 1, times / times[3] / (wanted / wanted[3]) - 1
        target = "RSFQlib's, within 1 %" if name == "JTL" else "RSFQlib's; our deck is another"
        say(f"{name} by bias", 100 * float(np.abs(off).max()), "% off at most", target)
        say(f"{name} by bias, each against nominal", 100 * float(np.abs(shape).max()), "% off at most", target)
        found[name] = {
            "ps": dict(zip(RSFQLIB_SCALES, times.round(2).tolist(), strict=True)),
            "percent_off": dict(zip(RSFQLIB_SCALES, (100 * off).round(2).tolist(), strict=True)),
            "shape_percent_off": dict(zip(RSFQLIB_SCALES, (100 * shape).round(2).tolist(), strict=True)),
        }
    return found


def _deck(name: str) -> dict[str, Any]:
    deck, cell = DECKS[name], load_library("rsfqlib")[name]
    found = margins(deck, cell, deck.parameters)
    worst, margin = critical(found)
    low, high = found["bias"]
    say(f"{name}, critical margin ({worst})", 100 * margin, "%", "20")
    say(f"{name}, margin of all bias currents", f"{100 * low:+.0f}/{100 * high:+.0f}", "%", "20")
    times = {
        f"{pin}>{output} in {state}": round(float(one[0]) - HOP_PS, 2)
        for (state, pin, output), one in delays(deck, cell, deck.parameters).items()
    }
    say(f"{name}, junctions", deck.junctions, "", "reported")
    for key, time in times.items():
        say(f"{name}, delay {key}", time, "ps", "reported")
    return {
        "junctions": deck.junctions,
        "bias_ua": deck.bias_ua,
        "delays_ps": times,
        "windows_ps": {
            f"{one.first}>{one.second} in {one.state}": one.time_ps for one in windows(deck, cell, deck.parameters)
        },
        "critical": {"parameter": worst, "margin": round(margin, 2)},
        "margins": {key: (round(down, 2), round(up, 2)) for key, (down, up) in found.items()},
    }
