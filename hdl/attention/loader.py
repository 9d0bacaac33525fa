"""What is read from memory, in which order: descriptors ahead of their jobs, queries, then keys and values by tiles."""

from __future__ import annotations

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from hdl.attention.commands import Kind, item_layout, log2, word_address_bits
from hdl.attention.config import ArrayConfig
from hdl.attention.descriptor import DESCRIPTOR_BYTES, job_layout
from hdl.attention.passes import Counter
from hdl.attention.walk import WALK_FIELDS, walk_layout
from hdl.common.arithmetic import wire


def writer_layout() -> data.StructLayout:
    """A job for the writer."""
    return data.StructLayout({"rows": 16, "chunks": 8, "address": 32, "stride": 32})


class Loader(wiring.Component):
    """Walks over the list.

    Members
    -------
    start, list_address, list_length : the list
    running : it has not been read to its end
    descriptor_valid, descriptor, descriptor_bad, descriptor_taken : of `Descriptor`
    walk, write : jobs for the array, and those with outputs for the writer
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
                "descriptor_bad": In(1),
                "descriptor_taken": Out(1),
                "walk": Out(stream.Signature(walk_layout())),
                "write": Out(stream.Signature(writer_layout())),
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
        self._left = Signal(16)  # descriptors that have not been taken; the next one of them was asked for
        self._pointer = Signal(word_address_bits(config), reset_less=True)
        self._tiles = Signal(24, reset_less=True)
        self._walk_pending, self._write_pending = Signal(), Signal()
        self._handed = wire(m, ~self._walk_pending & ~self._write_pending, "handed")
        self._hand_on(m)
        m.d.comb += self.running.eq(1)
        with m.FSM():
            self._descriptors(m)
            self._operands(m)
        return m

    def _hand_on(self, m):
        """The job at hand to the array and to the writer."""
        job = self._job
        m.d.comb += [getattr(self.walk.payload, name).eq(getattr(job, name)) for name in WALK_FIELDS]
        m.d.comb += [
            self.walk.valid.eq(self._walk_pending),
            self.write.valid.eq(self._write_pending),
            self.write.payload.rows.eq(job.rows),
            self.write.payload.chunks.eq(job.chunks),
            self.write.payload.address.eq(job.o_address),
            self.write.payload.stride.eq(job.o_stride),
        ]
        with m.If(self.walk.ready):
            m.d.sync += self._walk_pending.eq(0)
        with m.If(self.write.ready):
            m.d.sync += self._write_pending.eq(0)

    def _ask(self, m, kind, address, stride, rows, row_words):
        """Offers an item."""
        fields = {"kind": kind, "address": address, "stride": stride, "rows": rows, "row_words": row_words}
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
        with m.State("JOB"):
            take = wire(m, left.any() & self._handed & self.descriptor_valid, "take")
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
        room = {}
        for name, most in (("queries", 2), ("keys", config.tile_slots), ("values", config.tile_slots)):
            m.submodules[f"room_{name}"] = room[name] = Counter(most, most)
            m.d.comb += room[name].more.eq(getattr(self, f"{name}_free"))
        keys = Signal(24, reset_less=True)
        addresses = {name: Signal(word_address_bits(config), name=f"{name}_address", reset_less=True) for name in "kv"}
        row_words = wire(m, (job.chunks << log2(config.lanes // config.bus_bytes))[:8] - 1, "row_words")[:8]
        tile_rows = wire(m, Mux(keys >= config.lanes, config.lanes, keys), "tile_rows")

        def ask(kind, name, address, rows):
            """Offers an item when there is room for it; whether it was taken."""
            with m.If(room[name].any):
                self._ask(m, kind, address, getattr(job, f"{name[0]}_stride")[low:], rows, row_words)
            taken = wire(m, room[name].any & self.item.ready, f"{name}_asked")
            m.d.comb += room[name].less.eq(taken)
            return taken

        with m.State("QUERIES"):
            m.d.sync += keys.eq(Mux(job.keys > job.key, job.keys - job.key, 0))
            m.d.sync += [address.eq(getattr(job, f"{name}_address")[low:]) for name, address in addresses.items()]
            with m.If(ask(Kind.QUERIES, "queries", job.q_address[low:], job.rows)):
                m.next = "KEYS"
        with m.State("KEYS"), m.If(ask(Kind.KEYS, "keys", addresses["k"], tile_rows)):
            m.d.sync += addresses["k"].eq(addresses["k"] + (job.k_stride[low:] << log2(config.lanes)))
            m.next = "VALUES"
        with m.State("VALUES"), m.If(ask(Kind.VALUES, "values", addresses["v"], tile_rows)):
            m.d.sync += addresses["v"].eq(addresses["v"] + (job.v_stride[low:] << log2(config.lanes)))
            m.d.sync += [keys.eq(keys - tile_rows), tiles.eq(tiles - 1)]
            m.next = "KEYS"
            with m.If(tiles == 1):
                m.next = "JOB"
