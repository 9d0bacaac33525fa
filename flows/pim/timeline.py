"""A run on a channel as a picture: a lane a kind of command, a bar a command or a burst, cycles to scale."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from flows.drawing import Drawing, text_width
from hdl.pim.channel_config import ChannelConfig
from hdl.pim.commands import Command
from sim.pim.channel_run import Run

C = Command

LANES = {
    "rows": (C.PRE, C.PREA, C.ACT, C.ACTG),
    "columns": (C.MAC, C.MACB, C.RD, C.WR),
    "registers": (C.WRGB, C.WRMAC, C.RDMAC),
    "refresh, mode": (C.REF, C.TMOD),
}

STYLE = """
text{font-family:system-ui,-apple-system,"Segoe UI",Roboto,"Helvetica Neue",Arial,sans-serif}
text{font-size:11px;fill:#222b33}
.page{fill:#fff}.title{font-size:14px;font-weight:600}text.axis{fill:#5a6672;font-size:10px}
.grid{stroke:#e3e8ed}.base{stroke:#a9b4be}
.rows{fill:#5b4b8a}.columns{fill:#2b7a43}.registers{fill:#0b7285}.rest{fill:#c2571a}
@media (prefers-color-scheme:dark){
text{fill:#dfe6ec}.page{fill:#161b20}text.axis{fill:#9aa7b3}.grid{stroke:#2a323a}.base{stroke:#4a5560}
.rows{fill:#a99be0}.columns{fill:#63c384}.registers{fill:#4cc3d9}.rest{fill:#f0965a}}
"""

WIDTH, LEFT, RIGHT, HEAD, LANE, FOOT, BAR = 1000.0, 104.0, 14.0, 40.0, 42.0, 26.0, 16.0
MOST_CYCLES = 600
"""As many as a picture shows."""


def timeline(name: str, run: Run, config: ChannelConfig) -> str:
    """The first cycles of a run as SVG; cycle 1 is the program's first."""
    cycles = min(run.cycles, MOST_CYCLES)
    height = HEAD + LANE * len(LANES) + FOOT
    scale = (WIDTH - LEFT - RIGHT) / cycles
    picture = Drawing(
        "timeline",
        WIDTH,
        height,
        title=f"Commands of {name}",
        description=f"Cycles 1 to {cycles} of {run.cycles}; {config.banks} banks.",
        style=STYLE,
    )
    picture.rect(0, 0, WIDTH, height, cls="page", radius=6)
    picture.text(LEFT, 22, f"{name}: cycles 1 to {cycles} of {run.cycles}", cls="title")
    step = next(size for power in range(9) for size in (10**power, 2 * 10**power, 5 * 10**power) if cycles <= 12 * size)
    for cycle in range(step, cycles + 1, step):
        x = LEFT + (cycle - 1) * scale
        picture.line([(x, HEAD - 6), (x, height - FOOT + 4)], cls="grid")
        picture.text(x, height - 9, str(cycle), cls="axis", anchor="middle")
    picture.text(LEFT - 10, height - 9, "cycle", cls="axis", anchor="end")
    for number, (lane, kinds) in enumerate(LANES.items()):
        y = HEAD + LANE * (number + 1) - 10
        picture.text(LEFT - 10, y, lane, cls="name", anchor="end")
        picture.line([(LEFT, y), (WIDTH - RIGHT, y)], cls="base")
        free = 0.0
        for command, first, last in _bars(run, kinds, cycles):
            x, width = LEFT + (first - 1) * scale, max(1.2, (last - first + 1) * scale)
            picture.rect(x, y - BAR, width, BAR, cls=lane if lane in STYLE else "rest")
            # At the end a name moves inwards.
            wide = text_width(command.name, 10)
            place = min(x, WIDTH - 4 - wide)
            if place >= free:
                picture.text(place, y - BAR - 3, command.name, cls="axis")
                free = place + wide + 4
    return f"{picture}\n"


def _bars(run: Run, kinds: tuple[Command, ...], cycles: int) -> Iterator[tuple[Command, int, int]]:
    """Commands of these kinds, with their first and last cycle; those of one instruction are one bar."""
    assert run.commands is not None
    table = run.commands
    at = table["cycle"] - run.start + 1
    shown = np.isin(table["command"], kinds) & (at >= 1) & (at <= cycles)
    before: tuple[Command, int, int, int] | None = None
    for command, index, cycle in zip(
        table["command"][shown].tolist(), table["index"][shown].tolist(), at[shown].tolist(), strict=True
    ):
        if before and before[:2] == (command, index) and command not in (C.ACT, C.ACTG, C.TMOD, C.REF):
            before = (*before[:3], cycle)
            continue
        if before:
            yield before[0], before[2], before[3]
        before = (Command(command), index, cycle, cycle)
    if before:
        yield before[0], before[2], before[3]
