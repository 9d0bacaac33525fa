"""Mutants of the scheduler's gateware, each of which random programs find: times a cycle too short, one by one, and
parts of it that stand still."""

from __future__ import annotations

import re
from random import Random

import pytest

from flows.pim.scheduler import write_scheduler
from hdl.pim.channel_config import ChannelConfig
from hdl.pim.commands import Instruction, Op
from sim.common.harness import Harness, HarnessError, build_harness
from sim.pim.channel_model import Channel
from sim.pim.random_programs import random_program
from sim.pim.scheduler_trace import difference, run_programs

PROFILE = {
    "source": "times that all bind",
    "tCK_ns": 1.0,
    "tRCDMAC_cycles": 9,
    "tRCDRD_cycles": 7,
    "tRCDWR_cycles": 6,
    "tRP_cycles": 7,
    "tRAS_cycles": 14,
    "tRC_cycles": 23,
    "tRTP_cycles": 6,
    "tWR_cycles": 8,
    "tCCD_cycles": 2,
    "tBL_cycles": 3,
    "tCL_cycles": 9,
    "tCWL_cycles": 4,
    "tCLREG_cycles": 3,
    "tCWLREG_cycles": 2,
    "tCWLGB_cycles": 2,
    "tWTR_cycles": 6,
    "tWTRS_cycles": 4,
    "tWPRE_cycles": 2,
    "tRRD_cycles": 4,
    "tFAW_cycles": 25,
    "tRFC_cycles": 30,
    "tREFI_cycles": 200,
    "mode_switch_cycles": 0,
    "act_group": 2,
}
WIDE = {"banks": 8, "overlap": True, "accumulators": 2, "gb_banks": 2, "row_buffers": 2, "device": False}
NARROW = {"banks": 8, "device": False, "act_group": 16}
SHORTER = ["tRCDMAC", "tRCDRD", "tRCDWR", "tRP", "tRAS", "tRC", "tRTP", "tWR", "tBL", "tCL", "tWTR", "tWTRS", "tWPRE"]
SHORTER += ["tRRD", "tFAW", "tRFC", "tREFI", "tCCD", "mode_switch", "tCLREG"]
STILL = ["deadline", "stores_time", "bank_changes", "time_known", "one_changes", "closes_0", "refreshed_ahead", "begun"]
PROGRAMS, LONGEST = 120, 40


def caught(verilog, ports, config, folder):
    """Whether random programs go otherwise than in the model, or hang."""
    library = build_harness(verilog, ports, folder, optimise="-O1")
    # Nothing random asks for as many refreshes as may be ahead, and then for more.
    ahead = [Instruction(Op.REFRESH, count=20), Instruction(Op.REFRESH, count=3), Instruction(Op.EOC)]
    programs = [ahead] if config.refresh else []
    for seed in range(PROGRAMS):
        random = Random(seed)
        programs.append(random_program(random, config, random.randint(1, LONGEST)))
    with Harness(library, ports) as harness:
        try:
            told = run_programs(harness, programs)
        except HarnessError:
            return True
    model = Channel(config)
    for program, one in zip(programs, told, strict=True):
        try:
            if difference(one, model.run(program, start=one.start)):
                return True
        except ValueError:  # it began before the program before it had ended in the model
            return True
    return False


def configs(name):
    """Params and profile in which a time binds."""
    if name in ("mode_switch", "tCLREG", "tCCD"):
        return NARROW, PROFILE | {"mode_switch_cycles": 5, "tCCD_cycles": 4, "tBL_cycles": 2}
    return WIDE, PROFILE


@pytest.mark.deep
@pytest.mark.parametrize("name", SHORTER)
def test_time_that_is_too_short_is_found(name, tmp_path):
    params, profile = configs(name)
    config = ChannelConfig.parse(params | {"profile": profile})
    wrong = profile | {f"{name}_cycles": profile[f"{name}_cycles"] - 1}
    verilog, ports = write_scheduler(ChannelConfig.parse(params | {"profile": wrong}), tmp_path)
    assert caught(verilog, ports, config, tmp_path / "harness")


@pytest.mark.deep
@pytest.mark.parametrize("name", STILL)
def test_part_that_stands_still_is_found(name, tmp_path):
    config = ChannelConfig.parse(WIDE | {"profile": PROFILE})
    verilog, ports = write_scheduler(config, tmp_path)
    text, count = re.subn(rf"^(  assign {name} = ).*;$", r"\g<1>1'h0;", verilog.read_text(), flags=re.MULTILINE)
    assert count == 1
    verilog.write_text(text)
    assert caught(verilog, ports, config, tmp_path / "harness")


@pytest.mark.deep
@pytest.mark.parametrize("params", [WIDE, NARROW], ids=["wide", "narrow"])
def test_unchanged_gateware_is_not(params, tmp_path):
    profile = PROFILE if params is WIDE else PROFILE | {"mode_switch_cycles": 5, "tCCD_cycles": 4, "tBL_cycles": 2}
    config = ChannelConfig.parse(params | {"profile": profile})
    verilog, ports = write_scheduler(config, tmp_path)
    assert not caught(verilog, ports, config, tmp_path / "harness")
