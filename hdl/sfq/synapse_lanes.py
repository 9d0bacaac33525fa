"""Synapses of pulse logic: a pulse passes by chance, as `hdl.sfq.neuromorphic` defines it."""

from __future__ import annotations

from amaranth.hdl import Cat, Module, Signal
from amaranth.lib import memory, wiring
from amaranth.lib.wiring import In, Out

from hdl.sfq.network_config import StochasticConfig
from hdl.sfq.neuromorphic import PASS_BITS, STATE_BITS


class SynapseLanes(wiring.Component):
    """One row of synapses a cycle: a lane each, all with the same input, each of another neuron.

    A row holds threshold and generator of each lane's synapse. Where a pulse comes, the generators move on, and the
    lanes whose generator is then below its threshold count a pulse.

    Latency: a row that `step` names in one cycle is counted at the end of the next. Throughput: a row a cycle; the same
    row again no sooner than two cycles later.

    Parameters
    ----------
    config : StochasticConfig

    Members
    -------
    step, row, pulse : a row, and whether a pulse comes to it
    clear : start counting at 0; not while a row is on its way
    passes : each lane's pulses that passed
    load_start : the next word is the first
    load, word : a word of the memory: row by row, lane by lane, threshold, then the generator's state
    full : no word is missing; more are ignored
    """

    def __init__(self, config: StochasticConfig):
        self._config = config
        super().__init__(
            {
                "step": In(1),
                "row": In(range(max(2, config.rows))),
                "pulse": In(1),
                "clear": In(1),
                "passes": Out(config.passes_bits * config.lanes),
                "load_start": In(1),
                "load": In(1),
                "word": In(config.word_bits),
                "full": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        config, lanes = self._config, self._config.lanes
        threshold_bits = config.row_bits
        m.submodules.thresholds = thresholds = memory.Memory(
            shape=threshold_bits * lanes, depth=max(2, config.rows), init=[]
        )
        m.submodules.states = states = memory.Memory(shape=STATE_BITS * lanes, depth=max(2, config.rows), init=[])
        threshold_read, state_read = thresholds.read_port(), states.read_port()
        threshold_write = thresholds.write_port(granularity=threshold_bits)
        state_write = states.write_port(granularity=STATE_BITS)

        m.d.comb += [port.addr.eq(self.row) for port in (threshold_read, state_read)]
        m.d.comb += [port.en.eq(self.step) for port in (threshold_read, state_read)]
        stepped, pulse = Signal(), Signal(reset_less=True)
        row = Signal.like(self.row, reset_less=True)
        m.d.sync += [stepped.eq(self.step), pulse.eq(self.pulse), row.eq(self.row)]
        moves = Signal()
        m.d.comb += moves.eq(stepped & pulse)

        after = []
        for lane in range(lanes):
            state = _moved_on(m, state_read.data.word_select(lane, STATE_BITS), lane)
            after.append(state)
            passed = Signal(name=f"passed_{lane}")
            drawn = state[STATE_BITS - PASS_BITS :]
            m.d.comb += passed.eq(moves & (drawn < threshold_read.data.word_select(lane, threshold_bits)))
            count = self.passes.word_select(lane, config.passes_bits)
            with m.If(self.clear):
                m.d.sync += count.eq(0)
            with m.Else():
                m.d.sync += count.eq(count + passed)

        self._load(m, threshold_write, state_write)
        with m.If(moves):
            m.d.comb += [
                state_write.addr.eq(row),
                state_write.data.eq(Cat(after)),
                state_write.en.eq((1 << lanes) - 1),
            ]
        return m

    def _load(self, m, threshold_write, state_write):
        """Words into the memories. The loader works only while no row is on its way."""
        config = self._config
        second = Signal()
        lane = Signal(config.lanes, init=1)
        row = Signal(range(max(2, config.rows)))
        takes = Signal()
        m.d.comb += [
            takes.eq(self.load & ~self.full),
            threshold_write.addr.eq(row),
            threshold_write.data.eq(Cat([self.word[: config.row_bits]] * config.lanes)),
            threshold_write.en.eq(lane & (takes & ~second).replicate(config.lanes)),
            state_write.addr.eq(row),
            state_write.data.eq(Cat([self.word] * config.lanes)),
            state_write.en.eq(lane & (takes & second).replicate(config.lanes)),
        ]
        with m.If(self.load_start):
            m.d.sync += [second.eq(0), lane.eq(1), row.eq(0), self.full.eq(0)]
        with m.Elif(takes):
            m.d.sync += second.eq(~second)
            with m.If(second):
                m.d.sync += lane.eq(lane.rotate_left(1))
                with m.If(lane[-1]):
                    m.d.sync += [row.eq(row + 1), self.full.eq(row == config.rows - 1)]


def _moved_on(m, state, lane):
    """The generator's next state: xorshift by 13 left, 17 right, 5 left."""
    for number, (shift, left) in enumerate(((13, True), (17, False), (5, True))):
        moved = Signal(STATE_BITS, name=f"xorshift_{number}_{lane}")
        m.d.comb += moved.eq(state ^ ((state << shift) if left else (state >> shift)))
        state = moved
    return state
