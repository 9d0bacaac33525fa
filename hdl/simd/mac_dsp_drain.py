"""`Drain` on FPGAs: registers cost nothing there, choosing what goes into one does. The accumulator stands still, and
each step has a register of its own."""

from __future__ import annotations

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In

from hdl.common.arithmetic import register, wire
from hdl.simd.config import EngineConfig
from hdl.simd.mac_drain import EXPONENT_BITS, encoding_members
from hdl.simd.mac_output import ResultEncoder, Special, fraction_bits, normalise
from hdl.simd.modes import ACCUMULATOR_BITS


def chosen(choices: list[Value], index: Value) -> Value:
    """One of 2**len(index) values: a tree of multiplexers."""
    for bit in index:
        choices = [Mux(bit, high, low) for low, high in zip(choices[::2], choices[1::2], strict=True)]
    return choices[0]


class DspDrain(wiring.Component):
    """Encodes the accumulator while its carries go home and after.

    Latency: `config.drain_cycles`, from the last `reading` on: a register for the segment read, one for the window, two
    steps of the normaliser, what the output needs of the exponent, its shift, the rounding. The result stays as long as
    the other inputs stand still.

    Members
    -------
    clear : the window is empty
    reading, index : this segment's carries are home; from the lowest on, one a cycle
    value : the accumulator
    output, infinity, nar, nan, plus, minus, code, overflow, underflow : of `Drain`
    """

    def __init__(self, config: EngineConfig):
        self._config = config
        super().__init__(
            {
                "clear": In(1),
                "reading": In(1),
                "index": In(3),
                "value": In(ACCUMULATOR_BITS),
                **encoding_members(config),
            }
        )

    def elaborate(self, platform):
        m = Module()
        encoder = ResultEncoder(m, self._config, self.output, EXPONENT_BITS)
        window, below, segments_up = self._window(m)
        coarse, coarse_sticky, coarse_count = (
            register(m, value, f"coarse_{index}") for index, value in enumerate(normalise(m, window, below, (8, 4)))
        )
        normal, sticky, fine_count = normalise(m, coarse, coarse_sticky, (2, 1))
        exponent = Signal(signed(EXPONENT_BITS), reset_less=True)
        top_exponent = self._config.leading_exponent("p16_1")
        m.d.sync += exponent.eq(top_exponent - Cat(fine_count, coarse_count, segments_up))
        normal, sticky = register(m, normal, "normal"), register(m, sticky, "sticky")

        body = encoder.shifted(normal, sticky, exponent, lambda value, name: register(m, value, f"placed_{name}"))
        body = body.held(lambda value, name: register(m, value, f"body_{name}"))
        special = Special(self.nar, self.nan, self.plus, self.minus)
        code, overflow, underflow = encoder.rounded(body, special, self.infinity)
        m.d.sync += [self.code.eq(code), self.overflow.eq(overflow), self.underflow.eq(underflow)]
        return m

    def _window(self, m):
        """The leading segment and as many bits behind it as are looked at, whether there is more, and how many segments
        are above.

        Found from below: a segment that is not all copies of the sign so far becomes the leading one. Those of copies
        between it and the last one, `gaps`, are filled in again.
        """
        bits, rest_bits = self._config.segment_bits, fraction_bits(self._config) + 1
        segments = [self.value.word_select(k, bits) for k in range(ACCUMULATOR_BITS // bits)]
        segment, index = register(m, chosen(segments, self.index), "segment"), register(m, self.index, "index_held")
        reading = Signal()
        m.d.sync += reading.eq(self.reading)

        top, rest, below = Signal(bits, name="top"), Signal(rest_bits, name="rest"), Signal(name="below")
        leading, gaps = Signal(3, name="leading"), Signal(-(-rest_bits // bits), name="gaps")
        fill = top[-1]
        copies = wire(m, Mux(fill, segment.all(), ~segment.any()), "copies")
        window = Cat(rest, top)
        moved, lost = window[-rest_bits:], window[:-rest_bits].any()
        for gap in gaps:  # that there is one, two, ...
            window = Cat(window, fill.replicate(bits))
            moved, lost = Mux(gap, window[-rest_bits:], moved), lost | (gap & window[:-rest_bits].any())
        with m.If(self.clear):
            m.d.sync += [signal.eq(0) for signal in (top, rest, below, leading, gaps)]
        with m.Elif(reading & copies):
            m.d.sync += gaps.eq(Cat(Const(1, 1), gaps))
        with m.Elif(reading):
            m.d.sync += [top.eq(segment), rest.eq(moved), below.eq(below | lost), leading.eq(index), gaps.eq(0)]
        return Cat(rest, top), below, ~leading
