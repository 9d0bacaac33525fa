"""Small SVG drawings: a few shapes, classes instead of colours, every text escaped, each with title and description."""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape

Point = tuple[float, float]

ARROW_LENGTH = 7.0
ARROW_HALF_WIDTH = 3.5

SANS_EM = 0.56
MONO_EM = 0.602
"""Mean advance of a character, as a fraction of the font size."""


def text_width(text: str, size: float, *, mono: bool = False) -> float:
    """About how wide a text is, in the unit of `size`; there is no font here to ask."""
    return len(text) * size * (MONO_EM if mono else SANS_EM)


def round_step(first: float, last: float, steps: int) -> float:
    """1, 2 or 5 times a power of ten, so that about `steps` of it go from the first to the last."""
    least = max(last - first, 1e-9) / steps
    power = 10.0 ** math.floor(math.log10(least))
    return next(power * times for times in (1, 2, 5, 10) if power * times >= least)


class Drawing:
    """An SVG element under construction, `width` by `height` units, origin at the upper left.

    Shapes carry class names; what these look like is said by the page that the drawing is put into, or by `style` (CSS)
    where the drawing is a file of its own. `str()` is the whole element, the same for the same calls.

    Parameters
    ----------
    name : unique in the page; ids are made of it
    title, description : for those who cannot see the picture
    """

    def __init__(self, name: str, width: float, height: float, *, title: str, description: str, style: str = ""):
        self.name = name
        self.width = width
        self.height = height
        self._title = title
        self._description = description
        self._style = style
        self._shapes: list[str] = []

    def rect(self, x: float, y: float, width: float, height: float, *, cls: str, radius: float = 0) -> None:
        """A rectangle by its upper left corner."""
        corner = f' rx="{_n(radius)}"' if radius else ""
        self._add(f'<rect{_class(cls)} x="{_n(x)}" y="{_n(y)}" width="{_n(width)}" height="{_n(height)}"{corner}/>')

    def text(self, x: float, y: float, content: str, *, cls: str, anchor: str = "start") -> None:
        """A line of text on the baseline `y`; `anchor`: start, middle or end."""
        place = f' text-anchor="{anchor}"' if anchor != "start" else ""
        self._add(f'<text{_class(cls)} x="{_n(x)}" y="{_n(y)}"{place}>{escape(content)}</text>')

    def line(self, points: Sequence[Point], *, cls: str) -> None:
        """A line through points."""
        track = " ".join(f"{_n(x)},{_n(y)}" for x, y in points)
        self._add(f'<polyline{_class(cls)} points="{track}"/>')

    def arrow(self, points: Sequence[Point], *, cls: str, head_cls: str = "arrow") -> None:
        """A line with a head at its last point; its last part must be horizontal or vertical."""
        (x0, y0), (x1, y1) = points[-2:]
        dx, dy = (x1 > x0) - (x1 < x0), (y1 > y0) - (y1 < y0)
        foot = (x1 - dx * ARROW_LENGTH, y1 - dy * ARROW_LENGTH)
        self.line([*points[:-1], foot], cls=cls)
        side = ARROW_HALF_WIDTH
        corners = [(x1, y1), (foot[0] + dy * side, foot[1] + dx * side), (foot[0] - dy * side, foot[1] - dx * side)]
        track = " ".join(f"{_n(x)},{_n(y)}" for x, y in corners)
        self._add(f'<polygon{_class(head_cls)} points="{track}"/>')

    def dot(self, x: float, y: float, radius: float, *, cls: str) -> None:
        """A filled circle."""
        self._add(f'<circle{_class(cls)} cx="{_n(x)}" cy="{_n(y)}" r="{_n(radius)}"/>')

    def __str__(self) -> str:
        name = escape(self.name)
        style = [f"<style>{self._style}</style>"] if self._style else []
        return "\n".join(
            [
                f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_n(self.width)} {_n(self.height)}"'
                f' width="{_n(self.width)}" height="{_n(self.height)}" role="img"'
                f' aria-labelledby="{name}-title {name}-desc">',
                f'<title id="{name}-title">{escape(self._title)}</title>',
                f'<desc id="{name}-desc">{escape(self._description)}</desc>',
                *style,
                *self._shapes,
                "</svg>",
            ]
        )

    def _add(self, shape: str) -> None:
        self._shapes.append(shape)


def _class(name: str) -> str:
    return f' class="{escape(name)}"'


def _n(value: float) -> str:
    return f"{round(value, 2):g}"
