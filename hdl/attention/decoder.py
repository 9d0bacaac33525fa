"""Elements as they lie in the buffers become bytes: once for all rows, at the array's edge."""

from __future__ import annotations

from amaranth.hdl import Cat, Const, Module, Mux
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hdl.attention.config import ArrayConfig
from hdl.attention.packing import FORMAT_BITS, built_folds, folds, is_format
from hdl.attention.row import power_bits
from hdl.common.arithmetic import register, wire


class Decoder(wiring.Component):
    """C elements of a beat, of two's complement extended to a byte. Latency: two cycles.

    Members
    -------
    key_word : C bytes of a key's row, with the chunk somewhere in them
    value_bytes : a byte of each key's row, with the column in it
    query, format, chunk, column : which of them, and where
    elements : C bytes
    """

    def __init__(self, config: ArrayConfig):
        self._config = config
        super().__init__(
            {
                "key_word": In(8 * config.lanes),
                "value_bytes": In(8 * config.lanes),
                "query": In(1),
                "format": In(FORMAT_BITS),
                "chunk": In(power_bits(config.most_chunks)),
                "column": In(power_bits(config.dim)),
                "elements": Out(8 * config.lanes),
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
        for lane in range(config.lanes):
            code = self._code(m, lane, folded)
            found = code
            for fold, one in held.items():
                bits = 8 >> fold
                element = Mux(upper, code[4:], code[:4]) if fold == 1 else code[:bits]
                found = Mux(one, Cat(element, element[-1].replicate(8 - bits)), found)
            m.d.comb += self.elements.word_select(lane, 8).eq(register(m, found, f"element_{lane}"))
        return m

    def _code(self, m, lane, folded):
        """A lane's byte, or its element of a key in the lowest bits of one."""
        config = self._config
        code = self.key_word.word_select(lane, 8)
        for fold, one in folded.items():
            bits = 8 >> fold
            places = [self.key_word.word_select(part * config.lanes + lane, bits) for part in range(1 << fold)]
            part = Cat(self.chunk, Const(0, fold))[:fold]
            while len(places) > 1:
                places = [Mux(part[0], b, a) for a, b in zip(places[::2], places[1::2], strict=True)]
                part = part[1:]
            code = Mux(one, Cat(places[0], code[bits:]), code)
        return register(m, Mux(self.query, code, self.value_bytes.word_select(lane, 8)), f"code_{lane}")
