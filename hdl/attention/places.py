"""The buffer of sparse rows' places: which of four inputs a kept weight is multiplied by."""

from __future__ import annotations

from amaranth.hdl import Cat, Const, Module, Mux
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hdl.attention.config import ArrayConfig
from hdl.attention.lanes import PLACE_BITS
from hdl.attention.packing import chunks_of_word, most_place_words
from hdl.attention.row import power_bits
from hdl.common.arithmetic import delayed, register, wire
from hdl.common.ram import Ram


def places_in(config: ArrayConfig) -> wiring.Signature:
    """Which memory words are places: of a key of the tile, a word of its row."""
    words = max(2, most_place_words(config))
    return wiring.Signature({"write": Out(1), "key": Out(config.tile_key_bits), "word": Out(range(words))})


class Places(wiring.Component):
    """A ring of tiles' places, beside the one of keys.

    Latency: `operand_cycles`, from a beat to `places`.

    Members
    -------
    write, key, word, write_slot, data : a memory word, of `places_in`
    sparse, beat_key, chunk, slot : a beat: its key, its chunk among those of 2C inputs
    places : of each lane; of a beat that is not sparse, those of the lanes' own first operands
    """

    def __init__(self, config: ArrayConfig):
        self._config = config
        super().__init__(
            {
                **{name: In(member.shape) for name, member in places_in(config).members.items()},
                "write_slot": In(config.slot_bits),
                "data": In(config.bus_bits),
                "sparse": In(1),
                "beat_key": In(config.tile_key_bits),
                "chunk": In(power_bits(config.most_chunks)),
                "slot": In(config.slot_bits),
                "places": Out(PLACE_BITS * config.lanes),
            }
        )

    def elaborate(self, platform):
        m = Module()
        config = self._config
        low = (chunks_of_word(config) - 1).bit_length()
        word_bits = len(self.word)
        m.submodules.buffer = buffer = Ram(config.bus_bits, 1 << (config.slot_bits + config.tile_key_bits + word_bits))
        word = Cat(self.chunk >> low, Const(0, word_bits))[:word_bits]
        m.d.comb += [
            buffer.write.eq(self.write),
            buffer.write_address.eq(Cat(self.word, self.key, self.write_slot)),
            buffer.write_data.eq(self.data),
            buffer.read_address.eq(Cat(word, self.beat_key, self.slot)),
        ]
        part = register(m, self.chunk[:low], "part") if low else Const(0, 1)
        of_beat = buffer.read_data.word_select(part, PLACE_BITS * config.lanes)
        own = Cat(Const(PLACE_BITS * (lane % 2), PLACE_BITS) for lane in range(config.lanes))
        chosen = wire(m, Mux(register(m, self.sparse, "sparse_read"), of_beat, own), "chosen")
        late = delayed(m, chosen, config.operand_cycles - 1, "places_of_beat", reset_less=True)
        m.d.comb += self.places.eq(late)
        return m
