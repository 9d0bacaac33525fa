"""Whose sums the aligners take: each serves two rows, which get their sums in the same cycles."""

from __future__ import annotations

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hdl.attention.aligner import ALIGN_CYCLES, SUM_CYCLES, output_beat, turn_layout, waiting_bits
from hdl.attention.config import ArrayConfig
from hdl.common.arithmetic import delayed, register, wire
from hdl.common.ram import Ram

TURN_CYCLES = 2
"""From a beat of a pass to the turn that is the first row's."""


class Turns(wiring.Component):
    """The first rows' sums are taken as they come, the second rows' wait for cycles in which none come.

    Passes over keys give such cycles, as many for each block and tile as its pass over values took. No more blocks than
    there are banks, of scores and of probabilities, are between their two passes: so many passes' sums wait at most.

    Members
    -------
    beat : `output_beat` of a pass, `TURN_CYCLES` before its turn
    turn : for the aligners; `written` is the place where a sum waits that is the first row's turn now, `read` the one
        of the second row's
    drained : a pulse: both rows of each aligner have finished a block
    """

    def __init__(self, config: ArrayConfig):
        self._config = config
        super().__init__({"beat": In(output_beat(config)), "turn": Out(turn_layout(config)), "drained": Out(1)})

    def elaborate(self, platform):
        m = Module()
        config = self._config
        layout = output_beat(config)
        bits = waiting_bits(config)
        m.submodules.beats = beats = Ram(layout.size, 1 << bits)

        # The place has a bit more than an address, as all places may be taken.
        written, read = Signal(bits + 1), Signal(bits + 1)
        waits = wire(m, (written != read) & ~self.beat.take, "waits")
        m.d.sync += [written.eq(written + self.beat.take), read.eq(read + waits)]
        m.d.comb += [
            beats.write.eq(self.beat.take),
            beats.write_address.eq(written[:bits]),
            beats.write_data.eq(self.beat),
            beats.read_address.eq(read[:bits]),
        ]
        beat = register(m, self.beat.as_value(), "beat_1")
        take, second = delayed(m, self.beat.take | waits, 1, "take"), delayed(m, waits, 1, "second")
        turn = Signal(turn_layout(config))
        chosen = layout(wire(m, Mux(second, beats.read_data, beat), "chosen"))
        m.d.sync += [
            turn.beat.eq(chosen),
            turn.beat.take.eq(take),
            turn.beat.begin.eq(chosen.begin & take & ~second),
            turn.second.eq(second),
            turn.written.eq(register(m, written[:bits], "written_1")),
            turn.read.eq(register(m, read[:bits], "read_1")),
        ]
        m.d.comb += self.turn.eq(turn)
        ends = wire(m, turn.beat.take & turn.second & turn.beat.final & turn.beat.last, "ends")
        m.d.comb += self.drained.eq(delayed(m, ends, SUM_CYCLES + ALIGN_CYCLES + 1, "drained"))
        return m
