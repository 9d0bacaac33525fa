"""Neurons of pulse logic: loops whose currents leak from slot to slot and fire above a threshold."""

from __future__ import annotations

from amaranth.hdl import Cat, Module, Mux, Signal, signed
from amaranth.lib import memory, wiring
from amaranth.lib.wiring import In, Out

from hdl.sfq.network_config import StochasticConfig
from hdl.sfq.neuromorphic import CURRENT_BITS, LEAK_BITS

LEAST, MOST = -(1 << CURRENT_BITS - 1), (1 << CURRENT_BITS - 1) - 1

FIELD_BITS = 16
"""Of each of a neuron's four numbers."""


class NeuronUnits(wiring.Component):
    """One neuron a cycle: its current leaks, takes a kick for every pulse, and above the threshold it fires once.

    All currents are signed and saturate. I becomes `(I leak + 2^15) >> 16`, plus `passes * kick`; where that is above
    `threshold`, which is the fitted one less the neuron's bias, the neuron fires and I loses `drop`.

    Latency: a neuron that `step` names in one cycle fires, or not, in the third cycle after it, with `done`.
    Throughput: a neuron a cycle; the same one again no sooner than four cycles later.

    Parameters
    ----------
    config : StochasticConfig

    Members
    -------
    step, unit, passes : a neuron, and the pulses that come to it in this slot
    fresh : take its current as 0
    done, fired : a neuron is through, in order, and whether it fires
    load_start : the next word is the first
    load, word : a neuron's word: kick and drop, then leak and threshold, the first in the lower half
    full : no word is missing; more are ignored
    """

    def __init__(self, config: StochasticConfig):
        self._config = config
        units = range(max(2, config.units))
        super().__init__(
            {
                "step": In(1),
                "unit": In(units),
                "passes": In(config.passes_bits),
                "fresh": In(1),
                "done": Out(1),
                "fired": Out(1),
                "load_start": In(1),
                "load": In(1),
                "word": In(config.word_bits),
                "full": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        config = self._config
        m.submodules.numbers = numbers = memory.Memory(shape=4 * FIELD_BITS, depth=max(2, config.units), init=[])
        m.submodules.currents = currents = memory.Memory(shape=CURRENT_BITS, depth=max(2, config.units), init=[])
        number_read, current_read = numbers.read_port(), currents.read_port()
        current_write = currents.write_port()
        m.d.comb += [port.addr.eq(self.unit) for port in (number_read, current_read)]
        m.d.comb += [port.en.eq(self.step) for port in (number_read, current_read)]
        self._load(m, numbers.write_port(granularity=2 * FIELD_BITS))

        steps = [self.step]
        units = [self.unit]
        for stage in (1, 2, 3):
            step = Signal(name=f"step_{stage}")
            unit = Signal.like(self.unit, name=f"unit_{stage}", reset_less=True)
            m.d.sync += [step.eq(steps[-1]), unit.eq(units[-1])]
            steps.append(step)
            units.append(unit)

        # What comes out of the memories: the products.
        passes = Signal.like(self.passes, reset_less=True)
        fresh = Signal(reset_less=True)
        m.d.sync += [passes.eq(self.passes), fresh.eq(self.fresh)]
        kick, drop, leak, threshold = (number_read.data.word_select(place, FIELD_BITS) for place in range(4))
        leaked = Signal(signed(CURRENT_BITS + LEAK_BITS + 1), reset_less=True)
        kicks = Signal(FIELD_BITS + config.passes_bits, reset_less=True)
        drop_2, threshold_2 = Signal(FIELD_BITS, reset_less=True), Signal(signed(FIELD_BITS), reset_less=True)
        current = Mux(fresh, 0, current_read.data).as_signed()
        m.d.sync += [leaked.eq(current * leak), kicks.eq(passes * kick), drop_2.eq(drop), threshold_2.eq(threshold)]

        # Their sum, and whether it is above the threshold.
        total = Signal(signed(FIELD_BITS + config.passes_bits + 2))
        held = Signal(signed(CURRENT_BITS), reset_less=True)
        drop_3, fires = Signal(FIELD_BITS, reset_less=True), Signal(reset_less=True)
        m.d.comb += total.eq(((leaked + (1 << LEAK_BITS - 1)) >> LEAK_BITS) + kicks)
        kept = _saturated(m, total, "kept")
        m.d.sync += [held.eq(kept), drop_3.eq(drop_2), fires.eq(kept > threshold_2)]

        less = Signal(signed(CURRENT_BITS + 2))
        m.d.comb += [
            less.eq(held - Mux(fires, drop_3, 0)),
            current_write.addr.eq(units[3]),
            current_write.data.eq(_saturated(m, less, "written")),
            current_write.en.eq(steps[3]),
            self.done.eq(steps[3]),
            self.fired.eq(steps[3] & fires),
        ]
        return m

    def _load(self, m, write):
        units = self._config.units
        second = Signal()
        unit = Signal(range(max(2, units)))
        takes = Signal()
        m.d.comb += [
            takes.eq(self.load & ~self.full),
            write.addr.eq(unit),
            write.data.eq(Cat(self.word, self.word)),
            write.en.eq(Cat(takes & ~second, takes & second)),
        ]
        with m.If(self.load_start):
            m.d.sync += [second.eq(0), unit.eq(0), self.full.eq(0)]
        with m.Elif(takes):
            m.d.sync += second.eq(~second)
            with m.If(second):
                m.d.sync += [unit.eq(unit + 1), self.full.eq(unit == units - 1)]


def _saturated(m, value, name):
    """A signed value, kept within `LEAST` and `MOST`."""
    found = Signal(signed(CURRENT_BITS), name=f"{name}_current")
    with m.If(value > MOST):
        m.d.comb += found.eq(MOST)
    with m.Elif(value < LEAST):
        m.d.comb += found.eq(LEAST)
    with m.Else():
        m.d.comb += found.eq(value)
    return found
