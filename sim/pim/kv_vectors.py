"""`pim.kv` as arrays in and arrays out, for every engine: commands and their data, outputs, and what flash is told.

What flash answers is the golden model of `pim.flash` at work on what the block tells it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from hdl.pim.flash_config import FlashConfig
from hdl.pim.kv_config import COMMAND_HEAD, COMMAND_K, COMMAND_OP, COMMAND_R, COMMAND_SCALE, KvConfig, KvOp
from sim.common.beats import Beats, data_of
from sim.common.stimulus import integers, last_flags
from sim.common.vectors import Arrays, ArraySpec, check_arrays
from sim.pim import flash_model, flash_vectors, kv_model
from sim.pim.command_words import check_data, joined, split, traffic
from sim.pim.kv_model import KvCommand, KvResult

LATENCY_BY_BENCH = True

INPUTS = {
    "command": ArraySpec(
        "uint64", "(n,)", "operation (3:0), head (15:8), and of QUERY r (23:16), k (39:24), scale in 2^-24 (63:40)"
    ),
    "data": ArraySpec("int8", "(bytes,)", "of APPEND key and value, of QUERY the query, in order"),
}
OUTPUTS = {
    "y": ArraySpec("int16", "(outputs,)", "head_dim outputs of every query that was done, 8 fraction bits"),
    "flash_command": ArraySpec("uint64", "(told,)", "commands of `pim.flash`"),
    "flash_data": ArraySpec("uint8", "(programmed,)", "pages that are programmed"),
}

_FIELDS = (COMMAND_OP, COMMAND_HEAD, COMMAND_R, COMMAND_K, COMMAND_SCALE)


def word_of(command: KvCommand) -> int:
    """A command's 64 bits."""
    values = (command.op, command.head, command.r, command.k, command.scale)
    return joined(values, _FIELDS)


def command_of(word: int) -> KvCommand:
    """The command of 64 bits."""
    return KvCommand(*split(word, _FIELDS))


def flash_of(config: KvConfig, read_cycles: int | None = None) -> FlashConfig:
    """A channel of flash for this cache, as fast as its pages allow unless told otherwise."""
    least = config.page_bytes + FlashConfig.copy_cycles
    return FlashConfig(
        dies=max(1, config.planes // 4),
        planes=min(4, config.planes),
        blocks=config.blocks,
        block_pages=config.block_pages,
        page_bytes=config.page_bytes,
        columns=4,
        read_cycles=read_cycles or max(20, least),
        program_cycles=max(20, least),
        erase_cycles=20,
    )


def check(config: KvConfig, arrays: Mapping[str, Any]) -> None:
    """Refuse arrays that are not `INPUTS`, and data that are not as many as the commands take.

    Raises
    ------
    ValueError
        With one line that names array, expected and received.
    """
    check_arrays(INPUTS, arrays)
    check_data(arrays["data"], sum(command.data_bytes(config) for command in _commands(arrays)))


def model(config: KvConfig, arrays: Mapping[str, Any]) -> Arrays:
    """`OUTPUTS` by the golden model. Raises as `check`."""
    found = _run(config, arrays)
    words = [flash_vectors.word_of(command) for command in found.flash]
    return {
        "y": np.concatenate([np.zeros(0, np.int16), *found.outputs]),
        "flash_command": np.array(words, np.uint64),
        "flash_data": found.flash_data,
    }


def pack(config: KvConfig, arrays: Mapping[str, Any]) -> dict[str, Beats]:
    """Traffic of the streams `command` and `data`, and of `flash_q`, what flash answers. Raises as `check`."""
    found = _run(config, arrays)
    return packed(_commands(arrays), arrays["data"]) | {"flash_q": answers(config, found)}


def packed(commands: Sequence[KvCommand], data: npt.NDArray[np.int8]) -> dict[str, Beats]:
    """Traffic of commands and their data."""
    return traffic([word_of(command) for command in commands], data)


def answers(config: KvConfig, found: KvResult) -> Beats:
    """What flash gives for the commands that it is told, a packet a read."""
    packets = flash_model.run(flash_of(config), found.flash, found.flash_data).packets
    if not packets:
        return Beats(np.zeros((0, 1), np.uint8), np.zeros(0, np.bool_))
    return Beats(np.concatenate(packets).reshape(-1, 1), last_flags([len(packet) for packet in packets]))


def expected_beats(config: KvConfig, arrays: Mapping[str, Any]) -> dict[str, int]:
    """Beats that the output streams give."""
    return {name: len(array) for name, array in model(config, arrays).items()}


def unpack(config: KvConfig, arrays: Mapping[str, Any], outputs: Mapping[str, Beats]) -> Arrays:
    """`OUTPUTS` out of the traffic of the output streams. Raises as `data_of`."""
    beats = expected_beats(config, arrays)
    return {
        name: np.ascontiguousarray(data_of(outputs, name, beats[name], width)).view(dtype)[:, 0].astype(spec.dtype)
        for (name, spec), width, dtype in zip(OUTPUTS.items(), (2, 8, 1), ("<i2", "<u8", "u1"), strict=True)
    }


def operations(config: KvConfig, arrays: Mapping[str, Any]) -> int:
    """Useful operations: a multiplication and an addition for each element of a key or value that a query attends."""
    found = _run(config, arrays)
    return sum(4 * config.head_dim * len(one.tokens) for one in found.attentions)


def random_arrays(config: KvConfig, seed: int, items: int) -> Arrays:
    """`INPUTS` of `items` commands for the seed, bad ones among them; the first is an APPEND, the last a QUERY of its
    head.

    Raises
    ------
    ValueError
        If `items` is below 2.
    """
    if items < 2:
        raise ValueError(f"items must be at least 2, not {items}")
    rng = np.random.default_rng(seed)
    commands = [KvCommand(KvOp.APPEND), *random_commands(config, rng, items - 2), random_query(config, rng, 0)]
    words = np.array([word_of(command) for command in commands], np.uint64)
    return {"command": words, "data": random_data(config, rng, commands)}


def random_query(config: KvConfig, rng: np.random.Generator, head: int) -> KvCommand:
    """A query that can be done, if the head has tokens; the scale is such that weights differ."""
    bits = int(rng.integers(4, 24))
    r, k = (int(rng.integers(1, most, endpoint=True)) for most in (config.r_max, config.k_max))
    return KvCommand(KvOp.QUERY, head, r, k, int(rng.integers(1 << bits)))


def random_commands(
    config: KvConfig, rng: np.random.Generator, count: int, *, queries: float = 0.2, bad: float = 0.05
) -> list[KvCommand]:
    """Commands of all kinds to heads of which some are met more often; CLEAR is rare."""
    commands = []
    for _ in range(count):
        head = int(rng.integers(config.heads) * rng.integers(2))
        kind = rng.random()
        if kind < bad:
            commands.append(_bad_command(config, rng))
        elif kind < bad + 0.005:
            commands.append(KvCommand(KvOp.CLEAR, int(rng.integers(256))))
        elif kind < bad + 0.005 + queries:
            commands.append(random_query(config, rng, head))
        else:
            commands.append(KvCommand(KvOp.APPEND, head))
    return commands


def _bad_command(config: KvConfig, rng: np.random.Generator) -> KvCommand:
    """A command that cannot be done."""
    r, k = int(rng.integers(config.r_max + 1, 256)), int(rng.integers(config.k_max + 1, 1 << 16))
    no_head = int(rng.integers(config.heads, 256))
    choices = [
        KvCommand(int(rng.choice([0, 4, 5, 8, 15]))),
        KvCommand(KvOp.APPEND, no_head),
        KvCommand(KvOp.QUERY, no_head, 1, 1),
        KvCommand(KvOp.QUERY, 0, r, 1),
        KvCommand(KvOp.QUERY, 0, 0, 1),
        KvCommand(KvOp.QUERY, 0, 1, k),
        KvCommand(KvOp.QUERY, 0, 1, 0),
    ]
    return choices[int(rng.integers(len(choices)))]


def random_data(config: KvConfig, rng: np.random.Generator, commands: Sequence[KvCommand]) -> npt.NDArray[np.int8]:
    """Data of commands: in each key, value and query uniform elements, extremes, or one element throughout, which makes
    ties."""
    vectors = sum(command.data_bytes(config) for command in commands) // config.head_dim
    if not vectors:
        return np.zeros(0, np.int8)
    return integers(rng, 8, (vectors, config.head_dim)).astype(np.int8).reshape(-1)


def _commands(arrays: Mapping[str, Any]) -> list[KvCommand]:
    return [command_of(word) for word in arrays["command"].tolist()]


def _run(config: KvConfig, arrays: Mapping[str, Any]) -> KvResult:
    """Raises as `check`."""
    check(config, arrays)
    return kv_model.run(config, _commands(arrays), arrays["data"])
