"""Outputs of linear layers: scaled sums, rectified, saturated, packed into memory words, a block's tile at a time."""

from __future__ import annotations

from collections.abc import Sequence

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from hdl.attention.config import ArrayConfig
from hdl.attention.job_words import FIELDS, OUTPUT_BITS
from hdl.attention.tile_size import last_key
from hdl.common.arithmetic import register, wire
from hdl.common.ram import Ram

HALVES = 2
"""Of the buffer: blocks' tiles that are complete or being filled."""


def most_tile_words(config: ArrayConfig) -> int:
    """Memory words of a row's outputs of a tile, of 16 bits each."""
    return config.tile_keys * OUTPUT_BITS[0] // config.bus_bits


def scaled_layout(config: ArrayConfig) -> data.StructLayout:
    """Of the units' outputs of a cycle, one each of the rows `place` * units + unit: which of the tile's, the block's
    last row that there is, and what is done with them."""
    return data.StructLayout(
        {
            "valid": 1,
            "key": config.tile_key_bits,
            "place": (config.rows_per_unit - 1).bit_length(),
            "last_row": range(config.rows),
            "relu": 1,
            "o_format": FIELDS["o_format"].bits,
            **({"wide": 1} if config.wide else {}),
        }
    )


def word_address(config: ArrayConfig) -> data.StructLayout:
    """Where the units' words lie: the word of a row, its place within its unit, the half of the buffer."""
    place_bits = (config.rows_per_unit - 1).bit_length()
    return data.StructLayout({"word": (most_tile_words(config) - 1).bit_length(), "place": place_bits, "half": 1})


class LinearOutputs(wiring.Component):
    """Takes an output of each unit a cycle; the softmax sees to it that a half of the buffer is free.

    Members
    -------
    scaled, logits : `scaled_layout`, and of each unit the scaled sum in 20 bits
    complete : a pulse: a block's tile is there
    read : `word_address`; `words` of all units come a cycle later
    saturated : a pulse: an output of a row that exists did not fit
    """

    def __init__(self, config: ArrayConfig):
        self._config = config
        super().__init__(
            {
                "scaled": In(scaled_layout(config)),
                "logits": In(config.units * config.logit_bits),
                "complete": Out(1),
                "read": In(word_address(config)),
                "words": Out(config.units * config.bus_bits),
                "saturated": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        config, bits = self._config, self._config.logit_bits
        given = self.scaled
        rectified = self._later(m, given, "rectified")
        saturated = self._later(m, rectified, "saturated_now")
        packed = self._later(m, saturated, "packed")
        words, overs = [], []
        for unit in range(config.units):
            logit = self.logits.word_select(unit, bits)
            value = register(m, Mux(given.relu & logit[-1], 0, logit), f"value_{unit}")
            output, over = self._saturated(m, value, rectified.o_format, unit)
            overs.append(over & (rectified.place * config.units + unit <= rectified.last_row))
            output = register(m, output, f"output_{unit}")
            held = Signal(config.bus_bits, name=f"held_{unit}", reset_less=True)
            with m.If(saturated.valid):
                m.d.sync += held.eq(_by_format(saturated.o_format, [Cat(held, output[:n])[n:] for n in OUTPUT_BITS]))
            words.append(held)
        m.d.sync += self.saturated.eq(rectified.valid & Cat(overs).any())
        self._store(m, packed, words)
        return m

    def _later(self, m, stage, name):
        """What goes with the outputs, a cycle later."""
        valid = Signal(name=f"{name}_valid")
        m.d.sync += valid.eq(stage.valid)
        held = Signal(scaled_layout(self._config), name=name)
        m.d.comb += held.eq(register(m, stage.as_value(), f"{name}_held"))
        m.d.comb += held.valid.eq(valid)
        return held

    def _saturated(self, m, value, o_format, unit):
        """The value within the format's bits, in the low ones of the widest; and that it was beyond them."""
        outputs, overs = [], []
        for width in OUTPUT_BITS:
            top = value[width - 1 :]
            over = wire(m, top.any() & ~top.all(), f"over_{unit}_{width}")
            limit = Cat((~value[-1]).replicate(width - 1), value[-1])
            outputs.append(Mux(over, limit, value[:width]))
            overs.append(over)
        return wire(m, _by_format(o_format, outputs), f"within_{unit}"), _by_format(o_format, overs)

    def _store(self, m, packed, words):
        """Words that are full to the buffer."""
        config = self._config
        m.submodules.buffer = buffer = Ram(len(self.words), 1 << word_address(config).size)
        fulls, places = [], []
        for width in OUTPUT_BITS:
            low = (config.bus_bits // width).bit_length() - 1
            fulls.append(packed.key[:low].all())
            places.append(packed.key[low:] if low < config.tile_key_bits else Const(0, 1))
        half = Signal()
        last_place = packed.place == config.rows_per_unit - 1 if len(packed.place) else 1
        end = wire(
            m, packed.valid & last_key(config, packed.key, packed.wide if config.wide else 0) & last_place, "end"
        )
        with m.If(end):
            m.d.sync += half.eq(~half)
        where = Signal(word_address(config))
        m.d.comb += [
            where.word.eq(_by_format(packed.o_format, places)),
            where.place.eq(packed.place),
            where.half.eq(half),
            buffer.write.eq(packed.valid & _by_format(packed.o_format, fulls)),
            buffer.write_address.eq(where),
            buffer.write_data.eq(Cat(words)),
            buffer.read_address.eq(self.read),
            self.words.eq(buffer.read_data),
        ]
        m.d.sync += self.complete.eq(end)


def _by_format(o_format: Value, choices: Sequence[Value]) -> Value:
    """One of three, by the code of the outputs' format."""
    return Mux(o_format[1], choices[2], Mux(o_format[0], choices[1], choices[0]))
