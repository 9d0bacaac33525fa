"""Curves beside each other as a picture: lines, and the points that they are held against."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from flows.drawing import Drawing, Point, text_width

STYLE = """
text{font-family:system-ui,-apple-system,"Segoe UI",Roboto,"Helvetica Neue",Arial,sans-serif;font-size:12px}
text{fill:#222b33}
.page{fill:#fff}.title{font-weight:600;font-size:13px}.frame{fill:none;stroke:#7d8894}.grid{fill:none;stroke:#e3e8ec}
.line0{fill:none;stroke:#0b7285;stroke-width:2}
.line1{fill:none;stroke:#c2410c;stroke-width:2}
.line2{fill:none;stroke:#5b4b8a;stroke-width:2}
.dot0{fill:#0b7285}.dot1{fill:#c2410c}.dot2{fill:#5b4b8a}
"""
"""The page is painted, so that dark text is read on dark pages too."""

PANEL_WIDTH, PANEL_HEIGHT = 300.0, 200.0
LEFT, TOP, BELOW, GAP = 56.0, 40.0, 76.0, 34.0


@dataclass(frozen=True)
class Curve:
    """A line, and points of the same colour; either may be empty."""

    name: str
    line: Sequence[Point]
    points: Sequence[Point]


@dataclass(frozen=True)
class Panel:
    """A diagram: its axes' names with their units, their marks from the first to the last, and up to three curves."""

    title: str
    x_name: str
    y_name: str
    x_marks: Sequence[float]
    y_marks: Sequence[float]
    curves: Sequence[Curve]


def curves_picture(name: str, title: str, description: str, panels: Sequence[Panel]) -> str:
    """An SVG file with the panels in a row."""
    width = len(panels) * (LEFT + PANEL_WIDTH + GAP)
    height = TOP + PANEL_HEIGHT + BELOW
    picture = Drawing(name, width, height, title=title, description=description, style=STYLE)
    picture.rect(0, 0, width, height, cls="page", radius=6)
    for place, panel in enumerate(panels):
        _panel(picture, panel, LEFT + place * (LEFT + PANEL_WIDTH + GAP))
    return f"{picture}\n"


def _panel(picture: Drawing, panel: Panel, left: float) -> None:
    def at(point: Point) -> Point:
        (x_first, x_last), (y_first, y_last) = ((marks[0], marks[-1]) for marks in (panel.x_marks, panel.y_marks))
        x = left + (point[0] - x_first) / (x_last - x_first) * PANEL_WIDTH
        return x, TOP + PANEL_HEIGHT - (point[1] - y_first) / (y_last - y_first) * PANEL_HEIGHT

    bottom = TOP + PANEL_HEIGHT
    picture.text(left, TOP - 14, panel.title, cls="title")
    for mark in panel.x_marks:
        x, _ = at((mark, panel.y_marks[0]))
        picture.line([(x, TOP), (x, bottom)], cls="grid")
        picture.text(x, bottom + 16, f"{mark:g}", cls="mark", anchor="middle")
    for mark in panel.y_marks:
        _, y = at((panel.x_marks[0], mark))
        picture.line([(left, y), (left + PANEL_WIDTH, y)], cls="grid")
        picture.text(left - 6, y + 4, f"{mark:g}", cls="mark", anchor="end")
    picture.rect(left, TOP, PANEL_WIDTH, PANEL_HEIGHT, cls="frame")
    picture.text(
        left + PANEL_WIDTH / 2, bottom + 34, f"{panel.x_name}; up: {panel.y_name}", cls="axis", anchor="middle"
    )
    x = left
    for number, curve in enumerate(panel.curves):
        if curve.line:
            picture.line([at(point) for point in curve.line], cls=f"line{number}")
        for point in curve.points:
            picture.dot(*at(point), 3, cls=f"dot{number}")
        picture.dot(x + 5, bottom + 53, 4, cls=f"dot{number}")
        picture.text(x + 14, bottom + 57, curve.name, cls="name")
        x += 26 + text_width(curve.name, 12)
