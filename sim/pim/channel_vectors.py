"""`pim.channel` as arrays in and arrays out: a program, what it writes, and what it reads."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from random import Random
from typing import Any

import numpy as np
import numpy.typing as npt

from hdl.pim.channel_config import ChannelConfig
from hdl.pim.commands import Instruction, Op, decode_program, encode_program
from sim.common.beats import Beats, data_of
from sim.common.vectors import Arrays, ArraySpec, check_arrays
from sim.pim.channel_run import banks_of, is_legal
from sim.pim.device_model import Device
from sim.pim.random_programs import random_program

LATENCY_BY_BENCH = True

INPUTS = {
    "program": ArraySpec("uint64", "(n,)", "instructions; the last one is EOC"),
    "write": ArraySpec("uint8", "(writes, column_bytes)", "columns of WR, in the program's order"),
    "load": ArraySpec(
        "uint8", "(loads, column_bytes)", "columns of WR_GB and beats of WR_BIAS, in the program's order"
    ),
}
OUTPUTS = {
    "read": ArraySpec("uint8", "(reads, column_bytes)", "columns of RD"),
    "result": ArraySpec("uint8", "(results, column_bytes)", "beats of RD_MAC"),
}
ROLES_IN, ROLES_OUT = ("write", "load"), ("read", "result")


def check(config: ChannelConfig, arrays: Mapping[str, Any]) -> None:
    """Refuse arrays that are not `INPUTS`, or are not what the program takes; columns that it does not have are (0, n).

    Raises
    ------
    ValueError
        With one line that names array, expected and received.
    """
    check_arrays(INPUTS, arrays, may_be_empty=True)
    program = decode_program(arrays["program"])
    if not program or program[-1].op != Op.EOC:
        raise ValueError("program must end in EOC")
    needs = beats_of(config, program)
    for name in ROLES_IN:
        wanted = (needs[name], config.column_bits // 8)
        if arrays[name].shape != wanted:
            raise ValueError(f"{name} must be {wanted} for this program, not {arrays[name].shape}")


def beats_of(config: ChannelConfig, program: list[Instruction]) -> dict[str, int]:
    """Beats that a program moves, by role."""
    count = dict.fromkeys((*ROLES_IN, *ROLES_OUT), 0)
    for one in obeyed(config, program):
        count["write"] += one.count * (one.op == Op.WR)
        count["load"] += one.count * (one.op == Op.WR_GB) + config.bias_beats * (one.op == Op.WR_BIAS)
        count["read"] += one.count * (one.op == Op.RD)
        count["result"] += config.result_beats * (one.op == Op.RD_MAC)
    return count


def model(config: ChannelConfig, arrays: Mapping[str, Any]) -> Arrays:
    """`OUTPUTS` by the golden model of the device. Raises as `check`."""
    check(config, arrays)
    return run(Device(config), config, arrays)


def run(device: Device, config: ChannelConfig, arrays: Mapping[str, Any]) -> Arrays:
    """What a golden model's device answers to a program, which it goes on from where it stands."""
    writes, loads = iter(arrays["write"]), iter(arrays["load"])
    out: dict[str, list[bytes]] = {"read": [], "result": []}
    for one in obeyed(config, decode_program(arrays["program"])):
        mask, columns = banks_of(one, config), range(one.col, one.col + one.count)
        bank = mask.bit_length() - 1
        if one.op == Op.WR_GB:
            for column in columns:
                device.write_buffer(one.gb, column, next(loads).view(device.element))
        elif one.op == Op.WR_BIAS:
            word = b"".join(next(loads).tobytes() for _ in range(config.bias_beats))[: config.bias_bits // 8]
            device.write_bias(mask, np.frombuffer(word, _result_type(config)), one.acc)
        elif one.op == Op.RD_MAC:
            answer = np.asarray(device.read_accumulators(mask, one.acc)).astype(_result_type(config)).tobytes()
            answer += int(device.checksum).to_bytes(4, "little") if config.checksum else b""
            out["result"].append(answer.ljust(config.result_beats * config.column_bits // 8, b"\0"))
        elif one.op in (Op.MAC_ABK, Op.MAC_SBK):
            device.multiply(mask, one.row, one.col, one.count, one.gb, one.acc)
        elif one.op == Op.RD:
            out["read"] += [np.asarray(device.read(bank, one.row, column)).tobytes() for column in columns]
        elif one.op == Op.WR:
            for column in columns:
                device.write(bank, one.row, column, next(writes).view(device.element))
    width = config.column_bits // 8
    return {name: np.frombuffer(b"".join(parts), np.uint8).reshape(-1, width) for name, parts in out.items()}


def pack(config: ChannelConfig, arrays: Mapping[str, Any]) -> dict[str, Beats]:
    """Traffic of the input streams. Raises as `check`."""
    check(config, arrays)
    words = np.ascontiguousarray(arrays["program"]).astype("<u8").view(np.uint8).reshape(-1, 8)
    return {"program": Beats(words)} | {name: Beats(np.ascontiguousarray(arrays[name])) for name in ROLES_IN}


def expected_beats(config: ChannelConfig, arrays: Mapping[str, Any]) -> dict[str, int]:
    """Beats that the output streams give."""
    count = beats_of(config, decode_program(arrays["program"]))
    return {name: count[name] for name in ROLES_OUT}


def unpack(config: ChannelConfig, arrays: Mapping[str, Any], outputs: Mapping[str, Beats]) -> Arrays:
    """`OUTPUTS` out of the traffic of the output streams."""
    count = expected_beats(config, arrays)
    return {name: data_of(outputs, name, count[name], config.column_bits // 8) for name in ROLES_OUT}


def operations(config: ChannelConfig, arrays: Mapping[str, Any]) -> int:
    """Useful operations: a multiplication and an addition for each element of a column that a bank multiplies."""
    macs = 0
    for one in obeyed(config, decode_program(arrays["program"])):
        if one.op in (Op.MAC_ABK, Op.MAC_SBK):
            macs += one.count * banks_of(one, config).bit_count()
    return 2 * config.lanes * macs


def random_arrays(config: ChannelConfig, seed: int, items: int) -> Arrays:
    """`INPUTS` for the seed: a random program of `items` instructions and EOC, some illegal; values of int8, or of bf16
    around 1. Without a device nothing answers, so nothing is read.

    Raises
    ------
    ValueError
        If `items` is below 1.
    """
    if items < 1:
        raise ValueError(f"items must be at least 1, not {items}")
    program = random_program(Random(seed), config, items)
    if not config.device:
        program = [one for one in program if one.op not in (Op.RD, Op.RD_MAC)]
    rng, count = np.random.default_rng(seed), beats_of(config, program)
    arrays: Arrays = {"program": encode_program(program)}
    for name in ROLES_IN:
        values = rng.integers(256, size=(count[name], config.column_bits // 8), dtype=np.uint8)
        if config.dtype == "bf16":
            values[:, 1::2] = values[:, 1::2] & 0x80 | rng.choice(np.array([0x3E, 0x3F, 0x40], np.uint8), ())
        arrays[name] = values
    return arrays


def obeyed(config: ChannelConfig, program: list[Instruction]) -> Iterator[Instruction]:
    """The instructions that are legal and this channel's."""
    return (one for one in program if one.ch_mask >> config.channel & 1 and is_legal(one, config))


def _result_type(config: ChannelConfig) -> npt.DTypeLike:
    return np.uint16 if config.dtype == "bf16" else np.int32
