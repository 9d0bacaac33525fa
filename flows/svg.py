"""The pictures of the README and of the report: the road, its stages in one run, a block's ports, a register's bits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from flows.drawing import Drawing, text_width
from hdl.common.registers import REGISTER_BITS, Field, Register

ROAD = (
    ("elaborate", "Amaranth"),
    ("lint", "Verilator"),
    ("simulate", "cocotb, numpy"),
    ("synth", "Yosys"),
    ("pnr", "nextpnr"),
    ("pack", "bitstream"),
    ("report", "metrics, HTML"),
)
"""The stages, and what works there."""

ENGINES = (
    ("model", "numpy golden model", 0),
    ("rtl", "Verilog in Verilator", 1),
    ("board-sim", "board top, pseudo-terminal", 1),
    ("netlist", "after Yosys, simulated", 4),
    ("board", "the FPGA, host driver", 6),
)
"""The engines in the order in which the road makes them, and from which of its boxes (0: the design) each comes."""

CLAIM = "one set of vectors through all five, the same bytes out of each"

ROAD_STYLE = """
text{font-family:system-ui,-apple-system,"Segoe UI",Roboto,"Helvetica Neue",Arial,sans-serif;font-size:12px}
.name{font-size:15px;font-weight:600;fill:#fff}.tool{fill:#d7f0f4}
.start{fill:#5b4b8a}.stage{fill:#0b7285}
.engine{fill:#343f4b;stroke:#7d8894}.engine-tool{fill:#d9dfe5}
.bar{fill:#2b7a43}.bar-text{font-size:14px;font-weight:600;fill:#fff}
.wire{fill:none;stroke:#7d8894;stroke-width:2}.arrow{fill:#7d8894}
"""
"""Every text lies on a box of a colour of its own, and lines are of a middle grey: right on white and on dark pages."""


def road_picture() -> str:
    """The road from a design to a bitstream, and the five engines that one set of vectors runs on, as an SVG file."""
    width, box, gap, left = 960.0, 104.0, 12.0, 22.0
    picture = Drawing(
        "road",
        width,
        288,
        title="The road of a design",
        description=(
            f"A YAML file goes through {', '.join(name for name, _ in ROAD)}. On the way it becomes five engines: "
            f"{', '.join(f'{name} ({what})' for name, what, _ in ENGINES)}. "
            "One set of vectors goes through all five, and the same bytes come out."
        ),
        style=ROAD_STYLE,
    )
    boxes = [("design", "a YAML file"), *ROAD]
    starts = [left + index * (box + gap) for index in range(len(boxes))]
    for index, (name, tool) in enumerate(boxes):
        picture.rect(starts[index], 16, box, 60, cls="stage" if index else "start", radius=8)
        picture.text(starts[index] + box / 2, 43, name, cls="name", anchor="middle")
        picture.text(starts[index] + box / 2, 62, tool, cls="tool", anchor="middle")
        if index:
            picture.arrow([(starts[index] - gap, 46), (starts[index], 46)], cls="wire")
    engine, engine_gap, top = 172.0, 14.0, 138.0
    for index, (name, what, source) in enumerate(ENGINES):
        x = left + index * (engine + engine_gap)
        middle = x + engine / 2
        # Where two engines leave one box, the nearer one leaves at the left and bends lower: the lines do not cross.
        siblings = [other for other, _, at in ENGINES if at == source]
        place = siblings.index(name)
        leave = starts[source] + box / 2 + (place - (len(siblings) - 1) / 2) * 24
        bend = 92.0 + 16 * (len(siblings) - 1 - place)
        picture.arrow([(leave, 76), (leave, bend), (middle, bend), (middle, top)], cls="wire")
        picture.rect(x, top, engine, 58, cls="engine", radius=8)
        picture.text(middle, top + 26, name, cls="name", anchor="middle")
        picture.text(middle, top + 45, what, cls="engine-tool", anchor="middle")
        picture.arrow([(middle, top + 58), (middle, 226)], cls="wire")
    picture.rect(left, 226, len(boxes) * (box + gap) - gap, 46, cls="bar", radius=8)
    picture.text(
        width / 2,
        254,
        CLAIM,
        cls="bar-text",
        anchor="middle",
    )
    return str(picture) + "\n"


@dataclass(frozen=True)
class StageFigure:
    """What the report shows of a stage: its name, what became of it, and how long it took (None: not told)."""

    name: str
    state: str
    seconds: float | None


def stages_picture(name: str, stages: Sequence[StageFigure], columns: int) -> str:
    """The stages of one run as a chain of boxes, `columns` in a row; a row after the first starts at the left again."""
    box, height, gap = (124.0, 74.0, 20.0) if columns > 1 else (280.0, 44.0, 16.0)
    rows = -(-len(stages) // columns)
    told = "; ".join(f"{stage.name}: {stage.state}{_seconds(stage, ', ')}" for stage in stages)
    picture = Drawing(
        name,
        columns * (box + gap) - gap + 2,
        rows * (height + gap) - gap + 2,
        title="The stages of this run",
        description=told,
    )
    for index, stage in enumerate(stages):
        x = 1 + (index % columns) * (box + gap)
        y = 1 + (index // columns) * (height + gap)
        picture.rect(x, y, box, height, cls=f"stage {stage.state.split()[0]}", radius=8)
        picture.dot(x + 16, y + 22, 4, cls="light")
        picture.text(x + 28, y + 27, stage.name, cls="strong")
        if columns > 1:
            picture.text(x + 28, y + 45, stage.state, cls="soft")
            picture.text(x + 28, y + 62, _seconds(stage), cls="soft")
        else:
            picture.text(x + box - 14, y + 27, f"{stage.state}{_seconds(stage, ' · ')}", cls="soft", anchor="end")
        if index % columns:
            picture.arrow([(x - gap, y + height / 2), (x, y + height / 2)], cls="wire")
        elif index:
            picture.arrow([(x + box / 2, y - gap), (x + box / 2, y)], cls="wire")
    return str(picture)


def _seconds(stage: StageFigure, before: str = "") -> str:
    return "" if stage.seconds is None else f"{before}{stage.seconds:.1f} s"


INTERFACE_TITLES = {"axi4-stream": "AXI4-Stream", "axi4-lite": "AXI4-Lite", "axi4": "AXI4"}

_ROW = 18.0
_GROUP_GAP = 24.0


def block_picture(top: str, subtitle: str, ports: Sequence[dict[str, Any]]) -> str:
    """A module as a box: interfaces that it is asked through on the left, those by which it gives on the right.

    `ports` as in `ports.json`. Every port is an arrow the way that its signal goes, thick and with its width where it
    is a bus.
    """
    groups = port_groups(ports)
    sides = {side: [group for group in groups if group.side == side] for side in ("left", "right")}
    half = {
        side: max(
            [130.0]
            + [text_width(group.title, 12) + 30 for group in members]
            + [text_width(port["name"], 12, mono=True) + 24 for group in members for port in group.ports]
        )
        for side, members in sides.items()
    }
    heights = {side: sum(_height(group) for group in members) for side, members in sides.items()}
    wire, head = 72.0, 52.0
    body = max(half["left"] + half["right"], text_width(top, 15, mono=True) + 32)
    height = head + max(heights.values()) + 14
    picture = Drawing(
        "block",
        body + 2 * wire,
        height + 2,
        title=f"Ports of {top}",
        description="; ".join(f"{group.title}: {', '.join(map(_said, group.ports))}" for group in groups),
    )
    picture.rect(wire, 1, body, height, cls="module", radius=10)
    picture.text(wire + body / 2, 26, top, cls="strong mono", anchor="middle")
    picture.text(wire + body / 2, 44, subtitle, cls="soft", anchor="middle")
    for side, members in sides.items():
        edge = wire if side == "left" else wire + body
        inward, anchor = (1, "start") if side == "left" else (-1, "end")
        y = head
        for group in members:
            y += _GROUP_GAP
            picture.text(edge + inward * 12, y + 4, group.title, cls="group", anchor=anchor)
            for port in group.ports:
                y += _ROW
                _port(picture, port, edge, inward, y)
    return str(picture)


@dataclass(frozen=True)
class PortGroup:
    """Ports of one interface: its title, the side of the box that it is drawn at."""

    title: str
    side: str
    ports: tuple[dict[str, Any], ...]


def port_groups(ports: Sequence[dict[str, Any]]) -> list[PortGroup]:
    """The ports by interface, in order; clock and reset are one group, single signals one on each side."""
    gathered: dict[tuple[str, str, str], list[dict[str, Any]]] = {}
    for port in ports:
        kind, title = port["interface"], INTERFACE_TITLES.get(port["interface"])
        if title:
            # Whose interface it is shows in the standard's prefix: s_ is asked, m_ asks.
            side = "left" if port["name"].startswith("s_") else "right"
            key = (side, f"{title} {port['role']}", port["name"].rpartition("_")[0])
        else:
            side = "left" if port["direction"] == "input" else "right"
            key = (side, "clock and reset" if kind in ("clock", "reset") else "signals", "")
        gathered.setdefault(key, []).append(port)
    return [PortGroup(title, side, tuple(members)) for (side, title, _), members in gathered.items()]


def _said(port: dict[str, Any]) -> str:
    return f"{port['name']} {port['direction']} {port['width']}"


def _height(group: PortGroup) -> float:
    return _GROUP_GAP + _ROW * len(group.ports)


def _port(picture: Drawing, port: dict[str, Any], edge: float, inward: int, y: float) -> None:
    outside = edge - inward * 40
    bus = port["width"] > 1
    track = [(outside, y), (edge, y)]
    entering = port["direction"] == "input"
    picture.arrow(track if entering else track[::-1], cls="wire bus" if bus else "wire")
    if bus:
        label = outside - inward * 4
        picture.text(label, y + 4, str(port["width"]), cls="width", anchor="end" if inward > 0 else "start")
    anchor = "start" if inward > 0 else "end"
    picture.text(edge + inward * 12, y + 4, port["name"], cls="port mono", anchor=anchor)


def register_picture(register: Register, width: float = 720.0) -> str:
    """A register's bits, the highest at the left, `width` wide or more: fields by name and access, unused bits empty.

    A field is at least as wide as its name, so that all names are read; widths are no scale of bits.
    """
    spans = _spans(register)
    least = [
        max(text_width(field.name, 12, mono=True), text_width(field.access, 11), 22.0) + 18 if field else 34.0
        for _, _, field in spans
    ]
    spare = max(0.0, width - sum(least))
    bits = REGISTER_BITS
    rooms = [room + spare * (high - low + 1) / bits for room, (high, low, _) in zip(least, spans, strict=True)]
    said = [f"bits {high} to {low}: {field.name}, {field.access}" for high, low, field in spans if field]
    picture = Drawing(
        f"register-{register.name}-{width:g}",
        sum(rooms) + 2,
        66,
        title=f"Bits of {register.name}",
        description="; ".join(said),
    )
    x = 1.0
    for (high, low, field), room in zip(spans, rooms, strict=True):
        kind = "unused" if field is None else "written" if field.software_writes else "read"
        picture.rect(x, 20, room, 44, cls=f"bits {kind}")
        if high == low:
            picture.text(x + room / 2, 13, str(high), cls="index", anchor="middle")
        else:
            picture.text(x + 5, 13, str(high), cls="index")
            picture.text(x + room - 5, 13, str(low), cls="index", anchor="end")
        if field:
            picture.text(x + room / 2, 39, field.name, cls="port mono", anchor="middle")
            picture.text(x + room / 2, 55, field.access, cls="soft", anchor="middle")
        x += room
    return str(picture)


def _spans(register: Register) -> list[tuple[int, int, Field | None]]:
    """High bit, low bit and field, from the top down, unused bits among them."""
    spans: list[tuple[int, int, Field | None]] = []
    top = REGISTER_BITS - 1
    for field in reversed(register.fields):
        high = field.low + field.width - 1
        if high < top:
            spans.append((top, high + 1, None))
        spans.append((high, field.low, field))
        top = field.low - 1
    if top >= 0:
        spans.append((top, 0, None))
    return spans


if __name__ == "__main__":
    print(road_picture(), end="")
