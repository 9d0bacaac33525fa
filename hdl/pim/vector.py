"""The vector unit beside the memory."""

from __future__ import annotations

from amaranth.hdl import Cat, Const, Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.data import StructLayout
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out, connect, flipped

from hdl.common.arithmetic import register, wire
from hdl.common.axi import AXI4LiteSignature, packet, packet_stream
from hdl.common.csr_bank import CSRBank
from hdl.common.csr_wiring import count_events, interrupt
from hdl.common.float32 import FLOAT32_BITS, from_bfloat16, to_bfloat16
from hdl.common.repeated import Pattern
from hdl.common.stream import Fifo, RegisterSlice
from hdl.pim.vector_arithmetic import VectorArithmetic, flushed
from hdl.pim.vector_config import INSTRUCTION_BITS, Illegal, VectorConfig, VectorOp
from hdl.pim.vector_sequence import VectorSequence

OUTPUT_BEATS = 16
SOURCES, SINKS = ("result", "read"), ("load", "write")
MINUS_INFINITY = 0xFF800000


class Vector(wiring.Component):
    """Instructions on vectors in an SRAM of fp32 words; see the family's README.

    Parameters
    ----------
    config : VectorConfig
    linked : bool
        Whether it stands beside a channel: LOADs and STOREs with the flag `LINK` then move beats of the channel's
        streams, of the bank lane with `BANK`, else of the register lane.

    Members
    -------
    program : In(stream.Signature(64))
        Instructions.
    data : In(stream.Signature(config.beat_bits))
        What LOAD and LOAD32 take.
    q : Out(packet_stream(config.beat_bits))
        What STORE and STORE32 give.
    result, read : In(packet_stream(config.beat_bits)), load, write : Out(packet_stream(config.beat_bits)), linked alone
        The same from and to the channel.
    busy : Out(1), linked alone
        An instruction is at work or waits, or a beat of a store does.
    csr : In(AXI4LiteSignature(config.registers.address_bits))
        Registers of `vector.rdl`.
    irq : Out(1)
        High while an enabled status bit is set.
    """

    def __init__(self, config: VectorConfig, *, linked: bool = False):
        self._config, self._linked = config, linked
        links = {name: In(packet_stream(config.beat_bits)) for name in SOURCES}
        links |= {name: Out(packet_stream(config.beat_bits)) for name in SINKS}
        super().__init__(
            {
                "program": In(stream.Signature(INSTRUCTION_BITS)),
                "data": In(stream.Signature(config.beat_bits)),
                "q": Out(packet_stream(config.beat_bits)),
                "csr": In(AXI4LiteSignature(config.registers.address_bits)),
                "irq": Out(1),
                **(links | {"busy": Out(1)} if linked else {}),
            }
        )

    def elaborate(self, platform):
        m = Module()
        config = self._config
        m.submodules.program_slice = program = RegisterSlice(INSTRUCTION_BITS)
        kept = {"data": config.beat_bits, "last": 1} | ({"link": 2} if self._linked else {})
        m.submodules.queue = queue = Fifo(StructLayout(kept), OUTPUT_BEATS + 1)
        m.submodules.sequence = sequence = VectorSequence(config)
        connect(m, flipped(self.program), program.i)
        connect(m, program.o, sequence.instruction)

        # Room is taken by a step and given back when its beat has left.
        room = Signal(range(OUTPUT_BEATS + 1), init=OUTPUT_BEATS)
        leaves = queue.o.valid & queue.o.ready
        m.d.sync += room.eq(room - (sequence.step & sequence.stores) + leaves)
        m.d.comb += sequence.room.eq(room != 0)

        beat = register(m, self._take(m, sequence), "beat")
        given = self._arithmetic(m, sequence, beat)
        self._store(m, sequence, given, queue.i)
        self._give(m, queue.o)
        self._control(m, sequence, room)
        return m

    def _take(self, m, sequence):
        """The beat that a LOAD takes, of the stream that it names."""
        m.submodules.data_slice = data = RegisterSlice(self._config.beat_bits)
        connect(m, flipped(self.data), data.i)
        if not self._linked:
            m.d.comb += [sequence.beat_valid.eq(data.o.valid), data.o.ready.eq(sequence.beat_ready)]
            return data.o.payload
        names = [(data.o.valid, data.o.payload, data.o.ready)]
        for name in SOURCES:
            port = getattr(self, name)
            m.submodules[f"{name}_slice"] = slice_ = RegisterSlice(packet(self._config.beat_bits))
            connect(m, flipped(port), slice_.i)
            names.append((slice_.o.valid, slice_.o.payload.data, slice_.o.ready))
        chosen = wire(m, Mux(sequence.link[0], Mux(sequence.link[1], 4, 2), 1), "source")
        beat = Signal(self._config.beat_bits, name="source_beat")
        for place, (valid, payload, ready) in enumerate(names):
            m.d.comb += ready.eq(sequence.beat_ready & chosen[place])
            with m.If(chosen[place]):
                m.d.comb += [sequence.beat_valid.eq(valid), beat.eq(payload)]
        return beat

    def _give(self, m, out):
        """Beats of STOREs, each to the stream that its instruction names."""
        if not self._linked:
            connect(m, out, flipped(self.q))
            return
        linked, bank = out.payload.link
        wanted = {"q": ~linked, "load": linked & ~bank, "write": linked & bank}
        for name, here in wanted.items():
            port = getattr(self, name)
            m.d.comb += [
                port.valid.eq(out.valid & here),
                port.payload.data.eq(out.payload.data),
                port.payload.last.eq(out.payload.last),
            ]
        m.d.comb += out.ready.eq(Cat(getattr(self, name).ready & here for name, here in wanted.items()).any())

    def _arithmetic(self, m, sequence, beat):
        """Words from the SRAM or the stream, through the lanes; results go back. Returns the results."""
        lanes = self._config.lanes
        memories = []
        for lane in range(lanes):
            m.submodules[f"words_{lane}"] = memory = Memory(shape=FLOAT32_BITS, depth=self._config.rows, init=[])
            memories.append((memory.write_port(), memory.read_port(), memory.read_port()))
        for _, read_a, read_b in memories:
            m.d.comb += [read_a.addr.eq(sequence.row_a), read_a.en.eq(sequence.read_a)]
            m.d.comb += [read_b.addr.eq(sequence.row_b), read_b.en.eq(sequence.read_b)]
        words_a = wire(m, Cat(read.data for _, read, _ in memories), "words_a")
        words_b = wire(m, Cat(read.data for _, _, read in memories), "words_b")
        scalar_a = wire(m, words_a.word_select(sequence.a_lane, FLOAT32_BITS), "scalar_a")
        scalar_b = wire(m, words_b.word_select(sequence.b_lane, FLOAT32_BITS), "scalar_b")
        neutral = Mux(sequence.op == VectorOp.SUM, 0, MINUS_INFINITY)
        low = Signal(self._config.beat_bits, name="low_halves", reset_less=True)
        with m.If(sequence.load & ~sequence.load_half):
            m.d.sync += low.eq(beat)

        pattern = Pattern(VectorArithmetic)
        units = [pattern.another() for _ in range(lanes)]
        results = [unit.result for unit in units] + [Const(0, FLOAT32_BITS)] * lanes
        for lane, unit in enumerate(units):
            m.submodules[f"lane_{lane}"] = unit
            part = beat.word_select(lane, 16)
            narrow = from_bfloat16(m, part, f"narrow_{lane}")
            loaded = Mux(sequence.wide, Cat(low.word_select(lane, 16), part), narrow)
            word = Mux(sequence.a_scalar, scalar_a, words_a.word_select(lane, FLOAT32_BITS))
            outside = sequence.reduces & sequence.load_final & ~sequence.mask[lane]
            a, b = (Signal(FLOAT32_BITS, name=f"{name}_{lane}", reset_less=True) for name in "ab")
            with m.If(sequence.load_tree):
                m.d.sync += [a.eq(results[2 * lane]), b.eq(results[2 * lane + 1])]
            with m.Else():
                m.d.sync += a.eq(Mux(sequence.loads, loaded, Mux(outside, neutral, word)))
                total = Mux(sequence.load_first, neutral, unit.result)
                other = Mux(sequence.b_scalar, scalar_b, words_b.word_select(lane, FLOAT32_BITS))
                m.d.sync += b.eq(Mux(sequence.reduces, total, other))
            m.d.comb += [unit.op.eq(sequence.op), unit.a.eq(a), unit.b.eq(b)]

        row = register(m, sequence.row_d, "row_d")
        given = []
        for lane, (write, _, _) in enumerate(memories):
            value = Mux(sequence.reduces, units[0].result, units[lane].result)
            here = Mux(sequence.reduces, sequence.d_lane == lane, ~sequence.result_final | sequence.mask[lane])
            enable = Signal(name=f"write_{lane}")
            m.d.sync += enable.eq(sequence.result_writes & here)
            given.append(register(m, value, f"result_{lane}"))
            m.d.comb += [write.addr.eq(row), write.en.eq(enable), write.data.eq(given[-1])]
        return given

    def _store(self, m, sequence, given, out):
        """Results of a STORE as beats; what is outside of the vector is zero."""
        high, wide = register(m, sequence.result_half, "high"), register(m, sequence.wide, "halves")
        keep = sequence.mask | ~sequence.result_final.replicate(len(sequence.mask))
        kept = register(m, keep, "kept")
        ends = register(m, sequence.ends_packet & sequence.result_last, "ends")
        beat = []
        for lane, word in enumerate(given):
            narrow = to_bfloat16(m, flushed(m, word, f"stored_{lane}"), f"rounded_{lane}")
            part = Mux(wide, word.word_select(high, 16), narrow)
            beat.append(part & kept[lane].replicate(16))
        m.d.sync += out.valid.eq(sequence.result & sequence.stores)
        m.d.comb += [out.payload.data.eq(Cat(beat)), out.payload.last.eq(ends)]
        if self._linked:
            m.d.comb += out.payload.link.eq(register(m, sequence.link, "link"))

    def _control(self, m, sequence, room):
        """Registers, counters and interrupt."""
        m.submodules.bank = bank = CSRBank(self._config.registers)
        connect(m, flipped(self.csr), bank.bus)
        reasons = [getattr(bank.status, reason.name.lower()) for reason in Illegal]
        m.d.comb += [reason.set.eq(sequence.illegal[place]) for place, reason in enumerate(reasons)]
        busy = wire(m, sequence.busy | (room != OUTPUT_BEATS), "works")
        m.d.comb += [bank.status.ended.set.eq(sequence.ended), bank.status.busy.next.eq(busy)]
        if self._linked:
            m.d.comb += self.busy.eq(busy)
        skipped = Signal(32)
        with m.If(sequence.illegal.any() & ~Cat(reason.value for reason in reasons).any()):
            m.d.sync += skipped.eq(bank.instructions.count.next)
        m.d.comb += bank.skipped.index.next.eq(skipped)
        events = ((bank.instructions, sequence.checked), (bank.cycles, sequence.busy))
        count_events(m, bank.control.clear_counters.value, events)
        m.d.comb += self.irq.eq(interrupt(bank))
