"""A run of a pulse netlist as a picture: a lane a wire, a stroke a pulse, red where one came too soon."""

from __future__ import annotations

from collections.abc import Sequence

from flows.drawing import Drawing, text_width
from hdl.common.config import ConfigError
from hdl.sfq.cells import exact_ps
from hdl.sfq.netlist import Netlist
from sim.sfq.event_model import Run, Violation

STYLE = """
text{font-family:system-ui,-apple-system,"Segoe UI",Roboto,"Helvetica Neue",Arial,sans-serif}
text{font-size:11px;fill:#222b33}
.page{fill:#fff}.name{font-family:ui-monospace,Menlo,Consolas,monospace}.title{font-size:14px;font-weight:600}
text.time,text.axis{fill:#5a6672;font-size:10px}.grid{stroke:#e3e8ed}.base{stroke:#a9b4be}
.input{stroke:#5b4b8a;stroke-width:2}.wire{stroke:#7d8894;stroke-width:2}.output{stroke:#0b7285;stroke-width:2}
.late{stroke:#d6293e;stroke-width:2}.mark,text.who{fill:#d6293e}
@media (prefers-color-scheme:dark){
text{fill:#dfe6ec}.page{fill:#161b20}text.time,text.axis{fill:#9aa7b3}.grid{stroke:#2a323a}.base{stroke:#4a5560}
.input{stroke:#a99be0}.wire{stroke:#9aa7b3}.output{stroke:#4cc3d9}.late{stroke:#ff6b7a}.mark,text.who{fill:#ff6b7a}}
"""

WIDTH, MARGIN, HEAD, LANE, FOOT, PULSE = 1000.0, 14.0, 44.0, 34.0, 26.0, 13.0
TIME_SIZE = 10.0
MOST_LANES = 500
LONGEST_NAME = 40


def run_picture(netlist: Netlist, run: Run, wires: Sequence[str]) -> str:
    """An SVG file of these wires, and of those at whose pins pulses came too soon; times in ps, to scale.

    Pulses that fall on one place of the picture are one stroke; times and cells are written where there is room.

    Raises
    ------
    ConfigError
        If there are too many wires.
    """
    pins = {one.name: one.pins for one in netlist.instances}
    late: dict[str, list[Violation]] = {}
    for one in run.violations:
        late.setdefault(pins[one.instance][one.pin], []).append(one)
    shown = list(dict.fromkeys([*wires, *late]))
    if len(shown) > MOST_LANES:
        raise ConfigError(f"a picture shows at most {MOST_LANES} wires, not {len(shown):,}; VCD takes all")
    left = MARGIN + max((text_width(_short(wire), 11, mono=True) for wire in shown), default=0) + 12
    axis = _Axis([time for wire in shown for time in run.pulses[wire]], left, WIDTH - MARGIN - 20)
    height = HEAD + LANE * len(shown) + FOOT
    count = len(run.violations)
    picture = Drawing(
        "run",
        WIDTH,
        height,
        title=f"A run of {netlist.name}",
        description=f"{sum(len(run.pulses[wire]) for wire in shown)} pulses on {len(shown)} wires; "
        f"{count} pulse{'s' * (count != 1)} came too soon.",
        style=STYLE,
    )
    picture.rect(0, 0, WIDTH, height, cls="page", radius=6)
    picture.text(MARGIN, 22, _short(netlist.name), cls="title")
    for time in axis.marks:
        x = axis.at(time)
        picture.line([(x, HEAD - 8), (x, height - FOOT + 4)], cls="grid")
        picture.text(x, height - 9, exact_ps(time), cls="axis", anchor="middle")
    picture.text(WIDTH - MARGIN, 22, "ps", cls="axis", anchor="end")
    for number, wire in enumerate(shown):
        y = HEAD + LANE * (number + 1) - 8
        picture.text(left - 10, y, _short(wire), cls="name", anchor="end")
        picture.line([(left, y), (WIDTH - MARGIN, y)], cls="base")
        kind = "input" if wire in netlist.inputs else "output" if wire in netlist.outputs else "wire"
        _lane(picture, axis, y, kind, run.pulses[wire], late.get(wire, []))
    return f"{picture}\n"


class _Axis:
    """Times along x, with marks at round times."""

    def __init__(self, times: Sequence[int], left: float, right: float):
        first, last = min(times, default=0), max(times, default=0)
        step = _round_step(last - first)
        self.start = first // step * step
        self.end = max(-(-last // step), self.start // step + 1) * step
        self.marks = range(self.start, self.end + 1, step)
        self.left, self.scale = left, (right - left) / (self.end - self.start)

    def at(self, time: int) -> float:
        return self.left + (time - self.start) * self.scale


def _round_step(span: int) -> int:
    """The least 1, 2 or 5 by a power of ten, in ticks, of which at most nine make the span."""
    power = 1
    while True:
        for step in (power, 2 * power, 5 * power):
            if span <= 9 * step:
                return step
        power *= 10


def _lane(
    picture: Drawing, axis: _Axis, y: float, kind: str, pulses: Sequence[int], violations: Sequence[Violation]
) -> None:
    """The pulses of a wire: strokes, those that came too soon first, and times and cells where there is room."""
    red = {one.time: one for one in violations}
    drawn = set()
    taken: list[tuple[float, float]] = []
    for time in sorted(pulses, key=lambda time: time not in red):
        x, one = round(axis.at(time), 1), red.get(time)
        if x in drawn:
            continue
        drawn.add(x)
        picture.line([(x, y), (x, y - PULSE)], cls="late" if one else kind)
        if one:
            picture.dot(x, y - PULSE, 2.5, cls="mark")
        said = exact_ps(time) + (f" {one.cell} {_short(one.instance)}.{one.pin}" if one else "")
        half = text_width(said, TIME_SIZE) / 2 + 1.5
        # At the picture's ends a text moves inwards.
        middle = min(max(x, axis.left - MARGIN + half), WIDTH - half)
        if all(middle + half <= start or middle - half >= end for start, end in taken):
            taken.append((middle - half, middle + half))
            picture.text(middle, y - PULSE - 4, said, cls="time who" if one else "time", anchor="middle")


def _short(name: str) -> str:
    """A name without what SVG cannot hold, cut where it is long."""
    plain = "".join(char if char.isprintable() else "?" for char in name)
    return plain if len(plain) <= LONGEST_NAME else plain[: LONGEST_NAME - 1] + "…"
