"""The gated baseline: means of quiet samples."""

from __future__ import annotations

from amaranth.hdl import Cat, Const, Module, Mux, Signal, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hdl.common.arithmetic import delayed, register, wire
from hdl.common.ram import Ram
from hdl.pulse.front_config import FRAME_SAMPLES, GROUP_SAMPLES, FrontConfig
from hdl.pulse.front_lanes import lanes_of
from hdl.pulse.rounder import Rounder

LEAST_EXPONENT = (GROUP_SAMPLES - 1).bit_length()
EXPONENT_BITS = 4
GATE_BITS = 16
BEFORE_BITS = 5


class Baseline(wiring.Component):
    """The baseline of each frame, from the groups of four samples that have no trigger near.

    Groups wait in a memory until it is known whether a trigger follows. The discriminator's beats and the triggers', a
    few cycles later, each have their own copy of the frame's baseline, so that none need be carried along.

    Members
    -------
    valid, beat : samples
    passes : a beat that the discriminator subtracts `level` from
    decided, hit : a beat of which is known whether it has a trigger
    baseline_on, baseline_exponent, gate_before, gate_after : registers
    level : baseline in codes
    value, settled : of the discriminator's beat
    value_decided, settled_decided : of the beat that is decided
    """

    def __init__(self, config: FrontConfig):
        self._config = config
        value = signed(config.baseline_bits)
        super().__init__(
            {
                "valid": In(1),
                "beat": In(config.sample_bits * config.lanes),
                "passes": In(1),
                "decided": In(1),
                "hit": In(1),
                "baseline_on": In(1),
                "baseline_exponent": In(EXPONENT_BITS),
                "gate_before": In(BEFORE_BITS),
                "gate_after": In(GATE_BITS),
                "level": Out(signed(config.sample_bits)),
                "value": Out(value),
                "settled": Out(1),
                "value_decided": Out(value),
                "settled_decided": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        config = self._config
        fraction_bits = config.baseline_fraction_bits
        add, group_sum, frame_ends = self._groups(m)
        mean, ready = self._mean(m, add, group_sum)

        # The mean of the frames before the last one that is decided, for the next that begins at the discriminator.
        latest, latest_settled = Signal(signed(config.baseline_bits)), Signal()
        next_value, next_settled = Signal(signed(config.baseline_bits)), Signal()
        with m.If(ready):
            m.d.sync += [latest.eq(mean), latest_settled.eq(1)]
        with m.If(frame_ends):
            m.d.sync += [next_value.eq(latest), next_settled.eq(latest_settled)]

        value, settled = Signal(signed(config.baseline_bits)), Signal()
        value_decided, settled_decided = Signal(signed(config.baseline_bits)), Signal()
        with m.If(self._last_of_frame(m, self.passes, "passing")):
            m.d.sync += [
                value.eq(next_value),
                settled.eq(next_settled),
                self.level.eq(Mux(self.baseline_on, (next_value + (1 << (fraction_bits - 1))) >> fraction_bits, 0)),
            ]
        with m.If(self._last_of_frame(m, self.decided, "deciding")):
            m.d.sync += [value_decided.eq(value), settled_decided.eq(settled)]
        m.d.comb += [
            self.value.eq(Mux(self.baseline_on, value, 0)),
            self.settled.eq(settled | ~self.baseline_on),
            self.value_decided.eq(Mux(self.baseline_on, value_decided, 0)),
            self.settled_decided.eq(settled_decided | ~self.baseline_on),
        ]
        return m

    def _last_of_frame(self, m, beat, name):
        """The beat with a frame's last sample."""
        count = Signal(range(FRAME_SAMPLES // self._config.lanes), name=f"{name}_in_frame")
        with m.If(beat):
            m.d.sync += count.eq(count + 1)
        return wire(m, beat & count.all(), f"{name}_last")

    def _groups(self, m):
        """Whether a group is added, its sum, and, once that is in `latest`, whether the frame ends with it."""
        config = self._config
        beats = GROUP_SAMPLES // config.lanes
        # Those of a gate, and those between samples and their triggers, which are less.
        m.submodules.groups = groups = Ram(config.sample_bits + LEAST_EXPONENT, 2 << BEFORE_BITS)
        written, decided = Signal(BEFORE_BITS + 1), Signal(BEFORE_BITS + 1)
        part = Signal(signed(config.sample_bits + LEAST_EXPONENT))
        whole = wire(m, (part + sum(lanes_of(self.beat, config.lanes)))[: len(part)].as_signed(), "whole")
        write, decide = (self._last_of_group(m, beat, name, beats) for beat, name in
                         ((self.valid, "written"), (self.decided, "decided")))  # fmt: skip
        m.d.comb += [
            groups.write.eq(write),
            groups.write_address.eq(written),
            groups.write_data.eq(whole),
            groups.read_address.eq(decided - self.gate_before),
        ]
        with m.If(write):
            m.d.sync += [written.eq(written + 1), part.eq(0)]
        with m.Elif(self.valid):
            m.d.sync += part.eq(whole)

        hit_before, begun = Signal(), Signal()
        gate = Signal(GATE_BITS + 1)  # groups that are not added yet
        hit = wire(m, self.hit | hit_before, "group_hit")
        with m.If(decide):
            m.d.sync += [hit_before.eq(0), decided.eq(decided + 1), gate.eq(Mux(gate == 0, 0, gate - 1))]
            with m.If(hit):
                m.d.sync += gate.eq(self.gate_after + self.gate_before)
            with m.If((decided & (FRAME_SAMPLES // GROUP_SAMPLES - 1)) == FRAME_SAMPLES // GROUP_SAMPLES - 1):
                m.d.sync += begun.eq(1)
        with m.Elif(self.hit):
            m.d.sync += hit_before.eq(1)
        frame_ends = decide & decided[: (FRAME_SAMPLES // GROUP_SAMPLES - 1).bit_length()].all()
        add = delayed(m, decide & begun & ~hit & (gate == 0), 2, "add")
        return add, register(m, groups.read_data.as_signed(), "group_sum"), delayed(m, frame_ends, 7, "frame_ends")

    def _last_of_group(self, m, beat, name, beats):
        """The beat with a group's last sample."""
        if beats == 1:
            return beat
        count = Signal(range(beats), name=f"{name}_in_group")
        with m.If(beat):
            m.d.sync += count.eq(count + 1)
        return wire(m, beat & count.all(), f"{name}_group")

    def _mean(self, m, add, group_sum):
        """A mean, and the cycle in which it is there."""
        config = self._config
        doublings, exponent = Signal(EXPONENT_BITS), Signal(EXPONENT_BITS)
        few = self.baseline_exponent < LEAST_EXPONENT
        m.d.sync += [
            doublings.eq(Mux(few, 0, self.baseline_exponent - LEAST_EXPONENT)),
            exponent.eq(Mux(few, LEAST_EXPONENT, self.baseline_exponent)),
        ]
        most = (1 << EXPONENT_BITS) - 1
        count = Signal(most - LEAST_EXPONENT + 1)
        total = Signal(signed(config.sample_bits + most))
        full = wire(m, (count + 1) >> doublings, "groups_full")
        ends = wire(m, add & (full != 0), "mean_ends")
        begins = Signal(init=1)
        with m.If(add):
            m.d.sync += [
                count.eq(Mux(ends, 0, count + 1)),
                total.eq((total & (~begins).replicate(len(total))).as_signed() + group_sum),
                begins.eq(ends),
            ]
        m.submodules.rounder = rounder = Rounder(len(total) + config.baseline_fraction_bits)
        m.d.comb += [
            rounder.value.eq(Cat(Const(0, config.baseline_fraction_bits), total)),
            rounder.amount.eq(exponent),
        ]
        return rounder.rounded, delayed(m, ends, 4, "mean_ready")
