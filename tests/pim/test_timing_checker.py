"""The checker passes what the golden model does, and finds each time that a profile made shorter, and wrong states."""

from random import Random

import numpy as np
import pytest

from hdl.pim.channel_config import ChannelConfig
from hdl.pim.commands import Command, Instruction, Op
from hdl.pim.timing import TIMES, load_profile
from sim.pim.channel_model import Channel
from sim.pim.channel_run import COMMAND
from sim.pim.random_programs import SAMPLES, random_config, random_program
from sim.pim.timing_checker import TimingChecker, read_times

# Every time binds somewhere: no two add up to a third.
SLACK = {
    "source": "made up, so that each time binds",
    "tCK_ns": 1.0,
    **{"tRCDMAC_cycles": 9, "tRCDRD_cycles": 7, "tRCDWR_cycles": 5, "tRP_cycles": 8, "tRAS_cycles": 23},
    **{"tRC_cycles": 37, "tRTP_cycles": 6, "tWR_cycles": 25, "tCCD_cycles": 2, "tBL_cycles": 3, "tCL_cycles": 8},
    **{"tCWL_cycles": 4, "tCLREG_cycles": 5, "tCWLREG_cycles": 2, "tCWLGB_cycles": 3, "tWTR_cycles": 6},
    **{"tWTRS_cycles": 4, "tWPRE_cycles": 2, "tRRD_cycles": 4, "tFAW_cycles": 30, "tRFC_cycles": 60},
    **{"tREFI_cycles": 700, "mode_switch_cycles": 0, "act_group": 2},
}
MODES = SLACK | {"mode_switch_cycles": 9}
SHOWN_AS = {
    **{"tWR": "tWR", "mode_switch": "mode switch", "tCL": "tRTW", "tWPRE": "tRTW", "tBL": None, "tCWL": None},
    **{"tCLREG": None, "tCWLREG": None, "tCWLGB": "tWTRS"},
}
"""The rule that a time is told by, where it is not of its name; None: by several."""


def first_violation(made_with, judged_by, seeds=range(30), **params):
    """What the checker of one profile says to programs that were made with another."""
    for seed in seeds:
        random = Random(seed)
        given = {"banks": 8, "row_buffers": 1 + seed % 2, "accumulators": 1 + seed % 2, **params}
        config = ChannelConfig.parse({"profile": made_with} | given)
        program = random_program(random, config, 60)
        run = Channel(config).run(program)
        found = TimingChecker(ChannelConfig.parse({"profile": judged_by} | given)).check(run.commands, run.end)
        if found:
            return found
    return None


@pytest.mark.parametrize("name", [name.removesuffix("_cycles") for name in TIMES if name != "tREFI_cycles"])
def test_each_time_that_is_a_cycle_short_is_found(name):
    exact = MODES if name == "mode_switch" else SLACK
    key, params = f"{name}_cycles", {"overlap": name not in ("mode_switch", "tCLREG")}
    assert first_violation(exact, exact, range(4), **params) is None
    found = first_violation(exact | {key: exact[key] - 1}, exact, **params)
    assert found
    wanted = SHOWN_AS.get(name, name)
    assert wanted is None or found.rule == wanted


def test_each_pair_of_beats_is_kept_apart():
    narrow = {"lanes": 1, "banks": 8}
    config = ChannelConfig.parse({"profile": SLACK} | narrow)
    wide = ChannelConfig.parse({"profile": SLACK, "banks": 8, "lanes": 16})
    assert (config.result_beats, wide.result_beats) == (8, 1)
    for op, rule in ((Op.RD_MAC, "result beats"), (Op.WR_BIAS, "bias beats")):
        program = [Instruction(op), Instruction(op), Instruction(Op.EOC)]
        params = {"overlap": True}
        made = Channel(ChannelConfig.parse({"profile": SLACK, "banks": 8, "lanes": 16} | params)).run(program)
        judge = TimingChecker(ChannelConfig.parse({"profile": SLACK} | narrow | params))
        assert judge.check(made.commands).rule == rule


def test_an_answer_is_waited_for():
    program = [Instruction(Op.RD_MAC), Instruction(Op.MAC_ABK)]
    profile = {"base": "aim", "mode_switch_cycles": 0}
    run = Channel(ChannelConfig.parse({"profile": profile, "overlap": True})).run(program)
    found = TimingChecker(ChannelConfig.parse({"profile": profile})).check(run.commands)
    assert str(found) == "cycle 2, ACTG: answer: 1 cycles after RDMAC, at least 3 are needed"


def of(*commands):
    """Commands as (cycle, command, bank, row)."""
    table = np.zeros(len(commands), COMMAND)
    for place, (cycle, command, bank, row) in enumerate(commands):
        table[place] = (cycle, Command[command], bank, row, 0, 0, 0)
    return table


@pytest.mark.parametrize(
    ("commands", "message"),
    [
        ([(5, "RD", 0, 0)], "cycle 5, RD: closed: not all banks have row 0 open"),
        ([(5, "ACT", 0, 1), (99, "RD", 0, 2)], "cycle 99, RD: closed: not all banks have row 2 open"),
        ([(5, "ACT", 0, 1), (99, "MAC", 0, 1)], "cycle 99, MAC: closed: not all banks have row 1 open"),
        ([(5, "ACT", 0, 1), (99, "ACT", 0, 1)], "cycle 99, ACT: open: a bank has a row open"),
        ([(5, "ACT", 0, 1), (99, "ACTG", 0, 1)], "cycle 99, ACTG: open: a bank has a row open"),
        ([(5, "ACT", 3, 1), (99, "REF", 0, 0)], "cycle 99, REF: open: a bank has a row open"),
        ([(5, "TMOD", 0, 0)], "cycle 5, TMOD: mode: there are no modes"),
        ([(5, "ACT", 3, 1), (5, "ACT", 4, 1)], "cycle 5, ACT: order: comes after a command in cycle 5"),
        (
            [(9 * 6825 + 1, "REF", 0, 0)],
            "cycle 61426, REF: tREFI: 61426 cycles after the last refresh, at most 61425 may be",
        ),
        ([(9 * 6825, "REF", 0, 0)], "cycle 61425, REF: tREFI: more than 8 refreshes are owed"),
        (
            [(1 + 500 * number, "REF", 0, 0) for number in range(10)],
            "cycle 4001, REF: tREFI: more than 8 refreshes ahead",
        ),
        (
            [(1 + 5 * bank, "ACT", bank, 0) for bank in range(5)],
            "cycle 21, ACT: tFAW: 5 activations within 28 cycles",
        ),
    ],
)
def test_what_no_memory_allows_is_told(commands, message):
    assert str(TimingChecker(ChannelConfig.parse({"profile": "pimgpt"})).check(of(*commands))) == message


def test_the_mode_is_looked_at():
    found = TimingChecker(ChannelConfig.parse({"profile": "aim"})).check(of((5, "WRGB", 0, 0)))
    assert str(found) == "cycle 5, WRGB: mode: is of the other mode"
    found = TimingChecker(ChannelConfig.parse({"profile": "aim"})).check(of((5, "TMOD", 0, 0), (40, "ACTG", 0, 0)))
    assert str(found) == "cycle 40, ACTG: mode: is of the other mode"
    found = TimingChecker(ChannelConfig.parse({"profile": "aim"})).check(of((5, "REF", 0, 0)))
    assert str(found) == "cycle 5, REF: refresh: is off"


def test_a_refresh_that_never_comes_is_late():
    config = ChannelConfig.parse({"profile": "pimgpt"})
    assert TimingChecker(config).check(of(), until=9 * 6825 - 1) is None
    found = TimingChecker(config).check(of(), until=9 * 6825)
    assert str(found) == "cycle 61425, no command: tREFI: more than 8 refreshes are owed"


def test_a_command_left_out_is_found():
    config = ChannelConfig.parse({"profile": "pimgpt"})
    run = Channel(config).run(random_program(Random(3), config, 100, wrong=0, foreign=0))
    needed = np.isin(run.commands["command"], (Command.ACT, Command.ACTG, Command.PRE, Command.PREA))
    places = np.flatnonzero(needed)[:60]
    assert len(places) > 30
    missed = [place for place in places if not TimingChecker(config).check(np.delete(run.commands, place), run.end)]
    # Nobody misses the PREA or PRE after which nothing is opened.
    assert all(run.commands["command"][place] in (Command.PRE, Command.PREA) for place in missed)
    assert len(missed) <= 1


def test_times_are_read_as_the_profile_does():
    for name in ("aim", "pimgpt", "ddr4", "lpddr4"):
        profile = load_profile(name)
        expected = {one.removesuffix("_cycles"): getattr(profile, one) for one in TIMES}
        assert read_times(name) == {one: cycles for one, cycles in expected.items() if cycles is not None}


def legal(seed):
    random = Random(seed)
    samples = [*SAMPLES.values()]
    config = random_config(random) if seed % 2 else ChannelConfig.parse(samples[seed // 2 % len(samples)])
    channel, checker, start = Channel(config), TimingChecker(config), None
    for _ in range(3):
        run = channel.run(random_program(random, config), start=start)
        assert checker.check(run.commands, run.end) is None
        start = run.end + 1 + random.choice((0, 1000, 50000))


@pytest.mark.parametrize("seed", range(40))
def test_what_the_model_does_is_legal(seed):
    legal(seed)


@pytest.mark.deep
def test_what_the_model_does_is_legal_on_many_configs():
    for seed in range(1000, 4000):
        legal(seed)


@pytest.mark.parametrize("changed", [{"tRAS_ns": 4}, {"tCK_ns": 0.25}, {"tRP_cycles": 3, "tRFC_ns": 500.1}])
def test_checker_reads_a_profile_with_a_base_as_the_gateware_does(changed):
    for base in ("aim", "pimgpt"):
        profile = {"base": base} | changed
        loaded = load_profile(profile)
        expected = {name.removesuffix("_cycles"): getattr(loaded, name) for name in TIMES}
        found = read_times(profile)
        assert {name: found.get(name) for name in expected} == expected
