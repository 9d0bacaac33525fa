"""No refresh is ever late, at the shortest interval that a profile may have, whatever the load."""

import re
from random import Random

import pytest

from hdl.common.config import ConfigError
from hdl.pim.channel_config import ChannelConfig
from hdl.pim.commands import Command, Instruction, Op
from hdl.pim.timing import load_profile
from sim.pim.channel_kernel import KernelChannel
from sim.pim.random_programs import random_config, random_program
from sim.pim.timing_checker import TimingChecker


def tightest(random):
    """A random config with the shortest interval that its times allow."""
    config = random_config(random)
    profile = dict(config.profile) | {"tREFI_cycles": 1}
    if random.random() < 0.3:
        profile["tRFC_cycles"] = profile["tRP_cycles"]
    with pytest.raises(ConfigError) as error:
        load_profile(profile)
    least = re.fullmatch(
        r"profile\.tREFI must be at least what a forced refresh can take, (\d+) cycles, not 1", str(error.value)
    )
    profile["tREFI_cycles"] = int(least[1])
    return ChannelConfig.parse(config.model_dump() | {"profile": profile, "refresh": True})


def hits(random, config, length):
    """A program that never needs another row: only the deadline interrupts it."""
    whole = random.random() < 0.5
    ops = [Op.MAC_ABK] if whole else [Op.MAC_SBK, Op.RD, Op.WR]
    ops = random.sample(ops, random.randint(1, len(ops)))
    ops += random.sample([Op.WR_GB, Op.WR_BIAS, Op.RD_MAC], random.randint(0, 3))
    program = []
    for op in random.choices(ops, k=length):
        mask = (1 << config.banks) - 1 if op in (Op.MAC_ABK, Op.WR_BIAS, Op.RD_MAC) else 1
        program.append(Instruction(op, bank_mask=mask, row=1, count=random.randint(1, config.columns)))
    return [*program, Instruction(Op.EOC)]


def never_late(seed, library, length):
    random = Random(seed)
    config = tightest(random)
    checker, start, refreshes = TimingChecker(config), None, 0
    with KernelChannel(config, library) as channel:
        for work in (random_program, hits):
            run = channel.run(work(random, config, length), start=start)
            assert checker.check(run.commands, run.end) is None
            refreshes += run.issued.get(Command.REF, 0)
            start = run.end + 1 + random.choice((0, 100, 5000))
    return refreshes


def test_no_refresh_is_late(library):
    assert sum(never_late(seed, library, 60) for seed in range(12)) > 100


@pytest.mark.deep
def test_no_refresh_is_late_under_any_load(library):
    assert sum(never_late(seed, library, 300) for seed in range(100, 200)) > 5000


def test_the_checker_would_find_a_refresh_that_is_late(library):
    config = ChannelConfig.parse({"profile": {"base": "pimgpt", "tREFI_cycles": 600}})
    program = [Instruction(Op.MAC_ABK, row=1, count=64)] * 100
    with KernelChannel(config, library) as channel:
        run = channel.run([*program, Instruction(Op.EOC)])
    kept = run.commands["command"] != Command.REF
    assert (~kept).sum() > 10
    found = TimingChecker(config).check(run.commands[kept], run.end)
    why = f"{run.end} cycles after the last refresh, at most 5400 may be"
    assert str(found) == f"cycle {run.end}, no command: tREFI: {why}"
