"""Words from memory go to where they belong."""

from __future__ import annotations

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from hdl.attention.commands import Kind, fill_layout
from hdl.attention.config import ArrayConfig
from hdl.attention.passes import SLOT_BITS
from hdl.attention.row import query_address
from hdl.attention.tiles import key_place_bits, value_place_bits
from hdl.common.arithmetic import wire


class Filler(wiring.Component):
    """Takes a word a cycle, always.

    Members
    -------
    fill : what becomes of the words of a command
    words : from memory
    words_wrong : the word could not be read
    data, wrong : the word at work
    write_descriptor : it is one of a descriptor
    write_query, query_word : one bit for each row, and where in the row's queries
    write_key, key_place, write_value, value_place, write_slot : of `Tiles`
    queries_there, keys_there, values_there : pulses: it was the last
    """

    def __init__(self, config: ArrayConfig):
        self._config = config
        self._word_bits = value_place_bits(config)
        super().__init__(
            {
                "fill": In(stream.Signature(fill_layout())),
                "words": In(stream.Signature(config.bus_bits)),
                "words_wrong": In(1),
                "data": Out(config.bus_bits),
                "wrong": Out(1),
                "write_descriptor": Out(1),
                "write_query": Out(config.rows),
                "query_word": Out(query_address(config).size - (config.bus_bytes - 1).bit_length()),
                "write_key": Out(1),
                "key_place": Out(key_place_bits(config)),
                "write_value": Out(config.lanes),
                "value_place": Out(self._word_bits),
                "write_slot": Out(SLOT_BITS),
                "queries_there": Out(1),
                "keys_there": Out(1),
                "values_there": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        config, fill = self._config, self.fill.payload
        row_bits = (config.rows - 1).bit_length()
        count, word = Signal.like(fill.words, name="count"), Signal(8, reset_less=True)
        row, place = Signal(16, reset_less=True), Signal.like(self.key_place, name="place", reset_less=True)
        half, key_slot, value_slot = Signal(), Signal(2), Signal(2)
        taken = wire(m, self.fill.valid & (self.words.valid | fill.nothing), "taken")
        last = wire(m, count == fill.words, "last")
        anew = wire(m, fill.begins & ~count.any(), "anew")
        row_now = wire(m, Mux(anew, 0, row), "row_now")
        word_now = wire(m, Mux(count.any(), word, 0), "word_now")
        place_now = wire(m, Mux(anew, 0, place), "place_now")
        row_end = wire(m, word_now == fill.row_words, "row_end")
        complete = wire(m, taken & last & fill.ends, "complete")
        m.d.comb += [
            self.words.ready.eq(self.fill.valid & ~fill.nothing),
            self.fill.ready.eq(taken & last),
        ]
        with m.If(taken):
            m.d.sync += [
                count.eq(Mux(last, 0, count + 1)),
                word.eq(Mux(row_end, 0, word_now + 1)),
                row.eq(row_now + row_end),
                place.eq(place_now + 1),
            ]

        is_kind = {kind: wire(m, taken & (fill.kind == kind), f"is_{kind.name.lower()}") for kind in Kind}
        block_bits = len(self.query_word) - self._word_bits - 1
        m.d.sync += [
            self.data.eq(Mux(fill.nothing, 0, self.words.payload)),
            self.wrong.eq(self.words_wrong & ~fill.nothing),
            self.write_descriptor.eq(is_kind[Kind.DESCRIPTOR]),
            self.write_query.eq(Mux(is_kind[Kind.QUERIES], 1 << row_now[:row_bits], 0)),
            self.query_word.eq(Cat(word_now[: self._word_bits], row_now[row_bits : row_bits + block_bits], half)),
            self.write_key.eq(is_kind[Kind.KEYS]),
            self.key_place.eq(place_now),
            self.write_value.eq(Mux(is_kind[Kind.VALUES], 1 << row_now[: config.lane_bits], 0)),
            self.value_place.eq(word_now),
            self.write_slot.eq(Mux(fill.kind == Kind.KEYS, key_slot, value_slot)),
        ]
        for kind, pointer, there in (
            (Kind.QUERIES, half, self.queries_there),
            (Kind.KEYS, key_slot, self.keys_there),
            (Kind.VALUES, value_slot, self.values_there),
        ):
            done = Signal(name=f"done_{kind.name.lower()}")
            m.d.sync += [done.eq(complete & (fill.kind == kind)), there.eq(done)]
            with m.If(complete & (fill.kind == kind)):
                m.d.sync += pointer.eq(pointer + 1)
        return m
