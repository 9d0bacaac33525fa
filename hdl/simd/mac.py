"""`simd.mac` whole: the core behind streams of its own for jobs and operands, with registers and an interrupt."""

from __future__ import annotations

from functools import reduce
from operator import or_

from amaranth.hdl import Cat, Const, Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from hdl.common.axi import AXI4LiteSignature, packet_stream
from hdl.common.csr_bank import CSRBank
from hdl.common.csr_wiring import count_events, interrupt
from hdl.common.stream import RegisterSlice
from hdl.simd.config import MacConfig
from hdl.simd.mac_blocks import SCALE_BITS
from hdl.simd.mac_core import RESULT_BITS, MacCore
from hdl.simd.modes import JOB_BITS, JOB_MODE, JOB_OUTPUT, MODES, OPERAND_BITS, OUTPUT_FORMATS, STATUS, STATUS_BAD_JOB
from hdl.simd.operand_pair import OperandPair


def build(config: MacConfig) -> wiring.Component:
    """The gateware of a config."""
    return MacCore(config) if config.core_only else Mac(config)


class Mac(wiring.Component):
    """A beat of `job` for each dot product, then its operands as packets on `a` and `b`, beat by beat.

    Latency: `config.latency_cycles`, from the cycle that takes the last beat (the later of the two operands') to the
    first that offers the result, without stalls.

    Throughput: as `hdl.simd.mac_core.MacCore`.

    If one operand's packet ends first, it continues with zeros until the other's ends, and `status.length_mismatch` is
    set. A job that names a format that is not built takes its operands and gives the result 0 with the status
    `STATUS_BAD_JOB` and nothing else. Neither disturbs what follows.

    Members
    -------
    job : In(stream.Signature(16)): see `hdl.simd.modes`
    a, b : In(packet_stream(32))
    scale : In(stream.Signature(16)), with block formats: Cat(scale_a, scale_b), a beat for each block
    y : Out(stream.Signature(40)): Cat(code, 32 bits; status, 8 bits)
    csr : In(AXI4LiteSignature(config.registers.address_bits))
        Registers of `mac.rdl`. A status bit is set no later than the result that it speaks of is offered.
    irq : Out(1)
        High while an enabled status bit is set.
    """

    def __init__(self, config: MacConfig):
        self._config = config
        scale = {"scale": In(stream.Signature(2 * SCALE_BITS))} if config.block_modes else {}
        super().__init__(
            {
                "job": In(stream.Signature(JOB_BITS)),
                "a": In(packet_stream(OPERAND_BITS)),
                "b": In(packet_stream(OPERAND_BITS)),
                **scale,
                "y": Out(stream.Signature(RESULT_BITS)),
                "csr": In(AXI4LiteSignature(config.registers.address_bits)),
                "irq": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.core = core = MacCore(self._config)
        m.submodules.pair = pair = OperandPair(OPERAND_BITS)
        m.submodules.slice = out = RegisterSlice(RESULT_BITS)
        connect(m, flipped(self.a), pair.a)
        connect(m, flipped(self.b), pair.b)
        connect(m, out.o, flipped(self.y))

        # The job waits in its register until the last beat has left; it is known to be good before the first does.
        job, waits = Signal(JOB_BITS, reset_less=True), Signal()
        bad = Signal()
        operands = Cat(pair.a_data, pair.b_data) & (~pair.padding).replicate(2 * OPERAND_BITS)
        scales, complete = self._scales(m, job, pair) if self._config.block_modes else (Cat(), waits)
        m.d.comb += [
            self.job.ready.eq(~waits),
            pair.advance.eq(waits & complete & core.op.ready),
            core.op.valid.eq(waits & complete & pair.offer),
            core.op.payload.last.eq(pair.last),
            core.op.payload.data.eq(Cat(operands, job, scales)),
        ]
        with m.If(self.job.valid & self.job.ready):
            m.d.sync += [job.eq(self.job.payload), waits.eq(1), bad.eq(~self._is_built(self.job.payload))]
        with m.If(pair.take & pair.last):
            m.d.sync += waits.eq(0)

        # The core has one dot product at a time, so its result is that of the last job whose operands went in.
        refused, inside = Signal(), Signal()
        with m.If(pair.take):
            m.d.sync += [refused.eq(bad), inside.eq(1)]
        code_bits = RESULT_BITS - 8
        refusal = Cat(Const(0, code_bits), Const(STATUS_BAD_JOB, 8))
        m.d.comb += [
            out.i.payload.eq(Mux(refused, refusal, core.y.payload)),
            out.i.valid.eq(core.y.valid),
            core.y.ready.eq(out.i.ready),
        ]
        taken = Signal()
        m.d.comb += taken.eq(core.y.valid & core.y.ready)
        with m.If(taken):
            m.d.sync += inside.eq(0)

        busy = Signal()
        m.d.comb += busy.eq(pair.open | inside | self.y.valid)
        self._control(m, pair, busy, taken, out.i.payload[code_bits:], refused)
        return m

    def _scales(self, m, job, pair):
        """The scales of the block at work, and whether they are there or none are needed."""
        m.submodules.scale_slice = scale = RegisterSlice(2 * SCALE_BITS)
        connect(m, flipped(self.scale), scale.i)
        lengths = {name: MODES[name].beats_per_block for name in self._config.block_modes}
        position, last = (Signal(range(max(lengths.values())), name=name) for name in ("position", "last_beat"))
        in_blocks = Signal()
        with m.Switch(job[JOB_MODE]):
            for name, beats in lengths.items():
                with m.Case(MODES[name].code):
                    m.d.comb += [in_blocks.eq(1), last.eq(beats - 1)]
        ends = Signal()
        m.d.comb += [ends.eq(pair.last | (position == last)), scale.o.ready.eq(in_blocks & pair.take & ends)]
        with m.If(pair.take):
            m.d.sync += position.eq(Mux(ends, 0, position + 1))
        return scale.o.payload, scale.o.valid | ~in_blocks

    def _is_built(self, job):
        modes = [job[JOB_MODE] == MODES[name].code for name in self._config.modes]
        outputs = [job[JOB_OUTPUT] == OUTPUT_FORMATS.index(name) for name in self._config.outputs]
        return reduce(or_, modes) & reduce(or_, outputs)

    def _control(self, m, pair, busy, taken, status, refused):
        """Registers, counters and interrupt."""
        m.submodules.bank = bank = CSRBank(self._config.registers)
        connect(m, flipped(self.csr), bank.bus)
        given = Signal()
        m.d.sync += given.eq(self.y.valid & self.y.ready)
        for place, name in enumerate(STATUS):
            m.d.comb += getattr(bank.status, name).set.eq(taken & status[place])
        m.d.comb += [
            bank.status.bad_job.set.eq(taken & refused),
            bank.status.length_mismatch.set.eq(pair.mismatch),
            bank.status.busy.next.eq(busy),
        ]
        events = ((bank.results, given), (bank.beats, pair.take), (bank.cycles, busy))
        count_events(m, bank.control.clear_counters.value, events)
        m.d.comb += self.irq.eq(interrupt(bank))
