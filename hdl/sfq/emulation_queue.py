"""Pulses on their way: those that take equally long leave in the order in which they came."""

from __future__ import annotations

from collections.abc import Sequence

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import memory, wiring
from amaranth.lib.wiring import In, Out


class DelayQueue(wiring.Component):
    """All outputs of a netlist that fire with one delay. An entry is a step in which some of them are due: that step,
    and which they are. Where the delay is d, no more than d entries are ever on their way.

    The first entry is in registers, the others in a memory that is read without a clock. The choice of the next step
    waits neither for the memory nor for a sum: the second's step is in registers, too, and so are the rivals of both.
    The rival of a step in a delay is the step whose pulses, after that delay, are due together with it.

    Parameters
    ----------
    outputs : int
    delay : int
        Steps, above 0.
    rivals : Sequence[int]
        Delays whose rivals are asked for.
    slots : int
        Entries behind the first one, a power of 2.
    time_bits : int
        Of times modulo a power of 2.

    Members
    -------
    now : In(time_bits)
    fired : In(outputs)
        What enters in this step.
    due : In(1)
        The first entry is that of this step; it leaves.
    pulses : Out(outputs)
        What is due in this step.
    waits : Out(1)
        After this step's first entry has left, there is one that did not come in this step.
    time : Out(time_bits)
        The step that it is of.
    rival_<index> : Out(time_bits)
        That step less one of `rivals`.
    comes : Out(1)
        An entry comes in this step.
    after : Out(time_bits)
        The step that it would be of.
    overflow : Out(1)
        What comes in this step finds no place and is lost.
    """

    def __init__(self, outputs: int, delay: int, rivals: Sequence[int], slots: int, time_bits: int):
        self.delay, self._rivals, self._slots = delay, rivals, slots
        members = {f"rival_{index}": Out(time_bits) for index, _ in enumerate(rivals)}
        super().__init__(
            members
            | {
                "now": In(time_bits),
                "fired": In(outputs),
                "due": In(1),
                "pulses": Out(outputs),
                "waits": Out(1),
                "time": Out(time_bits),
                "comes": Out(1),
                "after": Out(time_bits),
                "overflow": Out(1),
            }
        )
        self.rivals = [getattr(self, name) for name in members]

    def elaborate(self, platform):
        m = Module()
        full = Signal()
        read, second, write = (
            Signal(range(self._slots), init=n, name=name) for n, name in ((0, "read"), (1, "second"), (0, "write"))
        )
        level = Signal(range(self._slots + 1))
        some, more = Signal(), Signal()  # level is above 0, above 1

        pop, enter = self.due & some, Signal()
        m.d.comb += [
            self.comes.eq(self.fired.any()),
            self.after.eq(self.now + self.delay),
            self.waits.eq(Mux(self.due, some, full)),
            enter.eq(self.waits & self.comes & (pop | (level != self._slots))),
            self.overflow.eq(self.waits & self.comes & ~enter),
        ]
        with m.If(pop):
            m.d.sync += [read.eq(second), second.eq(second + 1)]
        with m.Elif(~self.waits):
            m.d.sync += full.eq(self.comes)
        with m.If(enter):
            m.d.sync += write.eq(write + 1)
        with m.If(enter & ~pop):
            m.d.sync += [level.eq(level + 1), some.eq(1), more.eq(some)]
        with m.Elif(pop & ~enter):
            m.d.sync += [level.eq(level - 1), some.eq(more), more.eq(level > 2)]

        first = Signal.like(self.fired, reset_less=True)
        behind = self._store(m, "fired", self.fired, read, write, enter)
        m.d.comb += self.pulses.eq(Mux(self.due, first, 0))
        with m.If(pop):
            m.d.sync += first.eq(behind)
        with m.Elif(~self.waits):
            m.d.sync += first.eq(self.fired)

        third = self._store(m, "times", self.after, second, write, enter)
        for time, rival in ((self.time, 0), *zip(self.rivals, self._rivals, strict=True)):
            # Of the entry that comes, of the first and of the second.
            come, one, two = (
                Signal.like(time, name=f"{time.name}_{name}", reset_less=True) for name in ("come", "first", "second")
            )
            m.d.comb += [come.eq(self.now + (self.delay - rival)), time.eq(Mux(self.due, two, one))]
            with m.If(pop):
                m.d.sync += one.eq(two)
            with m.Elif(~self.waits):
                m.d.sync += one.eq(come)
            with m.If(pop | ~some):
                m.d.sync += two.eq(Mux(more, third - rival, come))
        return m

    def _store(self, m, name, entry, read, write, enter):
        """A memory of one entry a slot, behind the first; what it holds at `read`."""
        m.submodules[name] = store = memory.Memory(shape=len(entry), depth=self._slots, init=[])
        given, taken = store.read_port(domain="comb"), store.write_port()
        m.d.comb += [given.addr.eq(read), taken.addr.eq(write), taken.en.eq(enter), taken.data.eq(entry)]
        return given.data
