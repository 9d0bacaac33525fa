"""Mutants of the scheduler's gateware, each of which random programs find: every time a cycle too short, and what it
knows of refreshes, rows, banks and counts changed."""

from __future__ import annotations

from random import Random

import pytest

from flows.pim.scheduler import write_scheduler
from hdl.pim.channel_config import ChannelConfig
from hdl.pim.commands import Instruction, Op
from sim.common.harness import Harness, HarnessError, build_harness
from sim.pim.channel_model import Channel
from sim.pim.random_programs import random_program
from sim.pim.scheduler_trace import difference, run_programs
from tests.pim.mutants import Mutants

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
MODES = PROFILE | {"mode_switch_cycles": 5, "tCCD_cycles": 4, "tBL_cycles": 2}
SHORTER = ["tRCDMAC", "tRCDRD", "tRCDWR", "tRP", "tRAS", "tRC", "tRTP", "tWR", "tBL", "tCL", "tWTR", "tWTRS", "tWPRE"]
SHORTER += ["tRRD", "tFAW", "tRFC", "tREFI", "tCCD", "mode_switch", "tCLREG", "tCWL", "tCWLREG", "tCWLGB"]
PROGRAMS, LONGEST, BATCH = 120, 40, 20

COLUMN = "(58'h3f << 40)"
"""Bits of a lane's entry, whose mask is in bits 22..15, and bank in 25..23."""

REFRESH = {
    "none falls due": ("refresh", "1'h0"),
    "deadline passes": ("deadline", "1'h0"),
    "every interval is a deadline": ("deadline", "{} | refresh"),
    "none is owed more": ("owed", "issued[5] ? {} : owed"),
    "those since the last are not counted": ("since", "4'h0"),
    "more are done ahead": ("refreshed_ahead", "1'h0"),
    "none is done ahead": ("refreshed_ahead", "1'h1"),
    "one too many is done ahead": ("last_ahead", "1'h0"),
    "comes between columns": ("boundary", "1'h1"),
    "waits at a row boundary": ("boundary", "1'h0"),
}
ROWS = {
    "any row is the bank's": ("ahead_has_own_row", "1'h1"),
    "no row is the bank's": ("ahead_has_own_row", "1'h0"),
    "any row is that of all banks": ("ahead_hits_all", "1'h1"),
    "none is that of all banks": ("ahead_hits_all", "1'h0"),
    "the bank's row counts as that of all": ("ahead_is_own", "1'h0"),
    "PREA in the same cycle is overlooked": ("ahead_is_closed_now", "1'h0"),
    "PREA closes nothing": ("closes_0", "1'h0"),
    "PREA closes nothing in buffer 1": ("closes_1", "1'h0"),
    "one bank's row is not noted": ("one_changes", "1'h0"),
    "a group begins anew": ("begun", "1'h0"),
    "rows in pairs": ("row", "{} & ~14'h1"),
    "of the next in buffer 1": ("behind_hits_all", "1'h0"),
}
BANKS = {
    "bank 7 is in no mask": ("given", "{} & ~(58'h1 << 22)"),
    "bank 0 is in every mask": ("given", "{} | (58'h1 << 15)"),
    "banks 4 to 7 are 0 to 3": ("given", "{} & ~(58'h1 << 25)"),
    "bank 5 is never open": ("open", "{} & ~8'h20"),
    "bank 5 is always open": ("open", "{} | 8'h20"),
    "bank 2 has no row of its own": ("own_row", "{} & ~8'h04"),
    "the bank's time is not kept": ("stores_time", "1'h0"),
    "the last bank's time holds": ("bank_changes", "1'h0"),
    "no bank's time is known": ("time_known", "1'h0"),
    "the next bank is the last one": ("next_bank", "bank_entry[25:23]"),
}
COUNTS = {
    "refresh stalls nothing": ("is_refreshing", "1'h0"),
    "rows stall nothing": ("is_needs_row", "1'h0"),
    "nothing is idle": ("is_idle", "1'h0"),
    "no row is missed": ("row_missed", "1'h0"),
    "every column misses": ("row_missed", "column_issued"),
    "the opener's rows are hits": ("opened_behind", "1'h0"),
    "the row stays new": ("just_opened", "{} | just_opened"),
    "columns stand still": ("bank_entry", f"bank_load ? {{}} : ({{}} & ~{COLUMN} | bank_entry & {COLUMN})"),
    "activations in tFAW stand still": ("faw_turn", "faw_turn"),
    "groups stand still": ("group", "2'h0"),
    "illegal ones are not told": ("illegal", "1'h0"),
}
CHANGES = REFRESH | ROWS | BANKS | COUNTS


def caught(library, ports, config):
    """Whether random programs go otherwise than in the model, or hang."""
    # Nothing random asks for as many refreshes as may be ahead, and then for more.
    ahead = [Instruction(Op.REFRESH, count=20), Instruction(Op.REFRESH, count=3), Instruction(Op.EOC)]
    programs = [ahead] if config.refresh else []
    for seed in range(PROGRAMS):
        random = Random(seed)
        programs.append(random_program(random, config, random.randint(1, LONGEST)))
    with Harness(library, ports) as harness:
        for low in range(0, len(programs), BATCH):
            batch, model = programs[low : low + BATCH], Channel(config)
            try:
                told = run_programs(harness, batch)
                for program, one in zip(batch, told, strict=True):
                    if difference(one, model.run(program, start=one.start)):
                        return True
            except (HarnessError, ValueError):  # it hangs, or began before the program before it had ended in the model
                return True
    return False


def configs(name):
    """Params and profile in which a time binds."""
    return (NARROW, MODES) if name in ("mode_switch", "tCLREG", "tCCD") else (WIDE, PROFILE)


@pytest.mark.deep
@pytest.mark.parametrize("name", SHORTER)
def test_time_that_is_too_short_is_found(name, tmp_path):
    params, profile = configs(name)
    config = ChannelConfig.parse(params | {"profile": profile})
    wrong = profile | {f"{name}_cycles": profile[f"{name}_cycles"] - 1}
    verilog, ports = write_scheduler(ChannelConfig.parse(params | {"profile": wrong}), tmp_path)
    assert caught(build_harness(verilog, ports, tmp_path / "harness", optimise="-O1"), ports, config)


@pytest.mark.deep
@pytest.mark.parametrize("beats", ["result_beats", "bias_beats"])
def test_beats_that_are_too_few_are_found(beats, tmp_path):
    """Results and biases of 8 banks, 4 beats each."""
    params = WIDE | {"profile": PROFILE, "lanes": 2}
    config = ChannelConfig.parse(params)
    assert getattr(config, beats) == 4
    fewer = type("Fewer", (ChannelConfig,), {beats: property(lambda self: 3)}).parse(params)
    verilog, ports = write_scheduler(fewer, tmp_path)
    assert caught(build_harness(verilog, ports, tmp_path / "harness", optimise="-O1"), ports, config)


@pytest.fixture(scope="module")
def mutants(tmp_path_factory):
    """The changed gateware: its config, its choice of mutants, library and ports."""
    folder = tmp_path_factory.mktemp("mutants")
    config = ChannelConfig.parse(WIDE | {"profile": PROFILE})
    verilog, ports = write_scheduler(config, folder)
    choice = Mutants(verilog, "__core__core", CHANGES)
    return config, choice, build_harness(verilog, ports, folder / "harness", optimise="-O1"), ports


@pytest.mark.deep
@pytest.mark.parametrize("name", CHANGES)
def test_changed_gateware_is_found(mutants, name):
    config, choice, library, ports = mutants
    choice.choose(name)
    assert caught(library, ports, config)


@pytest.mark.deep
def test_unchanged_gateware_is_not(mutants, tmp_path):
    config, choice, library, ports = mutants
    choice.choose(None)
    assert not caught(library, ports, config)
    config = ChannelConfig.parse(NARROW | {"profile": MODES})
    verilog, ports = write_scheduler(config, tmp_path)
    assert not caught(build_harness(verilog, ports, tmp_path / "harness", optimise="-O1"), ports, config)
