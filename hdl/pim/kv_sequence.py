"""What `pim.kv` does when: a command after the other, and the steps of a query."""

from __future__ import annotations

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from hdl.common.arithmetic import wire
from hdl.pim.kv_config import (
    COMMAND_BITS,
    COMMAND_HEAD,
    COMMAND_K,
    COMMAND_OP,
    COMMAND_R,
    COMMAND_SCALE,
    SCALE_BITS,
    KvConfig,
    KvOp,
    KvPages,
)

REFUSALS = ("bad_command", "bad_head", "bad_query", "full")


class KvSequence(wiring.Component):
    """Takes commands and their data, and starts the parts of the block one after the other.

    A query goes: channels with the largest elements; walk by channel, whose sums choose tokens; walk by token, whose
    sums become weights; walk of values; means.

    Members
    -------
    command : In(stream.Signature(64)), data : In(stream.Signature(8))
    head, scale : Out
        Of the command that is being done.
    length : In, fills, room : In(1)
        Of the head: its tokens; the next ends a group; there is room for it.
    at : Out, key_write, query_write : Out(1)
        A byte of `data` is an element of a key or value, or of a query; its number.
    add, program, clear : Out(1), stored : In(1)
        As of `KvStore`.
    restart, pick : Out(1), picks : Out, picked, selected : In(1)
        As of `Select`; `list_at` is where in its list a picked place goes.
    kind : Out(2), count : Out, list_at : Out
        What the walk and the reads are for, and how long their list is.
    walk, fetch : Out(1), walking, fetching, adding : In(1)
        Starts, and what is busy.
    weigh : Out(1), weighed : In(1), divide : Out(1), divided : In(1)
        Starts and ends.
    bad_command, bad_head, bad_query, full : Out(1)
        Pulses: why a command is not done.
    active : Out(1)
    """

    def __init__(self, config: KvConfig):
        self._config = config
        capacity = config.list_entries
        pulses = ("key_write", "query_write", "add", "program", "clear", "restart", "pick", "walk", "fetch", "weigh",
                  "divide", *REFUSALS, "active")  # fmt: skip
        signals = ("fills", "room", "stored", "picked", "selected", "walking", "fetching", "adding", "weighed",
                   "divided")  # fmt: skip
        super().__init__(
            {
                "command": In(stream.Signature(COMMAND_BITS)),
                "data": In(stream.Signature(8)),
                "head": Out(range(max(2, config.heads))),
                "scale": Out(SCALE_BITS),
                "length": In(range(config.max_tokens + 1)),
                "at": Out(range(2 * config.head_dim)),
                "picks": Out(range(capacity + 1)),
                "kind": Out(2),
                "count": Out(range(capacity + 1)),
                "list_at": Out(range(capacity)),
            }
            | {name: Out(1) for name in pulses}
            | {name: In(1) for name in signals}
        )

    def elaborate(self, platform):
        m = Module()
        config = self._config
        taken = Signal(COMMAND_BITS, reset_less=True)
        op, head, r, k = (taken[field] for field in (COMMAND_OP, COMMAND_HEAD, COMMAND_R, COMMAND_K))
        bytes_left = Signal(range(2 * config.head_dim + 1))
        filled = Signal(range(config.list_entries + 1))
        by_channel = wire(m, self.kind == KvPages.KEYS_BY_CHANNEL, "by_channel")
        m.d.comb += [
            self.head.eq(head),
            self.scale.eq(taken[COMMAND_SCALE]),
            self.picks.eq(Mux(by_channel, r, k)),
            self.list_at.eq(filled),
            self.count.eq(filled),
        ]
        with m.If(self.pick):
            m.d.sync += filled.eq(0)
        with m.Elif(self.picked):
            m.d.sync += filled.eq(filled + 1)

        idle = Signal()
        m.d.comb += self.active.eq(~idle)
        with m.FSM():
            with m.State("idle"):
                m.d.comb += [idle.eq(~self.command.valid), self.command.ready.eq(1)]
                m.d.sync += [taken.eq(self.command.payload), self.at.eq(0), self.kind.eq(KvPages.KEYS_BY_CHANNEL)]
                with m.If(self.command.valid):
                    m.next = "decode"
            with m.State("decode"):
                self._decode(m, op, head, r, k, bytes_left)
            with m.State("append"):
                self._take(m, self.key_write, bytes_left, "append_end")
            with m.State("append_end"):
                m.next = "idle"
                with m.If(self.fills):
                    m.d.comb += self.program.eq(1)
                    m.next = "program"
                with m.Else():
                    m.d.comb += self.add.eq(1)
            with m.State("program"), m.If(self.stored):
                m.d.comb += self.add.eq(1)
                m.next = "idle"
            with m.State("clear"), m.If(self.stored):
                m.next = "idle"
            with m.State("query"):
                self._take(m, self.query_write, bytes_left, "pick")
            with m.State("drain"):
                self._take(m, Signal(name="drained"), bytes_left, "idle")
            self._attend(m, by_channel)
        return m

    def _decode(self, m, op, head, r, k, bytes_left):
        """What to do, or why not."""
        config = self._config
        of_head = wire(m, (op == KvOp.APPEND) | (op == KvOp.QUERY), "of_head")
        r_fits, k_fits = ((value != 0) & (value <= most) for value, most in ((r, config.r_max), (k, config.k_max)))
        m.d.comb += self.restart.eq(1)
        m.d.sync += bytes_left.eq(Mux(op == KvOp.APPEND, 2 * config.head_dim, config.head_dim))
        m.next = "drain"
        with m.If(op == KvOp.CLEAR):
            m.d.comb += self.clear.eq(1)
            m.next = "clear"
        with m.Elif(~of_head):
            m.d.comb += self.bad_command.eq(1)
            m.next = "idle"
        with m.Elif(head >= config.heads):
            m.d.comb += self.bad_head.eq(1)
        with m.Elif(op == KvOp.APPEND):
            with m.If(self.room):
                m.next = "append"
            with m.Else():
                m.d.comb += self.full.eq(1)
        with m.Elif(r_fits & k_fits & self.length.any()):
            m.next = "query"
        with m.Else():
            m.d.comb += self.bad_query.eq(1)

    def _take(self, m, write, bytes_left, then):
        """All bytes of the command's data."""
        m.d.comb += [self.data.ready.eq(1), write.eq(self.data.valid)]
        with m.If(self.data.valid):
            m.d.sync += [self.at.eq(self.at + 1), bytes_left.eq(bytes_left - 1)]
            with m.If(bytes_left == 1):
                m.next = then

    def _attend(self, m, by_channel):
        """The steps of a query once it is there. The reads of values go on while tokens are weighed."""
        by_token = wire(m, self.kind == KvPages.KEYS_BY_TOKEN, "by_token")
        still = wire(m, self.walking | self.adding | (self.fetching & ~by_token), "still")
        with m.State("pick"):
            m.d.comb += self.pick.eq(1)
            m.next = "picking"
        with m.State("picking"), m.If(self.selected):
            m.next = "walk"
        with m.State("walk"):
            m.d.comb += [self.restart.eq(1), self.walk.eq(1), self.fetch.eq(by_channel | by_token)]
            m.next = "walking"
        with m.State("walking"), m.If(~still):
            with m.If(by_channel):
                m.d.sync += self.kind.eq(KvPages.KEYS_BY_TOKEN)
                m.next = "pick"
            with m.Elif(by_token):
                m.d.comb += self.weigh.eq(1)
                m.next = "weighing"
            with m.Else():
                m.d.comb += self.divide.eq(1)
                m.next = "dividing"
        with m.State("weighing"), m.If(self.weighed):
            m.d.sync += self.kind.eq(KvPages.VALUES)
            m.next = "walk"
        with m.State("dividing"), m.If(self.divided):
            m.next = "idle"
