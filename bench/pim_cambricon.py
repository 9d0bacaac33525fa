"""Cambricon-LLM's published tokens a second against the rate model of flash that computes, nothing fitted."""

from __future__ import annotations

import json
import math
from typing import Any

from bench.common import ROOT, say
from flows.drawing import Drawing
from sim.pim.flash_rate import DECODERS, MACHINES, even_token_s, token_s

POINTS = ROOT / "tests" / "pim" / "data" / "cambricon_points.json"
PICTURE = ROOT / "docs" / "pim_cambricon.svg"
CONTEXT = 1000

STYLE = """
text{font-family:system-ui,-apple-system,"Segoe UI",Roboto,"Helvetica Neue",Arial,sans-serif;font-size:11px}
text{fill:#222b33}.page{fill:#fff}.grid{fill:none;stroke:#dde2e7}.equal{fill:none;stroke:#7d8894;stroke-width:1.5}
.S{fill:#0b7285}.M{fill:#2b7a43}.L{fill:#c2571a}
"""


def cambricon() -> dict[str, Any]:
    """The 21 points; the mean of |model - published| / published, of `token_s` and of simpler and other machines."""
    published = json.loads(POINTS.read_text())["models"]
    rows = []
    for one in published:
        for name, wanted in one["tokens_per_s"].items():
            modelled = 1 / token_s(MACHINES[name], DECODERS[one["name"]], CONTEXT)
            error = modelled / wanted - 1
            say(f"{one['name']} on {name}, tokens a second", modelled, f"{error:+.1%}", f"{wanted} published")
            rows.append({"model": one["name"], "machine": name, "published": wanted, "modelled": round(modelled, 3)})
    PICTURE.write_text(_picture(rows))
    result: dict[str, Any] = {"points": rows, "mean_error": _mean_error(rows)}
    for name in MACHINES:
        result[f"mean_error_{name}"] = _mean_error([row for row in rows if row["machine"] == name])
        say(f"mean error on {name}", result[f"mean_error_{name}"], "", "")
    say("mean error of all", result["mean_error"], "", "at most 0.15, nothing fitted")
    for what, rate, kv_bytes in (
        ("matrices_split_evenly", even_token_s, 1),
        ("kv_of_16_bits", token_s, 2),
        ("matrices_split_evenly_kv_of_16_bits", even_token_s, 2),
    ):
        others = [
            row | {"modelled": 1 / rate(MACHINES[row["machine"]], DECODERS[row["model"]], CONTEXT, kv_bytes)}
            for row in rows
        ]
        result[f"mean_error_{what}"] = _mean_error(others)
        say(f"mean error, {what.replace('_', ' ')}", result[f"mean_error_{what}"], "", "")
    return result


def _mean_error(rows: list[dict[str, Any]]) -> float:
    return round(sum(abs(row["modelled"] / row["published"] - 1) for row in rows) / len(rows), 4)


def _picture(rows: list[dict[str, Any]]) -> str:
    """Modelled over published tokens a second, both on logarithmic axes."""
    size, left, low, high = 360.0, 46.0, -0.7, 1.7

    def at(value: float) -> float:
        return (math.log10(value) - low) / (high - low) * size

    what = "Tokens a second of seven models on three machines: modelled over published by Cambricon-LLM's authors"
    picture = Drawing("cambricon", size + left + 20, size + 60, title="Cambricon-LLM", description=what, style=STYLE)
    picture.rect(0, 0, size + left + 20, size + 60, cls="page", radius=6)
    top = 16.0
    for tick in (0.2, 0.5, 1, 2, 5, 10, 20, 50):
        x, y = left + at(tick), top + size - at(tick)
        picture.line([(x, top), (x, top + size)], cls="grid")
        picture.line([(left, y), (left + size, y)], cls="grid")
        picture.text(x, top + size + 14, f"{tick:g}", cls="tick", anchor="middle")
        picture.text(left - 6, y + 4, f"{tick:g}", cls="tick", anchor="end")
    picture.line([(left, top + size), (left + size, top)], cls="equal")
    for row in rows:
        x, y = left + at(row["published"]), top + size - at(row["modelled"])
        picture.dot(x, y, 4, cls=row["machine"])
    for place, name in enumerate(MACHINES):
        picture.dot(left + 20, top + 16 + 16 * place, 4, cls=name)
        picture.text(left + 30, top + 20 + 16 * place, f"machine {name}", cls="key")
    picture.text(left + size / 2, top + size + 34, "published, tokens a second", cls="axis", anchor="middle")
    picture.text(left + 6, top + size - 8, "modelled, tokens a second ↑", cls="axis")
    return f"{picture}\n"
