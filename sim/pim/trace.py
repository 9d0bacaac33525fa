"""Command traces of aim_simulator as programs: lines `AiM OP …`, numbers decimal or 0x, comments from `#` on.

    AiM WR_GB columns register channels      AiM WR_BIAS register channels
    AiM MAC_ABK columns channels row         AiM RD_MAC register channels
    AiM ISR_EOC

Registers of the host, which data goes through there, mean nothing here: data comes by the streams.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from hdl.common.config import did_you_mean, nearest
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

LEAST = {"count": 1, "channels": 1}

NUMBER = re.compile(r"[+-]?(0[xX][0-9a-fA-F]+|[0-9]+)")
MOST_DIGITS = 1000

ALL_CHANNELS = 0xFF


class TraceError(ValueError):
    """A line means nothing. `str()` is one line: its number, what it must be, what came."""


def read_trace(lines: Iterable[str]) -> list[Instruction]:
    """The program of a trace. Channels are alike, and one stands for all: it is one that every line names.

    Raises
    ------
    TraceError
        Naming the line.
    """
    program: list[Instruction] = []
    common, at = MOST["channels"], ""
    for number, line in enumerate(lines, 1):
        words = line.split("#")[0].split()
        if not words:
            continue
        at = f"line {number}"
        if program and program[-1].op == Op.EOC:
            raise TraceError(f"{at}: nothing may follow ISR_EOC, not {_shown(words)}")
        instruction, channels = _instruction(words, at)
        if not common & channels:
            raise TraceError(
                f"{at}: channels must be some that the lines before name too, of {common:#x}, not {channels:#x}; "
                "one channel stands for all"
            )
        common &= channels
        program.append(instruction)
    if not program:
        raise TraceError("there is no instruction in it; the last must be AiM ISR_EOC")
    if program[-1].op != Op.EOC:
        raise TraceError(f"{at}: the last instruction must be AiM ISR_EOC; is the file cut off?")
    return program


def _instruction(words: list[str], at: str) -> tuple[Instruction, int]:
    """The instruction of a line, and the channels that it names."""
    if words[0] != "AiM":
        hint = nearest(words[0][:60], ["AiM"])
        raise TraceError(f"{at}: must begin with AiM, not {_shown(words[:1])}{hint}")
    name = words[1] if len(words) > 1 else ""
    if name not in OPERANDS:
        raise TraceError(f"{at}: {_shown([name])} is no operation{did_you_mean(name[:60], [*OPERANDS])}")
    wanted = OPERANDS[name]
    if len(words) - 2 != len(wanted):
        what = f"{len(wanted)} numbers ({', '.join(wanted)})" if wanted else "nothing"
        came = _shown(words[2:]) if len(words) > 2 else "nothing"
        raise TraceError(f"{at}: {what} must follow {name}, not {came}")
    values = {field: _number(word, field, f"{at}: {field}") for field, word in zip(wanted, words[2:], strict=True)}
    op = Op.EOC if name == "ISR_EOC" else Op[name]
    instruction = Instruction(op, row=values.get("row", 0), count=values.get("count", 1), ch_mask=ALL_CHANNELS)
    return instruction, values.get("channels", MOST["channels"])


def _shown(words: list[str]) -> str:
    """The start of a line's words, as an error shows it."""
    return repr(" ".join(words)[:60])


def _number(word: str, field: str, at: str) -> int:
    least, most = LEAST.get(field, 0), MOST[field]
    if not NUMBER.fullmatch(word):
        raise TraceError(f"{at} must be a number in {least}..{most}, decimal or 0x, not {_shown([word])}")
    # Python reads no more than some thousand digits.
    value = int(word, 16 if "x" in word.lower() else 10) if len(word) <= MOST_DIGITS else None
    if value is None or not least <= value <= most:
        raise TraceError(f"{at} must be in {least}..{most}, not {word[:60]}{'…' if len(word) > 60 else ''}")
    return value
