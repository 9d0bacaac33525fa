"""Tables as pictures, and the one in docs/ against the table of what stands still."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from xml.etree import ElementTree

import pytest

from flows.heat_map import Cell, heat_map
from flows.load import load_design
from hdl.simd.power import PARTS

ROOT = Path(__file__).resolve().parents[2]
SVG = "{http://www.w3.org/2000/svg}"


def texts(root: ElementTree.Element, kind: str) -> list[str]:
    return [element.text or "" for element in root.iter(f"{SVG}text") if element.get("class") == kind]


@pytest.mark.parametrize(
    ("figure", "share", "warmth"), [(0, 0, "still"), (1, 0.0, "h1"), (1, 0.2, "h2"), (1, 0.99, "h5"), (1, 3, "h5")]
)
def test_heat_map_cell_is_as_warm_as_its_share(figure: float, share: float, warmth: str) -> None:
    assert Cell(figure, share).warmth == warmth


def test_heat_map_shows_every_row_column_and_figure() -> None:
    rows = {
        "one": {"p4_1": Cell(3.14, 0.5), "mxfp8_e4m3": Cell(0, 0)},
        "two": {"p4_1": Cell(12.6, 1), "mxfp8_e4m3": Cell(1, 0)},
    }
    root = ElementTree.fromstring(heat_map("map", "title", "description", rows))
    assert texts(root, "row") == ["one", "two"]
    assert texts(root, "column") == ["p4_1", "mxfp8", "e4m3"]
    assert texts(root, "figure") == ["3.1", "13", "1.0"]
    drawn = Counter(element.get("class") for element in root.iter(f"{SVG}rect"))
    assert drawn == {"page": 1, "h3": 1, "still": 1, "h5": 1, "h1": 1}
    width, height = (float(root.get(name, "0")) for name in ("width", "height"))
    for element in root.iter(f"{SVG}rect"):
        x, y, wide, high = (float(element.get(name, "0")) for name in ("x", "y", "width", "height"))
        assert x + wide <= width
        assert y + high <= height


def test_mac_activity_picture_in_docs_has_the_parts_that_are_built_and_the_cells_that_work() -> None:
    stale = "docs/mac_activity.svg is stale: .venv/bin/python bench/simd.py activity --picture docs/mac_activity.svg"
    modes = load_design("mac_full_core").config.modes  # type: ignore[attr-defined]
    root = ElementTree.parse(ROOT / "docs" / "mac_activity.svg").getroot()
    assert texts(root, "row") == [part.title for part in PARTS], stale
    assert "".join(texts(root, "column")) == "".join(
        mode.replace("_", "") if len(mode) > 7 else mode for mode in modes
    ), stale
    places = {
        (float(element.get("x", "0")), float(element.get("y", "0")))
        for element in root.iter(f"{SVG}rect")
        if element.get("class") not in ("page", "still")
    }
    columns, rows = (sorted({place[axis] for place in places}) for axis in (0, 1))
    working = {(columns.index(x), rows.index(y)) for x, y in places}
    assert working == {
        (column, row) for row, part in enumerate(PARTS) for column, mode in enumerate(modes) if mode in part.modes
    }, stale
