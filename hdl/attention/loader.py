"""What is read from memory, in which order: descriptors ahead of their jobs, queries, then keys and values by tiles."""

from __future__ import annotations

from amaranth.hdl import Const, Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from hdl.attention.commands import Kind, item_layout, log2, word_address_bits
from hdl.attention.config import ArrayConfig
from hdl.attention.counter import Counter
from hdl.attention.descriptor import DESCRIPTOR_BYTES, job_layout
from hdl.attention.linear_job import parts_bits
from hdl.attention.linear_walk import LAYER_FIELDS, order_layout
from hdl.attention.linear_writer import layer_layout
from hdl.attention.packing import RowPacking
from hdl.attention.tile_size import tile_size, whole_tiles
from hdl.attention.walk import WALK_FIELDS
from hdl.common.arithmetic import delayed, wire


def writer_layout() -> data.StructLayout:
    """A job for the writer."""
    return data.StructLayout({"rows": 16, "chunks": 8, "o_format": 2, "address": 32, "stride": 32})


class Loader(wiring.Component):
    """Walks over the list.

    Members
    -------
    start, list_address, list_length : the list
    running : it has not been read to its end
    descriptor_valid, descriptor, descriptor_parts, descriptor_bad, descriptor_taken : of `Descriptor`
    written : the outputs of all jobs that were handed on are in memory
    walk, write, layer : jobs for the array, those with outputs for the writer, and linear layers for theirs
    item : of `Commands`
    queries_free, keys_free, values_free : pulses: there is room again
    bad, underflow : pulses
    """

    def __init__(self, config: ArrayConfig):
        self._config = config
        super().__init__(
            {
                "start": In(1),
                "list_address": In(word_address_bits(config)),
                "list_length": In(16),
                "running": Out(1),
                "descriptor_valid": In(1),
                "descriptor": In(job_layout()),
                **({"descriptor_parts": In(parts_bits(config))} if config.linear else {}),
                "descriptor_bad": In(1),
                "descriptor_taken": Out(1),
                "written": In(1),
                "walk": Out(stream.Signature(order_layout(config))),
                "write": Out(stream.Signature(writer_layout())),
                **({"layer": Out(stream.Signature(layer_layout()))} if config.linear else {}),
                "item": Out(stream.Signature(item_layout(config))),
                "queries_free": In(1),
                "keys_free": In(1),
                "values_free": In(1),
                "bad": Out(1),
                "underflow": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        config = self._config
        self._job = Signal(job_layout(), reset_less=True)
        self._parts = Signal(parts_bits(config), reset_less=True)
        self._left = Signal(16)  # descriptors that have not been taken; the next one of them was asked for
        self._pointer = Signal(word_address_bits(config), reset_less=True)
        self._tiles = Signal(24, reset_less=True)
        self._walk_pending, self._write_pending = Signal(), Signal()
        self._handed = wire(m, ~self._walk_pending & ~self._write_pending, "handed")
        self._handed_before = delayed(m, self._handed, 1, "handed")  # `written` tells what was handed on a cycle late
        self._hand_on(m)
        m.d.comb += self.running.eq(1)
        self._room = {}
        for name, most in (("queries", 2), ("keys", config.tile_slots), ("values", config.tile_slots)):
            m.submodules[f"room_{name}"] = self._room[name] = Counter(most, most)
            m.d.comb += self._room[name].more.eq(getattr(self, f"{name}_free"))
        self._addresses = {
            name: Signal(word_address_bits(config), name=f"{name}_address", reset_less=True) for name in "kv"
        }
        with m.FSM():
            self._descriptors(m)
            self._operands(m)
            if config.linear:
                self._layer(m)
        return m

    def _hand_on(self, m):
        """The job at hand to the array and to the writer."""
        job = self._job
        m.d.comb += [getattr(self.walk.payload, name).eq(getattr(job, name)) for name in WALK_FIELDS]
        if self._config.linear:
            self._hand_on_layer(m)
        m.d.comb += [
            self.walk.valid.eq(self._walk_pending),
            self.write.valid.eq(self._write_pending & (~job.linear if self._config.linear else 1)),
            self.write.payload.rows.eq(job.rows),
            self.write.payload.chunks.eq(job.chunks),
            self.write.payload.o_format.eq(job.o_format),
            self.write.payload.address.eq(job.o_address),
            self.write.payload.stride.eq(job.o_stride),
        ]
        with m.If(self.walk.ready):
            m.d.sync += self._walk_pending.eq(0)
        with m.If(Mux(job.linear, self.layer.ready, self.write.ready) if self._config.linear else self.write.ready):
            m.d.sync += self._write_pending.eq(0)

    def _hand_on_layer(self, m):
        """What is more of a linear layer."""
        job = self._job
        m.d.comb += [getattr(self.walk.payload, name).eq(getattr(job, name)) for name in LAYER_FIELDS]
        m.d.comb += [
            self.walk.payload.chunks.eq(self._part_chunks()),
            self.walk.payload.parts.eq(self._parts),
            self.layer.valid.eq(self._write_pending & job.linear),
            self.layer.payload.rows.eq(job.rows),
            self.layer.payload.tiles.eq(job.tiles),
            self.layer.payload.o_format.eq(job.o_format),
            self.layer.payload.wide.eq(job.dual | job.sparse),
            self.layer.payload.address.eq(job.o_address),
            self.layer.payload.stride.eq(job.o_stride),
        ]

    def _part_chunks(self):
        """Chunks of a part of a job's rows; of all of them where there is one part."""
        job = self._job
        return Mux(self._parts == 1, job.chunks, self._config.most_chunks) if self._config.linear else job.chunks

    def _ask(self, m, kind, address, stride, rows, row_words, **besides):
        """Offers an item; `besides` are of `handed_shapes`."""
        fields = {"kind": kind, "address": address, "stride": stride, "rows": rows, "row_words": row_words}
        fields |= besides
        m.d.comb += [getattr(self.item.payload, name).eq(value) for name, value in fields.items()]
        m.d.comb += self.item.valid.eq(1)

    def _descriptors(self, m):
        """States: at rest; the next descriptor is asked for; it is waited for."""
        words = DESCRIPTOR_BYTES // self._config.bus_bytes
        left, found = self._left, self.descriptor
        with m.State("REST"):
            m.d.comb += self.running.eq(0)
            m.d.sync += [self._pointer.eq(self.list_address), left.eq(self.list_length), self._tiles.eq(0)]
            with m.If(self.start & self.list_length.any()):
                m.next = "ASK"
        with m.State("ASK"):
            with m.If(left.any()):
                self._ask(m, Kind.DESCRIPTOR, self._pointer, 0, 1, words - 1)
            with m.If(~left.any() | self.item.ready):
                m.d.sync += self._pointer.eq(self._pointer + words)
                m.next = "JOB"
                with m.If(self._tiles.any()):
                    m.next = "QUERIES"
                    if self._config.linear:
                        with m.If(self._job.linear):
                            m.next = "INPUTS"
        with m.State("JOB"):
            waits = wire(m, found.after & ~(self.written & self._handed_before) & ~self.descriptor_bad, "waits")
            take = wire(m, left.any() & self._handed & self.descriptor_valid & ~waits, "take")
            with m.If(~left.any() & self._handed):
                m.next = "REST"
            with m.If(take):
                m.d.comb += [
                    self.descriptor_taken.eq(1),
                    self.bad.eq(self.descriptor_bad),
                    self.underflow.eq(~self.descriptor_bad & ~found.a.any()),
                ]
                m.d.sync += [
                    self._job.eq(found),
                    *([self._parts.eq(self.descriptor_parts)] if self._config.linear else []),
                    left.eq(left - 1),
                    self._tiles.eq(Mux(self.descriptor_bad, 0, found.tiles)),
                    self._walk_pending.eq(~self.descriptor_bad),
                    self._write_pending.eq(~self.descriptor_bad & found.last),
                ]
                m.next = "ASK"

    def _operands(self, m):
        """States: queries, then a tile of keys and one of values, again and again."""
        config, job, tiles = self._config, self._job, self._tiles
        low = log2(config.bus_bytes)
        room, addresses = self._room, self._addresses
        keys = Signal(24, reset_less=True)
        chunks = wire(m, self._part_chunks(), "part_chunks")
        row_words = wire(m, (chunks << log2(config.lanes // config.bus_bytes))[:8] - 1, "row_words")[:8]
        packed = {}
        for name in "kv" if config.formats or config.sparse else "":
            code, exponent = getattr(job, f"{name}_format"), getattr(job, f"{name}_exponent")
            sparse = job.sparse if config.sparse and name == "k" else None
            packed[name] = RowPacking(m, config, chunks, code, exponent, name, sparse)
        self._row_words = row_words
        self._weight_words = packed["k"].row_words if packed else row_words
        self._place_words = packed["k"].place_words if packed else Const(0, 1)
        size = tile_size(config, job.dual)
        tile_rows = wire(m, Mux(keys >= size, size, keys), "tile_rows")

        def ask(kind, name, address, rows):
            """Offers an item when there is room for it; whether it was taken."""
            with m.If(room[name].any):
                words, besides = row_words, {}
                if name[0] in packed:
                    words = packed[name[0]].row_words
                    besides = {"packing": packed[name[0]].layout} if config.has_blocks else {}
                    besides |= {"dual": job.dual} if config.dual_issue else {}
                self._ask(m, kind, address, getattr(job, f"{name[0]}_stride")[low:], rows, words, **besides)
            taken = wire(m, room[name].any & self.item.ready, f"{name}_asked")
            m.d.comb += room[name].less.eq(taken)
            return taken

        with m.State("QUERIES"):
            m.d.sync += keys.eq(Mux(job.keys > job.key, job.keys - job.key, 0))
            m.d.sync += [address.eq(getattr(job, f"{name}_address")[low:]) for name, address in addresses.items()]
            with m.If(ask(Kind.QUERIES, "queries", job.q_address[low:], job.rows)):
                m.next = "KEYS"
        with m.State("KEYS"), m.If(ask(Kind.KEYS, "keys", addresses["k"], tile_rows)):
            m.d.sync += addresses["k"].eq(addresses["k"] + whole_tiles(config, job.k_stride[low:], job.dual))
            m.next = "VALUES"
        with m.State("VALUES"), m.If(ask(Kind.VALUES, "values", addresses["v"], tile_rows)):
            m.d.sync += addresses["v"].eq(addresses["v"] + whole_tiles(config, job.v_stride[low:], job.dual))
            m.d.sync += [keys.eq(keys - tile_rows), tiles.eq(tiles - 1)]
            m.next = "KEYS"
            with m.If(tiles == 1):
                m.next = "JOB"

    def _layer(self, m):
        """States of a linear layer: its rows part by part; then of a tile's weights part by part, again and again."""
        config, job, tiles, room = self._config, self._job, self._tiles, self._room
        low = log2(config.bus_bytes)
        part_words = config.dim // config.bus_bytes
        at, tile_at = self._addresses["k"], self._addresses["v"]
        part = Signal(range(config.subtiles))
        last_part = wire(m, part == self._parts - 1, "last_part")
        wide = job.dual | job.sparse
        following = wire(m, tile_at + whole_tiles(config, job.k_stride[low:], wide), "following")
        outputs, of_row = tile_size(config, wide), {"place_words": self._place_words} if config.sparse else {}
        begun, inputs_next = wire(m, part.any(), "part_begun"), Signal.like(at, name="inputs_next", reset_less=True)
        inputs_at = wire(m, Mux(begun, inputs_next, job.q_address[low:]), "inputs_at")
        part_stride = wire(m, Mux(job.v_stride.any(), job.v_stride[low:], self._weight_words + 1), "part_stride")
        with m.State("INPUTS"):
            of_part = {"onward": begun, "partial": ~last_part}
            m.d.sync += [at.eq(job.k_address[low:]), tile_at.eq(job.k_address[low:])]
            with m.If(begun | room["queries"].any):
                self._ask(m, Kind.QUERIES, inputs_at, job.q_stride[low:], job.rows, self._row_words, **of_part)
                with m.If(self.item.ready):
                    m.d.comb += room["queries"].less.eq(~begun)
                    m.d.sync += [part.eq(Mux(last_part, 0, part + 1)), inputs_next.eq(inputs_at + part_words)]
                    with m.If(last_part):
                        m.next = "WEIGHTS"
        with m.State("WEIGHTS"), m.If(room["keys"].any):
            self._ask(m, Kind.KEYS, at, job.k_stride[low:], outputs, self._weight_words, **of_row)
            with m.If(self.item.ready):
                m.d.comb += room["keys"].less.eq(1)
                m.d.sync += [part.eq(Mux(last_part, 0, part + 1)), at.eq(at + part_stride)]
                with m.If(last_part):
                    m.d.sync += [at.eq(following), tile_at.eq(following), tiles.eq(tiles - 1)]
                    with m.If(tiles == 1):
                        m.next = "JOB"
