"""What a row knows of the keys it has seen: exponent and sum of probabilities, and how each tile is added to it."""

from __future__ import annotations

from amaranth.hdl import Array, Cat, Const, Module, Mux, Signal, signed, unsigned
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from hdl.attention.aligner import AMOUNT_BITS, plan_layout
from hdl.attention.config import ArrayConfig
from hdl.attention.ram import Ram
from hdl.attention.softmax_unit import sum_bits
from hdl.common.arithmetic import register, wire


def state_event(config: ArrayConfig) -> data.StructLayout:
    """A row that ended: its sum of probabilities, 0 if it never had a valid key."""
    return data.StructLayout({"l": config.l_bits})


class RowState(wiring.Component):
    """Adds tiles to rows, one row a cycle.

    Members
    -------
    take : of each unit a row is there: `m_<u>`, `any_<u>`, `l_<u>`, of row `place` * units + u
    place, block, bank, first, final, last_row : of these rows
    write_plan, plan_row, plan_bank, plan : `plan_layout`
    ready : a pulse with the block's last plan
    ended_valid, ended : a row that exists ended
    """

    def __init__(self, config: ArrayConfig):
        self._config = config
        units = {}
        for index in range(config.units):
            units |= {
                f"m_{index}": In(signed(config.exponent_bits)),
                f"any_{index}": In(1),
                f"l_{index}": In(sum_bits(config)),
            }
        super().__init__(
            {
                **units,
                "take": In(1),
                "place": In(range(config.rows_per_unit)),
                "block": In(range(config.subtiles)),
                "bank": In(2),
                "first": In(1),
                "final": In(1),
                "last_row": In(range(config.rows)),
                "write_plan": Out(1),
                "plan_row": Out(range(config.rows)),
                "plan_bank": Out(2),
                "plan": Out(plan_layout()),
                "ready": Out(1),
                "ended_valid": Out(1),
                "ended": Out(state_event(config)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        config = self._config
        now, taken, control = self._serial(m)
        row_bits = (config.rows - 1).bit_length()
        stored = data.StructLayout({"l": config.l_bits, "m": signed(config.exponent_bits)})
        m.submodules.rows = rows = Ram(stored.size, config.subtiles << row_bits)
        m.d.comb += rows.read_address.eq(Cat(now.row, control.block))

        # Which has the smaller exponent, and by how much.
        take_1, now_1 = self._next(m, taken, now, "take_1")
        control_1 = self._held(m, control, "control_1")
        before = stored(rows.read_data)
        seen = wire(m, before.l.any() & ~control_1.first, "seen")
        difference = wire(m, now_1.m - before.m, "difference")
        grows = wire(m, (difference > 0) & now_1.any | ~seen, "grows")
        distance = wire(m, Mux(difference > 0, difference, -difference), "distance")
        far = wire(m, distance[AMOUNT_BITS:].any() | ~seen, "far")
        amount = wire(m, distance[:AMOUNT_BITS] | far.replicate(AMOUNT_BITS), "amount")
        tile = Cat(Const(0, config.guard_bits), now_1.l)
        l_bits = config.l_bits
        moved = Signal(unsigned(l_bits), reset_less=True)
        kept = Signal(unsigned(l_bits), reset_less=True)
        exponent = Signal(signed(config.exponent_bits), reset_less=True)
        m.d.sync += [
            moved.eq(Mux(grows, before.l, tile)),
            kept.eq(Mux(grows, tile, before.l)),
            exponent.eq(Mux(grows, now_1.m, before.m)),
        ]
        take_2, now_2 = self._next(m, take_1, now_1, "take_2")
        control_2 = self._held(m, control_1, "control_2")
        amount_2, grows_2 = register(m, amount, "amount_2"), register(m, grows, "grows_2")

        # Shift, and round to nearest with the bit that is shifted out last.
        reached = Cat(Const(0, 1), moved)
        for bit in range(AMOUNT_BITS):
            reached = wire(m, Mux(amount_2[bit], reached >> (1 << bit), reached), f"moved_{1 << bit}")
        aligned = register(m, reached, "aligned")
        take_3, now_3 = self._next(m, take_2, now_2, "take_3")
        control_3, kept_3 = self._held(m, control_2, "control_3"), register(m, kept, "kept_3")
        exponent_3 = register(m, exponent, "exponent_3").as_signed()
        plan_3 = register(m, Cat(amount_2, grows_2), "plan_3")
        total = register(m, (Cat(Const(1, 1), kept_3) + aligned) >> 1, "total")[:l_bits]
        take_4, now_4 = self._next(m, take_3, now_3, "take_4")
        control_4, plan_4 = self._held(m, control_3, "control_4"), register(m, plan_3, "plan_4")
        exponent_4 = register(m, exponent_3, "exponent_4").as_signed()

        # Half of both when the sum could come to overflow.
        bump = wire(m, total[-1], "bump")
        result = Signal(stored, reset_less=True)
        m.d.sync += [
            result.l.eq(Mux(bump, (total + 1) >> 1, total)),
            result.m.eq(exponent_4 + bump),
            self.plan.eq(Cat(plan_4, bump)),
        ]
        take_5, now_5 = self._next(m, take_4, now_4, "take_5")
        control_5 = self._held(m, control_4, "control_5")
        m.d.comb += [
            rows.write.eq(take_5),
            rows.write_address.eq(Cat(now_5.row, control_5.block)),
            rows.write_data.eq(result),
            self.write_plan.eq(take_5),
            self.plan_row.eq(now_5.row),
            self.plan_bank.eq(control_5.bank),
            self.ready.eq(take_5 & (now_5.row == config.rows - 1)),
            self.ended_valid.eq(take_5 & control_5.final & (now_5.row <= control_5.last_row)),
            self.ended.l.eq(result.l),
        ]
        return m

    def _serial(self, m):
        """The units' rows one after the other."""
        config = self._config
        row_bits = (config.rows - 1).bit_length()
        one = data.StructLayout({"m": signed(config.exponent_bits), "l": sum_bits(config), "any": 1, "row": row_bits})
        layout = data.StructLayout(
            {
                "block": len(self.block),
                "bank": 2,
                "first": 1,
                "final": 1,
                "last_row": len(self.last_row),
            }
        )
        control = Signal(layout, reset_less=True)
        place = Signal.like(self.place, name="place_held", reset_less=True)
        held = [Signal(one, name=f"held_{index}", reset_less=True) for index in range(config.units)]
        busy, index = Signal(), Signal(range(max(2, config.units)))
        with m.If(busy):
            m.d.sync += [index.eq(index + 1), busy.eq(index != config.units - 1)]
        with m.If(self.take):
            m.d.sync += [busy.eq(1), index.eq(0), place.eq(self.place)]
            m.d.sync += [control[name].eq(getattr(self, name)) for name in layout.members]
            for unit, record in enumerate(held):
                m.d.sync += [record[name].eq(getattr(self, f"{name}_{unit}")) for name in ("m", "l", "any")]
        now = Signal(one)
        unit_bits = config.units.bit_length() - 1
        chosen = Array(record.as_value() for record in held)[index] if config.units > 1 else held[0].as_value()
        m.d.comb += [now.eq(chosen), now.row.eq(Cat(index[:unit_bits], place)[:row_bits])]
        return now, busy, control

    @staticmethod
    def _next(m, take, now, name):
        """A row a cycle later."""
        held = Signal(name=name)
        m.d.sync += held.eq(take)
        return held, now.shape()(register(m, now.as_value(), f"{name}_row"))

    @staticmethod
    def _held(m, control, name):
        return control.shape()(register(m, control.as_value(), name))
