"""Dot products in many number formats on one array of multipliers, exact until they are rounded once."""

from __future__ import annotations

from amaranth.hdl import Cat, Const, Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from hdl.common.axi import packet_stream
from hdl.common.format_table import PositFormat
from hdl.simd.config import MacConfig
from hdl.simd.mac_accumulator import Accumulator
from hdl.simd.mac_align import Aligner
from hdl.simd.mac_drain import Drain
from hdl.simd.mac_lanes import LANES, Lanes
from hdl.simd.modes import ACCUMULATOR_BITS, JOB_BITS, JOB_INFINITY, JOB_MODE, JOB_OUTPUT, MODES, OPERAND_BITS

OPERATION_BITS = 2 * OPERAND_BITS + JOB_BITS
RESULT_BITS = 40
"""32 bits of code, 8 of status."""


class MacCore(wiring.Component):
    """One dot product at a time: a beat of both operands a cycle, then its result.

    Latency: `config.latency_cycles`, from the cycle that takes the last beat to the first that offers the result.

    Throughput: a beat a cycle inside a dot product; between two, the latency and two cycles.

    Members
    -------
    op : In(packet_stream(80)): Cat(a, b, job); the job is the same in all beats of a packet, and names what is built
    y : Out(stream.Signature(40)): Cat(code, 32 bits; status, in the order of `STATUS`)
    """

    def __init__(self, config: MacConfig):
        self._config = config
        super().__init__({"op": In(packet_stream(OPERATION_BITS)), "y": Out(stream.Signature(RESULT_BITS))})

    def elaborate(self, platform):
        m = Module()
        config = self._config
        m.submodules.lanes = lanes = Lanes(config)
        m.submodules.aligner = aligner = Aligner(config)
        m.submodules.accumulator = accumulator = Accumulator(config)
        m.submodules.drain = drain = Drain(config)
        for k in range(LANES):
            for name in ("product", "shift", "odd_sign", "odd_magnitude", "odd_shift"):
                m.d.comb += getattr(aligner, f"{name}_{k}").eq(getattr(lanes, f"{name}_{k}"))

        op, job = self.op.payload.data, self.op.payload.data[2 * OPERAND_BITS :]
        take = Signal()
        m.submodules.sequence = sequence = _Sequence(config)
        m.d.comb += [
            take.eq(self.op.valid & sequence.idle),
            self.op.ready.eq(sequence.idle),
            sequence.end.eq(take & self.op.payload.last),
            self.y.valid.eq(sequence.done),
            sequence.given.eq(self.y.ready),
        ]

        wanted = job[JOB_MODE][: config.mode_bits]
        # The job stands still from the first beat taken until the result is.
        mode, output = Signal(config.mode_bits, reset_less=True), Signal(config.output_bits, reset_less=True)
        infinity = Signal(reset_less=True)
        with m.If(take):
            m.d.sync += [mode.eq(wanted), output.eq(job[JOB_OUTPUT]), infinity.eq(job[JOB_INFINITY])]
        m.d.comb += [
            lanes.a.eq(op[:OPERAND_BITS]),
            lanes.b.eq(op[OPERAND_BITS : 2 * OPERAND_BITS]),
            lanes.select.eq(Cat(take & (wanted == MODES[name].code) for name in config.modes)),
            aligner.wide_place.eq(lanes.wide_place),
            accumulator.term.eq(aligner.term),
            accumulator.segment.eq(aligner.segment),
            accumulator.wide.eq(sequence.tall),
            accumulator.clear.eq(sequence.clear),
            accumulator.shift_up.eq(sequence.shift_up),
            sequence.top.eq(accumulator.value[-len(sequence.top) :]),
            drain.start.eq(sequence.start),
            drain.fine.eq(sequence.fine),
            drain.shift.eq(sequence.shift),
            drain.value.eq(accumulator.value),
            drain.segments_up.eq(sequence.segments_up),
        ]
        # Sums of P(16,1) or E5M2 need the topmost segments; a posit's special value is NaR.
        posit = Signal()
        with m.Switch(mode):
            for name in config.modes:
                with m.Case(MODES[name].code):
                    m.d.comb += [
                        aligner.place.eq(Aligner.place_of(config, name)),
                        sequence.tall.eq(name in ("p16_1", "e5m2")),
                        posit.eq(isinstance(MODES[name].element, PositFormat)),
                    ]

        special = Signal(3, reset_less=True)
        m.d.sync += special.eq((special | lanes.special) & ~sequence.clear.replicate(3))
        m.d.comb += [
            drain.nar.eq(special[0] & posit),
            drain.nan.eq(special[0] & ~posit),
            drain.plus.eq(special[1]),
            drain.minus.eq(special[2]),
        ]
        status = Cat(
            drain.nar,
            ~drain.nar & (drain.nan | (drain.plus & drain.minus)),
            ~drain.nar & ~drain.nan & (drain.plus ^ drain.minus),
            drain.overflow,
            drain.underflow,
        )
        m.d.comb += [
            drain.output.eq(output),
            drain.infinity.eq(infinity),
            self.y.payload.eq(Cat(drain.code, Const(0, 32 - len(drain.code)), status, Const(0, 3))),
        ]
        return m


class _Sequence(wiring.Component):
    """What happens when, from the last beat of a dot product on: one count of cycles.

    Members
    -------
    end : the last beat is taken
    idle : beats can be taken
    tall : the topmost segments are in use; else the two of them are skipped on the way up
    top : the topmost segment and a bit below
    shift_up : of the accumulator, as long as the topmost segment holds nothing but copies of the sign; `segments_up`
        counts
    start, fine, shift : of the drain
    done, given : the result is here; it is taken
    clear : of the accumulator, before the next dot product and after reset
    """

    def __init__(self, config: MacConfig):
        self._config = config
        super().__init__(
            {
                "end": In(1),
                "idle": Out(1),
                "tall": In(1),
                "top": In(config.segment_bits + 1),
                "shift_up": Out(1),
                "segments_up": Out(3),
                "start": Out(1),
                "fine": Out(1),
                "shift": Out(1),
                "done": Out(1),
                "given": In(1),
                "clear": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        carrying = ACCUMULATOR_BITS // self._config.segment_bits - 1
        settled = self._config.pipeline_cycles + carrying
        start = settled + carrying
        done = start + 3
        # From 24 to 31 the accumulator is cleared: all the while after a reset, so that what was in flight is gone too.
        after_reset, cleared = 0b11000, 0b11111
        assert done < after_reset and cleared - after_reset > self._config.pipeline_cycles
        count, up = Signal(5, init=after_reset), Signal(3, reset_less=True)
        with m.Switch(count):
            with m.Case(0):
                m.d.sync += count.eq(self.end)
            with m.Case(done):
                m.d.sync += count.eq(Mux(self.given, cleared, done))
            with m.Default():
                m.d.sync += count.eq(count + 1)
        rising = (count >= settled) & (count < start)
        skipped = ~self.tall & ((count == settled) | (count == settled + 1))
        m.d.comb += [
            self.idle.eq(count == 0),
            self.shift_up.eq(rising & (skipped | ~self.top.any() | self.top.all())),
            self.segments_up.eq(up),
            self.start.eq(count == start),
            self.fine.eq(count == start + 1),
            self.shift.eq(count == start + 2),
            self.done.eq(count == done),
            self.clear.eq(count[3:].all()),
        ]
        m.d.sync += up.eq((up + self.shift_up)[:3] & ~self.clear.replicate(3))
        return m
