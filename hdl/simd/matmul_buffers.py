"""The operand buffers of `simd.matmul`: one block RAM, or a few, for each row of A and each column of B at work."""

from __future__ import annotations

from amaranth.hdl import Cat, Module, Mux, Signal, unsigned
from amaranth.lib import memory, wiring
from amaranth.lib.wiring import In, Out

from hdl.common.arithmetic import wire
from hdl.simd.config import MatmulConfig
from hdl.simd.matmul_chunks import HALF_BITS, log2
from hdl.simd.modes import OPERAND_BITS


class Buffers(wiring.Component):
    """Memory words in, operand beats out.

    Latency: `config.buffer_cycles`, from address to operands. What is written is there for the next cycle's address.

    Members
    -------
    write_a, write_b : one bit for each row and each column: write `data` at `address`
    address_a, address_b : what to read, the same for all rows, and for all columns
    place : which half operand word of it; its lowest bit counts only with `half`
    half : beats of 16 bits; the upper half of the operands has no meaning then
    a, b : an operand beat for each row, and for each column
    """

    def __init__(self, config: MatmulConfig):
        self._config = config
        address = range(2 * config.chunk_words)
        super().__init__(
            {
                "write_a": In(config.rows),
                "write_b": In(config.columns),
                "address": In(address),
                "data": In(config.bus_bits),
                "address_a": In(address),
                "address_b": In(address),
                "place": In(log2(config.bus_bits // HALF_BITS)),
                "half": In(1),
                "a": Out(config.rows * OPERAND_BITS),
                "b": Out(config.columns * OPERAND_BITS),
            }
        )

    def elaborate(self, platform):
        m = Module()
        config = self._config
        place = Signal.like(self.place, reset_less=True, name="place_read")
        m.d.sync += place.eq(self.place)
        upper = wire(m, place[0] & self.half, "upper")
        for name, writes, address, operands in (
            ("a", self.write_a, self.address_a, self.a),
            ("b", self.write_b, self.address_b, self.b),
        ):
            for index, write in enumerate(writes):
                words = memory.Memory(shape=unsigned(config.bus_bits), depth=2 * config.chunk_words, init=[])
                m.submodules[f"{name}_{index}"] = words
                write_port, read_port = words.write_port(), words.read_port()
                operand = Signal(OPERAND_BITS, name=f"operand_{name}{index}", reset_less=True)
                word = wire(m, read_port.data.word_select(place[1:], OPERAND_BITS), f"word_{name}{index}")
                m.d.comb += [
                    write_port.en.eq(write),
                    write_port.addr.eq(self.address),
                    write_port.data.eq(self.data),
                    read_port.addr.eq(address),
                    operands.word_select(index, OPERAND_BITS).eq(operand),
                ]
                if "p16_1" in config.modes:
                    word = Cat(Mux(upper, word[HALF_BITS:], word[:HALF_BITS]), word[HALF_BITS:])
                m.d.sync += operand.eq(word)
        return m
