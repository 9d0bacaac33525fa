"""The order of work: for each job its tiles, for each tile its blocks; and what is masked in each."""

from __future__ import annotations

from amaranth.hdl import Cat, Module, Mux, Signal, signed
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from hdl.attention.config import ArrayConfig
from hdl.attention.job_words import FIELDS
from hdl.attention.softmax import tile_layout
from hdl.attention.softmax_unit import BOUND_BITS
from hdl.common.arithmetic import wire

WALK_FIELDS = (
    "rows",
    "chunks",
    "first",
    "last",
    "tiles",
    "a",
    "h",
    "fraction",
    "step",
    "key",
    "keys",
    "sink",
    "lo",
    "hi",
)
"""Of a job: what the array needs to know."""


def walk_layout() -> data.StructLayout:
    """A job's `WALK_FIELDS`."""
    shapes = {name: FIELDS[name] for name in WALK_FIELDS}
    return data.StructLayout(
        {name: signed(field.bits) if field.signed else field.bits for name, field in shapes.items()}
    )


class Walk(wiring.Component):
    """One block of one tile after the other.

    Members
    -------
    job : taken when the one before is walked through
    valid : there is a block's tile; `next` goes on to the following one
    chunks, tile : of it
    last_block : of its tile
    last_tile : of its job, whose queries are not needed any more after `last_block`
    fraction : of the job
    """

    def __init__(self, config: ArrayConfig):
        self._config = config
        super().__init__(
            {
                "job": In(stream.Signature(walk_layout())),
                "next": In(1),
                "valid": Out(1),
                "chunks": Out(FIELDS["chunks"].bits),
                "tile": Out(tile_layout(config)),
                "last_block": Out(1),
                "last_tile": Out(1),
                "fraction": Out(FIELDS["fraction"].bits),
            }
        )

    def elaborate(self, platform):
        m = Module()
        config = self._config
        given, row_bits = self.job.payload, (config.rows - 1).bit_length()
        job = Signal(walk_layout(), reset_less=True)
        first_tile = Signal(reset_less=True)
        last_row = wire(m, job.rows - 1, "last_row")
        block = Signal.like(self.tile.block, name="block_now", reset_less=True)
        self._masks(m, job)
        tiles = Signal(FIELDS["tiles"].bits, reset_less=True)
        blocks_end = wire(m, block == last_row[row_bits:], "blocks_end")
        tiles_end = wire(m, tiles == 1, "tiles_end")
        ends = wire(m, self.next & blocks_end & tiles_end, "ends")
        m.d.comb += [
            self.job.ready.eq(~self.valid | ends),
            self.chunks.eq(job.chunks),
            self.last_block.eq(blocks_end),
            self.last_tile.eq(tiles_end),
            self.fraction.eq(job.fraction),
            self.tile.step.eq(job.step),
            self.tile.a.eq(job.a),
            self.tile.h.eq(job.h),
            self.tile.last_row.eq(Mux(blocks_end, last_row[:row_bits], config.rows - 1)),
            self.tile.block.eq(block),
            self.tile.first.eq(job.first & first_tile),
            self.tile.final.eq(job.last & tiles_end),
        ]
        with m.If(self.job.ready):
            m.d.sync += [
                self.valid.eq(self.job.valid),
                job.eq(given),
                tiles.eq(given.tiles),
                block.eq(0),
                first_tile.eq(1),
            ]
        with m.Elif(self.next):
            m.d.sync += block.eq(Mux(blocks_end, 0, block + 1))
            with m.If(blocks_end):
                m.d.sync += [tiles.eq(tiles - 1), first_tile.eq(0)]
        return m

    def _masks(self, m, job):
        """Bounds of the block's row 0, from its tile's first key on: a new job's, the next block's, the next tile's."""
        config, given = self._config, self.job.payload
        bits = config.key_bits + 2
        count = config.lane_bits + 1
        fresh = self.job.ready
        last_block = wire(m, self.last_block, "masks_block_end")
        for name in ("lo", "hi", "sink", "keys"):
            of_tile = Signal(signed(bits), name=f"{name}_of_tile", reset_less=True)
            follows = wire(m, of_tile - config.lanes, f"{name}_follows")
            bound = getattr(self.tile.bounds, name)
            with m.If(fresh):
                m.d.sync += of_tile.eq(getattr(given, name) - given.key)
            with m.Elif(self.next & last_block):
                m.d.sync += of_tile.eq(follows)
            if name in ("sink", "keys"):
                m.d.comb += bound.eq(
                    Mux(of_tile[-1], 0, Mux(of_tile[count - 1 :].any(), config.lanes, of_tile[:count]))
                )
                continue
            now = Signal(signed(bits), name=f"{name}_now", reset_less=True)
            with m.If(fresh):
                m.d.sync += now.eq(getattr(given, name) - given.key)
            with m.Elif(self.next):
                m.d.sync += now.eq(Mux(last_block, follows, now + (job.step << (config.rows.bit_length() - 1))))
            low = BOUND_BITS - 2
            inside = wire(m, now[low:].all() | ~now[low:].any(), f"{name}_inside")
            edge = Cat((~now[-1]).replicate(low), now[-1].replicate(2))
            m.d.comb += bound.eq(Mux(inside, Cat(now[:low], now[-1].replicate(2)), edge))
