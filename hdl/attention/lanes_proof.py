"""A row's products and their sums never overflow: they are exact where they are extreme."""

from __future__ import annotations

from amaranth.hdl import Array, Assert, Cat, Const, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In

from hdl.attention.config import ArrayConfig
from hdl.attention.lanes import SECOND_BITS
from hdl.attention.row import lanes_of

SWAP_STEP = 2
"""After operands are held, and loaded."""


class LanesProof(wiring.Component):
    """All lanes have the same operands, each its least or its greatest number, of a pass over keys or over values.

    A product is linear in both, and each sum of the tree in all operands: no other operands take them further. What
    does not wrap here wraps nowhere.

    Parameters
    ----------
    config : of the operands
    built : of the lanes, where it is another; a proof that then holds could not have failed

    Members
    -------
    values : a pass over values, the stationary operands being probabilities; else one over keys
    stationary, streamed : the operand is the greatest
    dual : with `dual_issue`: two products a lane, of streamed operands of 4 bits
    """

    def __init__(self, config: ArrayConfig, built: ArrayConfig | None = None):
        self._config, self._lanes = config, lanes_of(built or config)
        dual = {"dual": In(1)} if config.dual_issue else {}
        super().__init__({"values": In(1), "stationary": In(1), "streamed": In(1), **dual})

    def elaborate(self, platform):
        m = Module()
        config = self._config
        m.submodules.lanes = lanes = self._lanes
        end = SWAP_STEP + 2 + config.latency_cycles - config.operand_cycles - 1
        step = Signal(range(end + 1), reset_less=True)
        m.d.sync += step.eq(Mux(step == end, step, step + 1))
        members = [self.values, self.stationary, self.streamed, *([self.dual] if config.dual_issue else [])]
        given = Signal(len(members), reset_less=True)
        with m.If(step == 0):
            m.d.sync += given.eq(Cat(members))

        def extremes(bits):
            return -(1 << (bits - 1)), (1 << (bits - 1)) - 1

        of_keys = extremes(8), extremes(config.key_operand_bits)
        of_values = (0, 1 << config.p_bits), extremes(config.streamed_bits)
        corners = [
            (stationary[given >> 1 & 1], (extremes(SECOND_BITS) if given >> 3 else streamed)[given >> 2 & 1])
            for given in range(1 << len(members))
            for stationary, streamed in [of_values if given & 1 else of_keys]
        ]
        m.d.comb += [
            lanes.load.eq(-1),
            lanes.stationary.eq(Array(Const(stationary) for stationary, _ in corners)[given]),
            lanes.swap.eq(step == SWAP_STEP),
        ]
        if config.wide:
            m.d.comb += lanes.load_second.eq(-1)
        if config.sparse:  # all of a pair's operands are alike
            m.d.comb += lanes.places.eq(0)
        if config.dual_issue:
            seconds = Array(Const(streamed if given >> 3 else 0) for given, (_, streamed) in enumerate(corners))
            second = Signal(SECOND_BITS)
            m.d.comb += [second.eq(seconds[given]), lanes.seconds.eq(second.replicate(config.lanes))]
        for lane in range(config.lanes):
            part = lanes.streamed.word_select(lane, config.streamed_bits)
            m.d.comb += part.eq(Array(Const(streamed) for _, streamed in corners)[given])
        exact = Array(
            Const(config.lanes * stationary * streamed << given // 8)
            for given, (stationary, streamed) in enumerate(corners)
        )[given]
        with m.If(step == end):
            m.d.comb += Assert(lanes.sum == exact, "products and their sums do not wrap")
        return m
