"""Margins or accuracies along four axes as a picture: the mean of all seeds, and the range from worst to best."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import ceil, floor, log

from flows.drawing import Drawing, Point
from sim.sfq.network_study import AXES, Quality

STYLE = """
text{font-family:system-ui,-apple-system,"Segoe UI",Roboto,"Helvetica Neue",Arial,sans-serif;font-size:11px}
text{fill:#222b33}.page{fill:#fff}.title{font-weight:600}
.grid{fill:none;stroke:#dde3e8}.zero{fill:none;stroke:#7d8894}.end{fill:none;stroke:#9bb8d3;stroke-width:1}
.mean{fill:none;stroke:#0b5cad;stroke-width:2}.mean-dot{fill:#0b5cad}
"""
"""The page is painted, so that dark text is read on dark pages too."""

WIDTH, HEIGHT = 300.0, 170.0
LEFT, TOP, GAP_X, GAP_Y = 46.0, 44.0, 60.0, 66.0
TITLES = {
    "bias": "all bias currents, factor",
    "spread": "spread of a synapse's current, deviation",
    "temperature_k": "noise temperature, K",
    "slots": "window, slots",
}
Y_TICKS = 5
X_LABELS = 8


def network_picture(
    design: str, what: str, sweeps: Mapping[str, Sequence[tuple[float, Quality]]], seeds: int, slots: int
) -> str:
    """An SVG file: a panel an axis, two beside each other."""
    low = min(0.0, *(one.worst for points in sweeps.values() for _, one in points))
    high = max(one.best for points in sweeps.values() for _, one in points)
    low, high = floor(low * Y_TICKS) / Y_TICKS, ceil(high * Y_TICKS) / Y_TICKS
    title = f"{what} of {design}, {seeds} seeds, {slots} slots a window where they are not varied"
    picture = Drawing(
        f"{design}-margins",
        LEFT + 2 * WIDTH + GAP_X + 20,
        TOP + 2 * HEIGHT + GAP_Y + 36,
        title=title,
        description=f"The {what} along four axes: a thick line for the mean of all seeds, thin ones for its ends.",
        style=STYLE,
    )
    picture.rect(0, 0, picture.width, picture.height, cls="page", radius=6)
    picture.text(LEFT, 18, title, cls="title")
    for number, (axis, points) in enumerate(sweeps.items()):
        x, y = LEFT + number % 2 * (WIDTH + GAP_X), TOP + number // 2 * (HEIGHT + GAP_Y)
        _panel(picture, x, y, axis, points, (low, high))
    return f"{picture}\n"


def _panel(
    picture: Drawing,
    x: float,
    y: float,
    axis: str,
    points: Sequence[tuple[float, Quality]],
    span: tuple[float, float],
) -> None:
    low, high = span
    values = [value for value, _ in points]
    scaled = [log(value) if AXES[axis].logarithmic else value for value in values]

    def across(place: int) -> float:
        return x + WIDTH * (scaled[place] - scaled[0]) / (scaled[-1] - scaled[0])

    def up(value: float) -> float:
        return y + HEIGHT * (high - value) / (high - low)

    for step in range(round((high - low) * Y_TICKS) + 1):
        value = low + step / Y_TICKS
        picture.line([(x, up(value)), (x + WIDTH, up(value))], cls="zero" if abs(value) < 1e-9 else "grid")
        picture.text(x - 6, up(value) + 4, f"{value:.1f}", cls="tick", anchor="end")
    every = -(-len(values) // X_LABELS)
    for place in range(0, len(values), every):
        picture.text(across(place), y + HEIGHT + 15, f"{values[place]:g}", cls="tick", anchor="middle")
    picture.text(x + WIDTH / 2, y + HEIGHT + 32, TITLES[axis], cls="axis", anchor="middle")
    lines: dict[str, list[Point]] = {"end": [], "other": [], "mean": []}
    for place, (_, one) in enumerate(points):
        lines["end"].append((across(place), up(one.worst)))
        lines["other"].append((across(place), up(one.best)))
        lines["mean"].append((across(place), up(one.mean)))
    for name, line in lines.items():
        picture.line(line, cls="end" if name == "other" else name)
    for place_x, place_y in lines["mean"]:
        picture.dot(place_x, place_y, 2, cls="mean-dot")
