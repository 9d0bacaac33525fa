"""The burst simulator against the golden model of the channel."""

import json
from collections import Counter
from pathlib import Path
from random import Random

import pytest

from flows.paths import build_root
from hdl.pim.channel_config import ChannelConfig
from hdl.pim.commands import Command, Instruction, Op, encode_program
from sim.pim.burst import Burst
from sim.pim.channel_model import Channel
from sim.pim.random_programs import SAMPLES, random_config, random_program
from sim.pim.trace import read_trace

DATA = Path(__file__).with_name("data")
ONGOING = Counter(dict.fromkeys((Command.PREA, Command.REF), 1 << 30))


def ended(program):
    """A random program with one EOC, at its end."""
    return [*(one for one in program if one.op != Op.EOC), Instruction(Op.EOC)]


def compare(config, random, programs):
    """Programs one after the other on both: cycles, commands by kind and row misses."""
    channel, start, misses, issued = Channel(config), 1, 0, Counter()
    with Burst(config, build_root() / "pim") as burst:
        for _ in range(programs):
            program = ended(random_program(random, config))
            expected = channel.run(program, start=start, commands=False)
            got = burst.run(encode_program(program))
            assert got.cycles.tolist() == [expected.cycles]
            misses += expected.counters.row_misses
            issued.update(expected.issued)
            assert got.counts.row_misses == misses
            # Those two go on between the programs, which the golden model's runs do not count.
            assert Counter(got.counts.issued) - ONGOING == issued - ONGOING
            start += expected.cycles


@pytest.mark.parametrize("name", SAMPLES)
def test_burst_cycles_are_those_of_the_golden_model(name):
    compare(ChannelConfig.parse(SAMPLES[name]), Random(name), 1)


def test_burst_cycles_are_those_of_the_golden_model_on_random_channels():
    for seed in range(8):
        random = Random(seed)
        compare(random_config(random), random, 2)


def test_recorded_traces_take_the_peers_cycles():
    """Those of aim_simulator, all 45."""
    recorded = {
        name: ((DATA / f"{name}.trace").read_text().splitlines(), cycles)
        for name, cycles in json.loads((DATA / "cycles.json").read_text())["cycles"].items()
    }
    for number, one in enumerate(json.loads((DATA / "random_traces.json").read_text())):
        recorded[f"random {number}"] = one["trace"], one["cycles"]
    assert len(recorded) == 45
    for name, (lines, cycles) in recorded.items():
        with Burst(ChannelConfig(profile="aim"), build_root() / "pim") as burst:
            assert burst.run(encode_program(read_trace(lines))).cycles.tolist() == [cycles], name


@pytest.mark.deep
def test_burst_cycles_are_those_of_the_golden_model_on_many_random_channels():
    for seed in range(1000, 2500):
        random = Random(seed)
        compare(random_config(random), random, 3)


def test_programs_without_an_end_are_refused():
    config = ChannelConfig(channel=1)
    with Burst(config, build_root() / "pim") as burst:
        for program in ([], [Instruction(Op.WR_GB)], [Instruction(Op.EOC, ch_mask=1)]):
            with pytest.raises(ValueError, match="^the last instruction must be an EOC for this channel$"):
                burst.run(encode_program(program))
