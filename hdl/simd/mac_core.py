"""Dot products in many number formats on one array of multipliers, exact until they are rounded once."""

from __future__ import annotations

from functools import reduce
from operator import or_

from amaranth.hdl import Cat, Const, Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from hdl.common.axi import packet_stream
from hdl.common.format_table import PositFormat
from hdl.simd.config import MacConfig
from hdl.simd.mac_accumulator import Accumulator, is_tall
from hdl.simd.mac_align import Aligner
from hdl.simd.mac_blocks import RECALL_PLACE, SCALE_BITS, BlockScales, BlockSum
from hdl.simd.mac_drain import Drain
from hdl.simd.mac_dsp_drain import DspDrain
from hdl.simd.mac_dsp_sequence import DspSequence
from hdl.simd.mac_lanes import LANES, Lanes
from hdl.simd.mac_sequence import Sequence
from hdl.simd.modes import JOB_BITS, JOB_INFINITY, JOB_MODE, JOB_OUTPUT, MODES, OPERAND_BITS, OUTPUT_FORMATS, decoder_of

EVERY_SIGN = 0x8888_8888
"""In eight codes of 4 bits."""

RESULT_BITS = 40
"""32 bits of code, 8 of status."""


def operation_bits(config: MacConfig) -> int:
    """Of a beat: both operands and the job; with block formats also both scales."""
    return 2 * OPERAND_BITS + JOB_BITS + (2 * SCALE_BITS if config.block_modes else 0)


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
        fpga = config.technology == "fpga"
        m.submodules.accumulator = accumulator = Accumulator(config, alone=fpga)
        m.submodules.drain = drain = DspDrain(config) if fpga else Drain(config)
        for k in range(LANES):
            for name in ("product", "shift", "odd_sign", "odd_magnitude", "odd_shift"):
                m.d.comb += getattr(aligner, f"{name}_{k}").eq(getattr(lanes, f"{name}_{k}"))

        op, job = self.op.payload.data, self.op.payload.data[2 * OPERAND_BITS :]
        take = Signal()
        m.submodules.sequence = sequence = DspSequence(config) if fpga else Sequence(config)
        scales = block_sum = None
        if config.block_modes:
            m.submodules.scales = scales = BlockScales(config)
            m.submodules.block_sum = block_sum = BlockSum(config)
        m.d.comb += [
            take.eq(self.op.valid & sequence.idle),
            self.op.ready.eq(sequence.idle & (scales.done | ~sequence.blocks) if scales else sequence.idle),
            sequence.end.eq(self._end(take, scales, sequence)),
            self.y.valid.eq(sequence.done),
            sequence.given.eq(self.y.ready),
        ]

        wanted = job[JOB_MODE][: config.mode_bits]
        # The job stands still from the first beat taken until the result is. With block formats READY depends on it:
        # then it is looked at before.
        mode, output = Signal(config.mode_bits, reset_less=True), Signal(config.output_bits, reset_less=True)
        infinity = Signal(reset_less=True)
        with m.If(sequence.clear if scales else take):
            m.d.sync += [mode.eq(wanted), output.eq(job[JOB_OUTPUT]), infinity.eq(job[JOB_INFINITY])]
        known, add = (mode, take & (scales.add | ~sequence.blocks)) if scales else (wanted, take)
        m.d.comb += [
            lanes.a.eq(op[:OPERAND_BITS] ^ (EVERY_SIGN & scales.negative.replicate(OPERAND_BITS)) if scales else op),
            lanes.b.eq(op[OPERAND_BITS : 2 * OPERAND_BITS]),
            lanes.select.eq(Cat(add & self._needs(known, decoder) for decoder in config.decoders)),
            aligner.wide_place.eq(lanes.wide_place | scales.offset if scales else lanes.wide_place),
            accumulator.term.eq(aligner.term),
            accumulator.segment.eq(aligner.segment),
            accumulator.wide.eq(1 if fpga else sequence.tall),
            accumulator.clear.eq(sequence.drop if scales else sequence.clear),
        ]
        self._connect_drain(m, accumulator, drain, sequence)
        # Sums of P(16,1), E5M2 or blocks need the topmost segments, which FPGAs always use; specials of posits are NaR.
        posit = Signal()
        place = Signal(7) if scales else aligner.place
        with m.Switch(mode):
            for name in config.modes:
                with m.Case(MODES[name].code):
                    m.d.comb += [
                        place.eq(Aligner.place_of(config, name)),
                        posit.eq(isinstance(MODES[name].element, PositFormat)),
                    ]
                    if not fpga:
                        m.d.comb += sequence.tall.eq(is_tall(config, name))

        special = Signal(3, reset_less=True)
        found = lanes.special
        if scales:
            # A NaN among the scales, and a sum of blocks that became infinite.
            infinite = infinity & block_sum.stored & drain.overflow
            found = found | Cat(scales.nan & take, infinite & ~drain.code[-1], infinite & drain.code[-1])
        m.d.sync += special.eq((special | found) & ~sequence.clear.replicate(3))
        seen = self._isolated(special, ~sequence.idle)
        m.d.comb += [
            drain.nar.eq(seen[0] & posit),
            drain.nan.eq(seen[0] & ~posit),
            drain.plus.eq(seen[1]),
            drain.minus.eq(seen[2]),
        ]
        status = Cat(
            drain.nar,
            ~drain.nar & (drain.nan | (drain.plus & drain.minus)),
            ~drain.nar & ~drain.nan & (drain.plus ^ drain.minus),
            drain.overflow | block_sum.any_overflow if block_sum else drain.overflow,
            drain.underflow | block_sum.any_underflow if block_sum else drain.underflow,
        )
        adding = sequence.blocks & ~sequence.converting if scales else None
        m.d.comb += [
            drain.output.eq(Mux(adding, OUTPUT_FORMATS.index("fp32"), output) if scales else output),
            drain.infinity.eq(infinity),
            self.y.payload.eq(Cat(drain.code, Const(0, 32 - len(drain.code)), status, Const(0, 3))),
        ]
        if scales:
            self._connect_scales(m, scales, sequence, take, mode)
            self._connect_sum(m, block_sum, aligner, drain, sequence)
            m.d.comb += [
                block_sum.update.eq((take & sequence.blocks) | sequence.end),
                block_sum.exponent.eq(scales.exponent),
                aligner.place.eq(Mux(sequence.inject, block_sum.place, place)),
            ]
            self._connect_weight(m, block_sum, drain, sequence, mode)
        return m

    def _connect_drain(self, m, accumulator, drain, sequence):
        """What of the accumulator is looked at when."""
        if self._config.technology == "fpga":
            m.d.comb += [
                drain.clear.eq(sequence.clear),
                drain.reading.eq(sequence.reading),
                drain.index.eq(sequence.index),
                drain.value.eq(accumulator.value),
            ]
            return
        m.d.comb += [
            accumulator.shift_up.eq(sequence.shift_up),
            sequence.top.eq(accumulator.value[-len(sequence.top) :]),
            drain.start.eq(sequence.start),
            drain.fine.eq(sequence.fine),
            drain.shift.eq(sequence.shift),
            drain.value.eq(self._isolated(accumulator.value, sequence.start)),
            drain.segments_up.eq(sequence.segments_up),
        ]

    def _needs(self, mode, decoder):
        """Whether a mode needs an operand decoder."""
        return reduce(or_, (mode == MODES[name].code for name in self._config.modes if decoder_of(name) == decoder))

    def _isolated(self, value, needed):
        """Zeros while a value is not needed, so that nothing toggles behind it; on FPGAs there is little to gain."""
        return value if self._config.technology == "fpga" else value & needed.replicate(len(value))

    def _end(self, take, scales, sequence):
        """The last beat of a dot product or block. In single formats nothing depends on `scales`, which may be off."""
        last = take & self.op.payload.last
        return scales.end | (last & ~sequence.blocks) if scales else last

    def _connect_scales(self, m, scales, sequence, take, mode):
        payload = self.op.payload
        pair = self._isolated(payload.data[-2 * SCALE_BITS :], sequence.blocks)
        m.d.comb += [
            scales.beat.eq(take & sequence.blocks),
            scales.last.eq(payload.last & sequence.blocks),
            scales.select.eq(Cat(mode == MODES[name].code for name in self._config.block_modes)),
            scales.scale_a.eq(pair[:SCALE_BITS]),
            scales.scale_b.eq(pair[SCALE_BITS:]),
            sequence.offered.eq(self.op.valid),
            sequence.last.eq(payload.last),
            sequence.blocks.eq(scales.select.any()),
        ]

    def _connect_weight(self, m, block_sum, drain, sequence, mode):
        """What the accumulator's topmost bit weighs."""
        single = Signal.like(drain.top_exponent)  # in single formats, in which the sum of blocks gives 0
        m.d.comb += drain.top_exponent.eq(block_sum.top_exponent | single)
        with m.Switch(mode):
            for name in self._config.modes:
                with m.Case(MODES[name].code):
                    weight = block_sum.leading if name in self._config.block_modes else single
                    m.d.comb += weight.eq(self._config.leading_exponent(name))
        with m.If(sequence.recall):
            m.d.comb += block_sum.leading.eq(-RECALL_PLACE)

    def _connect_sum(self, m, block_sum, aligner, drain, sequence):
        m.d.comb += [
            aligner.running.eq(block_sum.value),
            block_sum.clear.eq(sequence.clear),
            block_sum.recall.eq(sequence.recall),
            block_sum.inject.eq(sequence.inject),
            block_sum.term.eq(self._isolated(aligner.term, sequence.blocks)),
            block_sum.segment.eq(self._isolated(aligner.segment, sequence.blocks)),
            block_sum.drop.eq(sequence.drop),
            block_sum.store.eq(sequence.store),
            block_sum.code.eq(drain.code),
            block_sum.overflow.eq(drain.overflow),
            block_sum.underflow.eq(drain.underflow),
            block_sum.segments_up.eq(sequence.segments_up),
            block_sum.minus_zero.eq(sequence.converting & drain.is_float),
            drain.lost.eq(block_sum.lost),
        ]
