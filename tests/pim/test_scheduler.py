"""The scheduler in gateware: its parts in Python, and all of it in Verilator, held to the golden model."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from random import Random

import numpy as np
import pytest

from flows.pim.scheduler import scheduler
from hdl.pim.channel_ages import sequence
from hdl.pim.channel_config import ChannelConfig
from hdl.pim.commands import Command, Instruction, Op
from sim.pim.channel_model import Channel
from sim.pim.random_programs import SAMPLES, random_config, random_program
from sim.pim.scheduler_trace import Told, difference, run_programs
from sim.pim.timing_checker import TimingChecker
from sim.pim.trace import read_trace

DATA = Path(__file__).with_name("data")
PROGRAMS = 1300
"""A sample config; 8 of them are above 10,000."""

BATCH = 50


def outside(params):
    """A config without the device, of which the scheduler knows nothing."""
    return ChannelConfig.parse(params | {"device": False})


def compare(config, harness, seeds, length=40):
    """Random programs, in batches from reset, held to the golden model and the checker; how many commands."""
    commands = 0
    for low in range(0, len(seeds), BATCH):
        programs = []
        for seed in seeds[low : low + BATCH]:
            random = Random(seed)
            programs.append(random_program(random, config, random.randint(1, length)))
        told = run_programs(harness, programs)
        model, all_commands = Channel(config), []
        for seed, program, one in zip(seeds[low:], programs, told, strict=False):
            run = model.run(program, start=one.start)
            assert difference(one, run) is None, f"seed {seed}: {difference(one, run)}"
            all_commands.append(run.commands)
            commands += len(one.commands)
        assert TimingChecker(config).check(np.concatenate(all_commands), told[-1].end) is None
    return commands


@pytest.mark.parametrize("length", [1, 2, 3, 7, 31, 56, 455, 911, 6825])
def test_sequence_has_states_that_differ(length):
    states, taps, bits = sequence(length)
    assert len(set(states)) == len(states) == length
    assert all(0 < state < 1 << bits for state in states)
    assert max(taps) == bits - 1


def test_difference_names_what_differs():
    config = outside(SAMPLES["aim"])
    run = Channel(config).run([Instruction(Op.WR_GB, count=2), Instruction(Op.EOC)])
    told = Told(run.start, run.end, run.commands.copy(), np.zeros(0, np.int64), run.counters)
    assert difference(told, run) is None
    told.commands["col"][2] = 5
    assert difference(told, run) == "command 2: 35 WRGB 0 0 5 0, in the model 35 WRGB 0 0 1 0"
    short = replace(told, commands=run.commands[:1])
    assert difference(short, run) == "1 commands, in the model 3"
    late = replace(told, end=run.end + 1, commands=run.commands)
    assert difference(late, run) == "EOC in cycle 37 after 0 skipped, in the model 36, 0"
    missed = replace(told, commands=run.commands, counters=replace(run.counters, row_misses=1))
    assert difference(missed, run) == f"{missed.counters}, in the model {run.counters}"


@pytest.mark.deep
@pytest.mark.parametrize("name", list(SAMPLES))
def test_random_programs_go_as_in_the_model(name, tmp_path):
    config = outside(SAMPLES[name])
    with scheduler(config, tmp_path, optimise="-O1") as harness:
        assert compare(config, harness, range(PROGRAMS)) > 100 * PROGRAMS


@pytest.mark.deep
@pytest.mark.parametrize("seed", range(4))
def test_random_profiles_go_as_in_the_model(seed, tmp_path):
    config = outside(random_config(Random(seed)).model_dump())
    with scheduler(config, tmp_path, optimise="-O1") as harness:
        compare(config, harness, range(200))


@pytest.mark.deep
def test_recorded_traces_take_the_recorded_cycles(tmp_path):
    """The peer's cycles, from the gateware's commands."""
    config = outside(SAMPLES["aim"])
    cycles = json.loads((DATA / "cycles.json").read_text())["cycles"]
    with scheduler(config, tmp_path, optimise="-O1") as harness:
        for path in sorted(DATA.glob("*.trace")):
            program = read_trace(path.read_text().splitlines())
            (told,) = run_programs(harness, [program], most_words=1 << 20)
            run = Channel(config).run(program, start=told.start)
            assert difference(told, run) is None
            assert run.cycles == cycles[path.stem]


@pytest.mark.deep
def test_queue_that_runs_dry_delays_and_no_more(tmp_path):
    """Instructions that come late: the commands stay legal, and the same but for their cycles."""
    config = outside(SAMPLES["pimgpt"])
    with scheduler(config, tmp_path, optimise="-O1") as harness:
        for seed in range(20):
            program = random_program(Random(seed), config, 30, wrong=0, foreign=0)
            (told,) = run_programs(harness, [program])
            (late,) = run_programs(harness, [program], stall=0.7, seed=seed)
            assert TimingChecker(config).check(late.commands, late.end) is None
            columns = [one.commands[~np.isin(one.commands["command"], ROWS)] for one in (told, late)]
            for field in ("command", "bank", "row", "col"):
                np.testing.assert_array_equal(columns[0][field], columns[1][field])


ROWS = [int(one) for one in (Command.ACT, Command.ACTG, Command.PRE, Command.PREA, Command.REF)]
