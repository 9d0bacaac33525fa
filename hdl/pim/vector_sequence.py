"""The sequence of the vector unit: instructions in order, each checked, then taken apart into steps of a row."""

from __future__ import annotations

from amaranth.hdl import Cat, Module, Mux, Signal, Value
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from hdl.common.arithmetic import wire
from hdl.pim.vector_config import (
    ADDER_OPS,
    FIELDS,
    INSTRUCTION_BITS,
    LOADS,
    PAIR_OPS,
    REDUCTIONS,
    STORES,
    WIDE_OPS,
    Illegal,
    VectorConfig,
    VectorOp,
)

DEEPEST = VectorConfig.adder_cycles


def one_of(op: Value, ops: frozenset[VectorOp]) -> Value:
    """Whether an op is one of a set."""
    return Cat(op == one for one in sorted(ops)).any()


class VectorSequence(wiring.Component):
    """One instruction at a time: a cycle to check it, then steps, until the last one's result is there.

    A step reads in its cycle, `load` comes a cycle later (operands into their registers), `result` comes
    `depth_cycles(op) + 1` after that. Steps of reductions follow each other as results do; those of the tree read
    nothing. A LOAD's step waits for a beat, a STORE's for room.

    Members
    -------
    instruction : In(stream.Signature(64))
    beat_valid, beat_ready : a beat of the input, and that it is taken
    room : In(1)
        The output takes one more beat.
    op : Out(6), loads, stores, wide, reduces : Out(1) each
        The instruction at work.
    a_scalar, b_scalar : Out(1); a_lane, b_lane, d_lane : Out
        Which operand is one word for all, and in which lanes scalars are.
    read_a, read_b, row_a, row_b : of the step
    step : Out(1)
    load, load_first, load_tree, load_final, load_half : Out(1)
        What the step before was: the instruction's first, of the tree, on the last row, with high halves.
    result, result_final, result_half, result_writes, result_last : Out(1)
        A result is there: on the last row, with high halves; it goes into the SRAM; it is the instruction's last one.
    row_d : Out
        Where it goes.
    mask : Out(lanes)
        Lanes of the last row.
    ends_packet : Out(1)
    link : Out(2)
        Flags of the instruction at work: its stream is the channel's; that of the bank lane.
    illegal : Out(4)
        Pulses, by `Illegal`.
    checked, ended, busy : Out(1)
        An instruction was looked at; it was END; one is at work or comes in.
    """

    def __init__(self, config: VectorConfig):
        self._config = config
        row, lane = range(config.rows), max(1, config.tree_levels)
        flags = ("beat_ready", "loads", "stores", "wide", "reduces", "a_scalar", "b_scalar", "read_a", "read_b", "step")
        flags += ("load", "load_first", "load_tree", "load_final", "load_half", "result", "result_final")
        flags += ("result_half", "result_writes", "result_last", "ends_packet", "checked", "ended", "busy")
        super().__init__(
            {
                "instruction": In(stream.Signature(INSTRUCTION_BITS)),
                "beat_valid": In(1),
                "room": In(1),
                "op": Out(FIELDS["op"]),
                **{name: Out(1) for name in flags},
                **{f"{name}_lane": Out(lane) for name in "abd"},
                **{f"row_{name}": Out(row) for name in "abd"},
                "mask": Out(config.lanes),
                "link": Out(2),
                "illegal": Out(len(Illegal)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        held = Signal(INSTRUCTION_BITS, reset_less=True)
        fields, place = {}, 0
        for name, bits in FIELDS.items():
            fields[name] = held[place : place + bits]
            place += bits
        n = wire(m, Mux(fields["n"] == 0, 1 << FIELDS["n"], fields["n"]), "elements")
        self._describe(m, fields, n)
        steps = wire(m, (n + self._config.lanes - 1) >> self._config.tree_levels, "steps")
        illegal = self._check(m, fields, n, steps)

        checking, working = Signal(), Signal()
        idle = ~checking & ~working
        m.d.comb += [
            self.instruction.ready.eq(idle),
            self.busy.eq(~idle | self.instruction.valid),
            self.checked.eq(checking),
            self.illegal.eq(illegal & checking.replicate(len(illegal))),
            self.ended.eq(checking & ~illegal.any() & (self.op == VectorOp.END)),
        ]
        with m.If(idle & self.instruction.valid):
            m.d.sync += [held.eq(self.instruction.payload), checking.eq(1)]
        with m.If(checking):
            m.d.sync += [checking.eq(0), working.eq(~illegal.any() & (self.op != VectorOp.END))]
        with m.If(self.result_last):
            m.d.sync += working.eq(0)
        self._steps(m, fields, checking, working, steps)
        return m

    def _describe(self, m, fields, n):
        """What kind of instruction it is."""
        levels = self._config.tree_levels
        m.d.comb += [
            self.op.eq(fields["op"]),
            self.loads.eq(one_of(self.op, LOADS)),
            self.stores.eq(one_of(self.op, STORES)),
            self.wide.eq(one_of(self.op, WIDE_OPS)),
            self.reduces.eq(one_of(self.op, REDUCTIONS)),
            self.b_scalar.eq(fields["flags"][0]),
            self.a_scalar.eq(fields["flags"][1]),
            self.ends_packet.eq(fields["flags"][2]),
            self.link.eq(fields["flags"][3:5]),
        ]
        for name in "abd":
            m.d.comb += getattr(self, f"{name}_lane").eq(fields[name][:levels])
        within = n[:levels]
        whole = within == 0 if levels else 1
        for lane in range(self._config.lanes - 1):
            m.d.comb += self.mask[lane].eq(whole | (within > lane))
        m.d.comb += self.mask[-1].eq(whole)

    def _check(self, m, fields, n, steps):
        """Bits by `Illegal`, at most one of them set: the first that holds."""
        levels, words = self._config.tree_levels, self._config.words
        uses_a = wire(m, ~self.loads, "uses_a")
        uses_b = wire(m, one_of(self.op, PAIR_OPS), "uses_b")
        uses_d = wire(m, ~self.stores, "uses_d")
        beyond, aligned, overlaps = [], [], []
        rows = {name: fields[name][levels:] for name in "abd"}
        for name, uses, scalar in (
            ("a", uses_a, self.a_scalar),
            ("b", uses_b, self.b_scalar),
            ("d", uses_d, self.reduces),
        ):
            beyond.append(uses & (fields[name] + Mux(scalar, 1, n) > words))
            aligned.append(uses & ~scalar & fields[name][:levels].any() if levels else 0)
            if name != "d":
                distance = wire(m, (rows["d"] - rows[name]).as_signed(), f"distance_{name}")
                inside = (distance > 0) & (distance < Cat(steps, 0).as_signed())
                overlaps.append(uses & ~scalar & uses_d & ~self.reduces & inside)
        found = {
            Illegal.UNKNOWN: self.op > max(VectorOp),
            Illegal.ADDRESS: Cat(beyond).any(),
            Illegal.ALIGNMENT: Cat(aligned).any(),
            Illegal.OVERLAP: Cat(overlaps).any(),
        }
        reasons, before = [], self.op == VectorOp.END
        for reason in Illegal:
            this = wire(m, found[reason] & ~before, f"is_{reason.name.lower()}")
            reasons.append(this)
            before = before | this
        return wire(m, Cat(reasons), "reasons")

    def _steps(self, m, fields, checking, working, steps):
        """Issues steps, and follows them to their results."""
        config = self._config
        adds, multiplies = one_of(self.op, ADDER_OPS), self.op == VectorOp.MUL
        depth = wire(m, Mux(adds, DEEPEST, Mux(multiplies, config.multiplier_cycles, config.other_cycles)), "depth")
        left, level = Signal(range(1 << FIELDS["n"] + 1)), Signal(range(config.tree_levels + 2))
        first, half, pause = Signal(), Signal(), Signal(range(DEEPEST + 1))
        tree = wire(m, left == 0, "in_tree")
        more = wire(m, ~tree | (self.reduces & (level != config.tree_levels)), "more")
        free = (~self.loads | self.beat_valid) & (~self.stores | self.room)
        whole = wire(m, ~self.wide | half, "whole")
        m.d.comb += [
            self.step.eq(working & more & (pause == 0) & free),
            self.beat_ready.eq(self.step & self.loads),
            self.read_a.eq(self.step & (first | ~self.a_scalar)),
            self.read_b.eq(self.step & (first | ~self.b_scalar)),
        ]
        levels = config.tree_levels
        with m.If(checking):
            m.d.sync += [left.eq(steps), level.eq(0), first.eq(1), half.eq(0), pause.eq(0)]
            m.d.sync += [getattr(self, f"row_{name}").eq(fields[name][levels:]) for name in "abd"]
        with m.Elif(self.step):
            m.d.sync += [first.eq(0), half.eq(~whole), pause.eq(Mux(self.reduces, depth, 0))]
            with m.If(tree):
                m.d.sync += level.eq(level + 1)
            with m.Elif(whole):
                m.d.sync += [left.eq(left - 1), self.row_a.eq(self.row_a + 1), self.row_b.eq(self.row_b + 1)]
        with m.Elif(pause != 0):
            m.d.sync += pause.eq(pause - 1)

        final = wire(m, left == 1, "final")
        final_pass = Mux(self.reduces, level + 1 == levels if levels else 0, 0) & tree
        ends = wire(m, Mux(self.reduces & (levels > 0), final_pass, final & whole), "ends")
        tags = {"first": first, "tree": tree, "final": final, "half": half, "ends": ends}
        taken = {name: Signal(name=f"step_{name}", reset_less=True) for name in tags}
        m.d.sync += self.load.eq(self.step)
        m.d.sync += [taken[name].eq(value) for name, value in tags.items()]
        m.d.comb += [getattr(self, f"load_{name}").eq(taken[name]) for name in ("first", "tree", "final", "half")]

        # The operands' registers, then as many cycles as the op takes: a tag leaves where its result does.
        valid, tag = self.load, Cat(taken["final"], taken["half"], taken["ends"])
        stages = []
        for stage in range(DEEPEST + 1):
            stage_valid, stage_tag = Signal(name=f"valid_{stage}"), Signal(3, name=f"tag_{stage}", reset_less=True)
            m.d.sync += [stage_valid.eq(valid), stage_tag.eq(tag)]
            leaves = wire(m, stage_valid & (depth == stage), f"leaves_{stage}")
            valid, tag = stage_valid & ~leaves, stage_tag
            stages.append((leaves, stage_tag))
        out = wire(m, Cat(leaves & bit for leaves, tag in stages for bit in (*tag, 1)), "out")
        result_final, result_half, ends, result = (out[place::4].any() for place in range(4))
        m.d.comb += [
            self.result.eq(result),
            self.result_final.eq(result_final),
            self.result_half.eq(result_half),
            self.result_last.eq(ends),
            self.result_writes.eq(result & ~self.stores & Mux(self.reduces, ends, result_half | ~self.wide)),
        ]
        with m.If(self.result_writes):
            m.d.sync += self.row_d.eq(self.row_d + 1)
