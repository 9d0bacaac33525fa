"""Scales of blocks: small memories of how far each block's numbers lie below the job's exponent."""

from __future__ import annotations

from amaranth.hdl import Cat, Const, Module, Mux, Signal, unsigned
from amaranth.lib import data, memory, wiring
from amaranth.lib.wiring import In, Out

from hdl.attention.chunk_shifter import SHIFT_BITS
from hdl.attention.config import ArrayConfig
from hdl.attention.packing import FORMAT_BITS, by_block, is_format, most_blocks, packing_layout
from hdl.attention.row import power_bits
from hdl.common.arithmetic import register, wire
from hdl.common.ram import Ram

SIGNIFICAND_BITS = 4
"""Of an E4M3 scale."""


def scale_layout(config: ArrayConfig) -> data.StructLayout:
    """What is kept of a scale: shift to the job's exponent, and the significand where a format has one."""
    has_significands = any(each.scale == "e4m3" for each in config.built_formats.values())
    return data.StructLayout({"shift": SHIFT_BITS} | ({"significand": SIGNIFICAND_BITS} if has_significands else {}))


class Scales(wiring.Component):
    """Memory words of scales in; out what belongs to a beat, a cycle after its place.

    Members
    -------
    write_key, write_value : the word at work is one of scales: of a key; of a value, one bit for each key of the tile
    write_slot, key, word, data : where it goes: slot, key of the tile, which word of the row's scales
    packing : of the row
    read : it is from memory, not made up
    clipped : a pulse: a scale of it is above the job's exponent
    query, slot, chunk, column, format : a beat; the column of a beat of keys is the key
    key_scale : of the beat's key
    value_scales : of each key of the tile in the beat's column
    """

    def __init__(self, config: ArrayConfig):
        self._config = config
        blocks = 1 << power_bits(most_blocks(config))
        self._kept = min(config.bus_bytes, blocks)
        self._word_bits = power_bits(blocks // self._kept)
        packing = packing_layout(config)
        super().__init__(
            {
                "write_key": In(1),
                "write_value": In(config.lanes),
                "write_slot": In(config.slot_bits),
                "key": In(config.lane_bits),
                "word": In(packing["scale_words"].width),
                "data": In(config.bus_bits),
                "packing": In(packing),
                "read": In(1),
                "clipped": Out(1),
                "query": In(1),
                "slot": In(config.slot_bits),
                "chunk": In(power_bits(config.most_chunks)),
                "column": In(power_bits(config.dim)),
                "format": In(FORMAT_BITS),
                "key_scale": Out(scale_layout(config)),
                "value_scales": Out(config.lanes * scale_layout(config).size),
            }
        )

    def elaborate(self, platform):
        m = Module()
        config = self._config
        entries = register(m, self._entries(m), "entries")
        write_key = register(m, self.write_key, "write_key_now")
        write_value = register(m, self.write_value, "write_value_now")
        place = register(m, Cat(self.word[: self._word_bits], self.key, self.write_slot), "write_place")
        word, slot = place[: self._word_bits], place[-config.slot_bits :]

        position = Mux(self.query, self.chunk << config.lane_bits, self.column)
        block = wire(m, by_block(config, position, self.format), "block")
        kept_bits = power_bits(self._kept)
        kept = register(m, block[:kept_bits], "kept") if kept_bits else Const(0, 1)
        row_word = block[kept_bits:][: self._word_bits]
        layout = scale_layout(config)

        depth = 1 << len(place)
        m.submodules.keys = keys = Ram(len(entries), depth)
        m.d.comb += [
            keys.write.eq(write_key),
            keys.write_address.eq(place),
            keys.write_data.eq(entries),
            keys.read_address.eq(Cat(row_word, self.column[: config.lane_bits], self.slot)),
            self.key_scale.eq(keys.read_data.word_select(kept, layout.size)),
        ]
        for key in range(config.lanes):
            # A few words a key: in look-up tables, read without a clock.
            values = memory.Memory(
                shape=unsigned(len(entries)), depth=1 << (config.slot_bits + self._word_bits), init=[]
            )
            m.submodules[f"values_{key}"] = values
            write, read = values.write_port(), values.read_port(domain="comb")
            m.d.comb += [
                write.en.eq(write_value[key]),
                write.addr.eq(Cat(word, slot)),
                write.data.eq(entries),
                read.addr.eq(Cat(row_word, self.slot)),
            ]
            found = register(m, read.data, f"scales_{key}")
            m.d.comb += self.value_scales.word_select(key, layout.size).eq(found.word_select(kept, layout.size))
        return m

    def _entries(self, m):
        """What is kept of a memory word's scales."""
        config, packing = self._config, self.packing
        layout = scale_layout(config)
        is_e4m3 = wire(m, is_format(config, packing.format, lambda each: each.scale == "e4m3"), "is_e4m3")
        entries, above = [], []
        for byte in range(self._kept):
            scale = self.data.word_select(byte, 8)
            field = scale[3:7]
            exponent = Mux(is_e4m3, Mux(field.any(), field, 1), scale)
            distance = wire(m, packing.exponent - exponent, f"distance_{byte}")
            negative, far = distance[-1], distance[SHIFT_BITS:].any()
            there = Cat(Const(byte, power_bits(config.bus_bytes)), self.word) < packing.scales
            above.append(negative & there)
            entry = Signal(layout, name=f"entry_{byte}")
            shift = Mux(negative, 0, distance[:SHIFT_BITS] | far.replicate(SHIFT_BITS))
            m.d.comb += entry.shift.eq(shift)
            if "significand" in layout.members:
                m.d.comb += entry.significand.eq(Cat(scale[:3], field.any()))
            entries.append(entry.as_value())
        scales = self.read & (self.write_key | self.write_value.any())
        m.d.sync += self.clipped.eq(scales & Cat(above).any())
        return Cat(entries)
