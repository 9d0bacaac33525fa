"""Images of networks: words to memories, their checksum, and the network that becomes the active one."""

from __future__ import annotations

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hdl.common.arithmetic import register, wire
from hdl.pulse.cnn_config import CnnConfig
from hdl.pulse.cnn_crc import CRC_BITS, Crc32
from hdl.pulse.cnn_words import (
    CHANNEL_WORDS,
    ELEMENT_LOW,
    LAYER_STRIDE,
    MEMORY_LOW,
    WORD_BITS,
    WORD_NUMBER_BITS,
    Memory,
)


class ImageWriter(wiring.Component):
    """Takes an image word by word. A word is in its memory two cycles after `data_written`.

    Members
    -------
    begin : the checksum becomes that of nothing
    address_written, address, data_written, data : words
    activate, expected, start : of the network that is to be the active one
    write, number, word : for each of `Memory`, for each processing element: a word goes there
    bad_address, bad_image, activated : pulses
    crc : of the words until now
    """

    def __init__(self, config: CnnConfig):
        self._config = config
        self._words = {
            Memory.PROGRAM: config.layers * LAYER_STRIDE,
            Memory.CHANNELS: config.channel_words * CHANNEL_WORDS,
            Memory.WEIGHTS: config.weight_words * config.weight_parts,
        }
        super().__init__(
            {
                "begin": In(1),
                "address_written": In(1),
                "address": In(WORD_BITS),
                "data_written": In(1),
                "data": In(WORD_BITS),
                "activate": In(1),
                "expected": In(CRC_BITS),
                "start": In(16),
                "write_program": Out(1),
                "write_channels": Out(config.elements),
                "write_weights": Out(config.elements),
                "number": Out(range(max(self._words.values()))),
                "word": Out(WORD_BITS),
                "bad_address": Out(1),
                "bad_image": Out(1),
                "activated": Out(1),
                "crc": Out(CRC_BITS),
            }
        )

    def elaborate(self, platform):
        m = Module()
        config = self._config
        m.submodules.checksum = checksum = Crc32()
        m.d.comb += [
            checksum.clear.eq(self.begin),
            checksum.add.eq(self.address_written | self.data_written),
            checksum.word.eq(Mux(self.data_written, self.data, self.address)),
            self.crc.eq(checksum.crc),
        ]

        memory = self.address[MEMORY_LOW:]
        element = self.address[ELEMENT_LOW:MEMORY_LOW]
        number = self.address[:WORD_NUMBER_BITS]
        good = {}
        for code, words in self._words.items():
            most = 1 if code == Memory.PROGRAM else config.elements
            here = (memory == code) & (number < words) & (element < most)
            good[code] = wire(m, here & self.data_written, f"good_{code.name.lower()}")
        writes = {Memory.CHANNELS: self.write_channels, Memory.WEIGHTS: self.write_weights}
        m.d.sync += self.write_program.eq(good[Memory.PROGRAM])
        for code, write in writes.items():
            for place in range(config.elements):
                m.d.sync += write[place].eq(good[code] & (element == place))
        m.d.comb += [self.number.eq(register(m, number, "held_number")), self.word.eq(register(m, self.data, "held"))]

        matches, known = Signal(), Signal()
        m.d.sync += [matches.eq(checksum.crc == self.expected), known.eq(self.start < config.layers)]
        asked = Signal()
        m.d.sync += asked.eq(self.activate)
        m.d.comb += [
            self.bad_address.eq(self.data_written & ~Cat(good.values()).any()),
            self.activated.eq(asked & matches & known),
            self.bad_image.eq(asked & ~(matches & known)),
        ]
        return m
