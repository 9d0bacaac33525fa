"""Elements as they lie in the buffers become bytes: once for all rows, at the array's edge."""

from __future__ import annotations

from amaranth.hdl import Cat, Const, Module, Mux, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hdl.attention.config import ArrayConfig
from hdl.attention.lanes import SECOND_BITS
from hdl.attention.packing import FORMAT_BITS, built_folds, folds, is_format
from hdl.attention.row import power_bits
from hdl.common.arithmetic import register, wire


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
    query, format, chunk, column : which of them, and where
    elements : C bytes
    dual, seconds : with `dual_issue`: the beat has two elements a lane; the second ones, 0 of other beats
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
        upper = register(m, ~self.query & self.column[0], "upper")  # nibble of a value's byte
        held = {fold: register(m, one, f"fold_{fold}_held") for fold, one in folded.items()}
        if config.dual_issue:
            self._prepare(m)
        for lane in range(config.lanes):
            code = self._code(m, lane, folded)
            found = code
            for fold, one in held.items():
                bits = 8 >> fold
                element = Mux(upper, code[4:], code[:4]) if fold == 1 else code[:bits]
                found = Mux(one, extended(element, 8), found)
            element = register(m, found, f"element_{lane}")
            if config.dual_issue:
                element = self._both(m, lane, code, element, held)
            m.d.comb += self.elements.word_select(lane, 8).eq(element)
        return m

    def _code(self, m, lane, folded):
        """A lane's byte, or its element of a key in the lowest bits of one; of a dual beat its two elements."""
        config = self._config
        code = self.key_word.word_select(lane, 8)
        for fold, one in folded.items():
            code = Mux(one, Cat(self._part(lane, 8 >> fold, 0), code[8 >> fold :]), code)
        if config.dual_issue:
            pair = self.key_word.word_select(lane, 8)
            if 2 in folded:
                pair = Mux(folded[2], Cat(self._part(lane, 4, 1), pair[4:]), pair)
            code = Mux(self.dual, pair, code)
        return register(m, Mux(self.query, code, self.value_bytes.word_select(lane, 8)), f"code_{lane}")

    def _part(self, lane, bits, skipped):
        """So many bits of a lane, of the chunk's part of a key's bytes; of its index `skipped` bits are left out."""
        count = 8 // bits
        places = [self.key_word.word_select(part * self._config.lanes + lane, bits) for part in range(count)]
        part = Cat(self.chunk, Const(0, 8))[skipped:]
        while len(places) > 1:
            places = [Mux(part[0], b, a) for a, b in zip(places[::2], places[1::2], strict=True)]
            part = part[1:]
        return places[0]

    def _prepare(self, m):
        """What a dual beat is, with its codes, and a cycle later."""
        dual, query = register(m, self.dual, "dual_of_code"), register(m, self.query, "query_of_code")
        self._of_keys = register(m, dual & query, "dual_keys")
        self._of_values = register(m, dual & ~query, "dual_values")
        self._odd = register(m, register(m, self.column[0], "odd_of_code"), "odd")

    def _both(self, m, lane, code, element, held):
        """A lane's elements a cycle later: of a dual beat two. Those of values come from the codes of two beats, whose
        upper nibbles are the odd column's."""
        before = register(m, code, f"before_{lane}")
        uppers = register(m, Cat(before[4:], code[4:]), f"uppers_{lane}")
        pair = Mux(self._odd, uppers, Cat(before[:4], code[:4]))
        key_first, key_second = before[:4], before[4:]
        if 2 in held:
            of_two = register(m, held[2], f"of_two_{lane}")
            key_second = Mux(of_two, extended(before[2:4], 4), key_second)
            key_first = Mux(of_two, extended(before[:2], 4), key_first)
        first = Mux(self._of_keys, key_first, pair[:4])
        dual = wire(m, self._of_keys | self._of_values, f"dual_{lane}")
        second = Mux(self._of_keys, key_second, Mux(self._of_values, pair[4:], 0))
        m.d.comb += self.seconds.word_select(lane, SECOND_BITS).eq(register(m, second, f"second_{lane}"))
        return register(m, Mux(dual, extended(first, 8), element), f"element_held_{lane}")
