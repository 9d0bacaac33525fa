"""A row of the array: its queries, its multipliers, and its scores."""

from __future__ import annotations

from amaranth.hdl import Cat, Const, Module, Mux, Signal, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from hdl.attention.chunk_shifter import SHIFT_BITS, ChunkShifter
from hdl.attention.config import ArrayConfig
from hdl.attention.lanes import Lanes, beat_members
from hdl.attention.scores import Scores, score_beat
from hdl.attention.wide_lanes import WideLanes
from hdl.common.arithmetic import register
from hdl.common.ram import ByteRam, Ram


def power_bits(size: int) -> int:
    """Bits that count to below `size`."""
    return (size - 1).bit_length()


def query_address(config: ArrayConfig) -> data.StructLayout:
    """Where a channel of a query lies: two jobs' blocks are there at once."""
    return data.StructLayout({"column": power_bits(config.dim), "block": power_bits(config.subtiles), "half": 1})


def probability_address(config: ArrayConfig) -> data.StructLayout:
    """Where a probability lies: key of the tile, and bank."""
    return data.StructLayout({"key": config.tile_key_bits, "bank": 2})


def stationary_step(config: ArrayConfig) -> data.StructLayout:
    """A step of loading stationary operands: that a lane takes one, whether it is a query's channel, where it is; that
    lanes take two each."""
    return data.StructLayout(
        {
            "load": 1,
            "query": 1,
            **({"wide": 1} if config.wide else {}),
            "query_address": query_address(config),
            "probability_address": probability_address(config),
        }
    )


def lanes_of(config: ArrayConfig) -> Lanes:
    """A row's lanes; those of packed rows are others."""
    return WideLanes(config) if config.wide else Lanes(config)


class Row(wiring.Component):
    """One query of each block.

    Members
    -------
    write_query, query_word, query_data : into the queries, where a memory word goes
    write_probability, probability_address, probability : into the probabilities
    step : `stationary_step`, C steps for each pass or chunk
    load : two cycles after a step, the lane that takes its operand
    swap : with a beat's operand's coming to the lanes
    streamed : C operands, `operand_cycles` after a beat was given
    load_second, seconds, places : where there are wide jobs: of `WideLanes`, as `load` and `streamed`
    score_beat : two cycles before the beat's sum; with blocks, three cycles later
    key_amount : with blocks: of `ChunkShifter`
    sum : of a beat's products
    stationary : with packed rows only: for `PackedLanes`, which then have `load`, `swap`, `streamed` and give the `sum`
    score_address, score : read by the softmax unit
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
                "probability_address": In(probability_address(config)),
                "probability": In(config.p_bits + 1),
                "step": In(stationary_step(config)),
                "score_beat": In(score_beat(config)),
                "score_address": In(range(config.banks * config.tile_keys)),
                "score": Out(signed(config.score_bits)),
                **({"key_amount": In(SHIFT_BITS)} if config.has_blocks else {}),
                **self._lanes_members(),
            }
        )

    def _lanes_members(self):
        config = self._config
        if config.packed_rows:
            return {"stationary": Out(signed(config.stationary_bits)), "sum": In(signed(config.partial_bits))}
        return {
            **{name: In(bits) for name, bits in beat_members(config).items()},
            "sum": Out(signed(config.partial_bits)),
        }

    def elaborate(self, platform):
        m = Module()
        config = self._config
        m.submodules.queries = queries = ByteRam(self._query_bytes, config.bus_bytes)
        m.submodules.probabilities = probabilities = Ram(config.p_bits + 1, 1 << probability_address(config).size)
        m.submodules.scores = scores = Scores(config)
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
        stationary = Signal(signed(config.stationary_bits), reset_less=True)
        probability = Cat(probabilities.read_data, Const(0, 1)).as_signed()
        m.d.sync += stationary.eq(Mux(step_1.query, queries.read_data.as_signed(), probability))
        if config.packed_rows:
            m.d.comb += self.stationary.eq(stationary)
        else:
            m.submodules.lanes = lanes = lanes_of(config)
            m.d.comb += [getattr(lanes, name).eq(getattr(self, name)) for name in beat_members(config)]
            m.d.comb += [lanes.stationary.eq(stationary), self.sum.eq(lanes.sum)]

        # Sums to the edge.
        m.d.comb += [
            scores.beat.eq(self.score_beat),
            scores.read_address.eq(self.score_address),
            self.score.eq(scores.score),
        ]
        if config.has_blocks:
            m.submodules.shifter = shifter = ChunkShifter(config)
            m.d.comb += [
                shifter.sum.eq(self.sum),
                shifter.amount.eq(self.key_amount),
                scores.sum.eq(shifter.shifted),
            ]
        else:
            m.d.comb += scores.sum.eq(self.sum)
        return m
