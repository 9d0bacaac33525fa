"""The layers of networks, and one of them out of its words."""

from __future__ import annotations

from amaranth.hdl import Cat, Module, Signal, signed, unsigned
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from hdl.common.arithmetic import delayed, register, wire
from hdl.common.ram import Ram
from hdl.pulse.cnn_config import CnnConfig
from hdl.pulse.cnn_words import LAYER_FIELDS, LAYER_STRIDE, LAYER_WORDS, WORD_BITS

LAYER = data.StructLayout(
    {field.name: signed(field.bits) if field.signed else unsigned(field.bits) for field in LAYER_FIELDS}
)
"""A layer's fields."""


class Program(wiring.Component):
    """Keeps the layers, and gives one whole.

    Members
    -------
    write, write_number, write_data : a word of a layer
    start, number : the layer to give; what was given before is no more
    ready : `layer` is that one
    layer : Out(LAYER)
    """

    def __init__(self, config: CnnConfig):
        self._layers = config.layers
        super().__init__(
            {
                "write": In(1),
                "write_number": In(range(config.layers * LAYER_STRIDE)),
                "write_data": In(WORD_BITS),
                "start": In(1),
                "number": In(range(config.layers)),
                "ready": Out(1),
                "layer": Out(LAYER),
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.kept = kept = Ram(WORD_BITS, self._layers * LAYER_STRIDE)
        word = Signal(range(LAYER_STRIDE), init=LAYER_WORDS)
        number = Signal.like(self.number, reset_less=True)
        reading = wire(m, word < LAYER_WORDS, "reading")
        with m.If(self.start):
            m.d.sync += [word.eq(0), number.eq(self.number)]
        with m.Elif(reading):
            m.d.sync += word.eq(word + 1)
        m.d.comb += [
            kept.write.eq(self.write),
            kept.write_address.eq(self.write_number),
            kept.write_data.eq(self.write_data),
            kept.read_address.eq(Cat(word, number)),
        ]

        held = [Signal(WORD_BITS, name=f"word_{k}", reset_less=True) for k in range(LAYER_WORDS)]
        come, which = delayed(m, reading, 1, "come"), register(m, word, "which")
        for place, word_held in enumerate(held):
            with m.If(come & (which == place)):
                m.d.sync += word_held.eq(kept.read_data)
        known = Signal()
        m.d.comb += self.ready.eq(known & ~reading & ~come)
        with m.If(self.start):
            m.d.sync += known.eq(1)
        for field in LAYER_FIELDS:
            bits = held[field.word][field.low : field.low + field.bits]
            m.d.comb += getattr(self.layer, field.name).eq(bits)
        return m
