"""The stimuli that come next, as the choice of the next step wants them."""

from __future__ import annotations

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from hdl.common.axi import packet, packet_stream
from hdl.common.stream import RegisterSlice
from hdl.sfq.config import EmulationConfig


class StimulusFeed(wiring.Component):
    """Holds the next two stimuli: while the first one's step is made, the second is what comes next.

    So it need not be known in the clock that takes a stimulus. Each is held with the steps that the choice compares:
    its rival in each delay is its time less that. It is near if it is less than half of the inner times' modulus ahead.

    Members
    -------
    i : In(packet_stream(config.stimulus_bits))
    taken : In(1)
        This step is that of the first stimulus.
    leave : In(1)
        The first stimulus is done with.
    valid : Out(1)
        What follows is there: the next stimulus.
    time, inputs, last, near : Out(config.time_bits), Out(inputs), Out(1), Out(1)
    rival_<index> : Out(config.plan.time_modulus_bits)
        By delay, modulo a power of 2.
    now, advance : In(config.time_bits), In(1)
        The present step, and whether the core leaves it.
    disorder : Out(1)
        For a clock: what came is not after what came before it.
    """

    def __init__(self, config: EmulationConfig):
        self._config, plan = config, config.plan
        self._rivals = {f"rival_{index}": delay for index, delay in enumerate(plan.delays)}
        shown = {"time": config.time_bits, "inputs": len(plan.netlist.inputs), "last": 1, "near": 1}
        shown |= dict.fromkeys(self._rivals, plan.time_modulus_bits)
        self.shown = (*shown,)
        self._layout = data.StructLayout({**shown, "endless": 1})
        super().__init__(
            {
                "i": In(packet_stream(config.stimulus_bits)),
                "taken": In(1),
                "leave": In(1),
                "valid": Out(1),
                "now": In(config.time_bits),
                "advance": In(1),
                "disorder": Out(1),
            }
            | {name: Out(bits) for name, bits in shown.items()}
        )

    def elaborate(self, platform):
        m = Module()
        bits = self._config.time_bits
        m.submodules.slice = buffer = RegisterSlice(packet(self._config.stimulus_bits))
        connect(m, flipped(self.i), buffer.i)
        beat = buffer.o.payload
        time, inputs = beat.data[:bits], beat.data[bits : bits + len(self.inputs)]

        one, two, come = (Signal(self._layout, name=name, reset_less=True) for name in ("one", "two", "come"))
        has_one, has_two, first = Signal(), Signal(), Signal(init=1)
        arrives = Signal()
        m.d.comb += [
            buffer.o.ready.eq(self.leave | ~has_two),
            arrives.eq(buffer.o.ready & buffer.o.valid),
            self.valid.eq(Mux(self.taken, has_two, has_one)),
            *(getattr(self, name).eq(Mux(self.taken, two[name], one[name])) for name in self.shown),
        ]

        # What came before stays in its register. A stimulus begins as near to it, which is `now` when the next one is
        # asked for; one that waits is near as soon as `now` says so, and stays near; an end that waits for rest is not.
        previous_time, previous_last, gap = Signal.like(time), Signal(), Signal(bits + 1)
        near, endless = Signal(), Signal()
        m.d.comb += [
            previous_time.eq(Mux(has_two, two.time, one.time)),
            previous_last.eq(Mux(has_two, two.last, one.last)),
            gap.eq(time - previous_time),
            endless.eq(beat.last & time.all()),
            near.eq(~first & ~previous_last & ~endless & self._is_near(gap)),
            come.time.eq(time),
            come.inputs.eq(inputs),
            come.last.eq(beat.last),
            come.near.eq(near),
            come.endless.eq(endless),
            *(come[name].eq(time - delay) for name, delay in self._rivals.items()),
        ]
        with m.If(self.leave | ~has_one):
            m.d.sync += has_one.eq(has_two | arrives)
            with m.If(has_two | arrives):
                m.d.sync += one.eq(Mux(has_two, two, come))
        with m.Elif(self.advance):
            m.d.sync += one.near.eq(one.near | (~one.endless & self._is_near(one.time - self.now)))
        with m.If(buffer.o.ready):
            m.d.sync += [two.eq(come), has_two.eq(arrives & Mux(self.leave, has_two, has_one))]
        late = gap[-1] | ((gap == 0) & ~beat.last)
        m.d.sync += self.disorder.eq(arrives & ~first & ~previous_last & late)
        with m.If(arrives):
            m.d.sync += first.eq(0)
        return m

    def _is_near(self, gap):
        return ~gap[self._config.plan.time_modulus_bits - 1 : self._config.time_bits].any()
