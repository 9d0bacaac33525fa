"""`simd.mac` as arrays in and arrays out, for every engine: rows of `a` and `b` are dot products, `job` says of what.

The same arrays go into the bare core, whose one stream has operands, job and scales side by side, and into the whole
block.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

import numpy as np
import numpy.typing as npt

from hdl.simd.config import MacConfig
from hdl.simd.modes import JOB_INFINITY, JOB_MODE, JOB_OUTPUT, MODES, OPERAND_BITS, OUTPUT_FORMATS, Mode
from sim.common.beats import Beats, data_of
from sim.common.formats import Overflow
from sim.common.stimulus import last_flags
from sim.common.vectors import Arrays, ArraySpec, check_arrays
from sim.simd import mac_model
from sim.simd.mac_stimulus import block_operands, operands

INPUTS = {
    "job": ArraySpec(
        "uint16", "(n,)", "of each row: mode (bits 3:0), output format (7:4), overflow gives infinity (8)"
    ),
    "a": ArraySpec("uint16", "(n, length)", "first operand, codes of the row's mode"),
    "b": ArraySpec("uint16", "(n, length)", "second operand, codes of the row's mode"),
    "scale_a": ArraySpec("uint8", "(n, blocks)", "in designs with block formats: scales of the blocks of `a`"),
    "scale_b": ArraySpec("uint8", "(n, blocks)", "in designs with block formats: scales of the blocks of `b`"),
}
OUTPUTS = {
    "y": ArraySpec("uint32", "(n,)", "dot products of the rows, codes of the row's output format"),
    "status": ArraySpec("uint8", "(n,)", "nar (bit 0), nan, inf, overflow, underflow (bit 4)"),
}

RESULT_BYTES = 5
"""Four of code, one of status."""

_OPERAND_BYTES = OPERAND_BITS // 8
_JOB_END = JOB_INFINITY + 1
_SCALES = ("scale_a", "scale_b")
_BY_CODE = {mode.code: mode for mode in MODES.values()}


def job_of(mode: str, output: str, overflow: Overflow = "saturate") -> int:
    """The job of a dot product, by names of `MODES` and `OUTPUT_FORMATS`."""
    infinity = int(overflow == "inf")
    code, place = MODES[mode].code, OUTPUT_FORMATS.index(output)
    return code << JOB_MODE.start | place << JOB_OUTPUT.start | infinity << JOB_INFINITY


def job_fields(job: int) -> tuple[Mode, str, Overflow]:
    """Mode, output format, and what overflow gives; of a job that `check` lets through."""
    mode, output = (job >> field.start & (1 << field.stop - field.start) - 1 for field in (JOB_MODE, JOB_OUTPUT))
    return _BY_CODE[mode], OUTPUT_FORMATS[output], "inf" if job >> JOB_INFINITY & 1 else "saturate"


def inputs_of(config: MacConfig) -> dict[str, ArraySpec]:
    """`INPUTS` of a design: scales only where it has block formats. Of single formats nobody looks at them, nor at
    those behind a row's last block."""
    return {name: spec for name, spec in INPUTS.items() if config.block_modes or name not in _SCALES}


def check(config: MacConfig, arrays: Mapping[str, Any]) -> None:
    """Refuse arrays that are not `inputs_of` the config, jobs that it has not built, and codes that their mode has not.

    Raises
    ------
    ValueError
        With one line that names array, row, expected and received.
    """
    check_arrays(inputs_of(config), arrays)
    job = cast(npt.NDArray[np.uint16], arrays["job"])
    if (job >> _JOB_END).any():
        row = int(np.flatnonzero(job >> _JOB_END)[0])
        raise ValueError(f"job[{row}] must be in 0..{(1 << _JOB_END) - 1}, not {job[row]}")
    for what, field, names, built in (
        ("mode", JOB_MODE, {mode.code: name for name, mode in MODES.items()}, config.modes),
        ("output", JOB_OUTPUT, dict(enumerate(OUTPUT_FORMATS)), config.outputs),
    ):
        codes = job >> field.start & (1 << field.stop - field.start) - 1
        wrong = ~np.isin(codes, [code for code, name in names.items() if name in built])
        if wrong.any():
            row = int(np.flatnonzero(wrong)[0])
            known = ", ".join(f"{code} ({name})" for code, name in names.items() if name in built)
            received = f"{codes[row]} ({names.get(int(codes[row]), 'nothing')})"
            raise ValueError(f"job[{row}] must have one of the {what}s {known}, not {received}")
    for mode, rows in _rows_by_mode(job):
        length = arrays["a"].shape[1]
        if length > mode.most_products:
            raise ValueError(f"a must have at most {mode.most_products} codes a row in {mode.name}, not {length}")
        if mode.block and arrays["scale_a"].shape[1] < -(-length // mode.block.block_length):
            count, got = -(-length // mode.block.block_length), arrays["scale_a"].shape[1]
            raise ValueError(f"scale_a must have at least {count} codes a row in {mode.name}, not {got}")
        most = (1 << mode.element.bits) - 1
        for name in ("a", "b"):
            codes = arrays[name][rows]
            if codes.max() > most:
                row, place = np.argwhere(codes > most)[0]
                raise ValueError(
                    f"{name}[{rows[row]}, {place}] must be in 0..{most} for {mode.name}, not {codes[row, place]}"
                )


def model(config: MacConfig, arrays: Mapping[str, Any]) -> Arrays:
    """`OUTPUTS` by the golden model. Raises as `check`."""
    check(config, arrays)
    return model_ragged(config, arrays, np.full(len(arrays["job"]), arrays["a"].shape[1]))


def model_ragged(config: MacConfig, arrays: Mapping[str, Any], lengths: npt.NDArray[np.int64]) -> Arrays:
    """As `model`, of arrays that passed `check`, with rows that end after `lengths` (at least 1) elements. What lies
    behind their ends must be zeros."""
    job = arrays["job"]
    y, status = np.zeros(len(job), np.uint32), np.zeros(len(job), np.uint8)
    blocks = np.zeros(len(job), np.int64)
    for mode, rows in _rows_by_mode(job):
        if mode.block:
            blocks[rows] = -(-lengths[rows] // mode.block.block_length)
    for one, count in np.unique(np.stack([job, blocks]), axis=1).T.tolist():
        rows = np.flatnonzero((job == one) & (blocks == count))
        mode, output, overflow = job_fields(one)
        # A block more would be another addition, even one of zeros: minus zero does not outlive it.
        length = count * mode.block.block_length if mode.block else None
        scales = {name: arrays[name][rows, :count] for name in _SCALES} if mode.block else {}
        a, b = (_fitted(arrays[name][rows], length) for name in ("a", "b"))
        result = mac_model.dot(mode.name, a, b, **scales, out_format=output, overflow=overflow)
        y[rows], status[rows] = result.codes, result.status
    return {"y": y, "status": status}


def _fitted(codes: npt.NDArray[np.uint16], length: int | None) -> npt.NDArray[np.uint16]:
    """Rows cut or filled with zeros to a length, if there is one."""
    if length is None:
        return codes
    return np.pad(codes[:, :length], ((0, 0), (0, max(0, length - codes.shape[1]))))


def pack(config: MacConfig, arrays: Mapping[str, Any]) -> dict[str, Beats]:
    """Traffic of the input streams: a packet a row, zeros after the row's end up to a whole beat.

    Raises as `check`.
    """
    check(config, arrays)
    return pack_ragged(config, arrays, np.full(len(arrays["job"]), arrays["a"].shape[1]))


def pack_ragged(config: MacConfig, arrays: Mapping[str, Any], lengths: npt.NDArray[np.int64]) -> dict[str, Beats]:
    """As `pack`, of arrays that passed `check`, with rows that end after `lengths` (at least 1) elements.

    For `model_ragged` to say the same of such rows, what lies behind their ends must be zeros.
    """
    job = arrays["job"]
    beats = beats_of_rows(job, lengths)
    ends = np.cumsum(beats)
    traffic = {name: np.zeros((ends[-1], _OPERAND_BYTES), np.uint8) for name in ("a", "b")}
    scales = {name: np.zeros((ends[-1], 1), np.uint8) for name in _SCALES if config.block_modes}
    for mode, rows in _rows_by_mode(job):
        longest = int(beats[rows].max())
        # Beats of these rows, (rows, longest), and where those that a row has go in the stream.
        there = np.arange(longest) < beats[rows][:, None]
        places = (ends - beats)[rows][:, None] + np.arange(longest)
        for name, stream in traffic.items():
            stream[places[there]] = _slots(mode, arrays[name][rows], longest)[there]
        block = np.arange(longest) // (mode.beats_per_block or longest)
        for name, stream in scales.items():
            stream[places[there], 0] = arrays[name][rows][:, block][there]
    last = last_flags(beats.tolist())
    jobs = np.ascontiguousarray(job, "<u2").view(np.uint8).reshape(-1, 2)
    if config.core_only:
        parts = [traffic["a"], traffic["b"], np.repeat(jobs, beats, axis=0), *scales.values()]
        data = np.concatenate(parts, axis=1)
        return {"op": Beats(data, last)}
    found = {"job": Beats(jobs)} | {name: Beats(data, last) for name, data in traffic.items()}
    if scales:
        # A beat of scales with the first beat of each block.
        per_block = np.array([_BY_CODE[code].beats_per_block for code in (job & 15).tolist()])
        place = np.arange(ends[-1]) - np.repeat(ends - beats, beats)
        first = place % np.repeat(np.maximum(per_block, 1), beats) == 0
        chosen = first & np.repeat(per_block > 0, beats)
        found["scale"] = Beats(np.concatenate(list(scales.values()), axis=1)[chosen])
    return found


def beats_of_rows(job: npt.NDArray[np.uint16], lengths: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Beats that each row takes, by its mode and its elements."""
    beats = np.zeros(len(job), np.int64)
    for mode, rows in _rows_by_mode(job):
        beats[rows] = -(-lengths[rows] // mode.elements_per_beat)
    return beats


def expected_beats(config: MacConfig, arrays: Mapping[str, Any]) -> dict[str, int]:
    """Beats the stream `y` gives: one a row."""
    return {"y": len(arrays["job"])}


def unpack(config: MacConfig, arrays: Mapping[str, Any], outputs: Mapping[str, Beats]) -> Arrays:
    """`OUTPUTS` out of the traffic of the stream `y`: four bytes of code, little-endian, and one of status.

    Raises as `data_of`.
    """
    data = data_of(outputs, "y", len(arrays["job"]), RESULT_BYTES)
    codes = np.ascontiguousarray(data[:, :4]).view("<u4")[:, 0]
    return {"y": codes.astype(np.uint32), "status": data[:, 4].copy()}


def operations(config: MacConfig, arrays: Mapping[str, Any]) -> int:
    """Useful operations: a multiplication and an addition for each element of a row; padding does not count."""
    return 2 * int(arrays["a"].size)


def random_arrays(config: MacConfig, seed: int, items: int) -> Arrays:
    """`inputs_of` the config with n = `items` for the seed: all its modes and outputs, and both answers to an overflow.

    The length is drawn from 1 to four beats' worth of the densest mode; with block formats, every other time, from 1 to
    five blocks. Each row is of one kind of `sim.simd.mac_stimulus`, extreme values among them; most have no code that
    is no number. A single item is in the first of the modes.

    Raises
    ------
    ValueError
        If `items` is below 1.
    """
    if items < 1:
        raise ValueError(f"items must be at least 1, not {items}")
    rng = np.random.default_rng(seed)
    longest = 4 * max(MODES[mode].elements_per_beat for mode in config.modes)
    if config.block_modes and rng.random() < 0.5:
        longest = 5 * max(_block_length(mode) for mode in config.block_modes)
    length = int(rng.integers(1, longest, endpoint=True))
    if items == 1 and config.block_modes and not config.core_only:
        length += MODES[config.modes[0]].elements_per_beat  # two beats: the latency of one is not that of all others
    policies: tuple[Overflow, ...] = ("saturate", "inf")
    modes = config.modes if items > 1 else config.modes[:1]
    jobs = [job_of(mode, output, overflow) for mode in modes for output in config.outputs for overflow in policies]
    job = np.resize(rng.permutation(np.array(jobs, np.uint16)), items)
    rng.shuffle(job)
    return {"job": job} | random_operands(config, rng, job, length)


def random_operands(config: MacConfig, rng: np.random.Generator, job: npt.NDArray[np.uint16], length: int) -> Arrays:
    """All of `inputs_of` the config but the jobs, for these jobs and this length, as `random_arrays` has them."""
    arrays: Arrays = {name: np.zeros((len(job), length), np.uint16) for name in ("a", "b")}
    if config.block_modes:
        count = -(-length // min(_block_length(mode) for mode in config.block_modes))
        arrays |= {name: rng.integers(256, size=(len(job), count), dtype=np.uint8) for name in _SCALES}
    for mode, rows in _rows_by_mode(job):
        shape = (len(rows), length)
        if mode.block is None:
            arrays["a"][rows], arrays["b"][rows] = operands(rng, mode.element, shape)
        else:
            a, b, scale_a, scale_b = block_operands(rng, mode.block, shape)
            arrays["a"][rows], arrays["b"][rows] = a, b
            arrays["scale_a"][rows, : scale_a.shape[1]], arrays["scale_b"][rows, : scale_b.shape[1]] = scale_a, scale_b
    return arrays


def _block_length(mode: str) -> int:
    block = MODES[mode].block
    return block.block_length if block else 0


def _rows_by_mode(job: npt.NDArray[np.uint16]) -> list[tuple[Mode, npt.NDArray[np.intp]]]:
    """The modes that take part, each with the rows that are in it."""
    codes = job >> JOB_MODE.start & (1 << JOB_MODE.stop - JOB_MODE.start) - 1
    return [(_BY_CODE[int(code)], np.flatnonzero(codes == code)) for code in np.unique(codes)]


def _slots(mode: Mode, codes: npt.NDArray[np.uint16], beats: int) -> npt.NDArray[np.uint8]:
    """(rows, beats, bytes) of codes, (rows, length), of which those beyond the last beat are left out."""
    rows, wanted = len(codes), beats * mode.elements_per_beat
    padded = np.zeros((rows, wanted), np.uint16)
    padded[:, : codes.shape[1]] = codes[:, :wanted]
    slots = padded.reshape(rows, beats, mode.elements_per_beat)
    if mode.slot_bits == 4:
        return (slots[:, :, 0::2] | slots[:, :, 1::2] << 4).astype(np.uint8)
    if mode.slot_bits == 8:
        return slots.astype(np.uint8)
    words = np.zeros((rows, beats, _OPERAND_BYTES), np.uint8)
    words[:, :, 0], words[:, :, 1] = slots[:, :, 0] & 0xFF, slots[:, :, 0] >> 8
    return words
