"""Golden model of `pim.flash`: what commands give, and the cycles that they take, without a clock.

Numerics: READ_COMPUTE's sums are exact int32: at most 1024 products of int8.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from hdl.pim.flash_config import COMMAND_CYCLES, FlashConfig, FlashOp

Bytes = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Command:
    """One command; offset and count, in bytes, are of READ_SLICE alone. Any numbers will do: see `legal`."""

    op: int
    plane: int
    page: int
    offset: int = 0
    count: int = 0

    def data_bytes(self, config: FlashConfig) -> int:
        """Bytes of data that the command comes with, done or not."""
        return {FlashOp.PROGRAM: config.page_bytes, FlashOp.READ_COMPUTE: config.columns}.get(self.op, 0)  # type: ignore[call-overload,no-any-return]

    def legal(self, config: FlashConfig) -> bool:
        """There are such an operation, plane, page and slice."""
        if self.op not in set(FlashOp) or self.plane >= config.plane_count or self.page >= config.pages:
            return False
        return self.op != FlashOp.READ_SLICE or (self.count > 0 and self.offset + self.count <= config.page_bytes)


@dataclass(frozen=True)
class FlashResult:
    """What commands gave.

    Attributes
    ----------
    packets : uint8 arrays, one for each read that was done, in order
    done : bool, (n,)
        Of each command whether it was done.
    """

    packets: list[Bytes]
    done: npt.NDArray[np.bool_]


def run(config: FlashConfig, commands: Sequence[Command], data: Bytes) -> FlashResult:
    """What commands give, one after the other, to flash that is erased.

    Parameters
    ----------
    data : uint8, (bytes,)
        The pages and vectors of the commands that take any, done or not, in order.

    Raises
    ------
    ValueError
        If `data` are fewer or more than the commands take.
    """
    need = sum(command.data_bytes(config) for command in commands)
    if len(data) != need:
        raise ValueError(f"data must be {need} bytes, as the commands take, not {len(data)}")
    array = np.full((config.plane_count, config.pages, config.page_bytes), 0xFF, np.uint8)
    level = np.zeros((config.plane_count, config.blocks), np.int64)
    packets, done, start = [], [], 0
    for command in commands:
        given = data[start : start + command.data_bytes(config)]
        start += len(given)
        fine = command.legal(config)
        if fine:
            block, place = divmod(command.page, config.block_pages)
            page = array[command.plane, command.page]
            if command.op == FlashOp.PROGRAM:
                fine = level[command.plane, block] == place
                if fine:
                    page[:] = given
                    level[command.plane, block] += 1
            elif command.op == FlashOp.ERASE:
                array[command.plane, block * config.block_pages : (block + 1) * config.block_pages] = 0xFF
                level[command.plane, block] = 0
            elif command.op == FlashOp.READ_COMPUTE:
                weights = page.view(np.int8).reshape(config.rows, config.columns).astype(np.int32)
                packets.append((weights @ given.view(np.int8).astype(np.int32)).astype("<i4").view(np.uint8))
            elif command.op == FlashOp.READ_SLICE:
                packets.append(page[command.offset : command.offset + command.count].copy())
            else:
                packets.append(page.copy())
        done.append(bool(fine))
    return FlashResult(packets, np.array(done, np.bool_))


@dataclass
class _Plane:
    """What a plane does: the cycle from which on it is free, and those from which on its reads are in the cache."""

    free: int = 0
    ends: int | None = None  # the array's last cycle, of a read that is not in the cache register yet
    full: int | None = None


def cycles(config: FlashConfig, commands: Sequence[Command], done: npt.NDArray[np.bool_]) -> int:
    """Cycles from the one that takes the first command to the one that gives the last byte (or ends the last command
    that gives none), nothing stalling; `done` as `run` says."""
    planes = [_Plane() for _ in range(config.plane_count)]
    waiting = deque(zip(commands, done.tolist(), strict=True))
    order: deque[Command] = deque()
    now, last, passed_over = 1, 0, False
    while waiting or order:
        possible = bool(waiting) and (not waiting[0][0].legal(config) or _free(planes[waiting[0][0].plane], now))
        full = planes[order[0].plane].full if order else None
        ready = full is not None and full <= now
        if ready and (passed_over or not possible):
            plane, size = planes[order[0].plane], _size(config, order.popleft())
            now += size + 1
            plane.full, last, passed_over = None, now + 1, False
            _move(plane, now - 1)
            continue
        if possible:
            passed_over = ready
            command, fine = waiting.popleft()
            taken = command.data_bytes(config)
            if not fine:
                now += 1 + max(taken, 1) if not command.legal(config) else 2 + taken
                last = now
                continue
            started = now + COMMAND_CYCLES + taken
            now = last = started + 1
            plane = planes[command.plane]
            if command.op in {FlashOp.PROGRAM, FlashOp.ERASE}:
                times = {FlashOp.PROGRAM: config.program_cycles, FlashOp.ERASE: config.erase_cycles}
                plane.free = started + times[FlashOp(command.op)] + 1
            else:
                order.append(command)
                plane.ends = started + config.read_cycles
                if plane.full is None:
                    _move(plane, 0)
            continue
        now += 1
    return last


def _free(plane: _Plane, now: int) -> bool:
    return plane.ends is None and plane.free <= now


def _move(plane: _Plane, released: int) -> None:
    """The registers change places at the end of the read, or when the cache register is released, if that is later."""
    if plane.ends is not None:
        plane.full = plane.free = max(plane.ends, released) + 1
        plane.ends = None


def _size(config: FlashConfig, command: Command) -> int:
    """Bytes that a read gives."""
    if command.op == FlashOp.READ_COMPUTE:
        return config.sum_bytes
    return command.count if command.op == FlashOp.READ_SLICE else config.page_bytes
