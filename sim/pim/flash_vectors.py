"""`pim.flash` as arrays in and arrays out, for every engine: commands and their data, and what they read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from hdl.pim.flash_config import (
    COMMAND_COUNT,
    COMMAND_OFFSET,
    COMMAND_OP,
    COMMAND_PAGE,
    COMMAND_PLANE,
    FlashConfig,
    FlashOp,
)
from sim.common.beats import Beats, data_of
from sim.common.stimulus import integers
from sim.common.vectors import Arrays, ArraySpec, check_arrays
from sim.pim import flash_model
from sim.pim.command_words import check_data, joined, split, traffic
from sim.pim.flash_model import Command

LATENCY_BY_BENCH = True

INPUTS = {
    "command": ArraySpec(
        "uint64", "(n,)", "operation (3:0), plane (11:4), page (31:12), and of READ_SLICE offset (47:32), count (63:48)"
    ),
    "data": ArraySpec("uint8", "(bytes,)", "pages and vectors of the commands that take any, in order"),
}
OUTPUTS = {"q": ArraySpec("uint8", "(given,)", "what the reads gave, in the commands' order")}

_FIELDS = (COMMAND_OP, COMMAND_PLANE, COMMAND_PAGE, COMMAND_OFFSET, COMMAND_COUNT)


def word_of(command: Command) -> int:
    """A command's 64 bits."""
    values = (command.op, command.plane, command.page, command.offset, command.count)
    return joined(values, _FIELDS)


def command_of(word: int) -> Command:
    """The command of 64 bits."""
    return Command(*split(word, _FIELDS))


def check(config: FlashConfig, arrays: Mapping[str, Any]) -> None:
    """Refuse arrays that are not `INPUTS`, and data that are not as many as the commands take.

    Raises
    ------
    ValueError
        With one line that names array, expected and received.
    """
    check_arrays(INPUTS, arrays)
    check_data(arrays["data"], sum(command.data_bytes(config) for command in _commands(arrays)))


def model(config: FlashConfig, arrays: Mapping[str, Any]) -> Arrays:
    """`OUTPUTS` by the golden model. Raises as `check`."""
    check(config, arrays)
    found = flash_model.run(config, _commands(arrays), arrays["data"])
    return {"q": np.concatenate([np.zeros(0, np.uint8), *found.packets])}


def pack(config: FlashConfig, arrays: Mapping[str, Any]) -> dict[str, Beats]:
    """Traffic of the streams `command` and `data`. Raises as `check`."""
    check(config, arrays)
    return packed(_commands(arrays), arrays["data"])


def packed(commands: Sequence[Command], data: npt.NDArray[np.uint8]) -> dict[str, Beats]:
    """Traffic of commands and their data."""
    return traffic([word_of(command) for command in commands], data)


def expected_beats(config: FlashConfig, arrays: Mapping[str, Any]) -> dict[str, int]:
    """Beats the stream `q` gives: one a byte."""
    return {"q": len(model(config, arrays)["q"])}


def unpack(config: FlashConfig, arrays: Mapping[str, Any], outputs: Mapping[str, Beats]) -> Arrays:
    """`OUTPUTS` out of the traffic of the stream `q`. Raises as `data_of`."""
    return {"q": data_of(outputs, "q", expected_beats(config, arrays)["q"], 1)[:, 0].copy()}


def operations(config: FlashConfig, arrays: Mapping[str, Any]) -> int:
    """Useful operations: a multiplication and an addition for each weight of a READ_COMPUTE that is done."""
    found = _commands(arrays)
    return sum(
        2 * config.page_bytes for command in found if command.op == FlashOp.READ_COMPUTE and command.legal(config)
    )


def random_arrays(config: FlashConfig, seed: int, items: int) -> Arrays:
    """`INPUTS` of `items` commands for the seed, bad ones among them; the first is a READ_COMPUTE.

    Raises
    ------
    ValueError
        If `items` is below 1.
    """
    if items < 1:
        raise ValueError(f"items must be at least 1, not {items}")
    rng = np.random.default_rng(seed)
    commands = [Command(FlashOp.READ_COMPUTE, 0, 0), *random_commands(config, rng, items - 1)]
    words = np.array([word_of(command) for command in commands], np.uint64)
    return {"command": words, "data": random_data(config, rng, commands)}


def random_commands(config: FlashConfig, rng: np.random.Generator, count: int) -> list[Command]:
    """Commands that mostly can be done: programs follow their blocks' order, reads find what was programmed."""
    level = np.zeros((config.plane_count, config.blocks), int)
    commands = []
    for _ in range(count):
        plane, block = int(rng.integers(config.plane_count)), int(rng.integers(config.blocks))
        op = FlashOp(rng.choice(np.array([1, 2, 2, 3, 4, 4, 4, 5]) if level.any() else np.array([4])))
        place = int(rng.integers(config.block_pages))
        if op == FlashOp.PROGRAM:
            if level[plane, block] == config.block_pages:
                op = FlashOp.ERASE
            else:
                place = int(level[plane, block])
                level[plane, block] += 1
        if op == FlashOp.ERASE:
            level[plane, block] = 0
        offset = int(rng.integers(config.page_bytes))
        size = int(rng.integers(1, config.page_bytes - offset + 1))
        command = Command(op, plane, block * config.block_pages + place, offset, size)
        commands.append(command if rng.random() > 0.04 else _spoilt(config, rng, command))
    return commands


def random_data(config: FlashConfig, rng: np.random.Generator, commands: Sequence[Command]) -> npt.NDArray[np.uint8]:
    """Pages and vectors for commands, extreme values among them."""
    parts = [np.zeros(0, np.uint8)]
    for command in commands:
        if size := command.data_bytes(config):
            parts.append(integers(rng, 8, (4, -(-size // 4))).astype(np.int8).view(np.uint8).reshape(-1)[:size])
    return np.concatenate(parts)


def _spoilt(config: FlashConfig, rng: np.random.Generator, command: Command) -> Command:
    """A command that cannot be done, or a program out of order."""
    wrong = [
        Command(int(rng.choice(np.array([0, 6, 9, 15]))), command.plane, command.page),
        Command(command.op, int(rng.integers(config.plane_count, 256)), command.page, command.offset, command.count),
        Command(command.op, command.plane, config.pages + int(rng.integers(100)), command.offset, command.count),
        Command(FlashOp.READ_SLICE, command.plane, command.page, command.offset, 0),
        Command(FlashOp.READ_SLICE, command.plane, command.page, 1, config.page_bytes),
        Command(FlashOp.PROGRAM, command.plane, config.pages - 1),
    ]
    return wrong[int(rng.integers(len(wrong)))]


def _commands(arrays: Mapping[str, Any]) -> list[Command]:
    return [command_of(word) for word in arrays["command"].tolist()]
