"""What flash allows: a watch on a channel's bus that knows the dies from their data sheet alone.

It takes the bus cycle by cycle, as a die sees it, keeps its own arrays, and raises `IllegalUse` at whatever a die would
not take or would not survive: a command to a busy plane, data that nobody asked for or too few of them, a page that is
programmed twice or out of order, a cache register that is read before it is full, a plane that is ready too soon.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from hdl.pim.flash_config import FlashConfig, FlashOp

IDLE, CODE, ADDRESS, DATA_IN, CONFIRM, DATA_OUT = range(6)
"""Uses of the bus."""


class IllegalUse(AssertionError):
    """The bus was used as flash does not allow; says when, on which plane and what."""


@dataclass
class _Die:
    """One plane: its array, and what is in its registers."""

    pages: dict[int, bytes] = field(default_factory=dict)
    ready_at: int = 0
    reading: list[tuple[int, bytes]] = field(default_factory=list)
    """Last cycle of a read and what it gave, oldest first: two that nobody took, one that the bench did not see."""


@dataclass
class FlashRules:
    """The dies of a channel, watched.

    Attributes
    ----------
    expected : list of bytes
        What every byte that is given out must be, in order; the bench takes them from here.
    """

    config: FlashConfig
    cycle: int = 0
    expected: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._dies = [_Die() for _ in range(self.config.plane_count)]
        self._code: int | None = None
        self._plane = 0
        self._address: list[int] = []
        self._data: list[int] = []
        self._out: tuple[int, int] | None = None

    def step(self, use: int, plane: int, byte: int, busy: int) -> None:
        """One cycle: what the bus does, for whom, the byte, and the planes' busy lines."""
        self.cycle += 1
        for number, die in enumerate(self._dies):
            if self.cycle < die.ready_at and not busy >> number & 1:
                self._fail(number, f"is ready {die.ready_at - self.cycle} cycles before its time")
        if use in {CODE, ADDRESS, DATA_IN, CONFIRM}:
            self._taken(use, plane, byte, busy)
        elif use == DATA_OUT:
            self._given(plane)
        elif use != IDLE:
            self._fail(plane, f"unknown use {use} of the bus")

    def _taken(self, use: int, plane: int, byte: int, busy: int) -> None:
        if busy >> plane & 1:
            self._fail(plane, "is busy, but the bus speaks to it")
        if use == CODE:
            if self._code is not None:
                self._fail(plane, "gets a code within a command")
            self._code, self._plane, self._address, self._data = byte, plane, [], []
            return
        if self._code is None or plane != self._plane:
            self._fail(plane, "gets a byte without a code")
        if use == ADDRESS:
            self._address.append(byte)
        elif use == DATA_IN:
            self._data.append(byte)
        else:
            self._confirm(plane)

    def _confirm(self, plane: int) -> None:
        config, die = self.config, self._dies[plane]
        code, self._code = self._code, None
        if len(self._address) != 5:
            self._fail(plane, f"gets {len(self._address)} bytes of address, not 5")
        page = int.from_bytes(bytes(self._address), "little") >> 8 & 0xFFFFF
        if page >= config.pages:
            self._fail(plane, f"has no page {page}")
        wanted = {FlashOp.PROGRAM: config.page_bytes, FlashOp.READ_COMPUTE: config.columns}
        if len(self._data) != wanted.get(code, 0):  # type: ignore[call-overload]
            self._fail(plane, f"gets {len(self._data)} bytes of data for code {code}")
        content = die.pages.get(page, bytes([0xFF]) * config.page_bytes)
        times = {FlashOp.PROGRAM: config.program_cycles, FlashOp.ERASE: config.erase_cycles}
        die.ready_at = self.cycle + times.get(code, config.read_cycles)  # type: ignore[call-overload]
        block = page - page % config.block_pages
        if code == FlashOp.PROGRAM:
            if page in die.pages or any(before not in die.pages for before in range(block, page)):
                self._fail(plane, f"is to program page {page} twice or out of order")
            die.pages[page] = bytes(self._data)
        elif code == FlashOp.ERASE:
            for number in range(block, block + config.block_pages):
                die.pages.pop(number, None)
        else:
            if len(die.reading) == 3:
                self._fail(plane, "has reads in its array and its cache register already")
            gives = self._computed(content) if code == FlashOp.READ_COMPUTE else content
            die.reading.append((die.ready_at, gives))

    def _computed(self, content: bytes) -> bytes:
        """Sums of rows, one product at a time."""
        columns = self.config.columns
        vector = [value - 256 * (value > 127) for value in self._data]
        sums = []
        for start in range(0, len(content), columns):
            row = [value - 256 * (value > 127) for value in content[start : start + columns]]
            sums.append(sum(a * b for a, b in zip(row, vector, strict=True)))
        return np.array(sums, "<i4").tobytes()

    def _given(self, plane: int) -> None:
        die = self._dies[plane]
        if not die.reading or self.cycle <= die.reading[0][0]:
            self._fail(plane, "has nothing in its cache register yet")

    def take(self, plane: int, offset: int, count: int) -> bytes:
        """What a read that was given out whole must have been."""
        return self._dies[plane].reading.pop(0)[1][offset : offset + count]

    def _fail(self, plane: int, what: str) -> None:
        raise IllegalUse(f"cycle {self.cycle}: plane {plane} {what}")
