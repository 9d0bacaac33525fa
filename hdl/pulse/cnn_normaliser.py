"""Codes of windows become elements."""

from __future__ import annotations

from amaranth.hdl import Cat, Const, Module, Mux, Signal, signed
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from hdl.common.arithmetic import delayed, register, saturated, wire
from hdl.common.stream import Fifo
from hdl.pulse.cnn_config import CnnConfig
from hdl.pulse.cnn_places import row_layout
from hdl.pulse.config import FRACTION_BITS, RATIO_CYCLES
from hdl.pulse.filter_ratio import Ratio
from hdl.pulse.rounder import Rounder

PEAK_BITS = 15
EXPONENT_BITS = 4
SHIFT_BITS = 5
ROWS_AHEAD = 4
"""Rows on their way to the banks."""


class Peak(wiring.Component):
    """A window's peak, and what brings it to 1.

    Latency: `EXPONENT_BITS` + 1 + `RATIO_CYCLES`, from `start` to `done`, a pulse.

    Members
    -------
    start, peak : 1 or more
    exponent : e for which 2**14 <= peak * 2**e < 2**15
    reciprocal : floor(2**30 / (peak * 2**e))
    done : they are there, until the next start
    """

    def __init__(self) -> None:
        super().__init__(
            {
                "start": In(1),
                "peak": In(PEAK_BITS),
                "exponent": Out(EXPONENT_BITS),
                "reciprocal": Out(signed(FRACTION_BITS + 2)),
                "done": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.ratio = ratio = Ratio(PEAK_BITS + 2)
        high = Signal(PEAK_BITS, reset_less=True)
        step = Signal(EXPONENT_BITS + 1)  # a bit that wanders: a bit of the exponent each, then the ratio begins
        m.d.sync += step.eq(Cat(self.start, step))
        with m.If(self.start):
            m.d.sync += high.eq(self.peak)
        for place in range(EXPONENT_BITS):
            by = 1 << (EXPONENT_BITS - 1 - place)
            with m.If(step[place]):
                zeros = wire(m, ~high[PEAK_BITS - by :].any(), f"zeros_{by}")
                m.d.sync += self.exponent[EXPONENT_BITS - 1 - place].eq(zeros)
                with m.If(zeros):
                    m.d.sync += high.eq(Cat(Const(0, by), high[: PEAK_BITS - by]))
        m.d.comb += [
            ratio.start.eq(step[EXPONENT_BITS]),
            ratio.numerator.eq(1 << (PEAK_BITS - 1)),
            ratio.denominator.eq(high),
            self.reciprocal.eq(ratio.ratio),
            self.done.eq(delayed(m, step[EXPONENT_BITS], RATIO_CYCLES, "ratio_step")),
        ]
        return m


class Normaliser(wiring.Component):
    """A window after the other, scaled by its peak or by gain and shift, goes to a half of `input` in rows.

    Members
    -------
    waits, peak, index, code, release : of the window buffer, whose `code` is a cycle behind `index`
    normalise, gain, gain_shift : registers
    row : rows
    window, half, reference : a window is in `input`, in this half
    taken : it is no longer read
    """

    def __init__(self, config: CnnConfig):
        self._config = config
        super().__init__(
            {
                "waits": In(1),
                "peak": In(PEAK_BITS),
                "index": Out(range(config.samples)),
                "code": In(signed(config.code_bits)),
                "release": Out(1),
                "normalise": In(1),
                "gain": In(signed(16)),
                "gain_shift": In(SHIFT_BITS),
                "row": Out(stream.Signature(row_layout(config))),
                "window": Out(1),
                "half": Out(1),
                "reference": Out(PEAK_BITS),
                "taken": In(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        config = self._config
        m.submodules.scale = scale = Peak()
        m.submodules.rows = rows = Fifo(row_layout(config), ROWS_AHEAD)
        connect(m, rows.o, flipped(self.row))
        full, fills = Signal(2), Signal()
        references = [Signal.like(self.reference, name=f"reference_{half}", reset_less=True) for half in range(2)]

        busy = Signal()
        begin = wire(m, self.waits & ~busy & ~full.bit_select(fills, 1), "begin")
        m.d.comb += [scale.start.eq(begin), scale.peak.eq(self.peak)]
        with m.If(begin):
            m.d.sync += busy.eq(1)
            for half, reference in enumerate(references):
                with m.If(fills == half):
                    m.d.sync += reference.eq(Mux(self.normalise, self.peak, 1))

        gives, row_ends, at_end = self._index(m, scale.done, rows)
        self._scale(m, scale, rows, gives, row_ends, at_end, fills)

        # The window is there with its last row; the next one then begins.
        come = wire(m, self.row.valid & self.row.ready & self.row.payload.last, "come")
        with m.If(come):
            m.d.sync += [full.bit_select(fills, 1).eq(1), fills.eq(~fills), busy.eq(0)]
        with m.If(self.taken):
            m.d.sync += [full.bit_select(self.half, 1).eq(0), self.half.eq(~self.half)]
        m.d.comb += [
            self.release.eq(come),
            self.window.eq(full.bit_select(self.half, 1)),
            self.reference.eq(Mux(self.half, references[1], references[0])),
        ]
        return m

    def _index(self, m, start, rows):
        """A sample a cycle while their rows have room; whether one is read, the last of a row, of the window."""
        config = self._config
        goes = Signal()
        place = wire(m, self.index & (config.products - 1), "place")
        at_end = wire(m, self.index == config.samples - 1, "at_end")
        ends = wire(m, (place == config.products - 1) | at_end, "row_ends")
        ahead = Signal(range(ROWS_AHEAD + 1))
        gives = wire(m, goes & ((place != 0) | (ahead != ROWS_AHEAD)), "gives")
        begins, gone = gives & (place == 0), self.row.valid & self.row.ready
        m.d.sync += ahead.eq(ahead + begins - gone)
        with m.If(start):
            m.d.sync += goes.eq(1)
        with m.Elif(gives & at_end):
            m.d.sync += goes.eq(0)
        with m.If(gives):
            m.d.sync += self.index.eq(Mux(at_end, 0, self.index + 1))
        return gives, ends, at_end

    def _scale(self, m, scale, rows, gives, row_ends, at_end, fills):
        """Multiply, round, clamp, gather to rows: eight cycles behind the index."""
        config = self._config
        bits = config.activation_bits
        factor = register(m, Mux(self.normalise, scale.reciprocal, self.gain), "factor")
        whole = 30 - (bits - 1)
        amount = register(m, Mux(self.normalise, whole - scale.exponent, self.gain_shift)[:SHIFT_BITS], "amount")
        product = register(m, register(m, self.code, "code_2") * factor, "product")
        m.submodules.rounder = rounder = Rounder(len(product), SHIFT_BITS)
        m.d.comb += [rounder.value.eq(product), rounder.amount.eq(amount)]
        element = register(m, saturated(rounder.rounded, bits), "element")

        cycles = 7  # memory, code, product, three of rounding, clamp
        which = delayed(m, self.index, cycles, "which", reset_less=True)
        elements = [Signal(bits, name=f"row_{k}", reset_less=True) for k in range(config.products)]
        for k, held in enumerate(elements):
            with m.If((which & (config.products - 1)) == k):
                m.d.sync += held.eq(element)
        payload = rows.i.payload
        number = delayed(m, which >> (config.products.bit_length() - 1), 1, "number", reset_less=True)
        m.d.comb += [
            rows.i.valid.eq(delayed(m, gives & row_ends, cycles + 1, "row_valid")),
            payload.half.eq(fills),
            payload.number.eq(number),
            payload.last.eq(delayed(m, at_end, cycles + 1, "row_last", reset_less=True)),
            payload.elements.eq(Cat(elements)),
        ]
