"""The scheduler alone, and what it does as a stream."""

from __future__ import annotations

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from hdl.common.arithmetic import register, wire
from hdl.common.axi import packet_stream
from hdl.common.stream import Fifo, RegisterSlice
from hdl.pim.channel_config import ChannelConfig
from hdl.pim.channel_core import Core
from hdl.pim.commands import INSTRUCTION_BITS
from hdl.pim.scheduler_words import CYCLE_BITS, FIELDS, STALLS, WORD_BITS


class Scheduler(wiring.Component):
    """Takes a channel's programs and tells each command with its cycle; there is no data, and so nothing to wait for.

    Time does not stop for who listens: a word that is not taken in the cycle in which it is offered is lost.

    Parameters
    ----------
    config : ChannelConfig

    Members
    -------
    program : In(stream.Signature(64))
    trace : Out(packet_stream(64))
        Words of `hdl.pim.scheduler_words`; a program's last is its EOC. Of refreshes between programs it says nothing.
    """

    def __init__(self, config: ChannelConfig):
        self._config = config
        super().__init__({"program": In(stream.Signature(INSTRUCTION_BITS)), "trace": Out(packet_stream(WORD_BITS))})

    def elaborate(self, platform):
        m = Module()
        m.submodules.core = core = Core(self._config)
        m.submodules.queue = queue = Fifo(INSTRUCTION_BITS, self._config.queue_depth + 1)
        m.submodules.exit = out = RegisterSlice(INSTRUCTION_BITS)
        connect(m, flipped(self.program), queue.i)
        connect(m, queue.o, out.i)
        connect(m, out.o, core.program)
        m.d.comb += [core.there.eq(~0), core.room.eq(~0)]

        # A refresh that falls due counts a cycle later than on paper, so the first cycle after reset is 0 here.
        cycle = Signal(CYCLE_BITS)
        m.d.sync += cycle.eq(cycle + 1)
        running = Signal()
        start = wire(m, core.taken & (~running | core.ended), "start")
        with m.If(core.ended):
            m.d.sync += running.eq(core.taken)
        with m.Elif(start):
            m.d.sync += running.eq(1)
        # What is taken in a cycle of the gateware works in the next, which on paper is the same.
        taken = {"illegal": register(m, core.illegal, "skipped"), "start": register(m, start, "started")}
        told = {"end": core.ended, **taken}
        held = {name: Signal(name=f"{name}_held") for name in told}
        m.d.sync += [held[name].eq(event) for name, event in told.items()]
        told_from = register(m, running, "running_1")
        at = Signal(CYCLE_BITS)
        m.d.sync += at.eq(cycle)
        cause, new_cause = self._cause(m, core, told_from)
        fields = {
            "cycle": at,
            **{name: getattr(core, name) for name in ("command", "row", "col", "buf")},
            "bank": wire(m, Mux(core.command != 0, core.bank, cause), "bank_or_cause"),
            "miss": register(m, core.row_missed, "missed"),
            **held,
        }
        padded = [Cat(fields[name], Const(0, bits))[:bits] for name, bits in FIELDS.items()]
        m.d.comb += [
            self.trace.payload.data.eq(Cat(padded)),
            self.trace.payload.last.eq(held["end"]),
            self.trace.valid.eq(told_from & ((core.command != 0) | new_cause) | Cat(held.values()).any()),
        ]
        return m

    @staticmethod
    def _cause(m: Module, core: Core, told_from: Signal) -> tuple[Signal, Value]:
        """Why the cycle that is told of has no command, and whether that was otherwise in the cycle before."""
        number = {name: place for place, name in enumerate(STALLS)}
        told = ((core.refreshing, "refresh"), (core.needs_row, "row"), (core.idle, "idle"))
        code: Value = Const(number["timing"])
        for holds, name in told:  # at most one does
            code = Mux(holds, number[name], code)
        cause = register(m, code, "cause")
        quiet = wire(m, told_from & (core.command == 0), "quiet")
        before, was_quiet = register(m, cause, "cause_before"), register(m, quiet, "was_quiet")
        return cause, wire(m, quiet & ~(was_quiet & (before == cause)), "new_cause")
