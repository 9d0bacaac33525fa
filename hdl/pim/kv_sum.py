"""Sums of products of int8: scores of tokens, and values times weights."""

from __future__ import annotations

from amaranth.hdl import Module, Mux, Signal, signed
from amaranth.lib import wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from hdl.common.arithmetic import delayed, register, wire
from hdl.pim.kv_config import WEIGHT_BITS, KvConfig, KvPages

SUM_CYCLES = 3
"""From a byte's step to the end of its sum."""


def sum_bits(config):
    """Of a sum, signed: a score, or k_max products of a value and a weight."""
    return max(config.score_bits, 9 + WEIGHT_BITS + (config.k_max - 1).bit_length())


class KvSum(wiring.Component):
    """Multiplies each byte of a walk with an element of the query or a weight, and adds the products up.

    By channel, a sum for every token of the group, over the channels; by token, one sum after the other, over the
    channels; of values, a sum for every channel, over the tokens.

    Members
    -------
    query_write : In(1), query_at : In, query_element : In(8)
    weight_write : In(1), weight_at : In, weight : In(16)
    step : In(1), kind : In(2), place, entry : In, channel : In, final : In(1), live : In(1)
        A byte of a walk: of which entry of its list, and of which channel by channel; `final`: it is the last entry.
    byte : In(8)
        A cycle later.
    approximate : Out(1), exact : Out(1), score : Out(signed(score_bits)), exact_at : Out
        A token's score is there: out of some channels, or out of all.
    look : In, looked : Out(signed)
        A sum of a channel's values, a cycle later, while `busy` is low.
    busy : Out(1)
    """

    def __init__(self, config: KvConfig):
        self._config = config
        super().__init__(
            {
                "query_write": In(1),
                "query_at": In(range(config.head_dim)),
                "query_element": In(8),
                "weight_write": In(1),
                "weight_at": In(range(max(2, config.k_max))),
                "weight": In(WEIGHT_BITS + 1),
                "step": In(1),
                "kind": In(2),
                "place": In(range(max(config.group_tokens, config.head_dim))),
                "entry": In(range(config.list_entries)),
                "channel": In(range(config.head_dim)),
                "final": In(1),
                "live": In(1),
                "byte": In(8),
                "approximate": Out(1),
                "exact": Out(1),
                "score": Out(signed(config.score_bits)),
                "exact_at": Out(range(config.list_entries)),
                "look": In(range(config.head_dim)),
                "looked": Out(signed(sum_bits(config))),
                "busy": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        config = self._config
        m.submodules.query = query = Memory(shape=8, depth=config.head_dim, init=[])
        m.submodules.weights = weights = Memory(shape=WEIGHT_BITS + 1, depth=max(2, config.k_max), init=[])
        places = max(config.group_tokens, config.head_dim)
        m.submodules.sums = sums = Memory(shape=signed(sum_bits(config)), depth=places, init=[])
        query_write, query_read = query.write_port(), query.read_port()
        weight_write, weight_read = weights.write_port(), weights.read_port()
        sum_write, sum_read = sums.write_port(), sums.read_port()

        by_channel = wire(m, self.kind == KvPages.KEYS_BY_CHANNEL, "by_channel")
        by_token = wire(m, self.kind == KvPages.KEYS_BY_TOKEN, "by_token")
        m.d.comb += [
            query_write.addr.eq(self.query_at),
            query_write.data.eq(self.query_element),
            query_write.en.eq(self.query_write),
            query_read.addr.eq(Mux(by_channel, self.channel, self.place)),
            weight_write.addr.eq(self.weight_at),
            weight_write.data.eq(self.weight),
            weight_write.en.eq(self.weight_write),
            weight_read.addr.eq(self.entry),
        ]
        # A cycle after the step: the product. Two after it: the sum.
        read = wire(m, self.kind == KvPages.VALUES, "weighs")
        valid_1 = delayed(m, self.step, 1, "step")
        valid_2 = delayed(m, valid_1, 1, "product_valid")
        weighs_1 = register(m, read, "weighs_1")
        operand = Signal(signed(WEIGHT_BITS + 2))
        m.d.comb += operand.eq(Mux(weighs_1, weight_read.data, query_read.data.as_signed()))
        product = register(m, operand * self.byte.as_signed(), "product")
        place_1 = register(m, self.place, "place_1")
        place_2 = register(m, place_1, "place_2")
        by_token_2 = delayed(m, by_token, 2, "by_token", reset_less=True)
        begins = wire(m, Mux(by_token, ~self.place.any(), ~self.entry.any()), "begins")
        begins_2 = delayed(m, begins, 2, "begins", reset_less=True)
        running = Signal(signed(sum_bits(config)), reset_less=True)
        base = wire(m, Mux(by_token_2, running, sum_read.data), "base")
        total = Signal(signed(sum_bits(config)))
        m.d.comb += [
            total.eq(Mux(begins_2, 0, base) + product),
            sum_read.addr.eq(Mux(valid_1, place_1, self.look)),
            sum_write.addr.eq(place_2),
            sum_write.data.eq(total),
            sum_write.en.eq(valid_2 & ~by_token_2),
            self.looked.eq(sum_read.data),
            self.score.eq(running),
        ]
        with m.If(valid_2):
            m.d.sync += running.eq(total)
        full = wire(m, self.place == config.head_dim - 1, "full")
        m.d.comb += [
            self.approximate.eq(delayed(m, self.step & by_channel & self.final & self.live, SUM_CYCLES, "approximate")),
            self.exact.eq(delayed(m, self.step & by_token & full, SUM_CYCLES, "exact")),
            self.exact_at.eq(delayed(m, self.entry, SUM_CYCLES, "exact_at", reset_less=True)),
            self.busy.eq(valid_1 | valid_2 | delayed(m, valid_2, 1, "sum_valid")),
        ]
        return m
