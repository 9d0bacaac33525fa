"""Pulses on their way: those that take equally long leave in the order in which they came."""

from __future__ import annotations

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import memory, wiring
from amaranth.lib.wiring import In, Out


class DelayQueue(wiring.Component):
    """All outputs of a netlist that fire with one delay. An entry is a step in which some of them are due: that step,
    and which they are. Where the delay is d, no more than d entries are ever on their way.

    The first entry is in registers, the others in a memory that is read without a clock.

    Parameters
    ----------
    outputs : int
    delay : int
        Steps, above 0.
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
    next_waits : Out(1)
        After this step's first entry has left, there is one that did not come in this step.
    next_comes : Out(1)
        There is none but for one that comes in this step.
    next_time : Out(time_bits)
        The step that the next entry is of, if there is one.
    overflow : Out(1)
        What comes in this step finds no place and is lost.
    """

    def __init__(self, outputs: int, delay: int, slots: int, time_bits: int):
        self.delay, self._slots = delay, slots
        super().__init__(
            {
                "now": In(time_bits),
                "fired": In(outputs),
                "due": In(1),
                "pulses": Out(outputs),
                "next_waits": Out(1),
                "next_comes": Out(1),
                "next_time": Out(time_bits),
                "overflow": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        outputs, time_bits = len(self.pulses), len(self.now)
        first = Signal(outputs + time_bits, reset_less=True)  # the outputs below, the time above
        full = Signal()
        m.submodules.store = store = memory.Memory(shape=outputs + time_bits, depth=self._slots, init=[])
        behind, push = store.read_port(domain="comb"), store.write_port()
        read, write = (Signal(range(self._slots), name=name) for name in ("read", "write"))
        level = Signal(range(self._slots + 1))
        some = Signal()  # level is not 0
        m.d.comb += [behind.addr.eq(read), push.addr.eq(write)]

        come, entry, after = Signal(), Signal.like(first), Signal.like(self.now)
        m.d.comb += [
            come.eq(self.fired.any()),
            after.eq(self.now + self.delay),
            entry.eq(Cat(self.fired, after)),
            push.data.eq(entry),
            self.pulses.eq(Mux(self.due, first[:outputs], 0)),
            self.next_waits.eq(Mux(self.due, some, full)),
            self.next_comes.eq(~self.next_waits & come),
            self.next_time.eq(Mux(self.next_waits, Mux(self.due, behind.data, first)[outputs:], after)),
        ]
        pop, enter = self.due & some, Signal()
        m.d.comb += [
            enter.eq(self.next_waits & come & (pop | (level != self._slots))),
            self.overflow.eq(self.next_waits & come & ~enter),
            push.en.eq(enter),
        ]
        with m.If(pop):
            m.d.sync += [first.eq(behind.data), read.eq(read + 1)]
        with m.Elif(~self.next_waits):
            m.d.sync += [first.eq(entry), full.eq(come)]
        with m.If(enter):
            m.d.sync += write.eq(write + 1)
        with m.If(enter & ~pop):
            m.d.sync += [level.eq(level + 1), some.eq(1)]
        with m.Elif(pop & ~enter):
            m.d.sync += [level.eq(level - 1), some.eq(level != 1)]
        return m
