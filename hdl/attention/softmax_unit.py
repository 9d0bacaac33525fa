"""Scores of a row and tile to probabilities: scaled, their maximum's exponent, base-2 exponentials, their sum."""

from __future__ import annotations

from itertools import pairwise

from amaranth.hdl import Array, Cat, Const, Module, Mux, Signal, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from hdl.attention.config import ArrayConfig
from hdl.common.arithmetic import register, wire
from hdl.common.ram import Ram

SCALE_BITS = 16
SHIFT_BITS = 5

SEGMENT_BITS, STEP_BITS = 4, 6
"""Of a logit's fraction: which segment of 2**-x, and where in it."""

POWER_BITS = 15
"""Fraction bits of a power of two."""

POWERS = tuple(round(2 ** (POWER_BITS - segment / (1 << SEGMENT_BITS))) for segment in range((1 << SEGMENT_BITS) + 1))
"""E_j = round(2**15 * 2**(-j/16))."""

LOW_BITS = 16
"""Of a score, multiplied in a DSP block of their own when it has more than 18."""

LOGIT_CYCLES = 9
"""From a score to its logit's being written and compared."""

EXPONENTIAL_CYCLES = 7
"""From a logit's address to its probability."""


def sum_bits(config: ArrayConfig) -> int:
    """Of a tile's sum of probabilities."""
    return config.p_bits + 1 + config.tile_key_bits


class LogitPipe(wiring.Component):
    """t = sat20((score * a + 2**(h-1)) >> h), as its ceiling and what is missing to that.

    Latency: 6 cycles.

    Members
    -------
    score : of the score, registered
    a, h : the scale, with the score
    ceiling : (t + 1023) >> 10
    missing : -t modulo 1024
    saturated : t was beyond 20 bits
    logit : t itself
    """

    def __init__(self, config: ArrayConfig):
        self._config = config
        self._ceiling_bits = config.logit_bits - config.logit_fraction_bits + 1
        super().__init__(
            {
                "score": In(signed(config.score_bits)),
                "a": In(SCALE_BITS),
                "h": In(SHIFT_BITS),
                "ceiling": Out(signed(self._ceiling_bits)),
                "missing": Out(config.logit_fraction_bits),
                "saturated": Out(1),
                "logit": Out(signed(config.logit_bits)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        config = self._config
        a = Cat(self.a, Const(0, 1)).as_signed()
        if config.score_bits > 18:
            low = Cat(self.score[:LOW_BITS], Const(0, 1)).as_signed()
            low_product = register(m, low * a, "low_product")
            high_product = register(m, self.score[LOW_BITS:].as_signed() * a, "high_product")
            upper = high_product.as_signed() + low_product.as_signed()[LOW_BITS:].as_signed()
            product = register(m, Cat(low_product[:LOW_BITS], upper), "product")
        else:
            product = register(m, register(m, self.score * a, "product_0"), "product")

        # Half of what h says less one first, then the rest; the last bit is rounded.
        reached = product.as_signed()
        amount = register(m, register(m, (self.h - 1)[:SHIFT_BITS], "amount_1"), "amount_2")
        for bit in reversed(range(SHIFT_BITS)):
            reached = wire(m, Mux(amount[bit], reached >> (1 << bit), reached), f"shifted_{1 << bit}").as_signed()
            if bit == 2:
                reached = register(m, reached, "shifted_held").as_signed()
                amount = register(m, amount, "amount_3")
        kept = config.logit_bits + 2
        double = register(m, reached, "double").as_signed()  # twice the logit
        fits = wire(m, double[kept - 1 :].all() | ~double[kept - 1 :].any(), "fits")
        rounded = wire(m, (double[:kept].as_signed() + 1) >> 1, "rounded")
        top = rounded[config.logit_bits - 1 :]
        over = wire(m, top.any() & ~top.all(), "over")
        saturated = wire(m, ~fits | over, "saturated")
        negative = double[-1]
        most = Cat((~negative).replicate(config.logit_bits - 1), negative)
        logit = register(m, Mux(saturated, most, rounded[: config.logit_bits]), "logit_result").as_signed()
        fraction = logit[: config.logit_fraction_bits]
        whole = logit[config.logit_fraction_bits :].as_signed()
        m.d.sync += [
            self.ceiling.eq(whole + fraction.any()),
            self.missing.eq(-fraction),
            self.logit.eq(logit),
            self.saturated.eq(register(m, saturated, "saturated_1")),
        ]
        return m


class ExponentialPipe(wiring.Component):
    """p = 2**-(n + missing/1024) in PB fraction bits: a piece of a line, rounded, shifted and rounded again.

    Latency: 4 cycles.

    Members
    -------
    n : whole part, clipped to 31 or less
    missing : fraction
    valid : else p is 0
    p : up to 2**PB
    """

    def __init__(self, config: ArrayConfig):
        self._config = config
        super().__init__(
            {
                "n": In(5),
                "missing": In(config.logit_fraction_bits),
                "valid": In(1),
                "p": Out(config.p_bits + 1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        config = self._config
        segment = self.missing[STEP_BITS:]
        powers = Array(Const(power, POWER_BITS + 1) for power in POWERS[:-1])
        slopes = Array(Const(high - low, 11) for high, low in pairwise(POWERS))
        power, slope = register(m, powers[segment], "power"), register(m, slopes[segment], "slope")
        product = register(m, slope * register(m, self.missing[:STEP_BITS], "step"), "product")
        fall = (product + (1 << (STEP_BITS - 1))) >> STEP_BITS
        y = register(m, register(m, power, "power_1") - fall, "y")[: POWER_BITS + 1]
        n, valid = self.n, self.valid
        for cycle in range(3):
            n, valid = register(m, n, f"n_{cycle}"), register(m, valid, f"valid_{cycle}")
        double = wire(m, y[POWER_BITS - 1 - config.p_bits :], "double_0")  # twice p, but for n
        for bit in range(4):
            double = wire(m, Mux(n[bit], double >> (1 << bit), double), f"double_{bit + 1}")
        some = wire(m, valid & ~n[4], "some")
        p = Signal.like(self.p, name="p_held", reset_less=True)
        with m.If(some):
            m.d.sync += p.eq((double + 1) >> 1)
        with m.Else():
            m.d.sync += p.eq(0)
        m.d.comb += self.p.eq(p)
        return m


def key_bounds(config: ArrayConfig) -> data.StructLayout:
    """Which of a tile's keys are valid for a row: below `keys` and up to `hi`, and below `sink` or from `lo` on."""
    count = config.tile_key_bits + 1
    return data.StructLayout({"lo": signed(BOUND_BITS), "hi": signed(BOUND_BITS), "sink": count, "keys": count})


BOUND_BITS = 12
"""Of the first and last key of a row, counted from the tile's first key and clipped."""


class SoftmaxUnit(wiring.Component):
    """Takes scores of its rows, a tile of one row after the other, and gives their probabilities.

    Members
    -------
    scores : of all its rows, a cycle after `key`
    key, place : the score asked for in this cycle, and whose row it is
    exists, bounds : of that row
    a, h : scale, three cycles after `key`
    read_key, read_begin : the logit that goes to the exponential, from `LOGIT_CYCLES` + 1 after the row's last key on
    take, first : `key` is one, the first of a tile
    p : `EXPONENTIAL_CYCLES` after `read_key`
    m, any, l : of the row, a cycle after its last p
    saturated : a pulse
    logit : where linear layers are built: the score's, `LOGIT_CYCLES` after `key`
    """

    def __init__(self, config: ArrayConfig):
        self._config = config
        super().__init__(
            {
                "scores": In(config.rows_per_unit * config.score_bits),
                "take": In(1),
                "first": In(1),
                "parity": In(1),
                "key": In(config.tile_key_bits),
                "place": In(range(config.rows_per_unit)),
                "exists": In(1),
                "bounds": In(key_bounds(config)),
                "a": In(SCALE_BITS),
                "h": In(SHIFT_BITS),
                "read_begin": In(1),
                "read_parity": In(1),
                "read_key": In(config.tile_key_bits),
                "p": Out(config.p_bits + 1),
                "m": Out(signed(config.exponent_bits)),
                "any": Out(1),
                "l": Out(sum_bits(config)),
                "saturated": Out(1),
                **({"logit": Out(signed(config.logit_bits))} if config.linear else {}),
            }
        )

    def elaborate(self, platform):
        m = Module()
        config = self._config
        m.submodules.logit_pipe = logit = LogitPipe(config)
        m.submodules.exponential = exponential = ExponentialPipe(config)
        ceiling_bits = len(logit.ceiling)
        record = data.StructLayout({"missing": config.logit_fraction_bits, "ceiling": signed(ceiling_bits), "valid": 1})
        m.submodules.logits = logits = Ram(record.size, 2 * config.tile_keys)

        # Scores to logits, and the largest ceiling of the valid ones.
        place = register(m, register(m, self.place, "place_1"), "place_2")
        scores = register(m, self.scores, "scores_held")
        score = register(m, scores.word_select(place, config.score_bits), "score").as_signed()
        m.d.comb += [logit.score.eq(score), logit.a.eq(self.a), logit.h.eq(self.h)]
        if config.linear:
            m.d.comb += self.logit.eq(logit.logit)
        take, key = register(m, self.take, "take_1"), register(m, self.key, "key_1")
        bounds = self.bounds.shape()(register(m, self.bounds.as_value(), "bounds_1"))
        inside = (key < bounds.keys) & (bounds.hi >= key) & ((key < bounds.sink) | (bounds.lo <= key))
        first, exists, parity = register(m, Cat(self.first, self.exists, self.parity), "which_1")
        control = Cat(take, first, take & inside, exists, parity, key)
        for cycle in range(1, LOGIT_CYCLES):
            control = register(m, control, f"control_{cycle + 1}")
        take, first, valid, exists, address = (control[0], control[1], control[2], control[3], control[4:])
        written = Signal(record)
        m.d.comb += [
            written.missing.eq(logit.missing),
            written.ceiling.eq(logit.ceiling),
            written.valid.eq(valid),
            logits.write.eq(take),
            logits.write_address.eq(Cat(address[1:], address[0])),
            logits.write_data.eq(written),
            self.saturated.eq(logit.saturated & valid & exists),
        ]
        best, any_ = Signal(signed(ceiling_bits), reset_less=True), Signal(reset_less=True)
        with m.If(take):
            with m.If(first | (valid & (~any_ | (logit.ceiling > best)))):
                m.d.sync += best.eq(logit.ceiling)
            m.d.sync += any_.eq(valid | (any_ & ~first))

        # Logits to probabilities.
        exponent, some = Signal.like(best, name="exponent", reset_less=True), Signal(reset_less=True)
        with m.If(self.read_begin):
            m.d.sync += [exponent.eq(best), some.eq(any_)]
        m.d.comb += logits.read_address.eq(Cat(self.read_key, self.read_parity))
        read = record(register(m, logits.read_data, "read"))
        n = wire(m, register(m, exponent, "exponent_read").as_signed() - read.ceiling, "n")  # >= 0 of a valid key
        clipped = Cat(n[:4], n[4:].any())
        m.d.comb += [
            exponential.n.eq(register(m, clipped, "n_clipped")),
            exponential.missing.eq(register(m, read.missing, "missing")),
            exponential.valid.eq(register(m, read.valid, "valid")),
            self.p.eq(exponential.p),
        ]
        begin = self.read_begin
        for cycle in range(EXPONENTIAL_CYCLES):
            begin = register(m, begin, f"begin_{cycle + 1}")
            exponent, some = register(m, exponent, f"exponent_{cycle + 1}"), register(m, some, f"some_{cycle + 1}")
        total = Signal.like(self.l, name="total", reset_less=True)
        m.d.sync += total.eq(Mux(begin, 0, total) + exponential.p)
        m.d.comb += [self.l.eq(total), self.m.eq(exponent), self.any.eq(some)]
        return m
