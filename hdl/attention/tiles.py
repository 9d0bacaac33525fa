"""The buffers of keys and values: a ring of tiles each, and the choice of what the lanes get."""

from __future__ import annotations

from amaranth.hdl import Cat, Module, Mux
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hdl.attention.config import ArrayConfig
from hdl.attention.passes import SLOT_BITS
from hdl.attention.ram import ByteRam, Ram
from hdl.common.arithmetic import register, wire


def key_tile_bits(config: ArrayConfig) -> int:
    """Of an operand's place in a tile of keys: key by key, chunk by chunk."""
    return (config.lanes * config.most_chunks - 1).bit_length()


def key_place_bits(config: ArrayConfig) -> int:
    """Of a memory word's place in a tile of keys."""
    return key_tile_bits(config) + (config.lanes // config.bus_bytes - 1).bit_length()


def value_place_bits(config: ArrayConfig) -> int:
    """Of a memory word's place in a row of values."""
    return (config.dim - 1).bit_length() - (config.bus_bytes - 1).bit_length()


class Tiles(wiring.Component):
    """Memory words in; out C bytes, of one key in a pass over keys, of one column in a pass over values.

    Latency: `OPERAND_CYCLES`, from `slot`, `key_word`, `column` and `query` to `streamed`.

    Members
    -------
    write_key, key_place : a memory word goes to this place of a slot, in words from the tile's beginning
    write_value, value_place : one bit for each key of a tile; the place is within the key's row
    write_slot, data : of either
    query : a beat of keys
    """

    def __init__(self, config: ArrayConfig):
        self._config = config
        self._parts = config.lanes // config.bus_bytes
        column_bits = (config.dim - 1).bit_length()
        super().__init__(
            {
                "write_key": In(1),
                "write_value": In(config.lanes),
                "write_slot": In(SLOT_BITS),
                "key_place": In(key_place_bits(config)),
                "value_place": In(value_place_bits(config)),
                "data": In(config.bus_bits),
                "query": In(1),
                "slot": In(SLOT_BITS),
                "key_word": In(key_tile_bits(config)),
                "column": In(column_bits),
                "streamed": Out(8 * config.lanes),
            }
        )

    def elaborate(self, platform):
        m = Module()
        config, parts = self._config, self._parts
        part_bits = (parts - 1).bit_length()
        m.submodules.keys = keys = Ram(8 * config.lanes, 1 << (SLOT_BITS + key_tile_bits(config)), parts)
        part = self.key_place[:part_bits]
        for index in range(parts):
            m.d.comb += keys.write[index].eq(self.write_key & ((part == index) if part_bits else 1))
        m.d.comb += [
            keys.write_address.eq(Cat(self.key_place[part_bits:], self.write_slot)),
            keys.write_data.eq(self.data.replicate(parts)),
            keys.read_address.eq(Cat(self.key_word, self.slot)),
        ]
        columns = []
        for index in range(config.lanes):
            m.submodules[f"values_{index}"] = values = ByteRam(1 << (SLOT_BITS + len(self.column)), config.bus_bytes)
            m.d.comb += [
                values.write.eq(self.write_value[index]),
                values.write_address.eq(Cat(self.value_place, self.write_slot)),
                values.write_data.eq(self.data),
                values.read_address.eq(Cat(self.column, self.slot)),
            ]
            columns.append(values.read_data)
        query = register(m, self.query, "query_read")
        operands = register(m, Mux(query, keys.read_data, Cat(columns)), "operands")
        m.d.comb += self.streamed.eq(register(m, wire(m, operands, "operands_out"), "operands_spread"))
        return m
