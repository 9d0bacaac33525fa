"""A row's scores: sums over the chunks of a head, one for each key of a tile."""

from __future__ import annotations

from amaranth.hdl import Cat, Const, Module, Mux, Signal, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from hdl.attention.config import ArrayConfig
from hdl.common.arithmetic import register
from hdl.common.ram import Ram


def score_beat(config: ArrayConfig) -> data.StructLayout:
    """What a row's edge does with a sum in a QK pass: the key within the tile, whether its chunk is the first and the
    last, and the bank of the finished scores; where linear layers come in parts, the block whose sums these are."""
    shapes = {"take": 1, "key": config.tile_key_bits, "first": 1, "last": 1, "bank": 2}
    return data.StructLayout(shapes | ({"block": (config.subtiles - 1).bit_length()} if config.linear else {}))


class Scores(wiring.Component):
    """Adds up chunks and keeps the finished scores of a few blocks.

    Members
    -------
    beat : `score_beat`, two cycles before its `sum`
    sum : of a chunk; with blocks, what `ChunkShifter` makes of it, of which (sum + 1) >> 1 is added
    read_address : bank and key; `score` comes a cycle later
    """

    def __init__(self, config: ArrayConfig):
        self._config = config
        super().__init__(
            {
                "beat": In(score_beat(config)),
                "sum": In(signed(config.score_bits + 1 if config.has_blocks else config.partial_bits)),
                "read_address": In(range(config.banks * config.tile_keys)),
                "score": Out(signed(config.score_bits)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        config, bits = self._config, self._config.score_bits
        m.submodules.sums = sums = Ram(bits, config.tile_keys * (config.subtiles if config.linear else 1))
        m.submodules.finished = finished = Ram(bits, config.banks * config.tile_keys)
        beat_1 = register(m, self.beat.as_value(), "beat_1")
        beat_2 = register(m, beat_1, "beat_2")
        beat_3 = register(m, beat_2, "beat_3")
        layout = score_beat(config)
        now, done = layout(beat_1), layout(beat_3)

        # Read, add, write: a key comes again after C >= 4 cycles.
        before = Signal(signed(bits), reset_less=True)
        after = Signal(signed(bits), reset_less=True)
        m.d.comb += sums.read_address.eq(self._place(self.beat))
        total = before + self.sum
        if config.has_blocks:
            total = (Cat(Const(1, 1), before).as_signed() + self.sum) >> 1
        m.d.sync += [before.eq(Mux(now.first, 0, sums.read_data)), after.eq(total)]
        for ram in (sums, finished):
            m.d.comb += ram.write_data.eq(after)
        m.d.comb += [
            sums.write.eq(done.take),
            sums.write_address.eq(self._place(done)),
            finished.write.eq(done.take & done.last),
            finished.write_address.eq(done.key | (done.bank << config.tile_key_bits)),
            finished.read_address.eq(self.read_address),
            self.score.eq(finished.read_data),
        ]
        return m

    def _place(self, beat):
        """Of the sum so far."""
        return Cat(beat.key, beat.block) if self._config.linear else beat.key
