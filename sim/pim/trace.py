"""Command traces of aim_simulator as programs: lines `AiM OP …`, numbers decimal or 0x, comments from `#` on.

    AiM WR_GB columns register channels      AiM WR_BIAS register channels
    AiM MAC_ABK columns channels row         AiM RD_MAC register channels
    AiM ISR_EOC

Registers of the host, which data goes through there, mean nothing here: data comes by the streams.
"""

from __future__ import annotations

from collections.abc import Iterable

from hdl.common.config import did_you_mean
from hdl.pim.commands import FIELDS, Instruction, Op

OPERANDS = {
    "WR_GB": ("count", "register", "channels"),
    "WR_BIAS": ("register", "channels"),
    "MAC_ABK": ("count", "channels", "row"),
    "RD_MAC": ("register", "channels"),
    "ISR_EOC": (),
}
"""What the numbers of a line mean, by its operation."""

MOST = {
    "count": 1 << FIELDS["col"],
    "register": (1 << 32) - 1,
    "channels": (1 << 32) - 1,
    "row": (1 << FIELDS["row"]) - 1,
}

ALL_CHANNELS = 0xFF


class TraceError(ValueError):
    """A line means nothing. `str()` is one line: its number, what it must be, what came."""


def read_trace(lines: Iterable[str]) -> list[Instruction]:
    """The program of a trace. A line is obeyed by every channel, whatever its mask: channels are alike, and one stands
    for all.

    Raises
    ------
    TraceError
        Naming the line.
    """
    program: list[Instruction] = []
    for number, line in enumerate(lines, 1):
        words = line.split("#")[0].split()
        if not words:
            continue
        if program and program[-1].op == Op.EOC:
            raise TraceError(f"line {number}: nothing may follow ISR_EOC, not {' '.join(words)[:60]!r}")
        program.append(_instruction(words, f"line {number}"))
    if not program or program[-1].op != Op.EOC:
        raise TraceError("the last line must be AiM ISR_EOC")
    return program


def _instruction(words: list[str], at: str) -> Instruction:
    if words[0] != "AiM":
        raise TraceError(f"{at}: must begin with AiM, not {words[0][:60]!r}")
    name = words[1] if len(words) > 1 else ""
    if name not in OPERANDS:
        raise TraceError(f"{at}: {name[:60]!r} is no operation{did_you_mean(name[:60], [*OPERANDS])}")
    wanted = OPERANDS[name]
    if len(words) - 2 != len(wanted):
        what = f"{len(wanted)} numbers ({', '.join(wanted)})" if wanted else "nothing"
        raise TraceError(f"{at}: {what} must follow {name}, not {' '.join(words[2:])[:60]!r}")
    values = {field: _number(word, field, f"{at}: {field}") for field, word in zip(wanted, words[2:], strict=True)}
    op = Op.EOC if name == "ISR_EOC" else Op[name]
    return Instruction(op, row=values.get("row", 0), count=values.get("count", 1), ch_mask=ALL_CHANNELS)


def _number(word: str, field: str, at: str) -> int:
    least, most = int(field == "count"), MOST[field]
    try:
        value = int(word, 0)
    except ValueError:
        raise TraceError(f"{at} must be a number in {least}..{most}, not {word[:60]!r}") from None
    if not least <= value <= most:
        raise TraceError(f"{at} must be in {least}..{most}, not {word[:60]}")
    return value
