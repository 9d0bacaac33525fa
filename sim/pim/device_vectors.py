"""`pim.device` as arrays in and arrays out: commands of the device port, one a row, and the answers of RD and RDMAC."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from hdl.pim.commands import Command
from hdl.pim.device_config import HEADER_BITS, DeviceConfig
from hdl.pim.device_latency import loop_cycles
from sim.common.beats import Beats, data_of
from sim.common.vectors import Arrays, ArraySpec, check_arrays
from sim.pim.device_model import Device

LATENCY_BY_BENCH = True

INPUTS = {
    "command": ArraySpec("uint8", "(n,)", "codes of the commands; 0 is a cycle without one"),
    "bank": ArraySpec("uint8", "(n,)", "of ACT, PRE, RD, WR, MACB; the first of ACTG"),
    "bank_mask": ArraySpec("uint16", "(n,)", "of MAC, WRMAC, RDMAC"),
    "row": ArraySpec("uint16", "(n,)", "of ACT, ACTG"),
    "col": ArraySpec("uint8", "(n,)", "of RD, WR, MACB, MAC, WRGB"),
    "flags": ArraySpec("uint8", "(n,)", "bank of the global buffer (bit 0), accumulator set (1), row buffer (2)"),
    "data": ArraySpec("uint8", "(n, data_bytes)", "a column, of WR and WRGB; a bias for each bank, of WRMAC"),
}
OUTPUTS = {"answer": ArraySpec("uint8", "(answers, answer_bytes)", "columns of RD, results of RDMAC, zeros above them")}

USES: dict[int, tuple[str, ...]] = {
    Command.ACT: ("bank", "row"),
    Command.ACTG: ("bank", "row", "buf"),
    Command.PRE: ("bank",),
    Command.PREA: ("buf",),
    Command.RD: ("bank", "col"),
    Command.WR: ("bank", "col"),
    Command.MACB: ("bank", "col", "gb", "acc"),
    Command.MAC: ("bank_mask", "col", "gb", "acc", "buf"),
    Command.WRGB: ("col", "gb"),
    Command.WRMAC: ("bank_mask", "acc"),
    Command.RDMAC: ("bank_mask", "acc"),
}
"""Fields that count with a command; what stands in the others is nothing to it."""

SCRUB_CYCLES = 8
"""After REF without a bank command, here: any tRFC is longer."""

_WIDTHS = {"bank": 4, "bank_mask": 16, "row": 14, "col": 6, "flags": 3}
_CORNERS = np.array([0x0000, 0x8000, 0x0001, 0x7F7F, 0xFF7F, 0x0080, 0x3F80, 0xBF80, 0x7F80, 0xFF80, 0x7FC1], np.uint16)


def check(config: DeviceConfig, arrays: Mapping[str, Any]) -> None:
    """Refuse arrays that are not `INPUTS`.

    Raises
    ------
    ValueError
        With one line that names array, expected and received.
    """
    check_arrays(INPUTS, arrays)
    if arrays["data"].shape[1] != config.data_bits // 8:
        raise ValueError(f"data must be {config.data_bits // 8} bytes a row, not {arrays['data'].shape[1]}")
    for name, bits in _WIDTHS.items():
        if int(arrays[name].max()) >> bits:
            raise ValueError(f"{name} must be in 0..{(1 << bits) - 1}, not {arrays[name].max()}")


def model(config: DeviceConfig, arrays: Mapping[str, Any]) -> Arrays:
    """`OUTPUTS` by the golden model. Raises as `check`."""
    check(config, arrays)
    return {"answer": run(Device(config), config, arrays)}


def run(device: Device, config: DeviceConfig, arrays: Mapping[str, Any]) -> npt.NDArray[np.uint8]:
    """The answers of a golden model to commands, which it goes on from where it stands."""
    answers = []
    for index in range(len(arrays["command"])):
        command = int(arrays["command"][index])
        if command == Command.NOP:
            continue
        given = {name: int(arrays[name][index]) for name in ("bank", "bank_mask", "row", "col")}
        flags = int(arrays["flags"][index])
        given |= {"gb": flags & 1, "acc": flags >> 1 & 1, "buf": flags >> 2 & 1}
        fields = {name: given[name] for name in USES.get(command, ())}
        if command == Command.MACB:
            fields["bank_mask"] = 1 << given["bank"]
        answer = device.issue(command, **fields, data=_data(config, command, arrays["data"][index]))  # type: ignore[arg-type]
        if answer is not None:
            data = np.ascontiguousarray(answer).tobytes()
            if command == Command.RDMAC and config.checksum:
                data += int(device.checksum).to_bytes(4, "little")
            answers.append(data.ljust(config.answer_bits // 8, b"\0"))
    return np.frombuffer(b"".join(answers), np.uint8).reshape(-1, config.answer_bits // 8)


def from_rows(config: DeviceConfig, rows: Sequence[Mapping[str, Any]]) -> Arrays:
    """`INPUTS` of commands given one by one; what one leaves out is 0, its `data` is an array of elements."""
    arrays = {name: np.zeros(len(rows), spec.dtype) for name, spec in INPUTS.items() if name != "data"}
    arrays["data"] = np.zeros((len(rows), config.data_bits // 8), np.uint8)
    for index, row in enumerate(rows):
        for name, value in row.items():
            if name == "data":
                given = np.ascontiguousarray(value).view(np.uint8)
                arrays["data"][index, : len(given)] = given
            else:
                arrays[name][index] = value
    return arrays


def pack(config: DeviceConfig, arrays: Mapping[str, Any]) -> dict[str, Beats]:
    """Traffic of the stream `command`. Raises as `check`."""
    check(config, arrays)
    header = np.zeros(len(arrays["command"]), np.uint64)
    places = {"command": 0, "bank": 8, "bank_mask": 16, "row": 32, "col": 48, "flags": 56}
    for name, place in places.items():
        header |= arrays[name].astype(np.uint64) << np.uint64(place)
    head = header.astype("<u8").view(np.uint8).reshape(-1, HEADER_BITS // 8)
    return {"command": Beats(np.concatenate([head, arrays["data"]], 1))}


def expected_beats(config: DeviceConfig, arrays: Mapping[str, Any]) -> dict[str, int]:
    """Beats the stream `answer` gives: one for each RD and RDMAC that is legal."""
    return {"answer": len(model(config, arrays)["answer"])}


def unpack(config: DeviceConfig, arrays: Mapping[str, Any], outputs: Mapping[str, Beats]) -> Arrays:
    """`OUTPUTS` out of the traffic of the stream `answer`."""
    data = outputs["answer"].data
    return {"answer": data_of(outputs, "answer", len(data), config.answer_bits // 8)}


def operations(config: DeviceConfig, arrays: Mapping[str, Any]) -> int:
    """Useful operations: a multiplication and an addition for each element of a column that a bank multiplies."""
    macs = arrays["bank_mask"][arrays["command"] == Command.MAC]
    banks = sum(int(mask).bit_count() for mask in macs) + int((arrays["command"] == Command.MACB).sum())
    return 2 * config.lanes * banks


def random_arrays(config: DeviceConfig, seed: int, items: int) -> Arrays:
    """`INPUTS` of n = `items` for the seed: commands of all kinds on a few rows and columns, one in twenty illegal.

    Times are not kept but for what the device needs to work at all: MACs as far apart as its accumulators need, and
    nothing for the banks while a refresh scrubs.

    Raises
    ------
    ValueError
        If `items` is below 1.
    """
    if items < 1:
        raise ValueError(f"items must be at least 1, not {items}")
    rng = np.random.default_rng(seed)
    arrays = {name: np.zeros(items, spec.dtype) for name, spec in INPUTS.items() if name != "data"}
    arrays["data"] = _random_data(config, rng, items)
    opened = np.zeros((2, config.banks), bool)
    quiet = 0
    for index in range(items):
        if quiet or rng.random() < 0.05:
            quiet = max(0, quiet - 1)
            continue
        fields = _random_command(config, rng, opened)
        for name, value in fields.items():
            arrays[name][index] = value
        if fields["command"] == Command.REF:
            quiet = SCRUB_CYCLES
        elif fields["command"] in (Command.MAC, Command.MACB):
            quiet = loop_cycles(config.dtype, config.timing.tCCD_cycles) - 1
    return arrays


def _random_command(config: DeviceConfig, rng: np.random.Generator, opened: npt.NDArray[np.bool_]) -> dict[str, int]:
    """A command that is mostly legal where banks are open as said; says what is open after it."""
    kinds = [Command.ACT, Command.ACTG, Command.PRE, Command.PREA, Command.REF, Command.RD, Command.WR]
    kinds += [Command.MACB, Command.MAC, Command.WRGB, Command.WRMAC, Command.RDMAC, Command.TMOD]
    command = int(rng.choice(kinds, p=np.array([8, 5, 3, 1, 1, 10, 12, 8, 24, 14, 4, 9, 1]) / 100))
    wild = rng.random() < 0.05
    bank = int(rng.integers(config.banks))
    buffer = int(rng.integers(config.row_buffers)) if command in (Command.ACTG, Command.PREA, Command.MAC) else 0
    if command == Command.ACTG:
        bank -= bank % config.group_banks
    mask = int(rng.integers(1, 1 << config.banks)) if rng.random() < 0.4 else (1 << config.banks) - 1
    touched = np.zeros(config.banks, bool)
    match command:
        case Command.ACTG:
            touched[bank : bank + config.group_banks] = True
        case Command.MAC:
            touched = np.array([mask >> place & 1 for place in range(config.banks)], bool)
        case Command.PREA:
            touched[:] = True
        case _:
            touched[bank] = True
    is_open = opened[buffer]
    if not wild:
        if command in (Command.ACT, Command.ACTG) and (touched & is_open).any():
            command, touched = int(Command.PREA), np.ones(config.banks, bool)
        elif command in (Command.RD, Command.WR, Command.MACB, Command.MAC) and (touched & ~is_open).any():
            free = np.flatnonzero(~is_open)
            command, bank, buffer = int(Command.ACT), int(rng.choice(free)), 0
            touched = np.arange(config.banks) == bank
        elif command == Command.REF and opened.any():
            buffer = int(opened[1].any())
            command, touched = int(Command.PREA), np.ones(config.banks, bool)
    if command in (Command.ACT, Command.ACTG) and not (touched & opened[buffer]).any():
        opened[buffer] |= touched
    elif command in (Command.PRE, Command.PREA):
        opened[buffer] &= ~touched
    flags = int(rng.integers(config.gb_banks)) | int(rng.integers(config.accumulators)) << 1 | buffer << 2
    row, col = int(rng.integers(min(4, config.rows))), int(rng.integers(min(8, config.columns)))
    if wild and rng.random() < 0.5:  # numbers of all kinds, mostly of what there is not
        command, bank, mask = int(rng.integers(16)), int(rng.integers(16)), int(rng.integers(1 << config.banks))
        command = Command.NOP if command in (Command.ACT, Command.ACTG, Command.PRE, Command.PREA) else command
        row, col, flags = int(rng.integers(1 << 14)), int(rng.integers(64)), int(rng.integers(8))
    return {"command": command, "bank": bank, "bank_mask": mask, "row": row, "col": col, "flags": flags}


def _random_data(config: DeviceConfig, rng: np.random.Generator, items: int) -> npt.NDArray[np.uint8]:
    """Operands whose sums are neither all infinite nor all exact, corners among them."""
    size = config.data_bits // 8
    if config.dtype == "int8":
        data = rng.integers(0, 256, (items, size), np.uint8)
        data[rng.random((items, size)) < 0.1] = 0x80
        return data
    size //= 2
    exponents = rng.integers(110, 145, (items, size), np.uint16)
    codes = rng.integers(0, 1 << 16, (items, size), np.uint16) & 0x807F | exponents << 7
    wild = rng.random((items, size)) < 0.002
    codes[wild] = rng.choice(_CORNERS, int(wild.sum()))
    return codes.astype("<u2").view(np.uint8)


def _data(config: DeviceConfig, command: int, data: npt.NDArray[np.uint8]) -> npt.NDArray[Any] | None:
    """The operand that a command takes, as the golden model wants it."""
    if command == Command.WRMAC:
        kind = "<u2" if config.dtype == "bf16" else "<i4"
        return data[: config.bias_bits // 8].view(kind)
    if command in (Command.WR, Command.WRGB):
        kind = "<u2" if config.dtype == "bf16" else "i1"
        return data[: config.column_bits // 8].view(kind)
    return None
