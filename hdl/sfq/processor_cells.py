"""Which cells `sfq.processor` has pulses for."""

from __future__ import annotations

from amaranth.hdl import Module, Signal
from amaranth.lib import memory, wiring
from amaranth.lib.wiring import In, Out


class CellList(wiring.Component):
    """A list of cells, walked from its first to its last.

    Members
    -------
    clear : the list is empty
    push, pushed : a cell comes behind the last
    cell : the first one of the list; after `step`, the next
    more : there is one after it
    step : to that one; not in the cycle after a `push` or another `step`
    """

    def __init__(self, instance_bits: int):
        cells = {"pushed": In(instance_bits), "cell": Out(instance_bits)}
        super().__init__({name: In(1) for name in ("clear", "push", "step")} | cells | {"more": Out(1)})

    def elaborate(self, platform):
        m = Module()
        bits = len(self.cell)
        m.submodules.store = cells = memory.Memory(shape=bits, depth=1 << bits, init=[])
        cell_at, cell_to = cells.read_port(), cells.write_port()
        count, place = Signal(bits + 1), Signal(bits + 1, init=1)  # the cell after that at hand
        m.d.comb += [
            self.more.eq(place < count),
            cell_at.addr.eq(place),
            cell_to.addr.eq(count),
            cell_to.data.eq(self.pushed),
            cell_to.en.eq(self.push),
        ]
        with m.If(self.push):
            m.d.sync += count.eq(count + 1)
            with m.If(~count.any()):
                m.d.sync += self.cell.eq(self.pushed)
        with m.If(self.step):
            m.d.sync += [self.cell.eq(cell_at.data), place.eq(place + 1)]
        with m.If(self.clear):
            m.d.sync += [count.eq(0), place.eq(1)]
        return m
