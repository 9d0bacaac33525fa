"""`Sequence` on FPGAs, where the accumulator is read while its carries go home."""

from __future__ import annotations

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hdl.simd.config import MacConfig
from hdl.simd.mac_sequence import count_steps
from hdl.simd.modes import ACCUMULATOR_BITS


class DspSequence(wiring.Component):
    """What happens when, from the last beat of a dot product on: one count of cycles.

    | count    | what happens |
    | -------- | --- |
    | 0        | beats are taken; after the last one comes 2 |
    | 8 .. 15  | `reading`: the carries of segment `index`, the count's lower bits, are home |
    | 22       | `done`, as long as the result waits; after it was given comes 31 |
    | 24 .. 31 | `clear`: all the while after a reset, so that what was in flight is gone too; then 0 |

    Members
    -------
    end : the last beat is taken
    idle : beats can be taken
    reading, index : of `DspDrain`
    done, given : the result is here; it is taken
    clear : nothing of a dot product stays
    """

    def __init__(self, config: MacConfig):
        self._config = config
        super().__init__(
            {
                "end": In(1),
                "idle": Out(1),
                "reading": Out(1),
                "index": Out(3),
                "done": Out(1),
                "given": In(1),
                "clear": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        segments = ACCUMULATOR_BITS // self._config.segment_bits
        skipped = segments - self._config.pipeline_cycles
        done = self._config.rounding_cycles + skipped
        after_reset, cleared = 0b11000, 0b11111
        assert skipped >= 0 and done < after_reset and cleared - after_reset >= self._config.pipeline_cycles
        count = Signal(5, init=after_reset)
        count_steps(m, count, begin=Mux(self.end, 1 + skipped, 0), done=done, given=self.given, cleared=cleared)
        index = count[: len(self.index)]
        m.d.comb += [
            self.idle.eq(count == 0),
            self.reading.eq(count[len(index) :] == 1),
            self.index.eq(index),
            self.done.eq(count == done),
            self.clear.eq(count[3:].all()),
        ]
        return m
