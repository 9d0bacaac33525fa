"""What `sfq.processor` makes of a pulse: the rules that it breaks, when the outputs fire, what is blocked after it."""

from __future__ import annotations

from amaranth.hdl import Cat, Module, Mux, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hdl.sfq.processor_config import ProcessorConfig
from hdl.sfq.processor_tables import history_bits


class Reaction(wiring.Component):
    """Two steps: sums and differences of times in the cycle of `weigh`, comparisons in that of `judge`, the next.

    Times that come out of it, and the pins' blocked times, have a bit more than other times.

    Members
    -------
    now, until : the tick of the pulse, and the last one of the run
    pin : where the pulse came
    delays, windows, wires, history : as in `Tables`; they hold from `weigh` to the end of `judge`
    candidates : after `weigh`: outputs that fire and are connected
    due : after `weigh`, by output, when its pulse arrives
    rules : after `judge`: those that are broken, as in `hdl.sfq.processor_words.RULES`
    in_time : after `judge`, by output: its pulse arrives within the run
    history_to : after `judge`: the pins' history, if the pulse is obeyed
    """

    def __init__(self, config: ProcessorConfig):
        self._config = config
        super().__init__(
            {
                "weigh": In(1),
                "judge": In(1),
                "now": In(config.time_bits),
                "until": In(config.time_bits),
                "pin": In(config.pin_bits),
                "delays": In(config.outputs * config.horizon_bits),
                "windows": In(config.pins * 2 * config.window_bits),
                "wires": In(config.outputs * (config.target_bits + 2)),
                "history": In(config.pins * history_bits(config)),
                "candidates": Out(config.outputs),
                "due": Out(config.outputs * (config.time_bits + 1)),
                "rules": Out(2),
                "in_time": Out(config.outputs),
                "history_to": Out(config.pins * history_bits(config)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        config, time_bits = self._config, self._config.time_bits
        early, young, histories = Signal(), [], []
        blocked_here = Signal(time_bits + 1)
        m.d.comb += blocked_here.eq(self.history.word_select(self.pin, history_bits(config))[time_bits + 1 :])
        with m.If(self.weigh):
            m.d.sync += early.eq(self.now < blocked_here)

        for pin in range(config.pins):
            one = self.history.word_select(pin, history_bits(config))
            last, had_one, blocked = one[:time_bits], one[time_bits], one[time_bits + 1 :]
            window = self.windows.word_select(pin, 2 * config.window_bits)
            blocks, least_age = window[: config.window_bits], window[config.window_bits :]
            age = Signal(time_bits, name=f"age_{pin}", reset_less=True)
            blocked_to = Signal(time_bits + 1, name=f"blocked_to_{pin}", reset_less=True)
            with m.If(self.weigh):
                m.d.sync += [age.eq(self.now - last), blocked_to.eq(self.now + blocks)]
            young.append(had_one & (age < least_age))
            comes = self.pin == pin
            later = Mux(blocked_to > blocked, blocked_to, blocked)
            histories.append(Cat(Mux(comes, self.now, last), had_one | comes, later))

        for index in range(config.outputs):
            delay = self.delays.word_select(index, config.horizon_bits)
            connected = self.wires.word_select(index, config.target_bits + 2)[-1]
            due = self.due.word_select(index, time_bits + 1)
            with m.If(self.weigh):
                m.d.sync += [due.eq(self.now + delay), self.candidates[index].eq(connected & delay.any())]
            with m.If(self.judge):
                m.d.sync += self.in_time[index].eq(due <= self.until)
        with m.If(self.judge):
            m.d.sync += [self.rules.eq(Cat(early, Cat(young).any())), self.history_to.eq(Cat(histories))]
        return m


def coin_after(coin: Value) -> Value:
    """The next word of a coin: a xorshift of 16 bits, left 7, right 9, left 8."""
    for shifted in (lambda word: word << 7, lambda word: word >> 9, lambda word: word << 8):
        coin = (coin ^ shifted(coin))[:16]
    return coin
