"""Elements as they lie in the buffers become bytes: once for all rows, at the array's edge."""

from __future__ import annotations

from amaranth.hdl import Cat, Const, Module, Mux, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hdl.attention.config import ArrayConfig
from hdl.attention.lanes import SECOND_BITS
from hdl.attention.packing import FORMAT_BITS, built_folds, folds, is_format
from hdl.attention.row import power_bits
from hdl.common.arithmetic import delayed, register, wire


def extended(element: Value, bits: int) -> Value:
    """Two's complement in more bits."""
    return Cat(element, element[-1].replicate(bits - len(element)))


class Decoder(wiring.Component):
    """C elements of a beat, of two's complement extended to a byte. Latency: two cycles, three with `dual_issue`.

    Members
    -------
    key_word : C bytes of a key's row, with the chunk somewhere in them
    value_bytes : a byte of each key's row, with the column in it; of a dual beat that of a lane's first key, with an
        even column, or of its second key, with the odd one after it
    query, format, chunk, column : which of them, and where, a cycle before
    elements : C bytes
    dual, seconds : with `dual_issue`: the beat has two elements a lane, a cycle before; the second ones, 0 of other
        beats
    """

    def __init__(self, config: ArrayConfig):
        self._config = config
        dual = {"dual": In(1), "seconds": Out(SECOND_BITS * config.lanes)} if config.dual_issue else {}
        super().__init__(
            {
                "key_word": In(8 * config.lanes),
                "value_bytes": In(8 * config.lanes),
                "query": In(1),
                "format": In(FORMAT_BITS),
                "chunk": In(power_bits(config.most_chunks)),
                "column": In(power_bits(config.dim)),
                "elements": Out(8 * config.lanes),
                **dual,
            }
        )

    def elaborate(self, platform):
        m = Module()
        config = self._config
        folded = {
            fold: wire(m, is_format(config, self.format, lambda each, fold=fold: folds(each) == fold), f"fold_{fold}")
            for fold in built_folds(config)
        }
        if config.dual_issue:
            self._prepare(m)
        self._choose(m, folded)
        held = {fold: delayed(m, one, 3, f"fold_{fold}_held", reset_less=True) for fold, one in folded.items()}
        for lane in range(config.lanes):
            part, whole = self._sources(m, lane)
            lower = wire(m, part | whole[:4], f"lower_{lane}")
            code = register(m, Cat(Mux(self._upper, whole[4:], lower), whole[4:]), f"code_{lane}")
            element = code
            for fold, one in held.items():
                element = Mux(one, extended(code[: 8 >> fold], 8), element)
            if config.dual_issue:
                element = self._both(m, lane, Cat(lower, whole[4:]), code, element, held)
            m.d.comb += self.elements.word_select(lane, 8).eq(element)
        return m

    def _choose(self, m, folded):
        """A bit a place that an element can come from, all 0 but one: whole words of keys and values, an odd column's
        nibble, parts of a key's bytes, and of those parts with two elements a lane."""
        dual = self.dual if self._config.dual_issue else Const(0, 1)
        keys, chunk = wire(m, self.query & ~dual, "keys"), Cat(self.chunk, Const(0, 2))
        upper = wire(m, ~self.query & ~dual & self.column[0] & folded.get(1, Const(0, 1)), "upper")
        whole_key, parts = keys & ~Cat(Const(0, 1), *folded.values()).any(), []
        for fold, one in folded.items():
            parts += [(keys & one & (chunk[:fold] == part), 8 >> fold, part) for part in range(1 << fold)]
        if self._config.dual_issue:  # two elements of 4 bits are a byte, two of 2 bits half of one
            pairs, of_two = wire(m, self.query & dual, "pairs"), folded.get(2, Const(0, 1))
            whole_key |= pairs & ~of_two
            parts += [(pairs & of_two & (chunk[1] == part), 4, part) for part in range(2)]
        self._whole_key = register(m, whole_key, "whole_key")
        self._value = register(m, ~self.query, "value")
        self._upper = delayed(m, upper, 2, "upper_held", reset_less=True)
        self._parts = [(register(m, one, f"part_{place}"), bits, part) for place, (one, bits, part) in enumerate(parts)]

    def _sources(self, m, lane):
        """What a lane's element is of, parts of bytes and whole ones, all 0 but one: masked and joined, a LUT a bit."""
        lanes = self._config.lanes
        words = self.key_word.word_select(lane, 8), self.value_bytes.word_select(lane, 8)
        whole = (words[0] & self._whole_key.replicate(8)) | (words[1] & self._value.replicate(8))
        part = Const(0, 4)
        for chosen, bits, place in self._parts:
            part |= self.key_word.word_select(place * lanes + lane, bits) & chosen.replicate(bits)
        return register(m, part, f"part_{lane}"), register(m, whole, f"whole_{lane}")

    def _prepare(self, m):
        """What a dual beat is, three cycles later."""
        self._of_keys = delayed(m, self.dual & self.query, 3, "dual_keys", reset_less=True)
        self._of_values = delayed(m, self.dual & ~self.query, 3, "dual_values", reset_less=True)
        self._odd = delayed(m, self.column[0], 3, "odd", reset_less=True)

    def _both(self, m, lane, code, before, element, held):
        """A lane's elements: of a dual beat two. Those of values come from the codes of two beats, of which the second
        one's upper nibbles are the odd column's."""
        uppers = register(m, Cat(before[4:], code[4:]), f"uppers_{lane}")
        pair = Mux(self._odd, uppers, Cat(before[:4], code[:4]))
        key_first, key_second = before[:4], before[4:]
        if 2 in held:
            key_second = Mux(held[2], extended(before[2:4], 4), key_second)
            key_first = Mux(held[2], extended(before[:2], 4), key_first)
        first = Mux(self._of_keys, key_first, pair[:4])
        dual = wire(m, self._of_keys | self._of_values, f"dual_{lane}")
        second = Mux(self._of_keys, key_second, Mux(self._of_values, pair[4:], 0))
        m.d.comb += self.seconds.word_select(lane, SECOND_BITS).eq(register(m, second, f"second_{lane}"))
        return register(m, Mux(dual, extended(first, 8), element), f"element_{lane}")
