"""Lanes: where instructions work, and the one that works next."""

from __future__ import annotations

from amaranth.hdl import Const, Module, Mux, Signal, Value
from amaranth.lib import data

from hdl.common.arithmetic import wire
from hdl.pim.channel_decode import BUFFERS, MACS, SETS
from hdl.pim.commands import Op


class Lane:
    """A queue of one instruction or two, of which the first works.

    Attributes
    ----------
    works, entry : whether one works, and which; the core counts its `col` on
    waits, behind : whether one waits behind it, and which; of a lane of one, none does
    leaves : to be driven: the last command of the entry is issued in this cycle
    load, ahead : whether an instruction begins to work at the end of this cycle, and which; `ahead` stands before that
    """

    def __init__(self, m: Module, layout: data.StructLayout, name: str, depth: int, given: data.View):
        self._module, self._given, self._name, self._depth = m, given, name, depth
        self.works = Signal(name=f"{name}_works")
        self.entry = Signal(layout, name=f"{name}_entry", reset_less=True)
        self.leaves = Signal(name=f"{name}_leaves")
        self.free = wire(m, ~self.works | self.leaves, f"{name}_free")
        """Whether nothing works in the next cycle but what is loaded or waits."""
        self.waits: Value = Const(0)
        self.behind: data.View = given
        self.ahead: data.View = given
        if depth == 2:
            self.waits = Signal(name=f"{name}_waits")
            self.behind = Signal(layout, name=f"{name}_behind", reset_less=True)
            self.ahead = Signal(layout, name=f"{name}_ahead")
            m.d.comb += self.ahead.eq(Mux(self.waits, self.behind.as_value(), given.as_value()))
        self.load = Signal(name=f"{name}_load")

    @property
    def empty(self) -> Value:
        """Whether it holds nothing in the next cycle but what is pushed."""
        return self.free & ~self.waits

    @property
    def room(self) -> Value:
        """Whether one can be pushed."""
        return self.free | ~self.waits if self._depth == 2 else self.free

    def push(self, pushed: Value) -> None:
        """Takes `given` at the end of this cycle."""
        m, given = self._module, self._given
        m.d.comb += self.load.eq(self.free & (pushed | self.waits))
        with m.If(self.free):
            m.d.sync += self.works.eq(pushed | self.waits)
        with m.If(self.load):
            m.d.sync += self.entry.eq(self.ahead)
        if self._depth == 2:
            m.d.sync += self.waits.eq(Mux(self.free, self.waits & pushed, self.waits | pushed))
            with m.If(pushed):
                m.d.sync += self.behind.eq(given)

    def unfinished(self) -> list[tuple[Value, data.View]]:
        """What is in it in the next cycle."""
        return [(self.works & ~self.leaves, self.entry), *([(self.waits, self.behind)] if self._depth == 2 else [])]


def conflict(one: data.View, other: data.View) -> Value:
    """Whether two instructions, one a lane, touch the same buffer bank or accumulators, and one is a MAC."""

    def among(entry: data.View, *ops: Op) -> Value:
        return sum((entry[op.name.lower()] for op in ops), Const(0, 1)).any()

    found: Value = Const(0)
    for first, second in ((one, other), (other, one)):
        on_sets = among(first, *MACS) & among(second, *set(SETS) - set(MACS)) & (first.acc == second.acc)
        on_buffers = among(first, *MACS) & among(second, *set(BUFFERS) - set(MACS)) & (first.gb == second.gb)
        found = found | on_sets | on_buffers
    return found
