"""A table of figures as a picture: the larger a figure's share of what it could be, the warmer its cell."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from flows.drawing import Drawing, text_width

STYLE = """
text{font-family:system-ui,-apple-system,"Segoe UI",Roboto,"Helvetica Neue",Arial,sans-serif;font-size:11px}
text{fill:#222b33}.page{fill:#fff}.still{fill:#eef1f4}
.h1{fill:#fff3c4}.h2{fill:#ffe08a}.h3{fill:#ffc45c}.h4{fill:#ff9f45}.h5{fill:#f8763b}
"""
"""The page is painted, so that dark text is read on dark pages too."""

STEPS = 5
CELL_WIDTH, CELL_HEIGHT, MARGIN, HEAD = 46.0, 20.0, 10.0, 44.0


@dataclass(frozen=True)
class Cell:
    """A figure, and its share of the largest that there can be, 0 to 1; a cell whose figure is 0 is cold."""

    figure: float
    share: float

    @property
    def warmth(self) -> str:
        """The class that the cell is drawn in."""
        return f"h{min(STEPS, 1 + int(self.share * STEPS))}" if self.figure else "still"


def heat_map(name: str, title: str, description: str, rows: Mapping[str, Mapping[str, Cell]]) -> str:
    """An SVG file: cells by row and column, all rows with the same columns. A long column's name breaks at `_`."""
    columns = list(next(iter(rows.values())))
    left = MARGIN + max(text_width(row, 11) for row in rows) + 8
    width = left + len(columns) * CELL_WIDTH + MARGIN
    height = HEAD + len(rows) * CELL_HEIGHT + MARGIN
    picture = Drawing(name, width, height, title=title, description=description, style=STYLE)
    picture.rect(0, 0, width, height, cls="page", radius=6)
    for place, column in enumerate(columns):
        words = column.split("_", 1) if text_width(column, 11) > CELL_WIDTH else [column]
        for line, word in enumerate(words):
            y = HEAD - 8 - 13 * (len(words) - 1 - line)
            picture.text(left + (place + 0.5) * CELL_WIDTH, y, word, cls="column", anchor="middle")
    for line, (row, cells) in enumerate(rows.items()):
        y = HEAD + line * CELL_HEIGHT
        picture.text(left - 8, y + 14, row, cls="row", anchor="end")
        for place, cell in enumerate(cells.values()):
            x = left + place * CELL_WIDTH
            picture.rect(x, y, CELL_WIDTH - 1, CELL_HEIGHT - 1, cls=cell.warmth)
            if cell.figure:
                said = f"{cell.figure:.1f}" if cell.figure < 10 else f"{cell.figure:.0f}"
                picture.text(x + CELL_WIDTH / 2, y + 14, said, cls="figure", anchor="middle")
    return f"{picture}\n"
