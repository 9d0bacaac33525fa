"""Follows a register bank on AXI4-Lite cycle by cycle, whoever drives the bus, and plays the hardware behind it."""

from __future__ import annotations

import random
from collections import Counter, deque
from collections.abc import Mapping
from typing import Any

from cocotb.triggers import RisingEdge

from sim.common.csr_model import DECERR, INPUT_BITS, MAPPED, OKAY, KindsModel, Write, offset

BUS_INPUTS = (
    "awaddr",
    "awprot",
    "awvalid",
    "wdata",
    "wstrb",
    "wvalid",
    "bready",
    "araddr",
    "arprot",
    "arvalid",
    "rready",
)
BUS_OUTPUTS = ("awready", "wready", "bvalid", "bresp", "arready", "rvalid", "rdata", "rresp")


class Checker:
    """Holds every cycle of the bank against the model; `run` fails the test at the first difference.

    Attributes
    ----------
    lively : bool
        Whether hardware drives new random values in every cycle.
    hardware : dict
        What it drove in the cycle that was checked last.
    counts : Counter
        How often each thing happened that a test wants to have seen.
    """

    def __init__(self, dut: Any, model: KindsModel, *, lively: bool):
        self.dut = dut
        self.model = model
        self.lively = lively
        self.hardware = dict.fromkeys(INPUT_BITS, 0)
        self.counts: Counter[str] = Counter()
        self._write_address: int | None = None
        self._responses: deque[int] = deque()
        self._reads: deque[tuple[int, int]] = deque()
        self._before: dict[str, int] | None = None

    def drive(self, values: Mapping[str, int]) -> None:
        """Change what hardware drives from now on."""
        for name, value in values.items():
            getattr(self.dut, name).value = value

    async def run(self) -> None:
        """For ever: check the cycle that ends at each edge."""
        while True:
            await RisingEdge(self.dut.clk)
            bus = {name: int(getattr(self.dut, f"s_axil_{name}").value) for name in BUS_INPUTS + BUS_OUTPUTS}
            self.hardware = {name: int(getattr(self.dut, name).value) for name in INPUT_BITS}
            if self.dut.rst.value:
                self._reset()
            else:
                self._check(bus)
            if self.lively:
                self.drive({name: self._random_input(name, bits) for name, bits in INPUT_BITS.items()})

    @staticmethod
    def _random_input(name: str, bits: int) -> int:
        value = random.getrandbits(bits)
        if name.endswith(("_set", "_clear", "_we")):  # events are rare, so that what software does shows between them
            value &= random.getrandbits(bits) & random.getrandbits(bits)
        return value

    def _reset(self) -> None:
        self.counts["resets in flight"] += bool(self._responses or self._reads or self._write_address is not None)
        self.model.reset()
        self._write_address = None
        self._responses.clear()
        self._reads.clear()
        self._before = None

    def _check(self, bus: dict[str, int]) -> None:
        self._check_rules(bus)
        taken = {channel: bus[f"{channel}valid"] & bus[f"{channel}ready"] for channel in ("aw", "w", "b", "ar", "r")}
        read = bus["araddr"] if taken["ar"] else None
        write = None
        if taken["w"]:
            assert self._write_address is not None, "W was taken before AW"
            write = Write(self._write_address, bus["wdata"], bus["wstrb"])
        expected = self.model.outputs() | self.model.read_ports(read)
        seen = {name: int(getattr(self.dut, name).value) for name in expected}
        wrong = {name: (seen[name], value) for name, value in expected.items() if seen[name] != value}
        assert not wrong, f"ports (seen, expected): {wrong}"

        if taken["b"]:
            assert bus["bresp"] == self._responses.popleft(), f"BRESP {bus['bresp']}"
        if taken["r"]:
            answer, due = (bus["rdata"], bus["rresp"]), self._reads.popleft()
            assert answer == due, f"RDATA, RRESP {answer[0]:#x}, {answer[1]}; expected {due[0]:#x}, {due[1]}"
        if write is not None:
            self._responses.append(OKAY if offset(write.address) in MAPPED else DECERR)
            self._write_address = None
        if taken["aw"]:
            self._write_address = bus["awaddr"]
        if read is not None:
            response = OKAY if offset(read) in MAPPED else DECERR
            self._reads.append((self.model.word(read, self.hardware), response))
        self._count(write, read)
        self.model.step(self.hardware, write, read)
        self._before = bus

    def _check_rules(self, bus: Mapping[str, int]) -> None:
        """What AXI asks of a subordinate: answers only to questions, and an answer stays until it is taken."""
        before = self._before
        assert not bus["bvalid"] or self._responses, "BVALID without a write"
        assert not bus["rvalid"] or self._reads, "RVALID without a read"
        if before and before["bvalid"] and not before["bready"]:
            assert bus["bvalid"] and bus["bresp"] == before["bresp"], "B changed before it was taken"
            self.counts["B stalled"] += 1
        if before and before["rvalid"] and not before["rready"]:
            same = all(bus[name] == before[name] for name in ("rdata", "rresp"))
            assert bus["rvalid"] and same, "R changed before it was taken"
            self.counts["R stalled"] += 1

    def _count(self, write: Write | None, read: int | None) -> None:
        model, hardware = self.model, self.hardware
        if write is not None:
            self.counts[f"write {offset(write.address):#x}"] += 1
            if offset(write.address) == 0x0C:
                cleared = write.data & write.mask & model.events
                self.counts["events: set against write-one-to-clear"] += bool(cleared & hardware["status_events_set"])
            if offset(write.address) == 0x14 and write.mask:
                self.counts["position: hardware against software"] += hardware["motion_position_we"]
        if read is not None:
            self.counts[f"read {offset(read):#x}"] += 1
            if offset(read) == 0x0C:
                self.counts["seen: set against read-to-clear"] += bool(hardware["status_seen_set"] & model.seen)
        if write is not None and read is not None:
            self.counts["read and write in one cycle"] += 1
