"""Rows in memory become commands to read, and notes of what becomes of the words."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import data, enum, stream, wiring
from amaranth.lib.wiring import In, Out

from hdl.attention.config import ArrayConfig
from hdl.attention.packing import ROW_WORD_BITS, most_place_words, packing_layout
from hdl.common.arithmetic import register, wire

WORD_COUNT_BITS = 20
"""Of a command's words less one."""


class Kind(enum.Enum, shape=2):
    """Where words go."""

    DESCRIPTOR = 0
    QUERIES = 1
    KEYS = 2
    VALUES = 3


def log2(value: int) -> int:
    """Of a power of two."""
    return value.bit_length() - 1


def word_address_bits(config: ArrayConfig) -> int:
    """Of an address in memory words."""
    return config.address_bits - log2(config.bus_bytes)


def item_layout(config: ArrayConfig) -> data.StructLayout:
    """Rows of one kind: a descriptor, the queries of a job, a tile; `row_words` less one. Without rows it is one row of
    zeros, which is not read. With formats of blocks, `packing` says what the words of keys and values are."""
    bits = word_address_bits(config)
    shapes = {"kind": Kind, "address": bits, "stride": bits, "rows": 16, "row_words": ROW_WORD_BITS}
    return data.StructLayout(shapes | handed_shapes(config))


def handed_shapes(config: ArrayConfig) -> dict[str, Any]:
    """What goes from an item to its fills: `packing` where there are formats of blocks; of a part of a linear layer's
    rows, that one was before it (`onward`) and that one comes (`partial`); that two keys' values share a lane (`dual`);
    how many of a row's words are places (`place_words`)."""
    packing = {"packing": packing_layout(config)} if config.has_blocks else {}
    wide = ({"dual": 1} if config.dual_issue else {}) | (
        {"place_words": most_place_words(config).bit_length()} if config.sparse else {}
    )
    return packing | wide | ({"onward": 1, "partial": 1} if config.linear else {})


def read_layout(config: ArrayConfig) -> data.StructLayout:
    """A command to read: address in memory words, words less one."""
    return data.StructLayout({"address": word_address_bits(config), "words": WORD_COUNT_BITS})


def fill_layout(config: ArrayConfig) -> data.StructLayout:
    """What becomes of a command's words: their kind, words of a row less one; it begins or ends an item; its words are
    not read (`nothing`): they are zeros. `packing` is the item's."""
    shapes = {"kind": Kind, "words": WORD_COUNT_BITS, "row_words": ROW_WORD_BITS, "begins": 1, "ends": 1, "nothing": 1}
    return data.StructLayout(shapes | handed_shapes(config))


class Commands(wiring.Component):
    """One command for an item whose rows follow one another, else one for each row, every other cycle.

    Members
    -------
    item : `item_layout`
    read, fill : a command, and what becomes of it; both at once
    window_words : the end of memory; what reaches beyond is not read
    outside : a pulse: a command did
    """

    def __init__(self, config: ArrayConfig):
        self._config = config
        super().__init__(
            {
                "item": In(stream.Signature(item_layout(config))),
                "read": Out(stream.Signature(read_layout(config))),
                "fill": Out(stream.Signature(fill_layout(config))),
                "window_words": In(word_address_bits(config)),
                "outside": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        item = Signal(item_layout(self._config), reset_less=True)
        words, last, begins = Signal(WORD_COUNT_BITS, reset_less=True), Signal(reset_less=True), Signal(reset_less=True)
        command, fill = self.read.payload, self.fill.payload
        end = wire(m, item.address + words, "end")
        product = register(m, item.rows * item.row_words, "product")
        rows_less = register(m, item.rows - 1, "rows_less")
        together = wire(m, (item.stride == item.row_words + 1) & item.rows.any(), "together")
        with m.FSM():
            with m.State("TAKE"):
                m.d.comb += self.item.ready.eq(1)
                m.d.sync += [item.eq(self.item.payload), begins.eq(1)]
                with m.If(self.item.valid):
                    m.next = "MULTIPLY"
            with m.State("MULTIPLY"):
                m.next = "SIZE"
            with m.State("SIZE"):
                m.d.sync += [
                    last.eq(together | (item.rows <= 1)),
                    words.eq(Mux(together, product + rows_less, item.row_words)),
                ]
                m.next = "CHECK"
            with m.State("CHECK"):
                m.d.sync += [
                    command.address.eq(item.address),
                    command.words.eq(words),
                    fill.kind.eq(item.kind),
                    fill.words.eq(words),
                    fill.row_words.eq(item.row_words),
                    fill.begins.eq(begins),
                    fill.ends.eq(last),
                    fill.nothing.eq((end >= self.window_words) | ~item.rows.any()),
                ]
                m.d.sync += [getattr(fill, name).eq(getattr(item, name)) for name in handed_shapes(self._config)]
                m.next = "SEND"
            with m.State("SEND"):
                m.d.comb += [
                    self.fill.valid.eq(self.read.ready | fill.nothing),
                    self.read.valid.eq(self.fill.ready & ~fill.nothing),
                ]
                with m.If(self.fill.valid & self.fill.ready):
                    m.d.comb += self.outside.eq(fill.nothing & item.rows.any())
                    m.d.sync += [
                        item.address.eq(item.address + item.stride),
                        item.rows.eq(item.rows - 1),
                        begins.eq(0),
                        last.eq(item.rows == 2),
                    ]
                    m.next = "CHECK"
                    with m.If(last):
                        m.next = "TAKE"
        return m
