"""The order of a linear layer's work, and which of two walks is at work: over a layer, or over attention's tiles."""

from __future__ import annotations

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from hdl.attention.config import ArrayConfig
from hdl.attention.job_words import FIELDS
from hdl.attention.linear_job import parts_bits
from hdl.attention.softmax import tile_layout
from hdl.attention.walk import KEPT_FIELDS, WALK_FIELDS, Walk, walk_layout
from hdl.common.arithmetic import wire

LAYER_FIELDS = ("linear", "relu", "sparse")
"""Of a job: what the array needs to know beside `WALK_FIELDS` where it does linear layers."""


def order_layout(config: ArrayConfig) -> data.StructLayout:
    """A job for the array; of a linear layer `chunks` are those of a part."""
    if not config.linear:
        return walk_layout()
    fields = {name: FIELDS[name].bits for name in LAYER_FIELDS}
    return data.StructLayout({**walk_layout().members, **fields, "parts": parts_bits(config)})


class LinearWalk(wiring.Component):
    """Tile after tile of a layer's outputs, part after part of its inputs, block after block of its rows.

    Members
    -------
    job : taken when the one before is walked through
    valid : there is a pass; `next` goes on to the following one
    chunks, k_format, dual, sparse, tile : of it
    queries : where the block's rows of this part lie among the queries
    first_part, last_part : of its tile
    last_block : of its part
    last_tile : of its job
    """

    def __init__(self, config: ArrayConfig):
        self._config = config
        super().__init__(
            {
                "job": In(stream.Signature(order_layout(config))),
                "next": In(1),
                "valid": Out(1),
                "chunks": Out(FIELDS["chunks"].bits),
                "k_format": Out(FIELDS["k_format"].bits),
                "dual": Out(1),
                "sparse": Out(1),
                "tile": Out(tile_layout(config)),
                "queries": Out(range(config.subtiles)),
                "first_part": Out(1),
                "last_part": Out(1),
                "last_block": Out(1),
                "last_tile": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        config, given = self._config, self.job.payload
        row_bits = (config.rows - 1).bit_length()
        job = Signal(order_layout(config), reset_less=True)
        part = Signal(parts_bits(config), reset_less=True)
        block = Signal.like(self.tile.block, name="block_now", reset_less=True)
        tiles = Signal.like(given.tiles, name="tiles", reset_less=True)
        place = Signal.like(self.queries, name="place", reset_less=True)
        last_row = wire(m, job.rows - 1, "last_row")
        part_end = wire(m, self.next & self.last_block, "part_end")
        tile_end = wire(m, part_end & self.last_part, "tile_end")
        m.d.comb += [
            self.job.ready.eq(~self.valid | (tile_end & (tiles == 1))),
            self.chunks.eq(job.chunks),
            self.k_format.eq(job.k_format),
            self.dual.eq(job.dual),
            self.sparse.eq(job.sparse),
            self.queries.eq(place),
            self.first_part.eq(~part.any()),
            self.last_part.eq(part == job.parts - 1),
            self.last_block.eq(block == last_row[row_bits:]),
            self.last_tile.eq(self.last_part & (tiles == 1)),
            self.tile.a.eq(job.a),
            self.tile.h.eq(job.h),
            self.tile.last_row.eq(Mux(self.last_block, last_row[:row_bits], config.rows - 1)),
            self.tile.block.eq(block),
            self.tile.linear.eq(1),
            self.tile.relu.eq(job.relu),
            self.tile.o_format.eq(job.o_format),
            *([self.tile.wide.eq(job.dual | job.sparse)] if config.wide else []),
        ]
        with m.If(self.job.ready):
            m.d.sync += [self.valid.eq(self.job.valid), job.eq(given), tiles.eq(given.tiles)]
            m.d.sync += [part.eq(0), block.eq(0), place.eq(0)]
        with m.Elif(self.next):
            m.d.sync += [
                block.eq(Mux(self.last_block, 0, block + 1)),
                part.eq(Mux(tile_end, 0, part + self.last_block)),
                place.eq(Mux(tile_end, 0, place + 1)),
                tiles.eq(tiles - tile_end),
            ]
        return m


class Order(wiring.Component):
    """The members of `Walk`, of a job of either kind, and of `LinearWalk`; of attention every part is first and last.

    Members
    -------
    linear : the job is a linear layer; `sparse`, one that keeps two of four weights
    """

    def __init__(self, config: ArrayConfig):
        self._config = config
        super().__init__(
            {
                "job": In(stream.Signature(order_layout(config))),
                "next": In(1),
                "valid": Out(1),
                "unneeded": Out(1),
                "chunks": Out(FIELDS["chunks"].bits),
                "tile": Out(tile_layout(config)),
                "queries": Out(range(config.subtiles)),
                "linear": Out(1),
                "sparse": Out(1),
                "first_part": Out(1),
                "last_part": Out(1),
                "last_block": Out(1),
                "last_tile": Out(1),
                **{name: Out(FIELDS[name].bits) for name in KEPT_FIELDS},
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.heads = heads = Walk(self._config)
        m.submodules.layers = layers = LinearWalk(self._config)
        given = self.job.payload
        walked = wire(m, heads.job.ready & ~heads.valid & layers.job.ready, "walked")
        m.d.comb += [getattr(heads.job.payload, name).eq(getattr(given, name)) for name in WALK_FIELDS]
        m.d.comb += [
            layers.job.payload.eq(given),
            # Attention's tiles are looked for while a layer is walked through; a layer waits for their end.
            self.job.ready.eq(Mux(given.linear, walked, heads.job.ready)),
            heads.job.valid.eq(self.job.valid & ~given.linear),
            layers.job.valid.eq(self.job.valid & given.linear & heads.job.ready & ~heads.valid),
            heads.next.eq(self.next & ~layers.valid),
            layers.next.eq(self.next & layers.valid),
            self.valid.eq(heads.valid | layers.valid),
            self.unneeded.eq(heads.unneeded & ~layers.valid),
            self.linear.eq(layers.valid),
            self.sparse.eq(layers.valid & layers.sparse),
            self.queries.eq(Mux(layers.valid, layers.queries, heads.tile.block)),
            self.first_part.eq(~layers.valid | layers.first_part),
            self.last_part.eq(~layers.valid | layers.last_part),
            self.fraction.eq(heads.fraction),
            self.o_format.eq(heads.o_format),
            self.v_format.eq(heads.v_format),
        ]
        for name in ("chunks", "k_format", "dual", "tile", "last_block", "last_tile"):
            m.d.comb += getattr(self, name).eq(Mux(layers.valid, getattr(layers, name), getattr(heads, name)))
        return m
