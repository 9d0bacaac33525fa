"""Dot products in many number formats on one array of multipliers, exact until they are rounded once."""

from __future__ import annotations

from functools import reduce
from operator import or_

from amaranth.hdl import Cat, Const, Module, Mux, Signal, signed
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from hdl.common.axi import packet_stream
from hdl.common.format_table import PositFormat
from hdl.simd.config import MacConfig, decoder_of
from hdl.simd.mac_accumulator import Accumulator
from hdl.simd.mac_align import Aligner
from hdl.simd.mac_blocks import RECALL_PLACE, SCALE_BITS, BlockScales, RunningValue
from hdl.simd.mac_drain import BLOCK_EXPONENT_BITS, Drain
from hdl.simd.mac_lanes import LANES, Lanes
from hdl.simd.mac_sequence import Sequence
from hdl.simd.modes import JOB_BITS, JOB_INFINITY, JOB_MODE, JOB_OUTPUT, MODES, OPERAND_BITS, OUTPUT_FORMATS

RESULT_BITS = 40
"""32 bits of code, 8 of status."""


def operation_bits(config: MacConfig) -> int:
    """Of a beat: both operands and the job; with block formats also both scales."""
    return 2 * OPERAND_BITS + JOB_BITS + (2 * SCALE_BITS if config.block_modes else 0)


def build(config: MacConfig) -> wiring.Component:
    """The gateware of a config."""
    return MacCore(config)


class MacCore(wiring.Component):
    """One dot product at a time: a beat of both operands a cycle, then its result.

    Latency: `config.latency_in(mode)`, from the cycle that takes the last beat to the first that offers the result.

    Throughput: a beat a cycle inside a dot product or a block (NVFP4: a beat in 16 cycles); between two dot products,
    the latency and two cycles; between two blocks, `config.block_cycles`.

    Members
    -------
    op : In(packet_stream(80)): Cat(a, b, job); the job is the same in all beats of a packet, and names what is built.
        With block formats 96: Cat(a, b, job, scale_a, scale_b). A block is as many beats as `Mode.beats_per_block`
        says, and its scales are the same in all of them; a packet's last block may be short.
    y : Out(stream.Signature(40)): Cat(code, 32 bits; status, in the order of `STATUS`)
    """

    def __init__(self, config: MacConfig):
        self._config = config
        super().__init__({"op": In(packet_stream(operation_bits(config))), "y": Out(stream.Signature(RESULT_BITS))})

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
        m.submodules.sequence = sequence = Sequence(config)
        beat = Signal()
        m.d.comb += [
            beat.eq(self.op.valid & sequence.idle),
            self.y.valid.eq(sequence.done),
            sequence.given.eq(self.y.ready),
        ]

        wanted = job[JOB_MODE][: config.mode_bits]
        # The job stands still from the first beat taken until the result is. With block formats it is known before, so
        # that READY can depend on it.
        mode, output = Signal(config.mode_bits, reset_less=True), Signal(config.output_bits, reset_less=True)
        infinity = Signal(reset_less=True)
        with m.If(sequence.clear if config.block_modes else beat):
            m.d.sync += [mode.eq(wanted), output.eq(job[JOB_OUTPUT]), infinity.eq(job[JOB_INFINITY])]
        known = mode if config.block_modes else wanted
        selects = [
            reduce(or_, (known == MODES[name].code for name in config.modes if decoder_of(name) == decoder))
            for decoder in config.decoders
        ]
        m.d.comb += [
            lanes.b.eq(op[OPERAND_BITS : 2 * OPERAND_BITS]),
            accumulator.term.eq(aligner.term),
            accumulator.segment.eq(aligner.segment),
            accumulator.wide.eq(sequence.tall),
            accumulator.clear.eq(sequence.drop),
            accumulator.shift_up.eq(sequence.shift_up),
            sequence.top.eq(accumulator.value[-len(sequence.top) :]),
            drain.start.eq(sequence.start),
            drain.fine.eq(sequence.fine),
            drain.shift.eq(sequence.shift),
            drain.value.eq(accumulator.value),
            drain.segments_up.eq(sequence.segments_up),
            drain.infinity.eq(infinity),
        ]
        # Sums of P(16,1), E5M2 or blocks need the topmost segments; a posit's special value is NaR.
        posit, place = Signal(), Signal(7)
        with m.Switch(mode):
            for name in config.modes:
                with m.Case(MODES[name].code):
                    m.d.comb += [
                        place.eq(Aligner.place_of(config, name)),
                        sequence.tall.eq(name in ("p16_1", "e5m2", *config.block_modes)),
                        posit.eq(isinstance(MODES[name].element, PositFormat)),
                    ]

        special, found = Signal(3, reset_less=True), Signal(3)
        m.d.sync += special.eq((special | lanes.special | found) & ~sequence.clear.replicate(3))
        m.d.comb += [
            drain.nar.eq(special[0] & posit),
            drain.nan.eq(special[0] & ~posit),
            drain.plus.eq(special[1]),
            drain.minus.eq(special[2]),
        ]
        parts = lanes, aligner, drain, sequence
        if config.block_modes:
            add, overflow, underflow = self._blocks(m, parts, beat, mode, place, output, infinity, found)
        else:
            add, overflow, underflow = beat, drain.overflow, drain.underflow
            m.d.comb += [
                self.op.ready.eq(sequence.idle),
                sequence.end.eq(beat & self.op.payload.last),
                lanes.a.eq(op[:OPERAND_BITS]),
                aligner.place.eq(place),
                aligner.wide_place.eq(lanes.wide_place),
                drain.output.eq(output),
            ]
        m.d.comb += lanes.select.eq(Cat(add & selected for selected in selects))
        status = Cat(
            drain.nar,
            ~drain.nar & (drain.nan | (drain.plus & drain.minus)),
            ~drain.nar & ~drain.nan & (drain.plus ^ drain.minus),
            overflow,
            underflow,
        )
        m.d.comb += self.y.payload.eq(Cat(drain.code, Const(0, 32 - len(drain.code)), status, Const(0, 3)))
        return m

    def _blocks(self, m, parts, beat, mode, place, output, infinity, found):
        """What block formats add. Returns whether the beat at work counts in this cycle, and all roundings' flags.

        `found` gets the special values that do not come from the lanes, as `Lanes.special`.
        """
        config = self._config
        lanes, aligner, drain, sequence = parts
        m.submodules.scales = scales = BlockScales(config)
        m.submodules.running = running = RunningValue(config)
        op, last = self.op.payload.data, self.op.payload.last
        leading = Signal(signed(BLOCK_EXPONENT_BITS))
        with m.Switch(mode):
            for name in config.modes:
                with m.Case(MODES[name].code):
                    m.d.comb += leading.eq(config.leading_exponent(name))
        with m.If(sequence.recall):
            m.d.comb += leading.eq(-RECALL_PLACE)

        a, scale_a, scale_b = op[:OPERAND_BITS], op[-2 * SCALE_BITS : -SCALE_BITS], op[-SCALE_BITS:]
        signs = Const(int("8" * (OPERAND_BITS // 4), 16), OPERAND_BITS) & scales.negative.replicate(OPERAND_BITS)
        beyond = infinity & running.stored & drain.overflow
        m.d.comb += [
            scales.beat.eq(beat),
            scales.last.eq(last),
            scales.select.eq(Cat(mode == MODES[name].code for name in config.block_modes)),
            scales.scale_a.eq(scale_a),
            scales.scale_b.eq(scale_b),
            self.op.ready.eq(sequence.idle & scales.done),
            lanes.a.eq(a ^ signs),
            aligner.wide_place.eq(lanes.wide_place | scales.offset),
            aligner.place.eq(Mux(sequence.inject, running.place, place)),
            aligner.running.eq(running.value),
            sequence.offered.eq(self.op.valid),
            sequence.end.eq(scales.end),
            sequence.last.eq(last),
            sequence.blocks.eq(scales.select.any()),
            found.eq(Cat(scales.nan & beat, beyond & ~drain.code[-1], beyond & drain.code[-1])),
            running.clear.eq(sequence.clear),
            running.update.eq(beat),
            running.recall.eq(sequence.recall),
            running.exponent.eq(scales.exponent),
            running.leading.eq(leading),
            running.inject.eq(sequence.inject),
            running.term.eq(aligner.term),
            running.segment.eq(aligner.segment),
            running.drop.eq(sequence.drop),
            running.store.eq(sequence.store),
            running.code.eq(drain.code),
            running.overflow.eq(drain.overflow),
            running.underflow.eq(drain.underflow),
            running.segments_up.eq(sequence.segments_up),
            running.minus_zero.eq(sequence.converting & drain.is_float),
            drain.top_exponent.eq(running.top_exponent),
            drain.lost.eq(running.lost),
            drain.output.eq(Mux(sequence.blocks & ~sequence.converting, OUTPUT_FORMATS.index("fp32"), output)),
        ]
        return beat & scales.add, drain.overflow | running.any_overflow, drain.underflow | running.any_underflow
