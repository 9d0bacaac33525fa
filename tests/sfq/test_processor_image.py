"""Netlists as words for the processor: what does not fit is refused by name, range and value; words as documented."""

from __future__ import annotations

import re

import pytest

from hdl.common.config import ConfigError
from hdl.sfq.cells import Cell, Reaction
from hdl.sfq.netlist import Instance, Netlist
from hdl.sfq.processor_config import ProcessorConfig
from hdl.sfq.processor_image import make_program, read_answers, run_words
from hdl.sfq.processor_words import Answer, Finish, Happening, Status, parse, pulse

CONFIG = ProcessorConfig(instance_bits=2, state_bits=2, horizon_bits=6, window_bits=5, time_bits=16, slot_bits=4)


def alone(cell, instances=1):
    """Cells without wires, but for the pins of the first."""
    rest = tuple(Instance(f"u{number}", cell, {}) for number in range(1, instances))
    first = Instance("u0", cell, {pin: pin for pin in (*cell.inputs, *cell.outputs)})
    return Netlist("alone", (first, *rest), cell.inputs, cell.outputs)


def cell(inputs="a", outputs="q", states=("0",), **reaction):
    """Every pulse leads to the next state, and fires all."""
    onward = dict(zip(states, (*states[1:], states[0]), strict=True))
    fires = reaction.pop("fires", dict.fromkeys(outputs, 1))
    all_states = {one: {pin: Reaction(onward[one], fires, **reaction) for pin in inputs} for one in states}
    return Cell("X", tuple(inputs), tuple(outputs), all_states)


@pytest.mark.parametrize(
    ("netlist", "message"),
    [
        (alone(cell("abcde")), "cell X has 5 inputs; this processor has room for 4"),
        (alone(cell("a", "pqr")), "cell X has 3 outputs; this processor has room for 2"),
        (alone(cell(), 4), "5 cells, those that outputs end in included, are too many; this processor has room for 4"),
        (alone(cell(states="01234")), "6 states of all kinds of cells are too many; this processor has room for 4"),
        (alone(cell(fires={"q": 64})),
         "cell X, state 0, pulse at a: the delay of q must be at most 6.3 ps for this processor, not 6.4 ps"),
        (alone(cell(blocks={"a": 32})),
         "cell X, state 0, pulse at a: the blocked time of a must be at most 3.1 ps for this processor, not 3.2 ps"),
        (alone(cell(ages={"a": 32})),
         "cell X, state 0, pulse at a: the least age of a must be at most 3.1 ps for this processor, not 3.2 ps"),
    ],
)  # fmt: skip
def test_netlists_that_do_not_fit_are_refused(netlist, message):
    with pytest.raises(ConfigError, match=f"^{re.escape(message)}$"):
        make_program(netlist, CONFIG)


def test_pulses_that_come_too_late_are_refused():
    message = "input a: times must be at most 6553.5 ps for this processor, not 6553.6 ps"
    with pytest.raises(ConfigError, match=f"^{re.escape(message)}$"):
        run_words(make_program(alone(cell()), CONFIG), {"a": [0, 1 << 16]})


def test_a_cell_becomes_these_words():
    """Written out by hand from the table of words: a DFF-like cell whose states have different orders."""
    states = {
        "empty": {"a": Reaction("full"), "clk": Reaction("empty", blocks={"a": 4})},
        "full": {"clk": Reaction("empty", {"q": 63}, ages={"a": 9}), "a": Reaction("full")},
    }
    netlist = Netlist(
        "one",
        (Instance("u", Cell("DFF", ("a", "clk"), ("q",), states), {"a": "a", "clk": "c", "q": "q"}),),
        ("a", "c"),
        ("q",),
    )
    config = CONFIG.model_copy(update={"pins": 2, "outputs": 1})
    empty, full, sink = 0b10_00, 0b01_01, 0b10_10  # {second pin, first pin, state}
    program = make_program(netlist, config)
    assert [f"{word:016x}" for word in program.tables] == [
        f"10{0:04x}{full:010x}",
        f"10{1:04x}{empty:010x}",
        f"30{1:04x}{4:010x}",
        f"10{3:04x}{empty:010x}",
        f"20{3:04x}{63:010x}",
        f"30{3:04x}{9 << 20:010x}",
        f"10{2:04x}{full:010x}",
        f"10{4:04x}{sink:010x}",
        f"10{5:04x}{sink:010x}",
    ]
    assert [f"{word:016x}" for word in program.cells] == [
        f"40{0:04x}{empty:010x}",
        f"40{1:04x}{sink:010x}",
        f"50{0:04x}{1 << 20 | 1 << 19 | 2:010x}",
    ]
    words = run_words(program, {"a": [7], "c": [5, 9]}, policy="randomise", seed=1, until=8, most_answers=3)
    assert [f"{word:016x}" for word in words[len(program.tables) + len(program.cells) :]] == [
        f"60{0:04x}{(40503 + 12345) % 0xFFFF + 1:010x}",
        f"70{0:04x}{8:010x}",
        f"71{0:04x}{3:010x}",
        f"72{0:04x}{(1 << 28) - 1:010x}",
        f"80{0:04x}{2:010x}",
        f"9{1:05x}{5:010x}",
        f"9{0:05x}{7:010x}",
        f"a{0:015x}",
    ]


def test_pulses_are_in_order_of_time_and_watched_where_they_are_outputs():
    netlist = Netlist("wires", alone(cell("ab")).instances, ("a", "b"), ("b", "q"))
    words = [word for word in run_words(make_program(netlist, CONFIG), {"a": [3, 9], "b": [1, 4]}) if word >> 60 == 9]
    assert words == [
        pulse(1, 1, watched=True),
        pulse(3, 0, watched=False),
        pulse(4, 1, watched=True),
        pulse(9, 0, watched=False),
    ]


def test_answers_are_read_as_documented():
    """Violations of a tick are by cell, then as they came."""
    assert parse(1 << 62 | 5 << 40 | 77) == Happening(Answer.PULSE, 77, 5, 0)
    assert parse(2 << 62 | 3 << 60 | 5 << 40 | 77) == Happening(Answer.VIOLATION, 77, 5, 3)
    assert parse(3 << 62 | 33 << 56 | 8 << 28 | 9) == Finish(Status.UNFINISHED | Status.QUEUE_FULL, 9, 8)
    program = make_program(alone(cell("ab"), 2), CONFIG)
    assert program.targets == {"a": 0, "b": 1, "q": 8}
    violations = [2 << 62 | rule << 60 | pin << 40 | 7 for rule, pin in ((1, 5), (2, 1), (3, 0), (1, 4))]
    answers = [1 << 62 | 8 << 40 | 4, *violations, 1 << 62 | 8 << 40 | 9, 3 << 62 | 20 << 28 | 6]
    found = read_answers(program, answers)
    assert found.pulses == {"q": [4, 9]}
    assert found.violations == [(7, 0, "b", 2), (7, 0, "a", 3), (7, 1, "b", 1), (7, 1, "a", 1)]
    assert (found.deliveries, found.finish.answers) == (18, 6)


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"pins": 3}, "params.pins must be one of 2, 4, 8, not 3"),
        ({"slot_bits": 17}, "params.slot_bits must be a whole number in 2..16, not 17"),
        ({"window_bits": 16, "time_bits": 16}, "params: time_bits must be more than horizon_bits and window_bits"),
        ({"horizon": 9}, 'params.horizon is not a field; did you mean "horizon_bits"?'),
    ],
)  # fmt: skip
def test_config_says_what_is_wrong(params, message):
    with pytest.raises(ConfigError, match=f"^{re.escape(message)}$"):
        ProcessorConfig.parse(params)
