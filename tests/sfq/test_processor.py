"""`sfq.processor` in Verilator: recorded netlists, random netlists against the golden model, and its limits."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from hdl.sfq.cell_files import load_library
from hdl.sfq.cells import Cell, Reaction, ps
from hdl.sfq.netlist import Instance, Netlist, parse_event_json
from hdl.sfq.processor_image import make_program, read_answers, run_words
from hdl.sfq.processor_words import CONNECTED, Answer, Limit, Opcode, Status, pulse, word
from sim.common.harness import HarnessError
from sim.sfq import processor_vectors as vectors

DATA = Path(__file__).with_name("data")
SMALL = {"instance_bits": 6, "state_bits": 6, "slot_bits": 7, "horizon_bits": 8, "window_bits": 8, "time_bits": 24}
DEEP = {"instance_bits": 9, "state_bits": 7, "slot_bits": 14, "horizon_bits": 9, "window_bits": 8}
OTHERS = {
    "pins": {"instance_bits": 6, "state_bits": 6, "pins": 8, "outputs": 4, "slot_bits": 9, "horizon_bits": 8},
    "windows": {"instance_bits": 6, "state_bits": 6, "slot_bits": 9, "horizon_bits": 14, "window_bits": 20},
    "large": {"instance_bits": 12, "state_bits": 12, "slot_bits": 12, "horizon_bits": 11, "window_bits": 11},
}
NETLISTS, BATCH = 10_000, 50
PULSES = 210
LAST, LONGEST = (1 << SMALL["time_bits"]) - 1, (1 << SMALL["horizon_bits"]) - 1


@pytest.fixture
def small(processors):
    return processors(**SMALL)


def chain(*cells):
    """Cells with one input and one output after one another; wires w0, w1, and so on."""
    instances = tuple(
        Instance(f"u{index}", cell, {cell.inputs[0]: f"w{index}", cell.outputs[0]: f"w{index + 1}"})
        for index, cell in enumerate(cells)
    )
    return Netlist("chain", instances, ("w0",), (f"w{len(cells)}",))


def wire_cell(delay, *, blocks=0, ages=0):
    """A cell that passes pulses on."""
    return Cell("PASS", ("a",), ("q",), {"0": {"a": Reaction("0", {"q": delay}, {"a": blocks}, {"a": ages})}})


def ring(delay):
    """A pulse that goes round; `out` is a wire of the ring."""
    merge = Cell("MERGE", ("a", "b"), ("q",), {"0": {pin: Reaction("0", {"q": delay}) for pin in "ab"}})
    split = Cell("SPLIT", ("a",), ("p", "q"), {"0": {"a": Reaction("0", {"p": 1, "q": delay})}})
    instances = (
        Instance("m", merge, {"a": "start", "b": "back", "q": "on"}),
        Instance("s", split, {"a": "on", "p": "out", "q": "back"}),
    )
    return Netlist("ring", instances, ("start",), ("out",))


def held_to_model(built, harness, seeds, pulses, **options):
    """Random netlists one after the other in one stream; what the model says of each."""
    cases, expected, words, counts = [], [], [], []
    for seed in seeds:
        cases.append(vectors.random_arrays(built.config, seed, pulses))
        expected.append(vectors.model(built.config, cases[-1]))
        words.append(vectors.pack(built.config, cases[-1])["words"].data)
        counts.append(vectors.expected_beats(built.config, cases[-1])["answers"])
    beats = harness.run({"words": vectors.Beats(np.concatenate(words))}, {"answers": sum(counts)}, **options).outputs[
        "answers"
    ]
    assert np.flatnonzero(beats.last).tolist() == (np.cumsum(counts) - 1).tolist()
    ends = np.cumsum([0, *counts])
    for seed, arrays, right, start, end in zip(seeds, cases, expected, ends, ends[1:], strict=False):
        got = vectors.unpack(built.config, arrays, {"answers": vectors.Beats(beats.data[start:end])})
        for name, array in right.items():
            np.testing.assert_array_equal(got[name], array, f"{name} of seed {seed}")
    return expected


def violating_share(expected):
    """Of runs, those that violate."""
    return sum(len(right["violations"]) > 0 for right in expected) / len(expected)


@pytest.mark.parametrize("name", ["min_max", "full_adder_sync"])
def test_recorded_netlists_run_exactly(small, name):
    document = json.loads((DATA / f"{name}.json").read_text())
    netlist, stimulus = parse_event_json(document)
    results = small.results(netlist, stimulus)
    assert {wire: [ps(time) for time in times] for wire, times in results.pulses.items()} == document["outputs"]
    assert (results.violations, results.finish.status) == ([], 0)


def test_random_netlists_do_as_the_model_says(small):
    with small.harness() as harness:
        expected = held_to_model(small, harness, range(100), 30, stall_in=0.1, stall_out=0.1)
    assert 0.1 <= violating_share(expected) <= 0.3


@pytest.mark.deep
@pytest.mark.parametrize("part", range(4))
def test_ten_thousand_netlists_do_as_the_model_says(processors, part):
    """Of 10 to 200 cells each, one build; every second batch with stalls, of each stream alone or of both. A fifth
    violates, and each delivers a hundred pulses or more."""
    built, expected = processors("-O2", **DEEP), []
    with built.harness() as harness:
        for batch in range(part, NETLISTS // BATCH, 4):
            stalls = [{}, {"words": 0.5}, {}, {"answers": 0.7}, {}, {"words": 0.3, "answers": 0.3}][batch % 6]
            seeds = range(batch * BATCH, (batch + 1) * BATCH)
            expected += held_to_model(built, harness, seeds, PULSES, stall_in=stalls, stall_out=stalls, seed=batch)
    assert len(expected) == NETLISTS // 4
    assert 0.17 <= violating_share(expected) <= 0.23
    assert min(int(right["deliveries"][0]) for right in expected) >= 100


@pytest.mark.deep
@pytest.mark.parametrize("seed", range(20))
def test_reset_in_flight_leaves_no_trace(small, seed):
    with small.harness() as harness:
        cycle = int(np.random.default_rng(seed).integers(10, 3000))
        held_to_model(small, harness, range(seed, seed + 3), 60, reset_at=cycle, stall_in=0.2, stall_out=0.2)


@pytest.mark.deep
@pytest.mark.parametrize("name", OTHERS)
def test_other_sizes_do_as_the_model_says(processors, name):
    built = processors(**OTHERS[name])
    with built.harness() as harness:
        held_to_model(built, harness, range(50), 60)


@pytest.mark.deep
def test_cells_may_have_all_pins_that_there_are(processors):
    """Eight inputs, four outputs, whose pulses come together more often than not."""
    rng, names = np.random.default_rng(5), "abcdefgh"

    def times(pins, most):
        return {pin: int(rng.integers(1, most)) for pin in pins if rng.random() < 0.5}

    for policy in ("flag", "drop", "randomise"):
        states = {
            str(state): {
                pin: Reaction(
                    str((state + 1) % 3 if pin == "a" else rng.integers(3)),
                    dict.fromkeys("pqrs", 5) if pin == "a" else times("pqrs", 60),
                    times(names, 30),
                    times(names, 30),
                )
                for pin in rng.permutation(list(names)).tolist()
            }
            for state in range(3)
        }  # fmt: skip
        cell = Cell("BIG", tuple(names), tuple("pqrs"), states)
        first = Instance("u0", cell, {pin: pin for pin in (*names, *"pqrs")})
        second = Instance("u1", cell, dict(zip((*names, *"pqrs"), "pqrsijklwxyz", strict=True)))
        netlist = Netlist("two", (first, second), tuple("abcdefghijkl"), tuple("swxyz"))
        stimulus = {wire: (np.unique(rng.integers(0, 400, 100)) * 10).tolist() for wire in netlist.inputs}
        run = processors(**OTHERS["pins"]).assert_as_model(netlist, stimulus, policy=policy, seed=3)
        assert run.deliveries > 1000
        assert len(run.violations) > 100


@pytest.mark.parametrize("delay", [1, 2, LONGEST - 1, LONGEST])
def test_calendar_goes_round(small, delay):
    """A pulse goes round a ring for many times the calendar's ticks; a second one follows it."""
    run = small.assert_as_model(ring(delay), {"start": [0, 3]}, until=2000)
    assert len(run.pulses["out"]) >= 2000 // (2 * delay)


def test_windows_are_exact_at_their_ends(small):
    """Of blocked times and of ages, the longest that there are: a tick before the end, at it, after it."""
    for cell in (wire_cell(LONGEST, blocks=LONGEST), wire_cell(1, ages=LONGEST), wire_cell(7, blocks=200, ages=255)):
        gaps = [LONGEST - 1, LONGEST, LONGEST + 1, 199, 200, 1, 254, 255, 1000]
        for policy in ("flag", "drop", "randomise"):
            small.assert_as_model(chain(cell, wire_cell(1)), {"w0": np.cumsum(gaps).tolist()}, policy=policy, seed=9)


def test_pulses_at_the_end_of_time(small):
    """The last tick that the processor knows; what is due after it is lost, and told."""
    netlist = chain(wire_cell(5, blocks=9), wire_cell(5))
    stimulus = {"w0": [0, LAST - 10, LAST - 9]}
    run = small.assert_as_model(netlist, stimulus, until=LAST - 1)
    assert (run.pulses["w2"], len(run.violations)) == ([10], 1)
    assert small.assert_as_model(netlist, {"w0": [LAST - 10]}).pulses["w2"] == [LAST]
    results = small.results(netlist, {"w0": [LAST - 9]})
    assert (results.pulses["w2"], results.finish.status) == ([], Status.TIME_OVERFLOW)
    assert small.assert_as_model(netlist, stimulus, until=LAST - 10).pulses["w2"] == [10]
    assert small.assert_as_model(netlist, stimulus, until=-1).pulses["w2"] == []


def test_a_netlist_may_fill_the_processor(small):
    """As many cells as there is room for, the one that the output ends in included, and as many states."""
    states = {str(n): {"a": Reaction(str((n + 1) % 62), {"q": n + 1})} for n in range(62)}
    netlist = chain(Cell("MANY", ("a",), ("q",), states), *[wire_cell(3)] * 62)
    run = small.assert_as_model(netlist, {"w0": list(range(0, 6400, 100))})
    assert len(run.pulses["w63"]) == 64


def splitters(levels):
    """A tree whose leaves all fire together, long after."""
    cell = Cell("SPLIT", ("a",), ("p", "q"), {"0": {"a": Reaction("0", {"p": 100, "q": 100})}})
    instances = [
        Instance(f"u{node}", cell, {"a": f"w{node}", "p": f"w{2 * node}", "q": f"w{2 * node + 1}"})
        for node in range(1, 1 << levels)
    ]
    # The leaves of the left half are looked at: there are not pins enough for all.
    outputs = tuple(f"w{node}" for node in range(1 << levels, (1 << levels) + 4))
    return Netlist("tree", tuple(instances), ("w1",), outputs)


def test_full_queue_is_told_and_harms_nothing_else(small):
    """16 + 1 pulses that each become 8 at once: the 128 slots hold 16 of them."""
    netlist = splitters(4)
    assert small.assert_as_model(netlist, {"w1": list(range(0, 32, 2))}).pulses["w16"][-1] == 430
    looked_at = Netlist("tree", netlist.instances, ("w1",), (*(f"w{node}" for node in range(16, 32)),))
    results = small.results(looked_at, {"w1": list(range(0, 99, 2))})
    assert results.finish.status == Status.QUEUE_FULL
    assert len(results.pulses["w16"]) < 50
    small.assert_as_model(looked_at, {"w1": [0, 2]})


def test_runs_of_endless_netlists_are_stopped(small):
    """After the tick in which the limit is passed; the next run is as any."""
    program = make_program(ring(2), small.config)
    words = run_words(program, {"start": [0, 1]}, most_deliveries=1000, most_answers=0)
    stopped, *again = small.answers([*words, *run_words(program, {"start": [0]}, until=40)], 1 + 10 + 1)
    finish = read_answers(program, [stopped]).finish
    assert finish.status == Status.UNFINISHED
    assert 1000 < finish.deliveries < 1010
    found = read_answers(program, again)
    assert (found.finish.status, found.pulses["out"]) == (0, [3, 7, 11, 15, 19, 23, 27, 31, 35, 39])


@pytest.mark.parametrize("most", [0, 1, 7])
def test_answers_beyond_the_limit_are_counted(small, most):
    netlist, stimulus = chain(wire_cell(3, blocks=50)), {"w0": [10 * n for n in range(10)]}
    program = make_program(netlist, small.config)
    found = read_answers(program, small.answers(run_words(program, stimulus, most_answers=most), most + 1))
    assert found.finish.answers == 10 + 9
    assert sum(map(len, found.pulses.values())) + len(found.violations) == most


WRONG = {
    "late pulse": (Status.LATE_PULSE, [], [pulse(20, 0, watched=False), pulse(19, 0, watched=False)]),
    "no such word": (Status.BAD_WORD, [0], []),
    "no such word in a run": (Status.BAD_WORD, [], [15 << 60]),
    "table in a run": (Status.BAD_WORD, [], [word(Opcode.STATE, 0, address=1)]),
    "pulse before the run": (Status.BAD_WORD, [pulse(0, 0, watched=False)], []),
    "end before the run": (Status.BAD_WORD, [word(Opcode.END)], []),
    "no such row": (Status.BAD_WORD, [word(Opcode.NEXT, 0, address=1 << 8)], []),
    "no such state": (Status.BAD_WORD, [word(Opcode.STATE, 1 << 14, address=9)], []),
    "no such cell": (Status.BAD_WORD, [word(Opcode.STATE, 0, address=1 << 6)], []),
    "no such output": (Status.BAD_WORD, [word(Opcode.WIRE, CONNECTED, lane=2)], []),
    "no such target": (Status.BAD_WORD, [word(Opcode.WIRE, CONNECTED | 1 << 8, address=9)], []),
    "long delay": (Status.BAD_WORD, [word(Opcode.FIRE, 1 << 8)], []),
    "long window": (Status.BAD_WORD, [word(Opcode.WINDOW, 1 << 8)], []),
    "long age": (Status.BAD_WORD, [word(Opcode.WINDOW, 1 << 28)], []),
    "no such pin": (Status.BAD_WORD, [word(Opcode.WINDOW, 1, lane=4)], []),
    "wide coin": (Status.BAD_WORD, [word(Opcode.COIN, 1 << 16)], []),
    "no such limit": (Status.BAD_WORD, [word(Opcode.LIMIT, 0, lane=3)], []),
    "pulse out of time": (Status.BAD_WORD, [], [pulse(1 << 24, 0, watched=False)]),
    "pulse at no cell": (Status.BAD_WORD, [], [pulse(20, 1 << 8, watched=False)]),
    "no such policy": (Status.BAD_WORD, [word(Opcode.RUN, 3)], []),
    "run in a run": (Status.BAD_WORD, [], [word(Opcode.RUN)]),
    "long limit": (Status.BAD_WORD, [word(Opcode.LIMIT, 1 << 28, lane=Limit.ANSWERS)], []),
    "no order": (Status.BAD_ORDER, [word(Opcode.STATE, address=5)], [pulse(0, 5 << 2 | 1, watched=False)]),
}  # fmt: skip


@pytest.mark.parametrize("case", WRONG)
def test_wrong_words_are_told_and_harm_nothing_else(small, case):
    status, before, during = WRONG[case]
    program = make_program(chain(wire_cell(3)), small.config)
    words = run_words(program, {"w0": [20]})
    begin = next(index for index, one in enumerate(words) if one >> 60 == Opcode.RUN)
    spoilt = [*words[:begin], *before, words[begin], *during, *words[begin + 1 :]]
    first, end, second, fine = small.answers([*spoilt, *words], 4)
    finish = read_answers(program, [first, end]).finish
    assert finish.status == status
    for found in (read_answers(program, [first, end]), read_answers(program, [second, fine])):
        assert found.pulses == {"w1": [23]}
    assert read_answers(program, [second, fine]).finish.status == 0


def test_input_that_is_an_output_and_wire_that_is_both(small):
    """Answers come from wires that lead to a cell, too, and from inputs that lead nowhere."""
    chained = chain(wire_cell(3), wire_cell(4))
    netlist = Netlist("all", chained.instances, ("w0", "idle"), ("idle", "w0", "w1", "w2"))
    run = small.assert_as_model(netlist, {"w0": [1, 2], "idle": [2, 9]})
    assert run.pulses == {"idle": [2, 9], "w0": [1, 2], "w1": [4, 5], "w2": [8, 9]}


def test_outputs_that_lead_nowhere_fire_nothing(small):
    cell = load_library("rsfqlib")["SPLIT"]
    netlist = Netlist("half", (Instance("s", cell, {"a": "i", "q1": "o"}),), ("i",), ("o",))
    assert small.assert_as_model(netlist, {"i": [5, 10]}).pulses["o"] == [68, 73]


@pytest.mark.deep
def test_processor_bench_passes(small, tmp_path):
    assert len(small.bench_tests("sim.sfq.processor_bench", tmp_path)) == 10


@pytest.mark.deep
@pytest.mark.parametrize("place", range(4))
def test_a_changed_comparison_is_caught(small, tmp_path, place):
    """Of blocked times, of the ages of the first three pins."""
    with (
        small.mutant("core__core__reaction", " < ", place, " <= ", tmp_path) as harness,
        pytest.raises((AssertionError, HarnessError)),
    ):
        held_to_model(small, harness, range(40), 60)


@pytest.mark.deep
def test_a_changed_last_tick_is_caught(small, tmp_path):
    words = run_words(make_program(chain(wire_cell(5)), small.config), {"w0": [0]}, until=5)
    assert [answer >> 62 for answer in small.answers(words, 2)] == [Answer.PULSE, Answer.END]
    changed = small.mutant("core__core__reaction", "] <= until_", 0, "] < until_", tmp_path)
    with changed as harness, pytest.raises(HarnessError, match="gave 1 of 2 beats"):
        harness.run({"words": vectors.beats_of(words)}, {"answers": 2})
