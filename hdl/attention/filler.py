"""Words from memory go to where they belong."""

from __future__ import annotations

from amaranth.hdl import Cat, Const, Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from hdl.attention.commands import Kind, fill_layout
from hdl.attention.config import ArrayConfig
from hdl.attention.formats import FORMATS
from hdl.attention.gearbox import Gearbox
from hdl.attention.packing import is_format
from hdl.attention.places import places_in
from hdl.attention.row import query_address
from hdl.attention.tiles import key_place_bits, scales_in, value_place_bits
from hdl.common.arithmetic import wire

SIX_BIT_BLOCK = FORMATS["mxfp6"].block


class Filler(wiring.Component):
    """Takes a word a cycle, but of elements of 6 bits three words in four cycles.

    Members
    -------
    fill : what becomes of the words of a command
    words : from memory
    words_wrong : the word could not be read
    data, wrong : the word at work
    write_descriptor : it is one of a descriptor
    write_query, query_word : one bit for each row, and where in the row's queries
    write_key, key_place, write_value, value_place, write_slot : of `Tiles`
    scales_out : which words are scales, with blocks only
    places_out : which words are places, with sparse layers only
    queries_there, keys_there, values_there : pulses: it was the last
    """

    def __init__(self, config: ArrayConfig):
        self._config = config
        self._word_bits = value_place_bits(config)
        super().__init__(
            {
                "fill": In(stream.Signature(fill_layout(config))),
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
                "write_slot": Out(config.slot_bits),
                "queries_there": Out(1),
                "keys_there": Out(1),
                "values_there": Out(1),
                **({"scales_out": Out(scales_in(config))} if config.has_blocks else {}),
                **({"places_out": Out(places_in(config))} if config.sparse else {}),
            }
        )

    def elaborate(self, platform):
        m = Module()
        config, fill = self._config, self.fill.payload
        row_bits = (config.rows - 1).bit_length()
        # A key's words begin a lane's width anew.
        parts = config.lanes // config.bus_bytes if config.formats else 1
        count, word = Signal.like(fill.words, name="count"), Signal(8, reset_less=True)
        row, place = Signal(16, reset_less=True), Signal.like(self.key_place, name="place", reset_less=True)
        begun = Signal()  # the count is not 0
        half, key_slot, value_slot = Signal(), Signal(config.slot_bits), Signal(config.slot_bits)
        last = wire(m, count == fill.words, "last")
        word_now = wire(m, Mux(begun, word, 0), "word_now")
        row_end = wire(m, word_now == fill.row_words, "row_end")
        header, spare, again = self._elements(m, word_now, row_end)
        taken = wire(m, self.fill.valid & (self.words.valid | fill.nothing | spare), "taken")
        moves = wire(m, taken & ~again, "moves")
        anew = wire(m, fill.begins & ~begun, "anew")
        row_anew, half_filled = 0, 1
        if config.linear:  # the next part's rows lie in the blocks behind
            behind = Cat(Const(0, row_bits), (row + config.rows - 1)[row_bits:])
            row_anew, half_filled = Mux(fill.onward, behind, 0), ~fill.partial
        row_now = wire(m, Mux(anew, row_anew, row), "row_now")[: len(row)]
        place_now = wire(m, Mux(anew, 0, place), "place_now")
        complete = wire(m, moves & last & fill.ends, "complete")
        m.d.comb += [
            self.words.ready.eq(self.fill.valid & ~fill.nothing & ~spare),
            self.fill.ready.eq(moves & last),
        ]
        with m.If(moves):
            m.d.sync += [
                count.eq(Mux(last, 0, count + 1)),
                begun.eq(~last),
                word.eq(Mux(row_end, 0, word_now + 1)),
                row.eq(row_now + row_end),
            ]
        with m.If(taken):
            next_place = (place_now | Mux(row_end & ~again, parts - 1, 0)) + 1
            m.d.sync += place.eq(Mux(header, place_now, next_place))

        content, place_in_row = self.words.payload, word_now
        if config.has_blocks:
            content, place_in_row = self._blocks(m, taken, header, word_now, row_end & ~again)
        is_kind = {kind: wire(m, taken & (fill.kind == kind), f"is_{kind.name.lower()}") for kind in Kind}
        lane = wire(m, (1 << self._lane(row_now))[: config.lanes], "lane")
        if config.dual_issue:  # a lane's second key in the upper half of what its buffer has of a tile
            top = self._word_bits - 1
            place_in_row = Cat(place_in_row[:top], place_in_row[top] | (fill.dual & row_now[0]))
        if config.sparse:
            m.d.sync += [
                self.places_out.write.eq(is_kind[Kind.KEYS] & header),
                self.places_out.key.eq(row_now),
                self.places_out.word.eq(word_now),
            ]
        block_bits = len(self.query_word) - self._word_bits - 1
        m.d.sync += [
            self.data.eq(Mux(fill.nothing, 0, content)),
            self.wrong.eq(self.words_wrong & ~fill.nothing),
            self.write_descriptor.eq(is_kind[Kind.DESCRIPTOR]),
            self.write_query.eq(Mux(is_kind[Kind.QUERIES], 1 << row_now[:row_bits], 0)),
            self.query_word.eq(Cat(word_now[: self._word_bits], row_now[row_bits : row_bits + block_bits], half)),
            self.write_key.eq(is_kind[Kind.KEYS] & ~header),
            self.key_place.eq(place_now),
            self.write_value.eq(Mux(is_kind[Kind.VALUES] & ~header, lane, 0)),
            self.value_place.eq(place_in_row),
            self.write_slot.eq(Mux(fill.kind == Kind.KEYS, key_slot, value_slot)),
        ]
        if config.has_blocks:
            m.d.sync += [
                self.scales_out.write_key.eq(is_kind[Kind.KEYS] & header),
                self.scales_out.write_value.eq(Mux(is_kind[Kind.VALUES] & header, lane, 0)),
                self.scales_out.key.eq(row_now),
                self.scales_out.word.eq(word_now),
                self.scales_out.packing.eq(fill.packing),
                self.scales_out.read.eq(~fill.nothing),
            ]
        for kind, pointer, there in (
            (Kind.QUERIES, half, self.queries_there),
            (Kind.KEYS, key_slot, self.keys_there),
            (Kind.VALUES, value_slot, self.values_there),
        ):
            done = Signal(name=f"done_{kind.name.lower()}")
            ended = complete & (fill.kind == kind) & (half_filled if kind == Kind.QUERIES else 1)
            m.d.sync += [done.eq(ended), there.eq(done)]
            with m.If(ended):
                m.d.sync += pointer.eq(pointer + 1)
        return m

    def _lane(self, row):
        """Of a key of a tile."""
        low = row[: self._config.lane_bits]
        return Mux(self.fill.payload.dual, row[1:][: len(low)], low) if self._config.dual_issue else low

    def _elements(self, m, word_now, row_end):
        """Whether the word is before a row's elements, of scales or of places; whether it is left over from the memory
        word before (`spare`), and whether a word will be of this one (`again`)."""
        header, spare, again = Signal(name="header"), Signal(name="spare"), Signal(name="again")
        if self._config.sparse:
            m.d.comb += header.eq(word_now < self.fill.payload.place_words)
        if self._config.has_blocks:
            packing = self.fill.payload.packing
            self._phase = phase = Signal(2)
            six = wire(m, is_format(self._config, packing.format, lambda each: each.bits == 6) & ~header, "six")
            # A row of 4n + 3 words of elements ends with the third of them.
            ends = row_end & (packing.scales[:2].all() if self._config.bus_bytes == SIX_BIT_BLOCK else 0)
            m.d.comb += [
                header.eq(word_now < packing.scale_words),
                spare.eq(six & (phase == 3)),
                again.eq(six & (phase == 2) & ~ends),
            ]
            self._six = six
        return header, spare, again

    def _blocks(self, m, taken, header, word_now, row_end):
        """The word with a byte for each element of 6 bits, and its place among the row's elements."""
        phase, element = self._phase, Signal.like(self.value_place, name="element", reset_less=True)
        element_now = wire(m, Mux(word_now.any(), element, 0), "element_now")
        with m.If(taken):
            m.d.sync += [
                element.eq(Mux(header, 0, element_now + 1)),
                phase.eq(Mux(row_end | ~self._six, 0, phase + 1)),
            ]
        if not any(each.bits == 6 for each in self._config.built_formats.values()):
            return self.words.payload, element_now
        m.submodules.gearbox = gearbox = Gearbox(self._config)
        m.d.comb += [
            gearbox.word.eq(self.words.payload),
            gearbox.take.eq(taken),
            gearbox.phase.eq(phase),
        ]
        return Mux(self._six, gearbox.bytes, self.words.payload), element_now
