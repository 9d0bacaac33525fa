"""The buffers of keys and values: a ring of tiles each, and the choice of what the lanes get."""

from __future__ import annotations

from amaranth.hdl import Cat, Module, Mux, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hdl.attention.block_operands import BlockOperands
from hdl.attention.chunk_shifter import SHIFT_BITS
from hdl.attention.config import ArrayConfig
from hdl.attention.decoder import Decoder
from hdl.attention.lanes import PLACE_BITS, SECOND_BITS
from hdl.attention.packing import FORMAT_BITS, folded, is_format, packing_layout
from hdl.attention.places import Places, places_in
from hdl.attention.row import power_bits
from hdl.attention.scales import Scales
from hdl.common.arithmetic import delayed, register, wire
from hdl.common.ram import ByteRam, Ram


def key_tile_bits(config: ArrayConfig) -> int:
    """Of an operand's place in a tile of keys: key by key, chunk by chunk."""
    return (config.lanes * config.most_chunks - 1).bit_length()


def key_place_bits(config: ArrayConfig) -> int:
    """Of a memory word's place in a tile of keys."""
    return key_tile_bits(config) + (config.lanes // config.bus_bytes - 1).bit_length()


def value_place_bits(config: ArrayConfig) -> int:
    """Of a memory word's place in a row of values."""
    return (config.dim - 1).bit_length() - (config.bus_bytes - 1).bit_length()


def scales_in(config: ArrayConfig) -> wiring.Signature:
    """Which words are scales, and of what: members of `Scales`."""
    packing = packing_layout(config)
    return wiring.Signature(
        {
            "write_key": Out(1),
            "write_value": Out(config.lanes),
            "key": Out(config.lane_bits),
            "word": Out(packing["scale_words"].width),
            "packing": Out(packing),
            "read": Out(1),
        }
    )


class Tiles(wiring.Component):
    """Memory words in; out C operands, of one key in a pass over keys, of one column in a pass over values.

    Latency: `operand_cycles`, from a beat's place to `streamed`.

    Members
    -------
    write_key, key_place : a memory word goes to this place of a slot, in words from the tile's beginning
    write_value, value_place : one bit for each key of a tile; the place is within the key's row
    write_slot, data : of either
    query, slot, key_word, chunk, column, format : a beat, of keys or of values, its place, and what its elements are
    scales_in, clipped : of `Scales`, with blocks only
    key_amount : with them: by how much the beat's sum is shifted right at the rows' edges, with the sum
    dual, seconds : with `dual_issue`: of the beat; the lanes' second operands, with `streamed`
    sparse, places_in, places : with `sparse`: of the beat, and of `Places`
    """

    def __init__(self, config: ArrayConfig):
        self._config = config
        self._parts = config.lanes // config.bus_bytes
        column_bits = (config.dim - 1).bit_length()
        scales = {}
        if config.has_blocks:
            scales = {"scales_in": In(scales_in(config)), "clipped": Out(1), "key_amount": Out(SHIFT_BITS)}
        wide = {}
        if config.dual_issue:
            wide |= {"dual": In(1), "seconds": Out(SECOND_BITS * config.lanes)}
        if config.sparse:
            wide |= {"sparse": In(1), "places_in": In(places_in(config)), "places": Out(PLACE_BITS * config.lanes)}
        super().__init__(
            {
                "write_key": In(1),
                "write_value": In(config.lanes),
                "write_slot": In(config.slot_bits),
                "key_place": In(key_place_bits(config)),
                "value_place": In(value_place_bits(config)),
                "data": In(config.bus_bits),
                "query": In(1),
                "slot": In(config.slot_bits),
                "key_word": In(key_tile_bits(config)),
                "chunk": In(power_bits(config.most_chunks)),
                "column": In(column_bits),
                "format": In(FORMAT_BITS),
                "streamed": Out(config.streamed_bits * config.lanes),
                **scales,
                **wide,
            }
        )

    def elaborate(self, platform):
        m = Module()
        config, parts = self._config, self._parts
        part_bits = (parts - 1).bit_length()
        m.submodules.keys = keys = Ram(8 * config.lanes, 1 << (config.slot_bits + key_tile_bits(config)), parts)
        part = self.key_place[:part_bits]
        for index in range(parts):
            m.d.comb += keys.write[index].eq(self.write_key & ((part == index) if part_bits else 1))
        m.d.comb += [
            keys.write_address.eq(Cat(self.key_place[part_bits:], self.write_slot)),
            keys.write_data.eq(self.data.replicate(parts)),
            keys.read_address.eq(Cat(self.key_word, self.slot)),
        ]
        column, columns = wire(m, folded(config, self.column, self.format), "value_byte"), []
        for index in range(config.lanes):
            m.submodules[f"values_{index}"] = values = ByteRam(
                1 << (config.slot_bits + len(self.column)), config.bus_bytes
            )
            m.d.comb += [
                values.write.eq(self.write_value[index]),
                values.write_address.eq(Cat(self.value_place, self.write_slot)),
                values.write_data.eq(self.data),
                values.read_address.eq(Cat(self._value_byte(column), self.slot)),
            ]
            columns.append(values.read_data)
        if config.sparse:
            self._places(m)
        query = register(m, self.query, "query_read")
        if config.formats:
            operands = self._decoded(m, keys.read_data, Cat(columns), query)
        else:
            operands = register(m, Mux(query, keys.read_data, Cat(columns)), "operands")
        m.d.comb += self.streamed.eq(register(m, wire(m, operands, "operands_out"), "operands_spread"))
        return m

    def _value_byte(self, byte):
        """Of what a lane's buffer has of a tile: of a pair of columns and two keys, each key's byte in one cycle."""
        if not self._config.dual_issue:
            return byte
        second = self.dual & ~self.query & self.column[0]
        top = len(self.column) - 1
        return Cat(byte[:top], byte[top] | second)

    def _places(self, m):
        """Places of a sparse layer's kept weights."""
        m.submodules.weight_places = places = Places(self._config)
        for name in ("write_slot", "data", "sparse", "chunk", "slot"):
            m.d.comb += getattr(places, name).eq(getattr(self, name))
        m.d.comb += [
            places.write.eq(self.places_in.write),
            places.key.eq(self.places_in.key),
            places.word.eq(self.places_in.word),
            places.beat_key.eq(self.column),
            self.places.eq(places.places),
        ]

    def _decoded(self, m, key_word, value_bytes, query):
        """Operands of any format."""
        m.submodules.decoder = decoder = Decoder(self._config)
        m.d.comb += [
            decoder.key_word.eq(key_word),
            decoder.value_bytes.eq(value_bytes),
            decoder.query.eq(self.query),
            decoder.format.eq(self.format),
            decoder.chunk.eq(self.chunk),
            decoder.column.eq(self.column),
        ]
        if self._config.dual_issue:
            m.d.comb += decoder.dual.eq(self.dual)
            m.d.comb += self.seconds.eq(register(m, decoder.seconds, "seconds_spread"))
        if not self._config.has_blocks:
            return decoder.elements
        m.submodules.blocks = blocks = BlockOperands(self._config)
        scales = self._scales(m)
        given = {
            "query": query,
            "format": register(m, self.format, "format_read"),
            "key_scale": scales.key_scale.as_value(),
            "value_scales": scales.value_scales,
        }
        m.d.comb += blocks.elements.eq(decoder.elements)
        for name, value in given.items():
            late = delayed(m, value, 2, f"{name}_of_elements", reset_less=True)
            m.d.comb += Value.cast(getattr(blocks, name)).eq(late)
        return blocks.operands

    def _scales(self, m):
        """Scales of the beat, and by how much the rows' edges shift its sum."""
        config = self._config
        m.submodules.scales = scales = Scales(config)
        for name in ("write_slot", "data", "query", "slot", "chunk", "column", "format"):
            m.d.comb += getattr(scales, name).eq(getattr(self, name))
        for name in self.scales_in.signature.members:
            m.d.comb += Value.cast(getattr(scales, name)).eq(Value.cast(getattr(self.scales_in, name)))
        m.d.comb += self.clipped.eq(scales.clipped)
        code = register(m, self.format, "format_of_scale")
        amount = Mux(is_format(config, code, lambda each: each.block), scales.key_scale.shift, 0)
        m.d.comb += self.key_amount.eq(delayed(m, amount, config.latency_cycles - 1, "key_amount", reset_less=True))
        return scales
