"""The bytes that a step of attention wants, out of the packets of flash and the buffer, in order."""

from __future__ import annotations

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hdl.common.arithmetic import wire
from hdl.common.axi import packet_stream
from hdl.pim.kv_config import KvConfig, KvPages


def same_page(config, first, second, kind):
    """Whether two units, channels of one group or tokens, lie in the same page of that kind."""
    by_channel, by_token = (size.bit_length() - 1 for size in (config.page_channels, config.page_tokens))
    return Mux(
        kind == KvPages.KEYS_BY_CHANNEL,
        first[by_channel:] == second[by_channel:],
        first[by_token:] == second[by_token:],
    )


class KvWalk(wiring.Component):
    """Goes through a list of wanted units, and gives their bytes; throws away those between.

    Units are channels, for every group of tokens and then for the buffer (`KEYS_BY_CHANNEL`), or tokens. A channel of a
    group has `group_tokens` bytes, a token has `head_dim`. A packet of flash begins with a wanted unit and goes to the
    last of the same page; what is in no packet, the tokens of the group that is not whole, is read out of the buffer.

    Time: a cycle a byte, and one for each wanted unit, and 2.

    Members
    -------
    start : In(1), kind : In(2), count, groups, buffered : In
        Begins; all hold until `busy` falls: a `KvPages`, the list's length, groups in flash, tokens in the buffer.
    entry : Out, unit : In
        Where in the list, and what is there, in the same cycle.
    q : In(packet_stream(8))
    buffer_token, buffer_channel : Out
        Where in the buffer; its byte is expected a cycle later.
    step : Out(1)
        A byte of the unit `unit`, whose place in it is `place`, is taken: it is in `byte` a cycle later, or in the
        buffer's output if `buffered_byte`, a cycle late too, is high.
    live : Out(1)
        The byte is of a token that there is.
    busy : Out(1)
    misframed : Out(1)
        A pulse: a packet ends elsewhere than it should.
    """

    def __init__(self, config: KvConfig):
        self._config = config
        super().__init__(
            {
                "start": In(1),
                "kind": In(2),
                "count": In(range(config.list_entries + 1)),
                "groups": In(range(config.head_groups + 1)),
                "buffered": In(range(config.group_tokens)),
                "entry": Out(range(config.list_entries)),
                "unit": In(range(max(config.max_tokens, config.head_dim))),
                "q": In(packet_stream(8)),
                "buffer_token": Out(range(config.group_tokens)),
                "buffer_channel": Out(range(config.head_dim)),
                "step": Out(1),
                "place": Out(range(max(config.group_tokens, config.head_dim))),
                "live": Out(1),
                "byte": Out(8),
                "buffered_byte": Out(1),
                "busy": Out(1),
                "misframed": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        config = self._config
        group_bits = config.group_tokens.bit_length() - 1
        by_channel = wire(m, self.kind == KvPages.KEYS_BY_CHANNEL, "by_channel")
        group = Signal.like(self.groups)
        of_group = wire(m, Mux(by_channel, group, self.unit[group_bits:]), "of_group")
        in_flash, continues = Signal(), Signal()
        at = Signal.like(self.unit)  # the unit that comes next out of flash
        wanted = wire(m, ~in_flash | (at == self.unit), "wanted")
        takes = Signal()
        ends = wire(m, self.place == Mux(by_channel, config.group_tokens, config.head_dim) - 1, "ends")
        last_entry = wire(m, self.entry == self.count - 1, "last_entry")
        more = wire(m, by_channel & (group + 1 < self.groups + self.buffered.any()), "more")
        within = wire(m, continues & same_page(config, at, self.unit, self.kind), "within")
        flash_next = wire(m, of_group < self.groups, "flash_next")
        ended = Signal(init=1)  # the last byte of flash was its packet's last
        m.d.comb += [
            self.step.eq(takes & wanted),
            self.live.eq(in_flash | ~by_channel | (self.place < self.buffered)),
            self.buffer_token.eq(Mux(by_channel, self.place, self.unit)),
            self.buffer_channel.eq(Mux(by_channel, self.unit, self.place)),
        ]
        m.d.sync += [self.byte.eq(self.q.payload.data), self.buffered_byte.eq(~in_flash)]
        with m.FSM() as fsm:
            with m.State("idle"):
                m.d.sync += [self.entry.eq(0), group.eq(0), continues.eq(0), ended.eq(1)]
                with m.If(self.start):
                    m.next = "load"
            with m.State("load"):
                m.d.sync += [in_flash.eq(flash_next), at.eq(Mux(within, at + 1, self.unit)), self.place.eq(0)]
                m.d.comb += self.misframed.eq(ended == (within & flash_next))
                m.next = "run"
            with m.State("run"):
                m.d.comb += [self.q.ready.eq(in_flash), takes.eq(~in_flash | self.q.valid)]
                with m.If(takes):
                    m.d.sync += self.place.eq(Mux(ends, 0, self.place + 1))
                    with m.If(in_flash):
                        m.d.comb += self.misframed.eq(self.q.payload.last & ~(ends & wanted))
                        m.d.sync += ended.eq(self.q.payload.last)
                    with m.If(ends & ~wanted):
                        m.d.sync += at.eq(at + 1)
                    with m.Elif(ends):
                        m.d.sync += [self.entry.eq(self.entry + 1), continues.eq(in_flash & ~last_entry)]
                        m.next = "load"
                        with m.If(last_entry):
                            m.d.sync += [self.entry.eq(0), group.eq(group + 1)]
                            with m.If(~more):
                                m.next = "close"
            with m.State("close"):
                m.d.comb += self.misframed.eq(~ended)
                m.next = "idle"
        m.d.comb += self.busy.eq(~fsm.ongoing("idle"))
        return m
