"""The places of the largest of many numbers, ascending."""

from __future__ import annotations

from amaranth.hdl import Module, Signal, signed
from amaranth.lib import wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from hdl.common.arithmetic import wire


class Select(wiring.Component):
    """Keeps the largest of the numbers that come, one a cycle; then gives the places of the `count` largest.

    The largest so far stand in a row of cells in descending order, and a number that comes goes behind all that are not
    smaller: of equal ones the first to come is the larger. Then the cells mark their places, the best first, in a
    memory of a bit a place, and the memory is looked through.

    Time from `pick` to `done`: as many cycles as places are marked, and as numbers came, and 3.

    Parameters
    ----------
    capacity : cells
    places : numbers that may come
    score_bits : of a number, signed

    Members
    -------
    restart : In(1)
        Forget all numbers.
    insert : In(1), score : In(signed(score_bits))
        The next number; its place is how many came before it.
    pick : In(1), count : In(range(capacity + 1))
        Begin to give places, `count` or, if they are fewer, all.
    picked : Out(1), place : Out(range(places))
    done : Out(1)
        A pulse after the last.
    """

    def __init__(self, capacity: int, places: int, score_bits: int):
        self._capacity, self._places, self._score_bits = capacity, places, score_bits
        super().__init__(
            {
                "restart": In(1),
                "insert": In(1),
                "score": In(signed(score_bits)),
                "pick": In(1),
                "count": In(range(capacity + 1)),
                "picked": Out(1),
                "place": Out(range(places)),
                "done": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        came = Signal(range(self._places + 1))
        pop = Signal()
        best, best_valid = self._cells(m, came, pop)
        m.submodules.marks = marks = Memory(shape=1, depth=self._places, init=[])
        write, read = marks.write_port(), marks.read_port()
        left = Signal(range(self._capacity + 1))
        at, looked = Signal(range(self._places + 1)), Signal()
        m.d.comb += [
            read.addr.eq(at),
            # What comes takes its mark away, so that none is left from before.
            write.addr.eq(came),
            write.en.eq(self.insert),
            self.picked.eq(looked & read.data),
        ]
        m.d.sync += [looked.eq(0), self.place.eq(at)]
        with m.If(self.restart):
            m.d.sync += came.eq(0)
        with m.Elif(self.insert):
            m.d.sync += came.eq(came + 1)
        with m.FSM():
            with m.State("fill"):
                m.d.sync += [left.eq(self.count), at.eq(0)]
                with m.If(self.pick):
                    m.next = "mark"
            with m.State("mark"):
                with m.If(left.any() & best_valid):
                    m.d.comb += [pop.eq(1), write.addr.eq(best), write.data.eq(1), write.en.eq(1)]
                    m.d.sync += left.eq(left - 1)
                with m.Else():
                    m.next = "look"
            with m.State("look"):
                with m.If(at == came):
                    m.d.comb += self.done.eq(1)
                    m.next = "fill"
                with m.Else():
                    m.d.sync += [looked.eq(1), at.eq(at + 1)]
        return m

    def _cells(self, m, came, pop):
        """The row of cells: place of the best number, and whether there is one."""
        cells = [
            (
                Signal(name=f"valid_{number}"),
                Signal(signed(self._score_bits), name=f"score_{number}", reset_less=True),
                Signal(range(self._places), name=f"place_{number}", reset_less=True),
            )
            for number in range(self._capacity)
        ]
        wins = [
            wire(m, ~valid | (self.score > score), f"wins_{number}") for number, (valid, score, _) in enumerate(cells)
        ]
        new = (1, self.score, came)
        for number, cell in enumerate(cells):
            before = cells[number - 1] if number else None
            after = cells[number + 1] if number + 1 < len(cells) else (0, cell[1], cell[2])
            with m.If(self.restart):
                m.d.sync += cell[0].eq(0)
            with m.Elif(pop):
                m.d.sync += [part.eq(value) for part, value in zip(cell, after, strict=True)]
            with m.Elif(self.insert & wins[number]):
                m.d.sync += [part.eq(value) for part, value in zip(cell, new, strict=True)]
                if before is not None:
                    with m.If(wins[number - 1]):
                        m.d.sync += [part.eq(value) for part, value in zip(cell, before, strict=True)]
        return cells[0][2], cells[0][0]
