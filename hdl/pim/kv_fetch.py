"""The reads of flash that a step of attention needs: of every page that holds something wanted, one."""

from __future__ import annotations

from amaranth.hdl import Cat, Const, Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from hdl.common.arithmetic import wire
from hdl.pim.flash_config import (
    COMMAND_BITS,
    COMMAND_COUNT,
    COMMAND_OFFSET,
    COMMAND_OP,
    COMMAND_PAGE,
    COMMAND_PLANE,
    FlashOp,
)
from hdl.pim.kv_config import KvConfig, KvPages
from hdl.pim.kv_walk import same_page


def log2(value):
    """Of a power of two."""
    return value.bit_length() - 1


def page_number(config, slot, kind, number):
    """The page of flash that a group's page is; slot and number are signals."""
    return Cat(number[: log2(config.kind_pages)], slot * len(KvPages) + kind)


def command_word(config, op, page, offset=0, count=0):
    """A command to flash; pages are numbered across the planes."""
    plane_bits = log2(config.planes)
    places = (COMMAND_OP, COMMAND_PLANE, COMMAND_PAGE, COMMAND_OFFSET, COMMAND_COUNT)
    values = (op, page[:plane_bits], page[plane_bits:], offset, count)
    word = []
    for place, value in zip(places, values, strict=True):
        width = place.stop - place.start
        field = Const(value, width) if isinstance(value, int) else value
        word.append(Cat(field, Const(0, COMMAND_BITS))[:width])
    return Cat(word)


class KvFetch(wiring.Component):
    """Goes through the list of wanted units, as `KvWalk` does, and asks flash for the span of each page.

    With `KEYS_BY_CHANNEL` it goes through it once for every group in flash; with `KEYS_BY_TOKEN` once for the keys, and
    at once again for the values. Tokens of the buffer come last in the list and need no read.

    Time: a cycle for each unit, and 2 for each page.

    Members
    -------
    start : In(1), kind : In(2), count, groups : In
        As of `KvWalk`; hold until `busy` falls.
    entry : Out, unit : In
        Where in the list, and what is there, in the same cycle.
    group : Out, slot : In
        A group of the head, and a cycle later its slot of flash.
    command : Out(stream.Signature(64))
    busy : Out(1)
    """

    def __init__(self, config: KvConfig):
        self._config = config
        super().__init__(
            {
                "start": In(1),
                "kind": In(2),
                "count": In(range(config.list_entries + 1)),
                "groups": In(range(config.head_groups + 1)),
                "entry": Out(range(config.list_entries + 1)),
                "unit": In(range(max(config.max_tokens, config.head_dim))),
                "group": Out(range(max(2, config.head_groups))),
                "slot": In(range(max(2, config.slots))),
                "command": Out(stream.Signature(COMMAND_BITS)),
                "busy": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        config = self._config
        kind, turn = Signal(2), Signal.like(self.groups)
        by_channel = wire(m, kind == KvPages.KEYS_BY_CHANNEL, "by_channel")
        first, last = Signal.like(self.unit), Signal.like(self.unit)
        unit_group = wire(m, Mux(by_channel, turn, self.unit[log2(config.group_tokens) :]), "unit_group")
        there = wire(m, (self.entry != self.count) & (unit_group < self.groups), "there")
        m.d.comb += [
            self.group.eq(Mux(by_channel, turn, first[log2(config.group_tokens) :])),
            self.command.payload.eq(self._word(m, first, last, kind, by_channel)),
        ]
        with m.FSM() as fsm:
            with m.State("idle"):
                m.d.sync += [kind.eq(self.kind), turn.eq(0), self.entry.eq(0)]
                with m.If(self.start):
                    m.next = "first"
            with m.State("first"):
                m.d.sync += [first.eq(self.unit), last.eq(self.unit)]
                with m.If(there):
                    m.d.sync += self.entry.eq(self.entry + 1)
                    m.next = "more"
                with m.Else():  # the list is at its end, or what is left of it is in the buffer
                    m.d.sync += [self.entry.eq(0), turn.eq(turn + 1)]
                    with m.If(~by_channel):
                        m.d.sync += kind.eq(KvPages.VALUES)
                    with m.If(Mux(by_channel, turn + 1 >= self.groups, kind == KvPages.VALUES)):
                        m.next = "idle"
            with m.State("more"):
                with m.If(there & same_page(config, first, self.unit, kind)):
                    m.d.sync += [last.eq(self.unit), self.entry.eq(self.entry + 1)]
                with m.Else():
                    m.next = "ask"
            with m.State("ask"):
                m.d.comb += self.command.valid.eq(1)
                with m.If(self.command.ready):
                    m.next = "first"
        m.d.comb += self.busy.eq(~fsm.ongoing("idle"))
        return m

    def _word(self, m, first, last, kind, by_channel):
        """READ_SLICE of the page of `first`, from it to `last`."""
        config = self._config
        token_bits, dim_bits = log2(config.group_tokens), log2(config.head_dim)  # of a token's number, of a channel's
        token_places, channel_places = log2(config.page_tokens), log2(config.page_channels)  # those of them in a page
        # Of its kind in the group; a bit wider than it need be, as a kind may be one page.
        numbers = (Cat(first[channel_places:dim_bits], Const(0, 1)), Cat(first[token_places:token_bits], Const(0, 1)))
        number = wire(m, Mux(by_channel, *numbers), "number")
        page = wire(m, page_number(config, self.slot, kind, number), "page")
        units = wire(m, last - first + 1, "units")
        channel_offset, token_offset = first[:channel_places] << token_bits, first[:token_places] << dim_bits
        offset = wire(m, Mux(by_channel, channel_offset, token_offset), "offset")
        count = wire(m, Mux(by_channel, units << token_bits, units << dim_bits), "slice_bytes")
        return command_word(config, FlashOp.READ_SLICE, page, offset, count)
