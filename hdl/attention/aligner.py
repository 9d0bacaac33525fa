"""A row's outputs: sums over tiles of keys, whose exponents differ."""

from __future__ import annotations

from amaranth.hdl import Cat, Const, Module, Mux, Signal, signed
from amaranth.lib import data, memory, wiring
from amaranth.lib.wiring import In, Out

from hdl.attention.config import ArrayConfig
from hdl.common.arithmetic import delayed, register, wire
from hdl.common.ram import Ram

AMOUNT_BITS = 6
"""Of a shift; any from 40 on leaves nothing."""

SUM_CYCLES = 2
"""From a first row's turn to its sum."""

ALIGN_CYCLES = 6
"""From a sum to what is written."""


def plan_layout() -> data.StructLayout:
    """How a row adds a tile to its sums: which is shifted right, the sum (`old`) or what the tile adds to it, by how
    much, and whether the result is then halved."""
    return data.StructLayout({"amount": AMOUNT_BITS, "old": 1, "bump": 1})


def output_beat(config: ArrayConfig) -> data.StructLayout:
    """What is done with a sum of a PV pass: column and block, whether it is the first or the last of its pass, the bank
    of its plan, whether it ends a row, which then goes to a slot of those that wait for the normaliser."""
    return data.StructLayout(
        {
            "take": 1,
            "begin": 1,
            "last": 1,
            "column": (config.dim - 1).bit_length(),
            "block": range(config.subtiles),
            "bank": 2,
            "final": 1,
            "slot": range(config.subtiles),
        }
    )


def waiting_bits(config: ArrayConfig) -> int:
    """Of the place of a second row's sum that waits: passes over values of as many blocks as have banks."""
    return (2 * config.banks * config.dim - 1).bit_length()


def turn_layout(config: ArrayConfig) -> data.StructLayout:
    """What all aligners do in a cycle: they take a sum, the `second` row's if so, as `beat` says. Of a first row's
    turn, the second row's sum waits at `written`; a second row's is at `read`."""
    bits = waiting_bits(config)
    return data.StructLayout({"beat": output_beat(config), "second": 1, "written": bits, "read": bits})


def shifted(m: Module, value: Signal, amount: Signal, name: str, cut: int) -> Signal:
    """rs(value, amount) before its last addition: floor(value / 2**amount) above one bit, what is to be added to it.

    The first `cut` bits of the amount are done in one cycle, the others in the next: two cycles.
    """
    reached = Cat(Const(0, 1), value).as_signed()
    for bit in range(len(amount)):
        if bit == cut:
            reached = register(m, reached, f"{name}_held").as_signed()
            amount = register(m, amount, f"{name}_amount_held")
        reached = wire(m, Mux(amount[bit], reached >> (1 << bit), reached), f"{name}_{1 << bit}").as_signed()
    return register(m, reached, f"{name}_shifted")


def aligned_sum(m: Module, old: Signal, new: Signal, plan: data.View) -> Signal:
    """The sum so far and what comes to it, as a plan says: five cycles later."""
    shape = old.shape()

    # The one with the smaller exponent is shifted.
    moved, kept = Signal(shape, reset_less=True), Signal(shape, reset_less=True)
    m.d.sync += [moved.eq(Mux(plan.old, old, new)), kept.eq(Mux(plan.old, new, old))]
    aligned = shifted(m, moved, register(m, plan.amount, "amount"), "aligned", 3)
    kept = register(m, register(m, kept, "kept_1"), "kept_2").as_signed()
    bump = delayed(m, plan.bump, 3, "bump", reset_less=True)

    # Half of a sum, rounded up, is the sum less half of it, rounded down.
    total, half = Signal(shape, reset_less=True), Signal(shape, reset_less=True)
    exact = wire(m, (Cat(Const(1, 1), kept).as_signed() + aligned.as_signed()) >> 1, "exact")
    m.d.sync += [total.eq(exact), half.eq(Mux(bump, exact >> 1, 0))]
    result = Signal(shape, name="result", reset_less=True)
    m.d.sync += result.eq(total - half)
    return result


class Aligner(wiring.Component):
    """Adds the products of a tile to the outputs of two rows, in block RAM; finished rows go to a second one as well.

    Members
    -------
    write_plan, plan_second, plan_bank, plan : into the plans, one for each row and bank
    turn : `turn_layout`; `SUM_CYCLES` after a first row's come both rows' sums
    sum_first, sum_second : of the tile
    drain_address : column, slot, row; `drain_data` comes a cycle later
    """

    def __init__(self, config: ArrayConfig):
        self._config = config
        self._depth = 2 * config.subtiles << (config.dim - 1).bit_length()
        super().__init__(
            {
                "write_plan": In(1),
                "plan_second": In(1),
                "plan_bank": In(2),
                "plan": In(plan_layout()),
                "turn": In(turn_layout(config)),
                "sum_first": In(signed(config.partial_bits)),
                "sum_second": In(signed(config.partial_bits)),
                "drain_address": In(range(self._depth)),
                "drain_data": Out(signed(config.o_bits)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        bits = self._config.o_bits
        m.submodules.outputs = outputs = Ram(bits, self._depth)
        m.submodules.finished = finished = Ram(bits, self._depth)
        turns = [self.turn]
        for cycle in range(SUM_CYCLES + ALIGN_CYCLES):
            turns.append(self.turn.shape()(register(m, turns[-1].as_value(), f"turn_{cycle + 1}")))
        new, plan = self._sum(m, turns)

        m.d.comb += outputs.read_address.eq(Cat(turns[1].beat.column, turns[1].beat.block, turns[1].second))
        old = register(m, outputs.read_data, "old").as_signed()
        result = aligned_sum(m, old, new, plan)

        done = turns[-1]
        beat = done.beat
        for ram, slot, enable in ((outputs, beat.block, beat.take), (finished, beat.slot, beat.take & beat.final)):
            m.d.comb += [
                ram.write.eq(enable),
                ram.write_address.eq(Cat(beat.column, slot, done.second)),
                ram.write_data.eq(result),
            ]
        m.d.comb += [finished.read_address.eq(self.drain_address), self.drain_data.eq(finished.read_data)]
        return m

    def _sum(self, m, turns):
        """The sum whose turn it is, with G more bits, and its plan: three cycles after the turn."""
        config, layout = self._config, plan_layout()
        m.submodules.plans = plans = memory.Memory(shape=layout.size, depth=2 * config.banks, init=[])
        write, read = plans.write_port(), plans.read_port(domain="comb")
        first, second = Signal(layout, reset_less=True), Signal(layout, reset_less=True)
        begin = [turn.beat.begin for turn in turns]
        m.d.comb += [
            write.en.eq(self.write_plan),
            write.addr.eq(Cat(self.plan_bank, self.plan_second)),
            write.data.eq(self.plan),
            read.addr.eq(Cat(turns[1].beat.bank, ~begin[1])),  # the other row's in the next cycle
        ]
        with m.If(begin[1]):
            m.d.sync += first.eq(read.data)
        with m.If(begin[2]):
            m.d.sync += second.eq(read.data)

        waiting = data.StructLayout({"sum": config.partial_bits, "plan": layout})
        m.submodules.waits = waits = Ram(waiting.size, 1 << waiting_bits(config))
        of_first = wire(m, Cat(self.sum_first, first), "of_first")
        m.d.comb += [
            waits.write.eq(turns[3].beat.take & ~turns[3].second),
            waits.write_address.eq(turns[3].written),
            waits.write_data.eq(Cat(register(m, self.sum_second, "sum_held"), second)),
            waits.read_address.eq(self.turn.read),
        ]
        # Whose turn it is not is zero: there is nothing to choose.
        came, waited = Signal(waiting, reset_less=True), Signal(waiting, reset_less=True)
        of_second = register(m, waits.read_data, "of_second")
        m.d.sync += [
            came.eq(Mux(turns[2].second, 0, of_first)),
            waited.eq(Mux(turns[2].second, of_second, 0)),
        ]
        now = waiting(came.as_value() | waited.as_value())
        return wire(m, Cat(Const(0, config.guard_bits), now.sum).as_signed(), "new"), now.plan
