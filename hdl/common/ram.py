"""Block RAM that is never read and written at one address in the same cycle."""

from __future__ import annotations

from amaranth.hdl import Cat, Const, Module, unsigned
from amaranth.lib import memory, wiring
from amaranth.lib.wiring import In, Out


def block_ram(bits: int, depth: int) -> memory.Memory:
    """A memory in block RAM. What a read gives of an address that is written in the same cycle is any: tools need not
    build the bypass that they otherwise would."""
    return memory.Memory(shape=unsigned(bits), depth=depth, init=[], attrs={"ram_style": "block", "no_rw_check": 1})


class Ram(wiring.Component):
    """One write and one read port; read data comes a cycle after its address.

    Parameters
    ----------
    bits, depth : of the memory
    parts : of a word, each with an enable of its own
    """

    def __init__(self, bits: int, depth: int, parts: int = 1):
        self._bits, self._depth, self._parts = bits, depth, parts
        super().__init__(
            {
                "write": In(parts),
                "write_address": In(range(depth)),
                "write_data": In(bits),
                "read_address": In(range(depth)),
                "read_data": Out(bits),
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.words = words = block_ram(self._bits, self._depth)
        write = words.write_port(granularity=self._bits // self._parts)
        read = words.read_port()
        m.d.comb += [
            write.en.eq(self.write),
            write.addr.eq(self.write_address),
            write.data.eq(self.write_data),
            read.addr.eq(self.read_address),
            self.read_data.eq(read.data),
        ]
        return m


class ByteRam(wiring.Component):
    """Written by words of a few bytes, read byte by byte: the block RAM's ports differ in width.

    Parameters
    ----------
    depth : bytes
    word_bytes : of a write; a power of two
    """

    def __init__(self, depth: int, word_bytes: int):
        self._depth, self._word_bytes = depth, word_bytes
        super().__init__(
            {
                "write": In(1),
                "write_address": In(range(depth // word_bytes)),
                "write_data": In(8 * word_bytes),
                "read_address": In(range(depth)),
                "read_data": Out(8),
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.words = words = block_ram(8, self._depth)
        low = (self._word_bytes - 1).bit_length()
        for byte in range(self._word_bytes):  # ports that tools make one
            write = words.write_port()
            m.d.comb += [
                write.en.eq(self.write),
                write.addr.eq(Cat(Const(byte, low), self.write_address)),
                write.data.eq(self.write_data.word_select(byte, 8)),
            ]
        read = words.read_port()
        m.d.comb += [read.addr.eq(self.read_address), self.read_data.eq(read.data)]
        return m
