"""Random configs, profiles and programs of a channel: stimulus for model, checker and gateware."""

from __future__ import annotations

from random import Random
from typing import Any

from hdl.pim.channel_config import ChannelConfig
from hdl.pim.commands import Instruction, Op
from hdl.pim.timing import TIMES

SAMPLES: dict[str, dict[str, Any]] = {
    "aim": {"profile": "aim"},
    "aim_refresh": {"profile": "aim", "refresh": True},
    "aim_overlap": {
        "profile": {"base": "aim", "mode_switch_cycles": 0},
        "overlap": True,
        "gb_banks": 2,
        "accumulators": 2,
        "row_buffers": 2,
    },
    "pimgpt": {"profile": "pimgpt"},
    "pimgpt_staggered": {"profile": "pimgpt", "act_group": 4, "overlap": True, "gb_banks": 2},
    "pimgpt_two_rows": {
        "profile": "pimgpt",
        "act_group": 4,
        "overlap": True,
        "gb_banks": 2,
        "accumulators": 2,
        "row_buffers": 2,
    },
    "ddr4": {"profile": "ddr4", "banks": 8, "lanes": 8, "dtype": "int8"},
    "lpddr4": {"profile": "lpddr4", "banks": 8, "overlap": True, "accumulators": 2},
}
"""Parameters of configs that between them have every feature."""

HOT_ROWS = 3
"""Rows that most instructions work on."""


def random_profile(random: Random, *, mode_switch: bool) -> dict[str, Any]:
    """A profile of short times that contradict nothing, whose refreshes come as thick as can be kept up with, or
    not so thick."""
    times = {name: random.randint(1, 12) for name in TIMES}
    times["tRC_cycles"] = times["tRAS_cycles"] + times["tRP_cycles"] + random.randint(0, 3)
    times["tWTR_cycles"] = times["tWTRS_cycles"] + random.randint(0, 3)
    times["tRFC_cycles"] = times["tRP_cycles"] + random.randint(0, 20)
    times["tFAW_cycles"] = times["tRRD_cycles"] + random.randint(0, 30)
    times["mode_switch_cycles"] = random.randint(1, 9) if mode_switch else 0
    # Above all that a forced refresh can wait for; see hdl.pim.timing.
    times["tREFI_cycles"] = 140 + random.randint(0, random.choice((20, 400)))
    return times | {"source": "random", "tCK_ns": 1.0, "act_group": 16}


def random_config(random: Random) -> ChannelConfig:
    """A config with a random profile and features."""
    overlap = random.random() < 0.6
    banks = random.choice((2, 4, 16))
    return ChannelConfig.parse(
        {
            "profile": random_profile(random, mode_switch=not overlap and random.random() < 0.5),
            "banks": banks,
            "rows": random.choice((5, 16384)),
            "columns": random.choice((8, 64)),
            "lanes": random.choice((2, 16)),
            "dtype": random.choice(("bf16", "int8")),
            "accumulators": random.randint(1, 2),
            "gb_banks": random.randint(1, 2),
            "row_buffers": random.randint(1, 2),
            "overlap": overlap,
            "act_group": random.choice([group for group in (1, 2, 4, 16) if group <= banks or group == 16]),
            "refresh": random.random() < 0.8,
        }
    )


def random_program(
    random: Random, config: ChannelConfig, length: int = 30, *, wrong: float = 0.02, foreign: float = 0.02
) -> list[Instruction]:
    """A program of `length` instructions and EOC. How often each operation comes, how long bursts are and how many rows
    are hot is drawn for each program.

    Parameters
    ----------
    wrong, foreign : share of instructions that are illegal, or of other channels
    """
    kinds = [op for op in Op if op != Op.EOC and (op != Op.REFRESH or config.refresh)]
    # A squared weight makes programs of mostly one operation as likely as mixed ones.
    weights = [(0.05 if op == Op.REFRESH else 1) * random.random() ** 2 + 0.01 for op in kinds]
    longest = random.choice((1, 4, config.columns))
    hot = [random.randrange(config.rows) for _ in range(random.randint(1, HOT_ROWS))]
    program = []
    for op in random.choices(kinds, weights, k=length):
        one = _legal(random, config, op, longest, hot)
        if random.random() < wrong:
            one = _spoiled(random, config, one)
        if random.random() < foreign:
            one = Instruction(**vars(one) | {"ch_mask": one.ch_mask & ~(1 << config.channel)})
        program.append(one)
    return [*program, Instruction(Op.EOC)]


def _legal(random: Random, config: ChannelConfig, op: Op, longest: int, hot: list[int]) -> Instruction:
    everywhere = (1 << config.banks) - 1
    mask = everywhere if random.random() < 0.5 else random.randint(1, everywhere)
    if op in (Op.MAC_SBK, Op.RD, Op.WR):
        mask = 1 << random.randrange(config.banks)
    count = random.randint(1, 8) if op == Op.REFRESH else random.randint(1, longest)
    flags = random.randrange(2) * 8
    for flag, places in ((1, config.accumulators), (2, config.gb_banks), (4, config.row_buffers)):
        flags |= flag * random.randrange(places)
    return Instruction(
        op,
        bank_mask=mask,
        row=random.choice(hot) if random.random() < 0.8 else random.randrange(config.rows),
        col=0 if op == Op.REFRESH else random.randrange(config.columns - count + 1),
        count=count,
        flags=flags,
        ch_mask=1 << config.channel | random.randrange(256),
    )


def _spoiled(random: Random, config: ChannelConfig, one: Instruction) -> Instruction:
    """One that is mostly illegal: an unknown operation, no bank, two banks, or a count beyond the row."""
    changes: list[dict[str, int]] = [
        {"op": random.choice((0, 10, 63))},
        {"bank_mask": 0},
        {"bank_mask": 3},
        {"col": config.columns - 1, "count": 2},
        {"flags": 7},
    ]
    return Instruction(**vars(one) | random.choice(changes))
