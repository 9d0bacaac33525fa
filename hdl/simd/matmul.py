"""Matrix products from memory to memory, every element exact until it is rounded once."""

from __future__ import annotations

from amaranth.hdl import Cat, Const, Module, Signal
from amaranth.lib import fifo, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from hdl.common.arithmetic import delayed
from hdl.common.axi import AXI4LiteSignature, AXI4Signature, Response
from hdl.common.bursts import Bursts
from hdl.common.csr_bank import CSRBank
from hdl.common.stream import Fifo
from hdl.simd.config import MatmulConfig
from hdl.simd.matmul_array import Array
from hdl.simd.matmul_bias import Biases
from hdl.simd.matmul_buffers import Buffers
from hdl.simd.matmul_chunks import MOST_SLOTS, STEP, fill_layout, log2, read_layout
from hdl.simd.matmul_drain import PipelinedDrain, result_layout
from hdl.simd.matmul_filler import Filler
from hdl.simd.matmul_job import REGISTERS, Job
from hdl.simd.matmul_loader import Loader
from hdl.simd.matmul_sequencer import Sequencer
from hdl.simd.matmul_writer import Writer
from hdl.simd.modes import STATUS

OUTSTANDING_COMMANDS = 16
"""Rows that are asked for before the first of them has come."""


def build(config: MatmulConfig) -> wiring.Component:
    """The gateware of a config."""
    return Matmul(config)


class Matmul(wiring.Component):
    """C = A * B, a job at a time: A, B and a bias are read from memory, C is written there.

    Numerics, layout in memory, registers and throughput: `hdl/simd/README.md`.

    Latency: `config.latency_cycles`, from the array's taking the last beat of a tile to its first code.

    Members
    -------
    csr : In(AXI4LiteSignature(config.registers.address_bits))
        Registers of `matmul.rdl`.
    mem : Out(AXI4Signature(32, config.bus_bits))
        The memory: bursts of kind INCR, one ID, answers in order; several bursts before the first answer.
    irq : Out(1)
        High while an enabled status bit is set.
    """

    def __init__(self, config: MatmulConfig):
        self._config = config
        super().__init__(
            {
                "csr": In(AXI4LiteSignature(config.registers.address_bits)),
                "mem": Out(AXI4Signature(config.address_bits, config.bus_bits)),
                "irq": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        config = self._config
        m.submodules.job = job = Job(config)
        m.submodules.loader = loader = Loader(config)
        m.submodules.filler = filler = Filler(config)
        m.submodules.sequencer = sequencer = Sequencer(config)
        m.submodules.buffers = buffers = Buffers(config)
        m.submodules.array = array = Array(config)
        m.submodules.biases = biases = Biases(config)
        m.submodules.drain = drain = PipelinedDrain(config)
        m.submodules.writer = writer = Writer(config)
        m.submodules.bursts = bursts = Bursts(read_layout(config), config.bus_bytes)
        m.submodules.fills = fills = Fifo(fill_layout(), OUTSTANDING_COMMANDS + 1)
        m.submodules.steps = steps = fifo.SyncFIFO(width=STEP.size, depth=MOST_SLOTS)
        m.submodules.results = results = Fifo(result_layout(config), config.result_depth)
        now = job.job

        for module in (loader, writer):
            connect(m, job.job, module.job)
        m.d.comb += [module.go.eq(job.go) for module in (loader, filler, sequencer, biases, writer)]
        m.d.comb += [module.last_bit.eq(now.last_bit) for module in (filler, sequencer)]
        m.d.comb += [module.half.eq(now.half) for module in (sequencer, buffers)]

        # Memory to buffers.
        connect(m, loader.read, bursts.i)
        connect(m, loader.fill, fills.i)
        connect(m, fills.o, filler.fill)
        for name in ("write_a", "write_b", "address", "data"):
            m.d.comb += getattr(buffers, name).eq(getattr(filler, name))
        for name in ("write", "address", "data"):
            m.d.comb += getattr(biases, name).eq(getattr(filler, f"bias_{name}"))

        # Buffers to array.
        m.d.comb += [
            steps.w_data.eq(filler.steps.payload),
            steps.w_en.eq(filler.steps.valid),
            filler.steps.ready.eq(1),
            sequencer.steps.payload.eq(steps.r_data),
            sequencer.steps.valid.eq(steps.r_rdy),
            steps.r_en.eq(sequencer.steps.ready),
            loader.step.eq(steps.r_data),
            loader.step_done.eq(sequencer.step_done),
            loader.tile_done.eq(biases.tile_done),
        ]
        for name in ("address_a", "address_b", "place"):
            m.d.comb += getattr(buffers, name).eq(getattr(sequencer, name))
        for name in ("take", "first", "last"):
            value = delayed(m, getattr(sequencer, name), config.buffer_cycles, f"{name}_of_buffers")
            m.d.comb += getattr(array, name).eq(value)
        m.d.comb += [array.mode.eq(now.mode), array.a.eq(buffers.a), array.b.eq(buffers.b)]

        # Array to results.
        segment = log2(config.segment_bits)
        m.d.comb += [
            biases.enable.eq(now.has_bias),
            biases.shift.eq(now.bias_shift[:segment]),
            biases.start.eq(array.leaving),
            drain.bias_segment.eq(now.bias_shift[segment:]),
            drain.valid.eq(biases.valid),
            drain.sum.eq(array.result),
            drain.bias.eq(biases.bias),
            results.i.payload.eq(drain.result),
            results.i.valid.eq(drain.done),
            sequencer.result_taken.eq(results.o.valid & results.o.ready),
        ]
        for name in ("mode", "output", "infinity", "relu", "scale_exponent"):
            m.d.comb += getattr(drain, name).eq(getattr(now, name))
        connect(m, results.o, writer.results)

        error = self._memory(m, bursts, filler, writer)
        self._control(m, job, writer, sequencer.take, error)
        return m

    def _memory(self, m, bursts, filler, writer):
        """The memory port; returns whether an answer is an error."""
        mem, low = self.mem, log2(self._config.bus_bytes)
        for channel, source in (("ar", bursts.o), ("aw", writer.bursts)):
            fields = {
                "addr": Cat(Const(0, low), source.payload.address),
                "len": source.payload.beats,
                "size": low,
                "burst": 1,  # INCR
                "cache": 3,  # any memory: modifiable, bufferable
                "valid": source.valid,
            }
            m.d.comb += [getattr(mem, channel + name).eq(value) for name, value in fields.items()]
            m.d.comb += source.ready.eq(getattr(mem, f"{channel}ready"))
        m.d.comb += [
            filler.words.payload.eq(mem.rdata),
            filler.words.valid.eq(mem.rvalid),
            mem.rready.eq(filler.words.ready),
            mem.wdata.eq(writer.words.payload.data.data),
            mem.wstrb.eq(writer.words.payload.data.strobes),
            mem.wlast.eq(writer.words.payload.last),
            mem.wvalid.eq(writer.words.valid),
            writer.words.ready.eq(mem.wready),
            mem.bready.eq(1),
            writer.answered.eq(mem.bvalid),
        ]
        error = Signal()
        m.d.sync += error.eq(
            (mem.rvalid & mem.rready & (mem.rresp != Response.OKAY)) | (mem.bvalid & (mem.bresp != Response.OKAY))
        )
        return error

    def _control(self, m, job, writer, beat, error):
        """Registers, counters and interrupt."""
        m.submodules.bank = bank = CSRBank(self._config.registers)
        connect(m, flipped(self.csr), bank.bus)
        for name, (register, field, _) in REGISTERS.items():
            m.d.comb += getattr(job.registers, name).eq(getattr(getattr(bank, register), field).value)
        events = dict(zip(STATUS, writer.status, strict=True))
        events |= {"done": job.done, "bus_error": error, "bad_job": job.bad}
        m.d.comb += [getattr(bank.status, name).set.eq(event) for name, event in events.items()]
        m.d.comb += [
            job.start.eq(bank.control.start.value),
            job.ended.eq(writer.done),
            bank.status.busy.next.eq(job.busy),
        ]
        counted = ((bank.cycles, job.running), (bank.beats, beat), (bank.jobs, job.ended & job.running))
        for register, event in counted:
            count = Signal.like(register.count.next)
            m.d.comb += register.count.next.eq(count)
            with m.If(bank.control.clear_counters.value):
                m.d.sync += count.eq(0)
            with m.Elif(event):
                m.d.sync += count.eq(count + 1)
        enabled = [getattr(bank.status, name).value & getattr(bank.irq_enable, name).value for name in events]
        m.d.comb += self.irq.eq(Cat(enabled).any())
