"""A row's outputs: sums over tiles of keys, whose exponents differ."""

from __future__ import annotations

from amaranth.hdl import Cat, Const, Module, Mux, Signal, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from hdl.attention.config import ArrayConfig
from hdl.attention.ram import Ram
from hdl.common.arithmetic import register, wire

AMOUNT_BITS = 6
"""Of a shift; any from 40 on leaves nothing."""

ALIGN_CYCLES = 5
"""From a sum to what is written."""


def plan_layout() -> data.StructLayout:
    """How a row adds a tile to its sums: which is shifted right, the sum (`old`) or what the tile adds to it, by how
    much, and whether the result is then halved."""
    return data.StructLayout({"amount": AMOUNT_BITS, "old": 1, "bump": 1})


def output_beat(config: ArrayConfig) -> data.StructLayout:
    """What a row's edge does with a sum in a PV pass: column and block, whether it is the first of its pass, whether it
    ends a row, which then goes to a slot of those that wait for the normaliser."""
    return data.StructLayout(
        {
            "take": 1,
            "begin": 1,
            "column": (config.dim - 1).bit_length(),
            "block": range(config.subtiles),
            "final": 1,
            "slot": range(config.subtiles),
        }
    )


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


class Aligner(wiring.Component):
    """Adds the products of a tile to a row's outputs, in block RAM; finished rows go to a second one as well.

    Members
    -------
    plan : taken with the first beat of a pass
    beat : `output_beat`, two cycles before its `sum`
    sum : of the tile
    drain_address : slot and column; `drain_data` comes a cycle later
    """

    def __init__(self, config: ArrayConfig):
        self._config = config
        self._depth = config.subtiles << (config.dim - 1).bit_length()
        super().__init__(
            {
                "plan": In(plan_layout()),
                "beat": In(output_beat(config)),
                "sum": In(signed(config.partial_bits)),
                "drain_address": In(range(self._depth)),
                "drain_data": Out(signed(config.o_bits)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        config, bits = self._config, self._config.o_bits
        m.submodules.outputs = outputs = Ram(bits, self._depth)
        m.submodules.finished = finished = Ram(bits, self._depth)
        layout = output_beat(config)
        beats = [self.beat.as_value()]
        for cycle in range(2 + ALIGN_CYCLES):
            beats.append(register(m, beats[-1], f"beat_{cycle + 1}"))
        plan = Signal(plan_layout(), reset_less=True)
        with m.If(layout(beats[1]).begin):
            m.d.sync += plan.eq(self.plan)

        # Of the sum so far and what comes to it, the one with the smaller exponent is shifted.
        m.d.comb += outputs.read_address.eq(Cat(self.beat.column, self.beat.block))
        old = register(m, outputs.read_data, "old").as_signed()
        new = wire(m, Cat(Const(0, config.guard_bits), self.sum).as_signed(), "new")
        moved, kept = Signal(signed(bits), reset_less=True), Signal(signed(bits), reset_less=True)
        m.d.sync += [moved.eq(Mux(plan.old, old, new)), kept.eq(Mux(plan.old, new, old))]
        amount = register(m, plan.amount, "amount")
        aligned = shifted(m, moved, amount, "aligned", 3)
        kept = register(m, register(m, kept, "kept_1"), "kept_2").as_signed()
        bump = plan.bump
        for cycle in range(4):
            bump = register(m, bump, f"bump_{cycle}")
        total = Signal(signed(bits), reset_less=True)
        m.d.sync += total.eq((Cat(Const(1, 1), kept).as_signed() + aligned.as_signed()) >> 1)
        result = Signal(signed(bits), reset_less=True)
        m.d.sync += result.eq(Mux(bump, (total + 1) >> 1, total))

        done = layout(beats[-1])
        for ram, slot, enable in ((outputs, done.block, done.take), (finished, done.slot, done.take & done.final)):
            m.d.comb += [
                ram.write.eq(enable),
                ram.write_address.eq(Cat(done.column, slot)),
                ram.write_data.eq(result),
            ]
        m.d.comb += [finished.read_address.eq(self.drain_address), self.drain_data.eq(finished.read_data)]
        return m
