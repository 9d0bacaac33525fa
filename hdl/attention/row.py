"""A row of the array: its queries, its multipliers, and its edge."""

from __future__ import annotations

from amaranth.hdl import Array, Cat, Const, Module, Mux, Signal, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from hdl.attention.aligner import Aligner, output_beat, plan_layout
from hdl.attention.config import ArrayConfig
from hdl.attention.lanes import Lanes
from hdl.attention.ram import ByteRam, Ram
from hdl.attention.scores import Scores, score_beat
from hdl.common.arithmetic import register, wire

OPERAND_CYCLES = 3
"""From a beat's address to its operand at the lanes."""


def power_bits(size: int) -> int:
    """Bits that count to below `size`."""
    return (size - 1).bit_length()


def query_address(config: ArrayConfig) -> data.StructLayout:
    """Where a channel of a query lies: two jobs' blocks are there at once."""
    return data.StructLayout({"column": power_bits(config.dim), "block": power_bits(config.subtiles), "half": 1})


def probability_address(config: ArrayConfig) -> data.StructLayout:
    """Where a probability lies: key of the tile, and bank."""
    return data.StructLayout({"key": config.lane_bits, "bank": 2})


def stationary_step(config: ArrayConfig) -> data.StructLayout:
    """A step of loading stationary operands: that a lane takes one, whether it is a query's channel, where it is; or
    that the aligner's plan is read."""
    return data.StructLayout(
        {
            "load": 1,
            "plan": 1,
            "plan_bank": 2,
            "query": 1,
            "query_address": query_address(config),
            "probability_address": probability_address(config),
        }
    )


class Row(wiring.Component):
    """One query of each block.

    Members
    -------
    write_query, query_word, query_data : into the queries, where a memory word goes
    write_probability, probability_address, probability : into the probabilities
    write_plan, plan_bank, plan : into the plans of the aligner, one for each bank
    step : `stationary_step`, C steps for each pass or chunk
    swap : with a beat's operand's coming to the lanes
    streamed : C bytes, `OPERAND_CYCLES` after a beat was given
    score_beat, output_beat : two cycles before the beat's sum
    score_address, score : read by the softmax unit
    drain_address, drain_data : read by the normaliser
    """

    def __init__(self, config: ArrayConfig):
        self._config = config
        self._query_bytes = 1 << query_address(config).size
        super().__init__(
            {
                "write_query": In(1),
                "query_word": In(range(self._query_bytes // config.bus_bytes)),
                "query_data": In(config.bus_bits),
                "write_probability": In(1),
                "write_plan": In(1),
                "plan_bank": In(2),
                "probability_address": In(probability_address(config)),
                "probability": In(config.p_bits + 1),
                "plan": In(plan_layout()),
                "step": In(stationary_step(config)),
                "swap": In(1),
                "streamed": In(8 * config.lanes),
                "score_beat": In(score_beat(config)),
                "output_beat": In(output_beat(config)),
                "score_address": In(range(config.banks * config.lanes)),
                "score": Out(signed(config.score_bits)),
                "drain_address": In(power_bits(config.dim) + power_bits(config.subtiles)),
                "drain_data": Out(signed(config.o_bits)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        config = self._config
        m.submodules.queries = queries = ByteRam(self._query_bytes, config.bus_bytes)
        m.submodules.probabilities = probabilities = Ram(config.p_bits + 1, 1 << probability_address(config).size)
        m.submodules.lanes = lanes = Lanes(config)
        m.submodules.scores = scores = Scores(config)
        m.submodules.aligner = aligner = Aligner(config)
        m.d.comb += [
            queries.write.eq(self.write_query),
            queries.write_address.eq(self.query_word),
            queries.write_data.eq(self.query_data),
            queries.read_address.eq(self.step.query_address),
            probabilities.write.eq(self.write_probability),
            probabilities.write_address.eq(self.probability_address),
            probabilities.write_data.eq(self.probability),
            probabilities.read_address.eq(self.step.probability_address),
        ]

        # Stationary operands, a lane a cycle.
        layout = stationary_step(config)
        step_1 = layout(register(m, self.step.as_value(), "step_1"))
        step_2 = layout(register(m, step_1.as_value(), "step_2"))
        stationary = Signal(signed(config.stationary_bits), reset_less=True)
        probability = Cat(probabilities.read_data, Const(0, 1)).as_signed()
        m.d.sync += stationary.eq(Mux(step_1.query, queries.read_data.as_signed(), probability))
        lane = step_2.probability_address.key
        taken = [wire(m, step_2.load & (lane == k), f"load_{k}") for k in range(config.lanes)]
        m.d.comb += [
            lanes.load.eq(Cat(taken)),
            lanes.stationary.eq(stationary),
            lanes.swap.eq(self.swap),
            lanes.streamed.eq(self.streamed),
        ]

        # Sums to the edge.
        m.d.comb += [
            scores.beat.eq(self.score_beat),
            scores.sum.eq(lanes.sum),
            scores.read_address.eq(self.score_address),
            self.score.eq(scores.score),
            aligner.plan.eq(self._plan(m, step_1)),
            aligner.beat.eq(self.output_beat),
            aligner.sum.eq(lanes.sum),
            aligner.drain_address.eq(self.drain_address),
            self.drain_data.eq(aligner.drain_data),
        ]
        return m

    def _plan(self, m, step):
        """The aligner's plan, from the step that reads it to the next such step."""
        plans = Array(Signal(plan_layout(), name=f"plan_{bank}", reset_less=True) for bank in range(self._config.banks))
        plan = Signal(plan_layout(), reset_less=True)
        with m.If(self.write_plan):
            m.d.sync += plans[self.plan_bank].eq(self.plan)
        with m.If(step.plan):
            m.d.sync += plan.eq(plans[step.plan_bank])
        return plan
