"""The order of events in `simd.mac` from the last beat on."""

from __future__ import annotations

from amaranth.hdl import Module, Mux, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hdl.simd.config import MacConfig
from hdl.simd.modes import ACCUMULATOR_BITS


def count_steps(m: Module, count: Signal, *, begin: Value, done: int, given: Value, cleared: int) -> None:
    """The count of a sequence: it leaves 0 when the last beat is taken, waits at `done` until the result is given, and
    then clears; after the highest count comes 0."""
    with m.Switch(count):
        with m.Case(0):
            m.d.sync += count.eq(begin)
        with m.Case(done):
            m.d.sync += count.eq(Mux(given, cleared, done))
        with m.Default():
            m.d.sync += count.eq(count + 1)


class Sequence(wiring.Component):
    """What happens when, from the last beat of a dot product or of a block on: one count of cycles.

    | count    | what happens |
    | -------- | --- |
    | 0        | beats are taken; after the last one of a block or of a dot product comes 1 |
    | 2        | `recall`, if nothing but the sum of the blocks is to go through |
    | 3        | `inject`, in block formats: the first cycle without a beat in the aligner's second stage |
    | 5 .. 11  | the accumulator's carries go home |
    | 12 .. 18 | `shift_up`, as far as the value needs it |
    | 19       | `start`: the drain takes the value half normalised |
    | 20, 21   | `fine`, `shift`: the drain's next steps |
    | 22       | `done`, as long as the result waits; after it was given comes 24 |
    |          | in block formats the first time `store`, once: then 0, or, after the packet's last block, 2 |
    | 24 .. 31 | `clear`: all the while after a reset, so that what was in flight is gone too; then 0 |
    |          | with block formats not before a beat is there, whose job is known then |

    Members
    -------
    end : the last beat is taken, or that of a block
    idle : beats can be taken
    tall : the topmost segments are in use; else the two of them are skipped on the way up
    top : the topmost segment and a bit below
    shift_up : of the accumulator, as long as the topmost segment holds nothing but copies of the sign; `segments_up`
        counts
    start, fine, shift : of the drain
    done, given : the result is here; it is taken
    clear : nothing of a dot product stays

    With block formats:

    blocks, offered, last : the mode at work has blocks; a beat is there; it is the packet's last
    recall, inject, store : of `BlockSum`
    converting : between the last `store` and the result
    drop : the accumulator is cleared: with `clear` and `store`
    """

    def __init__(self, config: MacConfig):
        self._config = config
        blocks = {name: In(1) for name in ("blocks", "offered", "last")}
        blocks |= {name: Out(1) for name in ("recall", "inject", "store", "converting", "drop")}
        super().__init__(
            {
                **(blocks if config.block_modes else {}),
                "end": In(1),
                "idle": Out(1),
                "tall": In(1),
                "top": In(config.segment_bits + 1),
                "shift_up": Out(1),
                "segments_up": Out(3),
                "start": Out(1),
                "fine": Out(1),
                "shift": Out(1),
                "done": Out(1),
                "given": In(1),
                "clear": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        carrying = ACCUMULATOR_BITS // self._config.segment_bits - 1
        settled = self._config.pipeline_cycles + carrying
        start = settled + carrying
        done = start + 3
        after_reset, cleared = 0b11000, 0b11111
        assert done < after_reset and cleared - after_reset > self._config.pipeline_cycles
        count, up = Signal(5, init=after_reset), Signal(3, reset_less=True)
        count_steps(m, count, begin=self.end, done=done, given=self.given, cleared=cleared)
        rising = (count >= settled) & (count < start)
        skipped = ~self.tall & ((count == settled) | (count == settled + 1))
        m.d.comb += [
            self.idle.eq(count == 0),
            self.shift_up.eq(rising & (skipped | ~self.top.any() | self.top.all())),
            self.segments_up.eq(up),
            self.start.eq(count == start),
            self.fine.eq(count == start + 1),
            self.shift.eq(count == start + 2),
            self.done.eq(count == done),
            self.clear.eq(count[3:].all()),
        ]
        m.d.sync += up.eq((up + self.shift_up)[:3] & ~self.clear.replicate(3))
        if self._config.block_modes:
            self._blocks(m, count, up, done, cleared)
        return m

    def _blocks(self, m, count, up, done, cleared):
        """What is different with block formats."""
        recall, inject = 2, 3
        final, converting = Signal(reset_less=True), Signal()
        m.d.comb += [
            self.recall.eq(converting & (count == recall)),
            self.inject.eq(self.blocks & (count == inject)),
            self.store.eq((count == done) & self.blocks & ~converting),
            self.converting.eq(converting),
            self.done.eq((count == done) & (converting | ~self.blocks)),
            self.drop.eq(self.clear | self.store),
        ]
        with m.If(self.idle):
            m.d.sync += final.eq(self.last)
        with m.If(self.clear):
            m.d.sync += converting.eq(0)
        with m.If((count == cleared) & ~self.offered):
            m.d.sync += count.eq(cleared)
        with m.If(self.store):
            m.d.sync += [count.eq(Mux(final, recall, 0)), up.eq(0), converting.eq(final)]
