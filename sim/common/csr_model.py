"""What the register file `kinds` (tests/common/kinds.rdl) must do, cycle by cycle, written by hand from SystemRDL 2.0.

It reads no SystemRDL and shares nothing with the gateware: it judges both the reading of the file and the bank.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

OKAY = 0
DECERR = 3
MAPPED = (0x00, 0x04, 0x08, 0x0C, 0x14, 0x18, 0x20)
"""Offsets that have a register, in bytes."""

INPUT_BITS = {
    "status_events_set": 4,
    "status_armed_clear": 2,
    "status_busy_next": 1,
    "status_seen_set": 8,
    "status_both_set": 4,
    "status_both_clear": 4,
    "motion_position_next": 16,
    "motion_position_we": 1,
    "motion_latched_next": 16,
    "motion_latched_we": 1,
    "data_word_next": 32,
    "marks_marks_set": 8,
}
"""Width of every port through which hardware speaks to the bank."""


@dataclass(frozen=True)
class Write:
    """A write that takes effect in a cycle: byte address, word, byte strobes."""

    address: int
    data: int
    strobe: int

    @property
    def mask(self) -> int:
        """The bits that the strobes name."""
        return sum(0xFF << 8 * lane for lane in range(4) if self.strobe >> lane & 1)


def offset(address: int) -> int:
    """The register's offset: the bank ignores the address' two lowest bits."""
    return address & ~3


class KindsModel:
    """The bank's state. `step` is one clock cycle; `outputs` are its ports in the present cycle."""

    def __init__(self, build: int):
        self._build = build
        self.reset()

    def reset(self) -> None:
        """The state after reset."""
        self.scratch = 0x12345678
        self.enable, self.gain, self.command = 1, 0xA5, 3
        self.start = self.stop = 0
        self.enable_written = self.gain_written = self.command_written = 0
        self.events = self.armed = self.seen = 0
        self.both = 6
        self.position, self.latched = 0x0F0F, 0
        self.marks = 0

    def outputs(self) -> dict[str, int]:
        """Every registered port towards hardware."""
        return {
            "constants_build_value": self._build,
            "control_enable_value": self.enable,
            "control_enable_written": self.enable_written,
            "control_start_value": self.start,
            "control_stop_value": self.stop,
            "control_gain_value": self.gain,
            "control_gain_written": self.gain_written,
            "control_command_value": self.command,
            "control_command_written": self.command_written,
            "status_events_value": self.events,
            "status_armed_value": self.armed,
            "status_seen_value": self.seen,
            "status_both_value": self.both,
            "motion_position_value": self.position,
            "marks_marks_value": self.marks,
        }

    @staticmethod
    def read_ports(read: int | None) -> dict[str, int]:
        """The ports that tell of a read in the very cycle that takes its address."""
        return {
            "data_word_read": int(read is not None and offset(read) == 0x18),
            "marks_marks_read": int(read is not None and offset(read) == 0x20),
        }

    def word(self, address: int, hardware: Mapping[str, int]) -> int:
        """What software reads in this cycle; 0 where there is no register."""
        words = {
            0x00: 0xC0DE | self._build << 16,
            0x04: self.scratch,
            0x08: self.enable | self.gain << 12,
            0x0C: self.events | self.armed << 4 | hardware["status_busy_next"] << 8 | self.seen << 16 | self.both << 28,
            0x14: self.position | self.latched << 16,
            0x18: hardware["data_word_next"],
            0x20: self.marks,
        }
        return words.get(offset(address), 0)

    def step(self, hardware: Mapping[str, int], write: Write | None, read: int | None) -> None:
        """One clock edge: first the read's clearing, then the write, then the hardware, which so has the last word."""
        if read is not None:
            self._clear_by_read(offset(read))
        self.start = self.stop = 0
        self.enable_written = self.gain_written = self.command_written = 0
        if write is not None:
            self._write(offset(write.address), write.data & write.mask, write.mask)
        if hardware["motion_position_we"]:
            self.position = hardware["motion_position_next"]
        if hardware["motion_latched_we"]:
            self.latched = hardware["motion_latched_next"]
        self.armed &= ~hardware["status_armed_clear"]
        self.both &= ~hardware["status_both_clear"]
        self.both |= hardware["status_both_set"]
        self.events |= hardware["status_events_set"]
        self.seen |= hardware["status_seen_set"]
        self.marks |= hardware["marks_marks_set"]

    def _clear_by_read(self, at: int) -> None:
        if at == 0x0C:
            self.seen = 0
        elif at == 0x14:
            self.latched = 0
        elif at == 0x20:
            self.marks = 0

    def _write(self, at: int, data: int, mask: int) -> None:
        """`data` holds only bits of `mask`."""
        if at == 0x04:
            self.scratch = self.scratch & ~mask | data
        elif at == 0x08:
            self.enable_written = mask & 1
            self.enable = self.enable & ~mask | data & 1
            self.start = data >> 1 & 1
            self.stop = data >> 2 & 1
            self.gain_written = int(mask >> 12 & 0xFF != 0)
            self.gain = self.gain & ~(mask >> 12) | data >> 12 & 0xFF
            self.command_written = mask >> 24 & 1
            self.command = self.command & ~(mask >> 24) | data >> 24 & 0xF
        elif at == 0x0C:
            self.events &= ~data
            self.armed |= data >> 4 & 3
            self.both = self.both & ~(mask >> 28) | data >> 28
        elif at == 0x14:
            self.position = self.position & ~mask | data & 0xFFFF
        elif at == 0x20:
            self.marks = self.marks & ~mask | data & 0xFF
