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


def divider_bits(config: ArrayConfig) -> int:
    """Of a divider's index."""
    return max(1, (config.dividers - 1).bit_length())


def state_event(config: ArrayConfig) -> data.StructLayout:
    """A row that ended: its sum of probabilities, 0 if it never had a valid key; the divider that its outputs go to."""
    return data.StructLayout({"l": config.l_bits, "divider": divider_bits(config)})


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

        # Which has the smaller exponent, and by how much: a block RAM takes most of a cycle, both differences the next.
        take_1, now_1 = self._next(m, taken, now, "take_1")
        take_2, now_2 = self._next(m, take_1, now_1, "take_2")
        control_2 = self._held(m, self._held(m, control, "control_1"), "control_2")
        before_2 = stored(register(m, rows.read_data, "before_2"))
        rises = register(m, now_2.m - before_2.m, "rises").as_signed()
        falls = register(m, before_2.m - now_2.m, "falls").as_signed()
        seen = register(m, before_2.l.any() & ~control_2.first, "seen")
        take_3, now_3 = self._next(m, take_2, now_2, "take_3")
        control_3 = self._held(m, control_2, "control_3")
        before = stored(register(m, before_2.as_value(), "before"))
        up = wire(m, falls[-1], "up")
        grows = wire(m, up & now_3.any | ~seen, "grows")
        distance = wire(m, Mux(up, rises, falls), "distance")
        far = wire(m, distance[AMOUNT_BITS:].any() | ~seen, "far")
        amount = wire(m, distance[:AMOUNT_BITS] | far.replicate(AMOUNT_BITS), "amount")
        tile = Cat(Const(0, config.guard_bits), now_3.l)
        l_bits = config.l_bits
        moved = Signal(unsigned(l_bits), reset_less=True)
        kept = Signal(unsigned(l_bits), reset_less=True)
        exponent = Signal(signed(config.exponent_bits), reset_less=True)
        m.d.sync += [
            moved.eq(Mux(grows, before.l, tile)),
            kept.eq(Mux(grows, tile, before.l)),
            exponent.eq(Mux(grows, now_3.m, before.m)),
        ]
        take_4, now_4 = self._next(m, take_3, now_3, "take_4")
        control_4 = self._held(m, control_3, "control_4")
        amount_4, grows_4 = register(m, amount, "amount_4"), register(m, grows, "grows_4")

        # Shift, and round to nearest with the bit that is shifted out last.
        reached = Cat(Const(0, 1), moved)
        for bit in range(AMOUNT_BITS):
            reached = wire(m, Mux(amount_4[bit], reached >> (1 << bit), reached), f"moved_{1 << bit}")
        aligned = register(m, reached, "aligned")
        take_5, now_5 = self._next(m, take_4, now_4, "take_5")
        control_5, kept_5 = self._held(m, control_4, "control_5"), register(m, kept, "kept_5")
        exponent_5 = register(m, exponent, "exponent_5").as_signed()
        plan_5 = register(m, Cat(amount_4, grows_4), "plan_5")
        total = register(m, (Cat(Const(1, 1), kept_5) + aligned) >> 1, "total")[:l_bits]
        take_6, now_6 = self._next(m, take_5, now_5, "take_6")
        control_6, plan_6 = self._held(m, control_5, "control_6"), register(m, plan_5, "plan_6")
        exponent_6 = register(m, exponent_5, "exponent_6").as_signed()

        # Half of both when the sum could come to overflow.
        bump = wire(m, total[-1], "bump")
        result = Signal(stored, reset_less=True)
        m.d.sync += [
            result.l.eq(Mux(bump, (total + 1) >> 1, total)),
            result.m.eq(exponent_6 + bump),
            self.plan.eq(Cat(plan_6, bump)),
        ]
        take_7, now_7 = self._next(m, take_6, now_6, "take_7")
        control_7 = self._held(m, control_6, "control_7")
        m.d.comb += [
            rows.write.eq(take_7),
            rows.write_address.eq(Cat(now_7.row, control_7.block)),
            rows.write_data.eq(result),
            self.write_plan.eq(take_7),
            self.plan_row.eq(now_7.row),
            self.plan_bank.eq(control_7.bank),
            self.ready.eq(take_7 & (now_7.row == config.rows - 1)),
            self.ended_valid.eq(take_7 & control_7.final & (now_7.row <= control_7.last_row)),
            self.ended.l.eq(result.l),
            self.ended.divider.eq(now_7.row & (config.dividers - 1)),
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
        row = Signal(range(config.rows_per_unit * config.units), reset_less=True)
        held = [Signal(one, name=f"held_{index}", reset_less=True) for index in range(config.units)]
        busy, index = Signal(), Signal(range(max(2, config.units)))
        with m.If(busy):
            m.d.sync += [index.eq(index + 1), row.eq(row + 1), busy.eq(index != config.units - 1)]
        with m.If(self.take):
            m.d.sync += [busy.eq(1), index.eq(0), row.eq(self.place * config.units)]
            m.d.sync += [control[name].eq(getattr(self, name)) for name in layout.members]
            for unit, record in enumerate(held):
                m.d.sync += [record[name].eq(getattr(self, f"{name}_{unit}")) for name in ("m", "l", "any")]
        now = Signal(one)
        chosen = Array(record.as_value() for record in held)[index] if config.units > 1 else held[0].as_value()
        m.d.comb += [now.eq(chosen), now.row.eq(row)]
        return now, wire(m, busy & (row < config.rows), "taken"), control

    @staticmethod
    def _next(m, take, now, name):
        """A row a cycle later."""
        held = Signal(name=name)
        m.d.sync += held.eq(take)
        return held, now.shape()(register(m, now.as_value(), f"{name}_row"))

    @staticmethod
    def _held(m, control, name):
        return control.shape()(register(m, control.as_value(), name))
