"""A neuron: a leaky loop that fires above a threshold."""

from __future__ import annotations

from amaranth.hdl import Module, Mux, Signal, signed
from amaranth.lib import memory, wiring
from amaranth.lib.wiring import In, Out

from hdl.sfq.neuromorphic import COARSE_STEPS, CURRENT_BITS, FINE_TICKS, LEAK_BITS, LONGEST_TICKS, NeuronFit

MOST = (1 << CURRENT_BITS - 1) - 1
WAIT_BITS = LONGEST_TICKS.bit_length()


class Neuron(wiring.Component):
    """The neuron that `hdl/sfq/neuromorphic.py` defines, without its delay.

    The loop's current is brought up to date when a pulse comes, by two products in one clock; between pulses only the
    time is counted. A clock may stand for any number of ticks.

    Parameters
    ----------
    fit : NeuronFit

    Members
    -------
    wait : In(WAIT_BITS)
        Ticks from the clock before to this one; what is longer than `LONGEST_TICKS` may come as that.
    pulse : In(1)
        A pulse comes.
    bias : In(signed(CURRENT_BITS))
        Bias current in units.
    fires : Out(1)
        The pulse makes it fire: in the clock that it comes.
    """

    def __init__(self, fit: NeuronFit):
        self._fit = fit
        super().__init__({"wait": In(WAIT_BITS), "pulse": In(1), "bias": In(signed(CURRENT_BITS)), "fires": Out(1)})

    def elaborate(self, platform):
        m = Module()
        kick, threshold, drop = self._fit.currents
        # Ticks since the last pulse, or LONGEST_TICKS if it is longer ago.
        before, since = Signal(range(LONGEST_TICKS + 1)), Signal(range(LONGEST_TICKS + 1))
        m.d.comb += since.eq(_at_most(before + self.wait, LONGEST_TICKS))

        current = Signal(signed(CURRENT_BITS))
        fine_bits = (FINE_TICKS - 1).bit_length()
        left = _leaked(current, _table(m, "fine", self._fit.fine, since[:fine_bits]))
        left = _leaked(left, _table(m, "coarse", self._fit.coarse, since[fine_bits : fine_bits + 8]))
        grown, fallen = (Signal(signed(CURRENT_BITS), name=name) for name in ("grown", "fallen"))
        m.d.comb += [
            grown.eq(_saturated(Mux(since == LONGEST_TICKS, 0, left) + kick)),
            fallen.eq(_saturated(grown - drop)),
            self.fires.eq(self.pulse & (self.bias + grown > threshold)),
        ]
        m.d.sync += before.eq(Mux(self.pulse, 0, since))
        with m.If(self.pulse):
            m.d.sync += current.eq(Mux(self.fires, fallen, grown))
        return m


def _table(m, name, rows, address):
    """A row of a table of constants, in the same clock."""
    assert len(rows) in (FINE_TICKS, COARSE_STEPS)
    m.submodules[name] = table = memory.Memory(shape=LEAK_BITS, depth=len(rows), init=rows)
    port = table.read_port(domain="comb")
    m.d.comb += port.addr.eq(address)
    return port.data


def _leaked(current, share):
    return (current * share + (1 << LEAK_BITS - 1)) >> LEAK_BITS


def _at_most(value, most):
    return Mux(value > most, most, value)


def _saturated(value):
    return Mux(value < -MOST - 1, -MOST - 1, _at_most(value, MOST))
