"""What the memory answers goes to its place: operand buffers, biases; complete steps are announced."""

from __future__ import annotations

from amaranth.hdl import Cat, Const, Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from hdl.common.arithmetic import wire
from hdl.simd.config import MatmulConfig
from hdl.simd.matmul_chunks import BIAS_SLOTS, STEP, Chunks, Kind, bias_panels, bias_words, fill_layout, log2
from hdl.simd.matmul_job import LAST_BIT_BITS

NIBBLE_BITS = 4


class Filler(wiring.Component):
    """Writes memory words where commands say, in their order; beyond the last element of a row it writes zeros, which
    are the number 0 in every format.

    Latency: a step is offered 2 cycles after its last word. Throughput: a word a cycle.

    Members
    -------
    last_bit, go : of `Job`
    fill : the commands
    words : from the memory
    write_a, write_b : one bit for each row's and each column's buffer, to write `data` at `address`
    bias_write, bias_address, bias_data : the same of the biases
    steps : what can begin; it must always be taken
    """

    def __init__(self, config: MatmulConfig):
        self._config = config
        self._bias_bits = config.bus_bits // bias_panels(config)
        super().__init__(
            {
                "last_bit": In(LAST_BIT_BITS),
                "go": In(1),
                "fill": In(stream.Signature(fill_layout())),
                "words": In(stream.Signature(config.bus_bits)),
                "write_a": Out(config.rows),
                "write_b": Out(config.columns),
                "address": Out(range(2 * config.chunk_words)),
                "data": Out(config.bus_bits),
                "bias_write": Out(1),
                "bias_address": Out(range(BIAS_SLOTS * bias_words(config))),
                "bias_data": Out(self._bias_bits),
                "steps": Out(stream.Signature(STEP)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        config, fill = self._config, self.fill.payload
        chunks = Chunks(config, self.last_bit)
        count = Signal(range(max(2, config.chunk_words, bias_words(config))))
        word = wire(m, self.words.valid & self.fill.valid, "word")
        final = wire(m, count == chunks.words(fill.kind, fill.short, fill.index), "final")
        m.d.comb += [self.words.ready.eq(self.fill.valid), self.fill.ready.eq(self.words.valid & final)]
        with m.If(word):
            m.d.sync += count.eq(Mux(final, 0, count + 1))

        # Parts of the buffers are used in turns.
        slots = []
        for name, kind in (("a", Kind.A), ("b", Kind.B)):
            slot = Signal(range(2 * config.chunk_words), name=f"slot_{name}")
            with m.If(self.go):
                m.d.sync += slot.eq(0)
            with m.Elif(word & final & fill.ends_operand & (fill.kind == kind)):
                m.d.sync += slot.eq(slot + chunks.slot_words)
            slots.append(slot)
        cut = wire(m, fill.short & final & (fill.kind != Kind.BIAS), "cut")
        last_nibble = self.last_bit[log2(NIBBLE_BITS) : log2(config.bus_bits)]
        nibbles = range(1, config.bus_bits // NIBBLE_BITS)
        beyond = Cat((cut & (last_nibble < nibble)).replicate(NIBBLE_BITS) for nibble in nibbles)
        m.d.sync += [
            self.data.eq(self.words.payload & ~Cat(Const(0, NIBBLE_BITS), beyond)),
            self.address.eq(Mux(fill.kind == Kind.A, slots[0], slots[1]) | count),
        ]
        for kind, port in ((Kind.A, self.write_a), (Kind.B, self.write_b)):
            m.d.sync += port.eq((1 << fill.index) & (word & (fill.kind == kind)).replicate(len(port)))

        bias_slot = Signal(range(BIAS_SLOTS))
        is_bias = wire(m, word & (fill.kind == Kind.BIAS), "is_bias")
        with m.If(self.go):
            m.d.sync += bias_slot.eq(0)
        with m.Elif(is_bias & final):
            m.d.sync += bias_slot.eq(bias_slot + 1)
        m.d.sync += [
            self.bias_write.eq(is_bias),
            self.bias_address.eq(Cat(count[: log2(bias_words(config))], bias_slot)),
            self.bias_data.eq(self.words.payload.word_select(fill.index, self._bias_bits))
            if bias_panels(config) > 1
            else self.bias_data.eq(self.words.payload),
            self.steps.valid.eq(word & final & fill.ends_step),
            self.steps.payload.eq(fill.step),
        ]
        return m
