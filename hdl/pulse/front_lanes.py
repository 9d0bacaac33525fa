"""Several samples a clock: lanes of a beat, lane 0 the earliest."""

from __future__ import annotations

from amaranth.hdl import Cat, Module, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hdl.common.arithmetic import delayed, register
from hdl.common.ram import Ram


def lanes_of(beat: Value, lanes: int) -> list[Value]:
    """The lanes, each of two's complement."""
    bits = len(beat) // lanes
    return [beat[lane * bits : (lane + 1) * bits].as_signed() for lane in range(lanes)]


class LaneDelay(wiring.Component):
    """Samples as they are and as they were a number of samples ago.

    A bank a lane; what a bank gives may be of this beat or of the one before, and goes to any lane.

    Latency: 3 cycles.

    Parameters
    ----------
    bits : of a sample
    lanes : int
    most : the longest delay, in samples

    Members
    -------
    valid, beat : samples
    amount : the delay, which stays
    present, past : the samples of three cycles ago, and those `amount` samples before them
    """

    def __init__(self, bits: int, lanes: int, most: int):
        self._bits, self._lanes = bits, lanes
        # A beat is written while that of the cycle before is the present; past samples may lie in one beat more.
        self._depth = 1 << (most // lanes + 2).bit_length()
        super().__init__(
            {
                "valid": In(1),
                "beat": In(bits * lanes),
                "amount": In(range(most + 1)),
                "present": Out(bits * lanes),
                "past": Out(bits * lanes),
            }
        )

    def elaborate(self, platform):
        m = Module()
        lanes, lane_bits = self._lanes, self._lanes.bit_length() - 1
        place = Signal(range(self._depth))
        banks = [Ram(self._bits, self._depth) for _ in range(lanes)]
        whole, part = self.amount[lane_bits:], self.amount[:lane_bits]
        read, turns = [], []
        for number, (bank, sample) in enumerate(zip(banks, lanes_of(self.beat, lanes), strict=True)):
            m.submodules[f"bank_{number}"] = bank
            # A bank that has wrapped round gives a sample of the beat before.
            wraps = number + part >= lanes if lane_bits else 0
            m.d.comb += [
                bank.write.eq(self.valid),
                bank.write_address.eq(place),
                bank.write_data.eq(sample),
                bank.read_address.eq(place - 1 - whole - wraps),
            ]
            read.append(register(m, bank.read_data, f"read_{number}"))
        for turn in range(lanes):
            turns.append(Cat(read[(lane - turn) % lanes] for lane in range(lanes)))
        with m.If(self.valid):
            m.d.sync += place.eq(place + 1)
        m.d.comb += [self.present.eq(delayed(m, self.beat, 3, "beat", reset_less=True)), self.past.eq(turns[0])]
        for turn in range(1, lanes):
            with m.If(part == turn):
                m.d.comb += self.past.eq(turns[turn])
        return m
