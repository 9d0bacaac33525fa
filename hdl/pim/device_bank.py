"""One bank of the behavioural device: its memory, with SECDED and scrubbing."""

from __future__ import annotations

from amaranth.hdl import Cat, Module
from amaranth.lib import memory, wiring
from amaranth.lib.wiring import In, Out

from hdl.common.arithmetic import delayed, register
from hdl.pim import secded
from hdl.pim.channel_config import ChannelConfig


class Bank(wiring.Component):
    """Columns, each as code words beside one another; it knows nothing of open rows.

    A column read in one cycle is at `column` 3 cycles later, corrected. A scrub is a read whose column is written back
    if a bit of it was wrong, 3 cycles after it, unless another access came between.

    Members
    -------
    address : of the column, as `address_bits` says
    read, write, scrub : at most one of them
    word : what is written: all code words of a column, or the column itself without ECC
    column : data of the column that was read
    fixed, wrong : 3 cycles after a read or scrub: words in which one bit was corrected; in which more were wrong
    wrong_address : its address
    """

    def __init__(self, config: ChannelConfig):
        self._config = config
        words = config.column_bits // secded.word_bits(config.column_bits)
        super().__init__(
            {
                "address": In(address_bits(config)),
                "read": In(1),
                "write": In(1),
                "scrub": In(1),
                "word": In(stored_bits(config)),
                "column": Out(config.column_bits),
                "fixed": Out(words),
                "wrong": Out(words),
                "wrong_address": Out(address_bits(config)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        depth = 1 << address_bits(self._config)
        m.submodules.cells = cells = memory.Memory(shape=stored_bits(self._config), depth=depth, init=[])
        read, write = cells.read_port(), cells.write_port()
        m.d.comb += [read.addr.eq(self.address), read.en.eq(self.read | self.scrub)]

        # What goes with a read: that it is one, that it scrubs, and where.
        reads, address = self.read | self.scrub, self.address
        scrub = self.scrub
        for cycle in (1, 2, 3):
            reads = delayed(m, reads, 1, f"read_{cycle}")
            scrub = delayed(m, scrub & ~(self.read | self.write), 1, f"scrub_{cycle}")
            address = register(m, address, f"address_{cycle}")

        if not self._config.ecc:
            m.d.comb += self.column.eq(register(m, register(m, read.data, "behind"), "at_hand"))
            m.d.comb += [write.addr.eq(self.address), write.data.eq(self.word), write.en.eq(self.write)]
            return m

        bits = secded.word_bits(self._config.column_bits)
        fixed_words, data = [], []
        for index in range(len(self.fixed)):
            stored = read.data.word_select(index, secded.code_bits(bits))
            word, corrected, detected = secded.decode(m, stored, bits, f"word_{index}")
            fixed_words.append(word)
            data.append(word[:bits])
            m.d.comb += [self.fixed[index].eq(reads & corrected), self.wrong[index].eq(reads & detected)]
        m.d.comb += [self.column.eq(Cat(data)), self.wrong_address.eq(address)]

        writes_back = scrub & self.fixed.any() & ~(self.read | self.write)
        with m.If(self.write):
            m.d.comb += [write.addr.eq(self.address), write.data.eq(self.word), write.en.eq(1)]
        with m.Else():
            m.d.comb += [write.addr.eq(address), write.data.eq(Cat(fixed_words)), write.en.eq(writes_back)]
        return m


def address_bits(config: ChannelConfig) -> int:
    """Of a column in its bank: the column, and above it the row."""
    return column_address_bits(config) + (config.rows - 1).bit_length()


def column_address_bits(config: ChannelConfig) -> int:
    """Of a column in its row."""
    return (config.columns - 1).bit_length()


def stored_bits(config: ChannelConfig) -> int:
    """Of a column in the memory."""
    if not config.ecc:
        return config.column_bits
    bits = secded.word_bits(config.column_bits)
    return config.column_bits // bits * secded.code_bits(bits)
