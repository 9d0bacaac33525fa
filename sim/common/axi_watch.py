"""A watch on a block's AXI4 memory port: the bus's rules (IHI 0022), and the addresses that a job may touch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from cocotb.triggers import RisingEdge

from sim.common.areas import Area

PAGE_BYTES = 4096
INCR = 1
REQUEST = ("addr", "len", "size", "burst", "id")
OFFERS = {"aw": [f"aw{name}" for name in REQUEST], "w": ["wdata", "wstrb", "wlast"]}
OFFERS |= {"ar": [f"ar{name}" for name in REQUEST]}


class BusWatch:
    """Follows all five channels; what is against the rules fails the test.

    Attributes
    ----------
    words : memory words that were moved, by channel, `r` and `w`, since reset or `expect`
    requests : bursts that were asked for, by channel, `ar` and `aw`, since then
    """

    def __init__(self, bus_bytes: int):
        self._bus_bytes = bus_bytes
        self._reads: Sequence[Area] = []
        self._writes: Sequence[Area] = []
        self._ids: set[int] = set()
        self._clear()

    def _clear(self) -> None:
        self.words = {"r": 0, "w": 0}
        self.requests = {"ar": 0, "aw": 0}
        self.pending = {"reads": 0, "writes": 0, "answers": 0}
        self._asked: list[int] = []  # words of the write bursts, by their requests and by their data
        self._given: list[int] = [0]
        self._held: dict[str, tuple[int, ...]] = {}

    def expect(self, reads: Sequence[Area], writes: Sequence[Area]) -> None:
        """From now on a job runs that may touch these areas, and nothing of another one is left."""
        assert self.idle, f"{self.pending} on the bus before the job"
        self._reads, self._writes = reads, writes
        self._clear()

    @property
    def idle(self) -> bool:
        """Whether every burst has ended and every write is answered."""
        return not any(self.pending.values()) and not self._held

    async def run(self, dut: Any) -> None:
        """For ever: the cycle that ends at each edge."""
        pins = {name: getattr(dut, f"m_axi_{name}") for names in OFFERS.values() for name in names}
        offered, taken = (
            {name: getattr(dut, f"m_axi_{name}{end}") for name in ("aw", "w", "b", "ar", "r")}
            for end in ("valid", "ready")
        )
        was_reset = False
        while True:
            await RisingEdge(dut.clk)
            if int(dut.rst.value):
                assert not was_reset or not any(int(offered[name].value) for name in OFFERS), "an offer in reset"
                was_reset = True
                self._reads = self._writes = []
                self._clear()
                continue
            was_reset = False
            valid = {name: bool(int(pin.value)) for name, pin in offered.items()}
            for name, fields in OFFERS.items():
                if not valid[name]:
                    assert name not in self._held, f"{name}: an offer was withdrawn"
                    continue
                payload = tuple(int(pins[field].value) for field in fields)
                assert self._held.get(name, payload) == payload, f"{name}: an offer changed"
                self._held[name] = payload
                if int(taken[name].value):
                    del self._held[name]
                    self._take(name, payload)
            if valid["r"] and int(taken["r"].value):
                self.words["r"] += 1
                self.pending["reads"] -= 1
            if valid["b"] and int(taken["b"].value):
                self.pending["answers"] -= 1

    def _take(self, name: str, payload: tuple[int, ...]) -> None:
        if name == "w":
            self._write(*payload)
            return
        address, length, size, burst, identity = payload
        what = f"{name}: {length + 1} words at {address:#x}"
        self._ids.add(identity)
        assert burst == INCR, f"{what}: burst {burst}"
        assert 1 << size == self._bus_bytes, f"{what}: size {size}"
        assert len(self._ids) == 1, f"{what}: more than one ID, {self._ids}"
        start = address - address % self._bus_bytes
        end = start + (length + 1) * self._bus_bytes
        assert start // PAGE_BYTES == (end - 1) // PAGE_BYTES, f"{what}: over a boundary of 4 KiB"
        self.requests[name] += 1
        if name == "ar":
            assert address == start, f"{what}: not aligned"
            self._allow(what, self._reads, start, end)
            self.pending["reads"] += length + 1
        else:
            self._allow(what, self._writes, start, end)
            self.pending["writes"] += length + 1
            self.pending["answers"] += 1
            self._asked.append(length + 1)
            self._match()

    def _write(self, _data: int, _strobe: int, last: int) -> None:
        """Data may come before its request: `pending` is below zero until then."""
        self.words["w"] += 1
        self.pending["writes"] -= 1
        self._given[-1] += 1
        if last:
            self._given.append(0)
            self._match()

    def _match(self) -> None:
        """Every burst has as many words as its request says."""
        while self._asked and len(self._given) > 1:
            asked, given = self._asked.pop(0), self._given.pop(0)
            assert given == asked, f"w: WLAST in word {given} of a burst of {asked}"

    def _allow(self, what: str, areas: Sequence[Area], start: int, end: int) -> None:
        """Within one row, to the end of its last word; neighbouring rows count as one."""
        for area in areas:
            width = -(-area.row_bytes // self._bus_bytes) * self._bus_bytes
            if area.stride_bytes == width:
                if area.address <= start and end <= area.address + area.rows * width:
                    return
                continue
            row = (start - area.address) // area.stride_bytes
            first = area.address + row * area.stride_bytes
            if 0 <= row < area.rows and first <= start and end <= first + width:
                return
        raise AssertionError(f"{what}: outside of what the job has")
