"""What a row knows of the keys it has seen: exponent and sum of probabilities, and how each tile is added to it."""

from __future__ import annotations

from amaranth.hdl import Array, Cat, Const, Module, Mux, Signal, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from hdl.attention.aligner import AMOUNT_BITS, plan_layout
from hdl.attention.config import ArrayConfig
from hdl.attention.softmax_unit import sum_bits
from hdl.common.arithmetic import delayed, register, wire
from hdl.common.ram import Ram


def divider_bits(config: ArrayConfig) -> int:
    """Of a divider's index."""
    return max(1, (config.dividers - 1).bit_length())


def state_event(config: ArrayConfig) -> data.StructLayout:
    """A row that ended: its sum of probabilities, 0 if it never had a valid key; the divider that its outputs go to."""
    return data.StructLayout({"l": config.l_bits, "divider": divider_bits(config)})


ADD_CYCLES = 5
"""From a row's state and its tile to what comes of them."""


def stored_layout(config: ArrayConfig) -> data.StructLayout:
    """A row's sum of probabilities and its exponent."""
    return data.StructLayout({"l": config.l_bits, "m": signed(config.exponent_bits)})


def tile_layout(config: ArrayConfig) -> data.StructLayout:
    """What a tile adds to a row: exponent, sum of probabilities, whether a key is valid."""
    return data.StructLayout({"m": signed(config.exponent_bits), "l": sum_bits(config), "any": 1})


def add_tile(
    m: Module, config: ArrayConfig, before: data.View, first: Signal, tile: data.View
) -> tuple[data.View, data.View]:
    """A row with a tile more, and the plan by which its outputs go, `ADD_CYCLES` later.

    Parameters
    ----------
    before : `stored_layout`; it does not count with `first`, nor while it has no valid key
    tile : `tile_layout`
    """
    l_bits = config.l_bits

    # Which has the smaller exponent, and by how much: both differences take a cycle.
    rises = register(m, tile.m - before.m, "rises").as_signed()
    falls = register(m, before.m - tile.m, "falls").as_signed()
    seen = register(m, before.l.any() & ~first, "seen")
    before = before.shape()(register(m, before.as_value(), "before_1"))
    tile = tile.shape()(register(m, tile.as_value(), "tile_2"))
    up = wire(m, falls[-1], "up")
    grows = wire(m, up & tile.any | ~seen, "grows")
    distance = wire(m, Mux(up, rises, falls), "distance")
    far = wire(m, distance[AMOUNT_BITS:].any() | ~seen, "far")
    amount = register(m, distance[:AMOUNT_BITS] | far.replicate(AMOUNT_BITS), "amount")
    new = Cat(Const(0, config.guard_bits), tile.l)
    moved, kept = Signal(l_bits, reset_less=True), Signal(l_bits, reset_less=True)
    m.d.sync += [moved.eq(Mux(grows, before.l, new)), kept.eq(Mux(grows, new, before.l))]
    exponent = register(m, Mux(grows, tile.m, before.m), "exponent")
    grows = register(m, grows, "grows_1")

    # Shift, and round to nearest with the bit that is shifted out last.
    reached = Cat(Const(0, 1), moved)
    for bit in range(AMOUNT_BITS):
        reached = wire(m, Mux(amount[bit], reached >> (1 << bit), reached), f"moved_{1 << bit}")
    aligned, kept = register(m, reached, "aligned"), register(m, kept, "kept_1")
    total = register(m, (Cat(Const(1, 1), kept) + aligned) >> 1, "total")[:l_bits]
    exponent = delayed(m, exponent, 2, "exponent", reset_less=True)
    way = delayed(m, Cat(amount, grows), 2, "way", reset_less=True)

    # Half of both when the sum could come to overflow.
    bump = wire(m, total[-1], "bump")
    result, plan = Signal(stored_layout(config), reset_less=True), Signal(plan_layout(), reset_less=True)
    m.d.sync += [
        result.l.eq(Mux(bump, (total + 1) >> 1, total)),
        result.m.eq(exponent.as_signed() + bump),
        plan.eq(Cat(way, bump)),
    ]
    return result, plan


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
        layout = control.shape()
        row_bits = (config.rows - 1).bit_length()
        m.submodules.rows = rows = Ram(stored_layout(config).size, config.subtiles << row_bits)
        m.d.comb += rows.read_address.eq(Cat(now.row, control.block))

        # A block RAM takes most of a cycle.
        take, row, held = taken, now.row, control.as_value()
        for cycle in range(2):
            take, row, held = self._next(m, take, row, held, f"read_{cycle + 1}")
        before = stored_layout(config)(register(m, rows.read_data, "before"))
        tile = tile_layout(config)
        tile = tile(register(m, register(m, Cat(now[name] for name in tile.members), "tile_1"), "tile"))
        result, plan = add_tile(m, config, before, layout(held).first, tile)
        for cycle in range(ADD_CYCLES):
            take, row, held = self._next(m, take, row, held, f"add_{cycle + 1}")
        done = layout(held)
        m.d.comb += [
            rows.write.eq(take),
            rows.write_address.eq(Cat(row, done.block)),
            rows.write_data.eq(result),
            self.write_plan.eq(take),
            self.plan_row.eq(row),
            self.plan_bank.eq(done.bank),
            self.plan.eq(plan),
            self.ready.eq(take & (row == config.rows - 1)),
            self.ended_valid.eq(take & done.final & (row <= done.last_row)),
            self.ended.l.eq(result.l),
            self.ended.divider.eq(row & (config.dividers - 1)),
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
    def _next(m, take, row, control, name):
        """A row a cycle later."""
        held = Signal(name=f"{name}_take")
        m.d.sync += held.eq(take)
        return held, register(m, row, f"{name}_row"), register(m, control, f"{name}_control")
