"""A row's sums never overflow: a step of an induction over the tiles that it sees."""

from __future__ import annotations

from amaranth.hdl import Assert, Assume, Const, Module, Mux, Signal, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In

from hdl.attention.aligner import aligned_sum
from hdl.attention.config import ArrayConfig
from hdl.attention.row_state import ADD_CYCLES, add_tile, stored_layout, tile_layout
from hdl.common.arithmetic import wire

STEP_CYCLES = 1 + 2 * ADD_CYCLES
"""To a row with a tile more: it is held, then come m and l, then the output."""

SPARE_BITS = 3
"""By which sums are wider that cannot overflow."""

MOST_EXPONENT = 1 << 9
"""Of a tile, from above and from below."""


class RowProof(wiring.Component):
    """A row that has seen any tiles sees one more: its m, its l and a column of its O, by the array's own gateware.

    The invariant: m in [-2**9, 2**9 + L), l < 2**(L-1), |O| <= V * (l + tiles), V the largest value. It is assumed of
    the row before, and of the tile that |sum| <= V * l_t. Asserted is that nothing wraps, by sums of more bits which
    are the same; the invariant of m and l after; and what makes up that of O: O comes to halved(old' + sum'), the two
    shifted, l to halved(l' + l_t'), where |old'| + |sum'| <= V * (weight' + l_t') + V/2 and weight' <= l' + tiles,
    with weight = l + tiles. So |O| <= V * (l + tiles + 1) after.

    Parameters
    ----------
    config : of the invariant
    built : of the gateware, where it is another; a proof that then holds could not have failed

    Members
    -------
    row, old : before the tile: exponent and sum of probabilities; the output
    first : nothing is known of them
    tiles : that were, up to 2**(L-2)
    tile, sum : what comes to the row, and to the output
    """

    def __init__(self, config: ArrayConfig, built: ArrayConfig | None = None):
        self._config, self._built = config, built or config
        super().__init__(
            {
                "row": In(stored_layout(config)),
                "old": In(signed(config.o_bits)),
                "first": In(1),
                "tiles": In(config.l_bits - 2),
                "tile": In(tile_layout(config)),
                "sum": In(signed(config.partial_bits)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        config, built = self._config, self._built
        step = Signal(range(STEP_CYCLES + 1), reset_less=True)
        m.d.sync += step.eq(Mux(step == STEP_CYCLES, step, step + 1))
        given = {}
        for name in self.signature.members:
            given[name] = Signal.like(getattr(self, name), name=f"{name}_held", reset_less=True)
            with m.If(step == 0):
                m.d.sync += given[name].eq(getattr(self, name))
        row, old, first, tiles, tile, sum_ = given.values()

        value_log = config.streamed_bits - 1
        fresh = wire(m, first | (row.l == 0), "fresh")
        weight = wire(m, row.l + tiles, "weight")
        m.d.comb += [
            Assume(self._is_row(row)),
            Assume(fresh | _is_within(old, weight << value_log)),
            Assume((tile.m >= -MOST_EXPONENT) & (tile.m <= MOST_EXPONENT)),
            Assume((tile.l <= config.tile_keys << config.p_bits) & (tile.any == tile.l.any())),
            Assume(_is_within(sum_, tile.l << value_log)),
        ]

        m.submodules.rows = rows = Module()
        before = Signal(stored_layout(built))
        m.d.comb += [before.l.eq(row.l), before.m.eq(row.m)]
        after, plan = add_tile(rows, built, before, first, tile)
        alone = Signal.like(plan)  # without the last step
        m.d.comb += [alone.eq(plan), alone.bump.eq(0)]

        def with_tile(name, bits, total, comes, plan):
            m.submodules[name] = part = Module()
            sums = {}
            for one, value in (("old", total), ("new", comes << config.guard_bits)):
                sums[one] = Signal(signed(bits), name=f"{name}_{one}")
                m.d.comb += sums[one].eq(value)
            return aligned_sum(part, **sums, plan=plan)

        o_bits, l_bits, none = config.o_bits + SPARE_BITS, config.l_bits + SPARE_BITS, Const(0)
        output = with_tile("output", built.o_bits, old, sum_, plan)
        wide = with_tile("wide", o_bits, old, sum_, plan)
        whole = with_tile("whole", o_bits, old, sum_, alone)
        of_old = with_tile("of_old", o_bits, old, none, alone)
        of_sum = with_tile("of_sum", o_bits, none, sum_, alone)
        of_weight = with_tile("of_weight", l_bits, weight, none, alone)
        of_l = with_tile("of_l", l_bits, row.l, none, alone)
        of_tile = with_tile("of_tile", l_bits, none, tile.l, alone)

        def halved(total):
            return Mux(plan.bump, (total + 1) >> 1, total)

        half = 1 << (value_log - 1)  # of a value: what rounding l, and O, can add to O's bound
        most_old = (of_weight << value_log) + Mux(plan.old, half, 0)
        most_sum = (of_tile << value_log) + Mux(plan.old, 0, half)
        with m.If(step == STEP_CYCLES):
            m.d.comb += [
                Assert(self._is_row(after), "m and l stay in their bounds"),
                Assert(after.l == halved(of_l + of_tile), "l does not wrap"),
                Assert(output == wide, "O does not wrap"),
                Assert(wide == halved(whole), "O is halved with l"),
                Assert(whole == of_old + of_sum, "O is the sum of what is kept and what is shifted"),
                Assert(fresh | _is_within(of_old, most_old), "what was there stays in its bounds"),
                Assert(_is_within(of_sum, most_sum), "what comes stays in its bounds"),
                Assert(fresh | (of_weight <= of_l + tiles), "tiles weigh no more than they did"),
            ]
        return m

    def _is_row(self, row):
        """What is always true of a row's m and l."""
        bits = self._config.l_bits
        return (row.m >= -MOST_EXPONENT) & (row.m < MOST_EXPONENT + bits) & (row.l < 1 << (bits - 1))


def _is_within(total, most):
    """|total| <= most."""
    return (total <= most) & (-total <= most)
