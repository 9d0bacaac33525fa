"""The golden model against recorded runs of aim_simulator and time lines made by hand, and against its two twins."""

import json
from itertools import pairwise
from pathlib import Path
from random import Random

import numpy as np
import pytest

from hdl.pim.channel_config import ChannelConfig
from hdl.pim.commands import ACC, BUF, GB, Command, Instruction, Op, encode_program
from sim.pim.channel_kernel import KernelChannel
from sim.pim.channel_model import Channel
from sim.pim.plain_channel import PlainChannel
from sim.pim.random_programs import SAMPLES, random_config, random_program
from sim.pim.trace import read_trace

DATA = Path(__file__).with_name("data")
RECORDED = json.loads((DATA / "cycles.json").read_text())["cycles"]
RANDOM_TRACES = json.loads((DATA / "random_traces.json").read_text())
AIM = ChannelConfig.parse({"profile": "aim"})
EOC = Instruction(Op.EOC)


def test_recorded_traces_take_the_cycles_that_were_recorded():
    assert len(RECORDED) == 5
    for name, cycles in RECORDED.items():
        program = read_trace((DATA / f"{name}.trace").read_text().splitlines())
        assert Channel(AIM).run(program).cycles == cycles
        assert PlainChannel(AIM).run(program).cycles == cycles


def test_random_traces_take_the_cycles_that_were_recorded():
    assert len(RANDOM_TRACES) == 40
    assert [Channel(AIM).run(read_trace(one["trace"])).cycles for one in RANDOM_TRACES] == [
        one["cycles"] for one in RANDOM_TRACES
    ]


def lines(run):
    """Commands as `cycle NAME bank row col`, bursts in full."""
    return [f"{c} {Command(k).name} {bank} {row} {col}" for c, k, bank, row, col, *_ in run.commands.tolist()]


def test_a_single_bank_is_opened_read_and_reopened():
    program = [
        Instruction(Op.RD, bank_mask=4, row=7, col=3, count=2),
        Instruction(Op.RD, bank_mask=4, row=8),
        Instruction(Op.WR, bank_mask=1, row=8),
        EOC,
    ]
    run = Channel(AIM).run(program)
    # tRCDRD 36, tCCD 2; PRE at tRAS 54, ACT at tRC 89; the bank that was never open waits for tRRD alone, its WR for
    # tRTW 50 + 2 + 3 - 6 + 1.
    assert lines(run) == [
        *("1 ACT 2 7 0", "37 RD 2 7 3", "39 RD 2 7 4", "55 PRE 2 0 0", "90 ACT 2 8 0", "126 RD 2 8 0"),
        *("127 ACT 0 8 0", "176 WR 0 8 0"),
    ]
    # EOC in 177; the WR is done at 176 + 6 + 2.
    assert (run.end, run.cycles) == (177, 185)
    assert (run.column_commands, run.row_hits) == (4, 1)


def test_groups_are_activated_one_after_the_other_under_tfaw():
    config = ChannelConfig.parse({"profile": "pimgpt", "act_group": 4})
    run = Channel(config).run([Instruction(Op.MAC_ABK, row=1), EOC])
    assert lines(run) == ["1 ACTG 0 1 0", "29 ACTG 4 1 0", "57 ACTG 8 1 0", "85 ACTG 12 1 0", "97 MAC 0 1 0"]
    config = ChannelConfig.parse({"profile": "pimgpt", "act_group": 2, "banks": 8})
    run = Channel(config).run([Instruction(Op.MAC_ABK, row=1), EOC])
    assert lines(run) == ["1 ACTG 0 1 0", "6 ACTG 2 1 0", "29 ACTG 4 1 0", "34 ACTG 6 1 0", "46 MAC 0 1 0"]


def test_a_second_row_buffer_is_opened_behind_the_macs():
    config = ChannelConfig.parse({"profile": "pimgpt", "overlap": True, "row_buffers": 2, "accumulators": 2})
    program = [Instruction(Op.MAC_ABK, row=1, count=20), Instruction(Op.MAC_ABK, row=2, flags=BUF | ACC), EOC]
    found = lines(Channel(config).run(program))
    # The opener comes when the first row is open, before its columns: a row command goes first.
    assert found[:3] == ["1 ACTG 0 1 0", "6 ACTG 0 2 0", "13 MAC 0 1 0"]
    assert found[-2:] == ["32 MAC 0 1 19", "33 MAC 0 2 0"]


def test_registers_are_written_while_a_row_opens():
    config = ChannelConfig.parse({"profile": "pimgpt", "overlap": True, "gb_banks": 2})
    program = [Instruction(Op.MAC_ABK, row=1), Instruction(Op.WR_GB, count=3, flags=GB), EOC]
    assert lines(Channel(config).run(program)) == [
        *("1 ACTG 0 1 0", "2 WRGB 0 0 0", "3 WRGB 0 0 1", "4 WRGB 0 0 2", "13 MAC 0 1 0")
    ]


def test_refresh_waits_for_a_row_boundary_and_comes_between_programs():
    config = ChannelConfig.parse({"profile": "pimgpt"})
    channel = Channel(config)
    program = [Instruction(Op.MAC_ABK, row=1, count=64), Instruction(Op.MAC_ABK, row=2), EOC]
    run = channel.run(program, start=6810)
    # tREFI is 6825: the row that is worked on is finished first.
    assert lines(run)[0] == "6810 ACTG 0 1 0"
    assert lines(run)[64:] == [
        *("6885 MAC 0 1 63", "6887 PREA 0 0 0", "6899 REF 0 0 0", f"{6899 + 455} ACTG 0 2 0", "7366 MAC 0 2 0")
    ]
    later = channel.run([EOC], start=3 * 6825)
    assert lines(later) == [f"{2 * 6825} PREA 0 0 0", f"{2 * 6825 + 12} REF 0 0 0", f"{3 * 6825} REF 0 0 0"]


def test_refresh_ahead_of_time_stops_at_eight():
    config = ChannelConfig.parse({"profile": "pimgpt"})
    channel = Channel(config)
    run = channel.run([Instruction(Op.REFRESH, count=20), EOC])
    assert lines(run) == [f"{1 + 455 * number} REF 0 0 0" for number in range(8)]
    # None is owed at 8 * 6825, but the last was so long ago that one is forced.
    assert lines(channel.run([EOC], start=9 * 6825))[0] == f"{8 * 6825} REF 0 0 0"


def test_the_deadline_interrupts_a_row():
    config = ChannelConfig.parse({"profile": {"base": "pimgpt", "tREFI_cycles": 600}})
    program = [Instruction(Op.MAC_ABK, row=5, count=64) for _ in range(100)]
    run = Channel(config).run([*program, EOC])
    refreshes = [int(line.split()[0]) for line in lines(run) if " REF " in line]
    # Eight are owed at 4800. The row is closed tRTP 2 after the last MAC; as it has to be opened again, all that are
    # owed are done before.
    assert refreshes[0] == 4800 - 1 + 2 + 12
    assert {after - before for before, after in pairwise(refreshes)} == {455}
    assert refreshes[-1] // 600 == len(refreshes)
    assert run.counters.row_misses == 2


def test_what_is_illegal_or_of_another_channel_is_skipped():
    wrong = [
        Instruction(0),
        Instruction(63),
        Instruction(Op.RD, bank_mask=3),
        Instruction(Op.RD, bank_mask=0),
        Instruction(Op.MAC_ABK, col=60, count=5),
        Instruction(Op.MAC_ABK, flags=ACC),
        Instruction(Op.WR_GB, flags=GB),
        Instruction(Op.MAC_ABK, flags=BUF),
        Instruction(Op.REFRESH),
    ]
    run = Channel(AIM).run([*wrong, Instruction(Op.MAC_ABK, ch_mask=0xFE), Instruction(Op.MAC_ABK), EOC])
    assert run.skipped == tuple(range(9))
    assert lines(run) == ["11 ACTG 0 0 0", "67 MAC 0 0 0"]
    config = ChannelConfig.parse({"profile": "aim", "rows": 100})
    assert Channel(config).run([Instruction(Op.RD, bank_mask=1, row=100), EOC]).skipped == (0,)


def test_a_program_ends_with_its_eoc():
    with pytest.raises(ValueError, match="instruction 0 is EOC, which ends a program"):
        Channel(AIM).run([EOC, EOC])
    channel = Channel(AIM)
    channel.run([EOC])
    with pytest.raises(ValueError, match="start must be above 1, the last program's end, not 1"):
        channel.run([EOC], start=1)


def judged_by_plain(seed, library):
    """Model and kernel against the plain model: programs one after the other, some a while later."""
    random = Random(seed)
    samples = [*SAMPLES.values()]
    config = random_config(random) if seed % 2 else ChannelConfig.parse(samples[seed // 2 % len(samples)])
    plain, model, start = PlainChannel(config), Channel(config), 1
    with KernelChannel(config, library) as kernel:
        for _ in range(2):
            program = random_program(random, config, random.choice((3, 20)))
            right = plain.run(program, start=start)
            for found in (model.run(program, start=start), kernel.run(encode_program(program), start=start)):
                same(found, right)
            assert right.commands.size or not right.issued
            assert sum(right.issued.values()) + sum(right.counters.stall_cycles.values()) == right.end - start + 1
            start = right.end + 1 + random.choice((0, 0, 1, random.randrange(3000)))


def same(found, right):
    assert np.array_equal(found.commands, right.commands)
    assert (found.cycles, found.start, found.end) == (right.cycles, right.start, right.end)
    assert (found.issued, found.counters, found.skipped) == (right.issued, right.counters, right.skipped)


@pytest.mark.parametrize("seed", range(16))
def test_events_are_those_of_the_plain_model(seed, library):
    judged_by_plain(seed, library)


@pytest.mark.parametrize("seed", (56, 102))
def test_bursts_that_alternate_end_before_what_follows_them(seed, library):
    random, config = Random(seed), ChannelConfig.parse(SAMPLES["aim_overlap"])
    program = random_program(random, config, random.randint(1, 40))
    right = PlainChannel(config).run(program, start=5)
    same(Channel(config).run(program, start=5), right)
    with KernelChannel(config, library) as kernel:
        same(kernel.run(program, start=5), right)


@pytest.mark.deep
def test_events_are_those_of_the_plain_model_on_many_configs(library):
    for seed in range(100, 400):
        judged_by_plain(seed, library)


@pytest.mark.deep
def test_kernel_does_what_the_model_does_on_many_programs(library):
    for seed in range(10_000, 10_800):
        random = Random(seed)
        config = random_config(random)
        program = random_program(random, config, 60)
        with KernelChannel(config, library) as kernel:
            same(kernel.run(program), Channel(config).run(program))


def test_kernel_refuses_what_the_model_refuses(library):
    with KernelChannel(AIM, library) as kernel:
        assert kernel.run([EOC], commands=False).commands is None
        with pytest.raises(ValueError, match="start must be above 1, the last program's end, not 1"):
            kernel.run([EOC], start=1)
        with pytest.raises(ValueError, match="instruction 0 is EOC, which ends a program, but 1 follow"):
            kernel.run([EOC, EOC])
