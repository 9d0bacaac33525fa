"""The order of work: for each job its tiles, for each tile its blocks; and what is masked in each."""

from __future__ import annotations

from amaranth.hdl import Cat, Module, Mux, Signal, signed
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from hdl.attention.config import ArrayConfig
from hdl.attention.job_words import FIELDS
from hdl.attention.softmax import tile_layout
from hdl.attention.softmax_unit import BOUND_BITS, key_bounds
from hdl.attention.tile_size import beyond_tile, tile_size
from hdl.common.arithmetic import register, wire

WALK_FIELDS = (
    "rows",
    "chunks",
    "first",
    "last",
    "tiles",
    "a",
    "h",
    "fraction",
    "o_format",
    "step",
    "key",
    "keys",
    "k_format",
    "v_format",
    "dual",
    "sink",
    "lo",
    "hi",
)
"""Of a job: what the array needs to know."""

KEPT_FIELDS = ("fraction", "o_format", "k_format", "v_format", "dual")
"""Of those: what goes with every pair."""


def walk_layout() -> data.StructLayout:
    """A job's `WALK_FIELDS`."""
    shapes = {name: FIELDS[name] for name in WALK_FIELDS}
    return data.StructLayout(
        {name: signed(field.bits) if field.signed else field.bits for name, field in shapes.items()}
    )


class Walk(wiring.Component):
    """One block of one tile after the other, of those that need each other.

    Looks for the next pair while the one before is done: a pair is given when it is known whether its tile has another.

    Members
    -------
    job : taken when the one before is walked through
    valid : there is a block's tile; `next` goes on to the following one
    unneeded : no block needs the tile: there is no pair, the tile is only to be freed
    chunks, tile : of the pair
    last_block : of those that need its tile
    last_tile : of its job, whose queries are not needed any more after `last_block`
    fraction, o_format, k_format, v_format, dual : of the job
    """

    def __init__(self, config: ArrayConfig):
        self._config = config
        super().__init__(
            {
                "job": In(stream.Signature(walk_layout())),
                "next": In(1),
                "valid": Out(1),
                "unneeded": Out(1),
                "chunks": Out(FIELDS["chunks"].bits),
                "tile": Out(tile_layout(config)),
                "last_block": Out(1),
                "last_tile": Out(1),
                **{name: Out(FIELDS[name].bits) for name in KEPT_FIELDS},
            }
        )

    def elaborate(self, platform):
        m = Module()
        config = self._config
        given, row_bits = self.job.payload, (config.rows - 1).bit_length()
        job = Signal(walk_layout(), reset_less=True)
        searching, settled, judged, found = Signal(), Signal(), Signal(), Signal()
        first_tile = Signal(reset_less=True)
        job_end = Signal.like(job.rows, name="job_end", reset_less=True)
        block = Signal.like(self.tile.block, name="block_now", reset_less=True)
        tiles = Signal(FIELDS["tiles"].bits, reset_less=True)
        blocks_end = wire(m, block == job_end[row_bits:][: len(block)], "blocks_end")
        tiles_end = register(m, tiles == 1, "tiles_end")
        last_row = wire(m, Mux(blocks_end, job_end[:row_bits], config.rows - 1), "last_row")
        take = wire(m, ~searching, "take")
        move = Signal()
        bounds, reaches, reaches_next, seen, before = self._masks(m, job, take, move, blocks_end, last_row, first_tile)

        # Two cycles to judge the pair, its bounds first, a cycle to act on it.
        more = wire(m, reaches_next & ~tiles_end, "more")
        visit = register(m, Mux(reaches, seen | ~more, first_tile), "visit")
        first = register(m, job.first & (first_tile | ~before), "first")
        final = register(m, job.last & ~more, "final")
        m.d.sync += [settled.eq(searching & ~move), judged.eq(settled & ~move)]

        # What is found stays until it is taken; it may be taken when it is known to be its tile's last, or not to be.
        free = wire(m, ~(self.valid | found), "free")
        resolves = wire(m, judged & found & (visit | blocks_end), "resolves")
        keeps = wire(m, judged & visit & free, "keeps")
        frees = wire(m, judged & ~visit & blocks_end & free, "frees")
        m.d.comb += move.eq(keeps | frees | (judged & ~visit & (~blocks_end | found)))
        with m.If(self.next):
            m.d.sync += self.valid.eq(0)
        with m.If(free):
            m.d.sync += [found.eq(keeps & ~blocks_end), self.valid.eq(frees | (keeps & blocks_end))]
        with m.Elif(resolves):
            m.d.sync += [found.eq(0), self.valid.eq(1), self.last_block.eq(~visit), self.last_tile.eq(tiles_end)]
        with m.If(keeps | frees):
            m.d.sync += [
                self.unneeded.eq(frees),
                self.last_block.eq(1),
                self.last_tile.eq(tiles_end),
                self.chunks.eq(job.chunks),
                *(getattr(self, name).eq(getattr(job, name)) for name in KEPT_FIELDS),
                self.tile.bounds.eq(bounds),
                self.tile.step.eq(job.step),
                self.tile.a.eq(job.a),
                self.tile.h.eq(job.h),
                self.tile.last_row.eq(last_row),
                self.tile.block.eq(block),
                self.tile.first.eq(first),
                self.tile.final.eq(final),
                *([self.tile.wide.eq(job.dual)] if config.wide else []),
            ]

        m.d.comb += self.job.ready.eq(take)
        with m.If(take):
            m.d.sync += [
                searching.eq(self.job.valid),
                job.eq(given),
                job_end.eq(given.rows - 1),
                tiles.eq(given.tiles),
                block.eq(0),
                first_tile.eq(1),
            ]
        with m.Elif(move):
            m.d.sync += block.eq(Mux(blocks_end, 0, block + 1))
            with m.If(blocks_end):
                m.d.sync += [tiles.eq(tiles - 1), first_tile.eq(0), searching.eq(~tiles_end)]
        return m

    def _masks(self, m, job, take, move, last_block, last_row, first_tile):
        """Bounds of the block's row 0, from its tile's first key on: a new job's, the next block's, the next tile's.

        Also of the block: its last row's end and the keys' reach this tile, and the next; one of this tile's keys may
        be seen by the first row; some block went through a tile before this one, if `reaches`.
        """
        config, given = self._config, self.job.payload
        bits = config.key_bits + 2
        size, count = tile_size(config, job.dual), config.tile_key_bits + 1
        bounds = Signal(key_bounds(config), reset_less=True)
        some, beyond = {}, {}
        for name in ("lo", "hi", "sink", "keys"):
            of_tile = Signal(signed(bits), name=f"{name}_of_tile", reset_less=True)
            follows = wire(m, of_tile - size, f"{name}_follows").as_signed()
            bound = getattr(bounds, name)
            with m.If(take):
                m.d.sync += of_tile.eq(getattr(given, name) - given.key)
            with m.Elif(move & last_block):
                m.d.sync += of_tile.eq(follows)
            if name in ("sink", "keys"):
                whole = beyond_tile(config, of_tile, job.dual)
                m.d.sync += bound.eq(Mux(of_tile[-1], 0, Mux(whole, size, of_tile[:count])))
                some[name] = bound.any()
                beyond[name] = register(m, ~follows[-1] & follows.any(), f"{name}_beyond")
                continue
            now = Signal(signed(bits), name=f"{name}_now", reset_less=True)
            with m.If(take):
                m.d.sync += now.eq(getattr(given, name) - given.key)
            with m.Elif(move):
                m.d.sync += now.eq(Mux(last_block, follows, now + (job.step << (config.rows.bit_length() - 1))))
            low = BOUND_BITS - 2
            inside = wire(m, now[low:].all() | ~now[low:].any(), f"{name}_inside")
            edge = Cat((~now[-1]).replicate(low), now[-1].replicate(2))
            m.d.sync += bound.eq(Mux(inside, Cat(now[:low], now[-1].replicate(2)), edge))

        risen = register(m, job.step * last_row, "risen")
        end = wire(m, bounds.hi + risen, "end").as_signed()  # clipped as the bound is: far, or right
        reaches = wire(m, ~end[-1] & some["keys"], "reaches")
        reaches_next = wire(m, ~end[-1] & beyond_tile(config, end, job.dual) & beyond["keys"], "reaches_next")
        began = wire(m, bounds.lo[-1] | ~beyond_tile(config, bounds.lo, job.dual), "began")
        # Where a job has keys of a sink, every block that reaches them goes through its first tile.
        sink_there = Signal(reset_less=True)
        with m.If(first_tile):
            m.d.sync += sink_there.eq(some["sink"])
        before = wire(m, sink_there | bounds.lo[-1], "before")
        return bounds, reaches, reaches_next, wire(m, some["sink"] | began, "seen"), before
