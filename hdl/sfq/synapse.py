"""A synapse: lets a pulse pass by chance."""

from __future__ import annotations

from amaranth.hdl import Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hdl.sfq.neuromorphic import PASS_BITS, STATE_BITS


class Synapse(wiring.Component):
    """The synapse that `hdl/sfq/neuromorphic.py` defines, without its delay: a pulse passes in the clock that it comes.

    Parameters
    ----------
    first_state : of the generator, not 0

    Members
    -------
    pulse : In(1)
        A pulse comes.
    threshold : In(PASS_BITS + 1)
        Of the synapse's weight.
    passed : Out(1)
        It passes.
    """

    def __init__(self, first_state: int):
        if not 0 < first_state < 1 << STATE_BITS:
            raise ValueError(f"first_state must be in 1..{(1 << STATE_BITS) - 1}, not {first_state}")
        self._first_state = first_state
        super().__init__({"pulse": In(1), "threshold": In(PASS_BITS + 1), "passed": Out(1)})

    def elaborate(self, platform):
        m = Module()
        state = Signal(STATE_BITS, init=self._first_state)
        left, right, following = (Signal(STATE_BITS, name=name) for name in ("left", "right", "following"))
        m.d.comb += [
            left.eq(state ^ (state << 13)),
            right.eq(left ^ (left >> 17)),
            following.eq(right ^ (right << 5)),
            self.passed.eq(self.pulse & (following[-PASS_BITS:] < self.threshold)),
        ]
        with m.If(self.pulse):
            m.d.sync += state.eq(following)
        return m
