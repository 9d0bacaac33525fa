"""All cells of one kind in an emulated netlist: each signal has a bit for every cell."""

from __future__ import annotations

import functools
import operator
from collections.abc import Iterable, Sequence

from amaranth.hdl import Cat, Const, Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hdl.sfq.emulation_plan import CellPlan

COIN_BITS = 16


class CellArray(wiring.Component):
    """What `count` cells of one kind do with the pulses of a step: a step a clock.

    Pulses that come together are taken in turns, in the order that the state before them has. A turn is a layer of
    logic.

    Parameters
    ----------
    plan : CellPlan
    coins : what the generator of random bits of each cell begins with; as many as there are cells
    policy : what becomes of a pulse that comes too soon: `flag` obeys it, `drop`, `randomise`
    time_bits : of times modulo a power of 2

    Members
    -------
    now : In(time_bits)
        The step.
    jumped : In(1)
        It is so late that no window is open any more.
    pulse_<pin> : In(count)
    fired_<index> : Out(count)
        By firing of the plan, in the same clock.
    broken_<index> : Out(count)
        By check of the plan, in the same clock.
    order_<bit> : Out(count)
        Bits of the index of the order in which each cell's pulses are taken; `plan.order_bits` of them.
    """

    def __init__(self, plan: CellPlan, coins: Sequence[int], policy: str, time_bits: int):
        self._plan, self._coins, self._policy = plan, coins, policy
        count = len(coins)
        members = {"now": In(time_bits), "jumped": In(1)}
        members |= {f"pulse_{pin}": In(count) for pin in plan.cell.inputs}
        members |= {f"fired_{index}": Out(count) for index, _ in enumerate(plan.firings)}
        members |= {f"broken_{index}": Out(count) for index, _ in enumerate(plan.checks)}
        members |= {f"order_{bit}": Out(count) for bit in range(plan.order_bits)}
        super().__init__(members)

    def elaborate(self, platform):
        m = Module()
        plan, count = self._plan, len(self._coins)
        windows = [WindowArray(window.steps, count, len(self.now)) for window in plan.windows]
        for index, window in enumerate(windows):
            m.submodules[f"window_{index}"] = window
            m.d.comb += [window.now.eq(self.now), window.jumped.eq(self.jumped)]

        held = [Signal(count, name=f"state_{bit}") for bit in range((len(plan.cell.states) - 1).bit_length())]
        before = {state: _where(held, code, count) for code, state in enumerate(plan.cell.states)}
        coin = coin_held = self._coin()
        orders = []
        for index, pins in enumerate(plan.orders):
            states = {state: value for state, value in before.items() if plan.order_of[state] == index}
            is_open = [window.open for window in windows]
            turns = _Turns(m, plan, self._policy, count, states, is_open, coin, f"order{index}")
            for pin in pins:
                turns.take(pin, getattr(self, f"pulse_{pin}"))
            orders.append(turns)
            coin = turns.coin  # a cell is in one of the orders; the others leave its coin as it is

        for bit, plane in enumerate(held):
            codes = [state for code, state in enumerate(plan.cell.states) if code >> bit & 1]
            m.d.sync += plane.eq(
                _any(turns.states[state] for turns in orders for state in codes if state in turns.states)
            )
        m.d.sync += [plane.eq(value) for plane, value in zip(coin_held, coin, strict=True)]
        for index, window in enumerate(windows):
            m.d.comb += window.started.eq(_any(value for turns in orders for value in turns.started[index]))
        for index, _ in enumerate(plan.firings):
            fired = _any(value for turns in orders for value in turns.fired[index])
            m.d.comb += getattr(self, f"fired_{index}").eq(fired)
        for index, check in enumerate(plan.checks):
            m.d.comb += getattr(self, f"broken_{index}").eq(_any(turns.broken[check] for turns in orders))
        for bit in range(plan.order_bits):
            states = [before[state] for state, order in plan.order_of.items() if order >> bit & 1]
            m.d.comb += getattr(self, f"order_{bit}").eq(_any(states))
        return m

    def _coin(self):
        """The generators of random bits, transposed: a signal for each bit of theirs."""
        bits = COIN_BITS if self._policy == "randomise" and self._plan.checks else 0
        inits = [sum((coin >> bit & 1) << cell for cell, coin in enumerate(self._coins)) for bit in range(bits)]
        return [Signal(len(self._coins), init=init, name=f"coin_{bit}") for bit, init in enumerate(inits)]


class WindowArray(wiring.Component):
    """A window of each of `count` cells: open from the pulse that starts it until `steps` later, that step excluded.

    Its end is kept modulo a power of 2, so it must be seen to close before the half of that has passed: by `now` in
    every step, or by `jumped`. A start in an open window moves the end.

    Members
    -------
    now, jumped : as in `CellArray`
    started : In(count)
    open : Out(count)
        As the step begins; a register's function of `now` and `jumped` alone.
    """

    def __init__(self, steps: int, count: int, time_bits: int):
        self._steps = steps
        super().__init__({"now": In(time_bits), "jumped": In(1), "started": In(count), "open": Out(count)})

    def elaborate(self, platform):
        m = Module()
        count = len(self.open)
        running = Signal(count)
        ends = [Signal.like(self.now, name=f"end_{cell}", reset_less=True) for cell in range(count)]
        end = Signal.like(self.now)
        m.d.comb += [
            end.eq(self.now + self._steps),
            self.open.eq(running & Cat((self.now - one)[len(end) - 1] & ~self.jumped for one in ends)),
        ]
        m.d.sync += running.eq(self.open | self.started)
        for cell, one in enumerate(ends):
            with m.If(self.started[cell]):
                m.d.sync += one.eq(end)
        return m


class _Turns:
    """The pulses of a step, pin after pin, in those cells whose state has this order of the pins.

    Attributes
    ----------
    states : which cells are in a state, after the turns so far
    started, fired : by window and firing, the cells that each turn has it of
    broken : by check
    coin : as `CellArray._coin`
    """

    def __init__(self, m, plan, policy, count, states, is_open, coin, name):
        self._m, self._plan, self._policy, self._count, self._name = m, plan, policy, count, name
        self.states, self._open, self.coin = dict(states), list(is_open), coin
        self.started = [[] for _ in plan.windows]
        self.fired = [[] for _ in plan.firings]
        self.broken = {}

    def take(self, pin, pulse):
        """The turn of one pin."""
        plan = self._plan
        hit = {
            state: self._signal(f"{pin}_{index}", value & pulse)
            for index, (state, value) in enumerate(self.states.items())
        }
        wrong = []
        for rule in (rule for other, rule in plan.checks if other == pin):
            found = [
                value & is_open
                for window, is_open in zip(plan.windows, self._open, strict=True)
                for state, value in hit.items()
                if ((state, pin), rule) in window.forbids
            ]
            self.broken[pin, rule] = self._signal(f"{pin}_{rule}", _any(found))
            wrong.append(self.broken[pin, rule])
        if wrong and self._policy != "flag":
            refused = self._signal(f"{pin}_refused", _any(wrong))
            if self._policy == "randomise":
                refused = self._signal(f"{pin}_unlucky", refused & ~self._toss(refused, pin))
            hit = {state: value & ~refused for state, value in hit.items()}
        self._obey(pin, hit)

    def _obey(self, pin, hit):
        plan = self._plan
        for index, window in enumerate(plan.windows):
            begun = [value for state, value in hit.items() if (state, pin) in window.starts]
            self.started[index] += begun
            if begun:
                self._open[index] = self._signal(f"{pin}_open_{index}", _any([self._open[index], *begun]))
        for index, firing in enumerate(plan.firings):
            self.fired[index] += [value for state, value in hit.items() if (state, pin) in firing.causes]
        targets = {state: plan.cell.states[state][pin].target for state in hit}
        after = {}
        for index, state in enumerate(plan.cell.states):
            come = [value for source, value in hit.items() if targets[source] == state != source]
            if state in hit:
                come.append(self.states[state] if targets[state] == state else self.states[state] & ~hit[state])
            if come:
                after[state] = self._signal(f"{pin}_to_{index}", _any(come))
        self.states = after

    def _toss(self, where, pin):
        """Moves the generators of some cells on (16-bit xorshift: 7 left, 9 right, 8 left); the top bits after that."""
        word = list(self.coin)
        for shift in (7, -9, 8):
            word = [
                word[bit] ^ word[bit - shift] if 0 <= bit - shift < COIN_BITS else word[bit] for bit in range(COIN_BITS)
            ]
        word = [self._signal(f"{pin}_word_{bit}", value) for bit, value in enumerate(word)]
        self.coin = [
            self._signal(f"{pin}_coin_{bit}", (moved & where) | (held & ~where))
            for bit, (moved, held) in enumerate(zip(word, self.coin, strict=True))
        ]
        return word[-1]

    def _signal(self, name, value):
        signal = Signal(self._count, name=f"{self._name}_{name}")
        self._m.d.comb += signal.eq(value)
        return signal


def _where(planes, code, count):
    """The cells whose state, transposed into `planes`, is `code`."""
    found = Const((1 << count) - 1, count)
    for bit, plane in enumerate(planes):
        found = found & (plane if code >> bit & 1 else ~plane)
    return found


def _any(values: Iterable):
    """The or of some values; 0 of none."""
    return functools.reduce(operator.or_, values, Const(0))
