from __future__ import annotations

import itertools
import re
from xml.etree import ElementTree

import pytest

from flows.drawing import Drawing
from flows.engines import ENGINES
from flows.load import load_design
from flows.road import STAGES
from flows.svg import ENGINES as DRAWN_ENGINES
from flows.svg import (
    ROAD,
    ROAD_STYLE,
    StageFigure,
    block_picture,
    port_groups,
    register_picture,
    road_picture,
    stages_picture,
)
from hdl.common.registers import Field, Register

SVG = "{http://www.w3.org/2000/svg}"


def texts(picture: str) -> list[str]:
    return [element.text or "" for element in ElementTree.fromstring(picture).iter(f"{SVG}text")]


def field(name: str, low: int, width: int, **properties: object) -> Field:
    sw = properties.pop("sw", "rw")
    return Field(name, name, "", low, width, sw, "r", 0, **properties)  # type: ignore[arg-type]


def test_drawing_escapes_every_text() -> None:
    drawing = Drawing("d", 10, 20, title='a < "b"', description="c & d")
    drawing.text(1.005, 2, "<script>&", cls="label")
    text = str(drawing)
    assert "<script>" not in text
    root = ElementTree.fromstring(text)
    assert [element.text for element in root] == ['a < "b"', "c & d", "<script>&"]
    assert root.get("viewBox") == "0 0 10 20"


@pytest.mark.parametrize(
    ("end", "tip"),
    [((20, 5), "20,5 13,8.5 13,1.5"), ((-20, 5), "-20,5 -13,1.5 -13,8.5"), ((0, 30), "0,30 3.5,23 -3.5,23")],
)
def test_drawing_arrow_points_the_way_it_goes(end: tuple[float, float], tip: str) -> None:
    drawing = Drawing("d", 10, 10, title="t", description="d")
    drawing.arrow([(0, 5), end], cls="wire")
    (head,) = re.findall(r'<polygon class="arrow" points="([^"]+)"', str(drawing))
    assert head == tip


def test_road_picture_shows_every_stage_and_every_engine() -> None:
    assert [name for name, _ in ROAD] == list(STAGES)
    assert {name for name, _, _ in DRAWN_ENGINES} == set(ENGINES)
    shown = texts(road_picture())
    assert {*STAGES, *ENGINES} <= set(shown)


def test_road_picture_lies_within_its_frame() -> None:
    root = ElementTree.fromstring(road_picture())
    width, height = float(root.get("width", 0)), float(root.get("height", 0))
    boxes = [[float(box.get(side, 0)) for side in ("x", "y", "width", "height")] for box in root.iter(f"{SVG}rect")]
    assert len(boxes) == 1 + len(ROAD) + len(DRAWN_ENGINES) + 1
    assert all(x >= 0 and y >= 0 and x + w <= width and y + h <= height for x, y, w, h in boxes)


def test_road_picture_needs_no_other_file() -> None:
    assert not re.search(r"url\(|@import|href", road_picture())
    assert "prefers-color-scheme" not in ROAD_STYLE


@pytest.mark.parametrize("columns", [1, 3])
def test_stages_picture_tells_state_and_seconds(columns: int) -> None:
    stages = [
        StageFigure("lint", "known", 0.25),
        StageFigure("pnr", "done", 20.04),
        StageFigure("report", "this page", None),
    ]
    picture = stages_picture("road", stages, columns)
    shown = " ".join(texts(picture))
    assert "0.2 s" in shown
    assert "20.0 s" in shown
    assert picture.count("<polygon") == 2
    description = ElementTree.fromstring(picture)[1].text
    assert description == "lint: known, 0.2 s; pnr: done, 20.0 s; report: this page"


PORTS = [
    {"name": "clk", "direction": "input", "width": 1, "interface": "clock", "role": "clk"},
    {"name": "rst", "direction": "input", "width": 1, "interface": "reset", "role": "rst"},
    {"name": "s_axis_a_tdata", "direction": "input", "width": 24, "interface": "axi4-stream", "role": "a"},
    {"name": "s_axis_a_tready", "direction": "output", "width": 1, "interface": "axi4-stream", "role": "a"},
    {"name": "m_axis_y_tdata", "direction": "output", "width": 48, "interface": "axi4-stream", "role": "y"},
    {"name": "s_axil_awaddr", "direction": "input", "width": 5, "interface": "axi4-lite", "role": "csr"},
    {"name": "irq", "direction": "output", "width": 1, "interface": "signal", "role": "irq"},
    {"name": "trigger", "direction": "input", "width": 1, "interface": "signal", "role": "trigger"},
]


def test_port_groups_put_interfaces_together_and_on_their_side() -> None:
    groups = [(group.title, group.side, [port["name"] for port in group.ports]) for group in port_groups(PORTS)]
    assert groups == [
        ("clock and reset", "left", ["clk", "rst"]),
        ("AXI4-Stream a", "left", ["s_axis_a_tdata", "s_axis_a_tready"]),
        ("AXI4-Stream y", "right", ["m_axis_y_tdata"]),
        ("AXI4-Lite csr", "left", ["s_axil_awaddr"]),
        ("signals", "right", ["irq"]),
        ("signals", "left", ["trigger"]),
    ]


def test_block_picture_names_every_port_once_and_the_width_of_every_bus() -> None:
    shown = texts(block_picture("niello_x", "a.block", PORTS))
    for port in PORTS:
        assert shown.count(port["name"]) == 1
    assert [text for text in shown if text.isdigit()] == ["24", "5", "48"]


def test_block_picture_arrows_follow_the_signals() -> None:
    root = ElementTree.fromstring(block_picture("niello_x", "a.block", PORTS))
    (module,) = [box for box in root.iter(f"{SVG}rect") if box.get("class") == "module"]
    left = float(module.get("x", 0))
    right = left + float(module.get("width", 0))
    # An arrow's tip is the first corner of its head: on the box's edge for an input, outside for an output.
    tips = [float(head.get("points", "").split(",")[0]) for head in root.iter(f"{SVG}polygon")]
    inputs = [port for port in PORTS if port["direction"] == "input"]
    assert sum(tip in (left, right) for tip in tips) == len(inputs)
    assert sum(tip < left or tip > right for tip in tips) == len(PORTS) - len(inputs)


@pytest.mark.parametrize("width", [340.0, 720.0])
def test_register_picture_tiles_all_bits(width: float) -> None:
    fields = (field("low", 0, 1), field("middle", 4, 8), field("top", 28, 4))
    picture = register_picture(Register("r", "R", "", 0, fields), width)
    root = ElementTree.fromstring(picture)
    boxes = [(float(box.get("x", 0)), float(box.get("width", 0))) for box in root.iter(f"{SVG}rect")]
    assert len(boxes) == 5
    for (x, room), (following, _) in itertools.pairwise(boxes):
        assert x + room == pytest.approx(following, abs=0.02)
    assert sum(room for _, room in boxes) == pytest.approx(width, abs=0.05)
    indexes = [text.text for text in root.iter(f"{SVG}text") if text.get("class") == "index"]
    assert indexes == ["31", "28", "27", "12", "11", "4", "3", "1", "0"]


def test_register_picture_shows_unused_bits_at_the_bottom() -> None:
    root = ElementTree.fromstring(register_picture(Register("r", "R", "", 0, (field("top", 2, 30, sw="r"),))))
    assert [box.get("class") for box in root.iter(f"{SVG}rect")] == ["bits read", "bits unused"]
    assert [text.text for text in root.iter(f"{SVG}text") if text.get("class") == "index"] == ["31", "2", "1", "0"]


def test_register_picture_of_every_register_holds_its_fields() -> None:
    registers = load_design("dot_int8x16").config.registers.registers
    assert registers
    for register in registers:
        shown = texts(register_picture(register))
        assert {known.name for known in register.fields} <= set(shown)


def test_register_picture_grows_where_names_are_long() -> None:
    fields = tuple(field(f"a_rather_long_name_{bit:02}", bit, 1) for bit in range(32))
    root = ElementTree.fromstring(register_picture(Register("r", "R", "", 0, fields)))
    assert float(root.get("width", 0)) > 32 * 21 * 7


@pytest.mark.parametrize(
    ("properties", "word"),
    [
        ({"sw": "r"}, "ro"),
        ({"sw": "w"}, "wo"),
        ({}, "rw"),
        ({"woclr": True}, "rw w1c"),
        ({"woset": True}, "rw w1s"),
        ({"sw": "r", "rclr": True}, "ro rc"),
        ({"sw": "w", "singlepulse": True}, "pulse"),
    ],
)
def test_access_says_what_software_can_do(properties: dict[str, object], word: str) -> None:
    assert field("f", 0, 1, **properties).access == word
