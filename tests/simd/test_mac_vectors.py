"""simd.mac as arrays: what is refused and how, and packing against a plain slow loop."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest

from hdl.common.format_table import ELEMENTS
from hdl.simd.config import MacConfig
from hdl.simd.modes import MODES, OUTPUT_FORMATS, SINGLE_MODES, STATUS
from sim.common.beats import Beats
from sim.common.formats import decode
from sim.common.vectors import Arrays
from sim.simd import mac_model, mac_vectors
from sim.simd.mac_stimulus import block_operands, extreme_codes, negated, operands, special_codes
from sim.simd.mac_vectors import job_fields, job_of

CORE = MacConfig(modes=SINGLE_MODES, outputs=OUTPUT_FORMATS, core_only=True)
WHOLE = CORE.model_copy(update={"core_only": False})
BLOCKS = MacConfig(modes=("fp4", "mxfp8_e5m2", "nvfp4"), outputs=("e5m2", "fp32"), core_only=True)
FEW = MacConfig(modes=("fp4", "p16_1"), outputs=("p8_0", "fp32"), core_only=True)
JOBS = np.array([job_of("fp4", "p8_0"), job_of("p16_1", "fp32", "inf")], np.uint16)
CODES = np.array([[1, 2, 15], [0, 0x8000, 0xFFFF]], np.uint16)
GOOD = {"job": JOBS, "a": CODES, "b": CODES}


def with_codes(name: str, row: int, place: int, code: int) -> Arrays:
    codes = CODES.copy()
    codes[row, place] = code
    return GOOD | {name: codes}


def with_job(row: int, job: int) -> Arrays:
    jobs = JOBS.copy()
    jobs[row] = job
    return GOOD | {"job": jobs}


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"a": CODES, "b": CODES}, "job is missing; it must be uint16 (n,)"),
        (GOOD | {"jobs": JOBS}, 'jobs is not an array of this block; did you mean "job"?'),
        (GOOD | {"a": CODES.astype(np.uint8)}, "a must be uint16 (n, length), not uint8 (2, 3)"),
        (GOOD | {"job": JOBS.astype(np.int64)}, "job must be uint16 (n,), not int64 (2,)"),
        (GOOD | {"b": CODES[:, :2]}, "b must be uint16 (n, length) with length = 3 as in a, not uint16 (2, 2)"),
        (GOOD | {"a": CODES[:1]}, "a must be uint16 (n, length) with n = 2 as in job, not uint16 (1, 3)"),
        (GOOD | {"a": CODES[:, :0]}, "a must be uint16 (n, length) with length at least 1, not uint16 (2, 0)"),
        (with_job(1, 0x200), "job[1] must be in 0..511, not 512"),
        (with_job(1, job_of("p8_0", "p8_0")), "job[1] must have one of the modes 0 (fp4), 3 (p16_1), not 2 (p8_0)"),
        (with_job(0, job_of("mxfp4", "fp32")), "job[0] must have one of the modes 0 (fp4), 3 (p16_1), not 13 (mxfp4)"),
        (with_job(0, 15 | 2 << 4), "job[0] must have one of the modes 0 (fp4), 3 (p16_1), not 15 (nothing)"),
        (with_job(1, job_of("fp4", "fp4")), "job[1] must have one of the outputs 2 (p8_0), 12 (fp32), not 0 (fp4)"),
        (with_job(1, 14 << 4), "job[1] must have one of the outputs 2 (p8_0), 12 (fp32), not 14 (nothing)"),
        (with_codes("a", 0, 2, 16), "a[0, 2] must be in 0..15 for fp4, not 16"),
        (with_codes("b", 0, 1, 0xFFFF), "b[0, 1] must be in 0..15 for fp4, not 65535"),
    ],
)
@pytest.mark.parametrize("function", [mac_vectors.check, mac_vectors.model, mac_vectors.pack])
def test_mac_vectors_refuse_other_arrays(function: Any, arrays: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        function(FEW, arrays)


def test_mac_vectors_job_says_mode_output_and_overflow() -> None:
    assert job_of("p4_1", "fp32", "inf") == 1 | 12 << 4 | 1 << 8
    jobs = {
        job_of(mode, output, overflow): (MODES[mode], output, overflow)
        for mode in MODES
        for output in OUTPUT_FORMATS
        for overflow in ("saturate", "inf")
    }
    assert len(jobs) == len(MODES) * len(OUTPUT_FORMATS) * 2
    assert {job: job_fields(job) for job in jobs} == jobs


def slow_beats(mode: str, codes: list[int]) -> list[int]:
    """Operand beats of a dot product as 32-bit words, element by element."""
    bits = MODES[mode].slot_bits
    lanes = {4: 8, 8: 4, 16: 1}[bits]
    words = []
    for start in range(0, len(codes), lanes):
        words.append(sum(code << bits * lane for lane, code in enumerate(codes[start : start + lanes])))
    return words


@pytest.mark.parametrize("length", [1, 2, 4, 5, 8, 9, 17])
def test_mac_vectors_pack_equals_a_plain_loop(length: int) -> None:
    rng = np.random.default_rng(length)
    modes = [str(mode) for mode in rng.permutation(list(SINGLE_MODES) * 3)]
    job = np.array([job_of(mode, "fp32") for mode in modes], np.uint16)
    arrays = {"job": job} | mac_vectors.random_operands(CORE, rng, job, length)
    expected: dict[str, list[int]] = {"a": [], "b": [], "op": []}
    last = []
    for row, mode in enumerate(modes):
        words = [slow_beats(mode, arrays[name][row].tolist()) for name in ("a", "b")]
        expected["a"] += words[0]
        expected["b"] += words[1]
        expected["op"] += [a | b << 32 | int(job[row]) << 64 for a, b in zip(*words, strict=True)]
        last += [False] * (len(words[0]) - 1) + [True]
    core, whole = mac_vectors.pack(CORE, arrays), mac_vectors.pack(WHOLE, arrays)
    assert (list(core), list(whole)) == (["op"], ["job", "a", "b"])
    for role, beats in {**core, **whole}.items():
        words = [int.from_bytes(beat.tobytes(), "little") for beat in beats.data]
        if role == "job":
            assert (words, beats.last) == (job.tolist(), None)
        else:
            assert beats.last is not None
            assert (words, beats.last.tolist()) == (expected[role], last)


def test_mac_vectors_pack_ragged_ends_rows_where_they_end() -> None:
    modes, lengths = ["p16_1", "fp4", "p8_0"], np.array([2, 9, 1])
    job = np.array([job_of(mode, "fp32") for mode in modes], np.uint16)
    arrays = {"job": job} | mac_vectors.random_operands(CORE, np.random.default_rng(1), job, 9)
    for name in ("a", "b"):
        arrays[name][np.arange(9) >= lengths[:, None]] = 0
    beats = mac_vectors.pack_ragged(CORE, arrays, lengths)["op"]
    words = [
        word
        for row, (mode, length) in enumerate(zip(modes, lengths, strict=True))
        for word in slow_beats(mode, arrays["a"][row, :length].tolist())
    ]
    assert [int.from_bytes(beat[:4].tobytes(), "little") for beat in beats.data] == words
    assert beats.last is not None
    assert beats.last.tolist() == [False, True, False, True, True]


def test_mac_vectors_pack_takes_any_memory_layout() -> None:
    arrays = mac_vectors.random_arrays(CORE, 4, 50)
    views = {"job": np.repeat(arrays["job"], 2)[::2], "a": np.asfortranarray(arrays["a"])}
    views["b"] = np.repeat(arrays["b"], 2, axis=1)[:, ::2]
    assert mac_vectors.pack(CORE, views)["op"].data.tobytes() == mac_vectors.pack(CORE, arrays)["op"].data.tobytes()


def test_mac_vectors_unpack_reads_code_and_status() -> None:
    data = np.array([[1, 2, 3, 0x84, 0x1F], [0xFF, 0, 0, 0, 0x10]], np.uint8)
    for layout in (data, np.asfortranarray(data)):
        got = mac_vectors.unpack(FEW, GOOD, {"y": Beats(layout)})
        assert (got["y"].dtype, got["y"].tolist()) == (np.uint32, [0x84030201, 0xFF])
        assert (got["status"].dtype, got["status"].tolist()) == (np.uint8, [0x1F, 0x10])
    with pytest.raises(ValueError, match=r"^y must be 2 beats of 5 bytes, not 1 of 5$"):
        mac_vectors.unpack(FEW, GOOD, {"y": Beats(data[:1])})
    with pytest.raises(ValueError, match=r"^y must be 2 beats of 5 bytes, not 2 of 4$"):
        mac_vectors.unpack(FEW, GOOD, {"y": Beats(data[:, :4])})


def test_mac_vectors_model_is_the_golden_model_row_by_row() -> None:
    arrays = mac_vectors.random_arrays(CORE, 2, 300)
    found = mac_vectors.model(CORE, arrays)
    assert {name: array.dtype for name, array in found.items()} == {"y": np.uint32, "status": np.uint8}
    for row in range(300):
        mode, output, overflow = job_fields(int(arrays["job"][row]))
        a, b = (arrays[name][row : row + 1] for name in ("a", "b"))
        alone = mac_model.dot(mode.name, a, b, out_format=output, overflow=overflow)
        assert (found["y"][row], found["status"][row]) == (alone.codes[0], alone.status[0])


def test_mac_vectors_expect_one_result_a_row_and_count_no_padding() -> None:
    assert mac_vectors.expected_beats(FEW, GOOD) == {"y": 2}
    assert mac_vectors.operations(FEW, GOOD) == 12


def test_mac_vectors_random_arrays_are_seeded_and_valid() -> None:
    first, again, other = (mac_vectors.random_arrays(BLOCKS, seed, 500) for seed in (1, 1, 2))
    assert list(first) == list(mac_vectors.inputs_of(BLOCKS))
    for name in mac_vectors.INPUTS:
        assert first[name].tobytes() == again[name].tobytes()
        assert first[name].tobytes() != other[name].tobytes()
    for config in (CORE, WHOLE, FEW, BLOCKS):
        for items in range(1, 40):
            arrays = mac_vectors.random_arrays(config, items, items)
            mac_vectors.check(config, arrays)
            assert len(arrays["job"]) == items
    with pytest.raises(ValueError, match=r"^items must be at least 1, not 0$"):
        mac_vectors.random_arrays(CORE, 0, 0)


def test_mac_vectors_random_arrays_hold_every_job_and_every_status() -> None:
    lengths = {mac_vectors.random_arrays(CORE, seed, 1)["a"].shape[1] for seed in range(300)}
    assert lengths == set(range(1, 33))
    arrays = mac_vectors.random_arrays(CORE, 1, 8 * 14 * 2 * 20)
    assert len(np.unique(arrays["job"])) == 8 * 14 * 2
    results = mac_vectors.model(CORE, arrays)
    for bit, name in enumerate(STATUS):
        assert 0.001 < (results["status"] >> bit & 1).mean() < 0.5, name
    plain = (results["status"] == 0).mean()
    assert 0.4 < plain < 0.9


def test_mac_vectors_of_a_design_without_blocks_have_no_scales() -> None:
    scales = np.zeros((2, 1), np.uint8)
    with pytest.raises(ValueError, match=r"^scale_a is not an array of this block; known: job, a, b$"):
        mac_vectors.check(FEW, GOOD | {"scale_a": scales, "scale_b": scales})
    with pytest.raises(ValueError, match=r"^scale_a is missing; it must be uint8 \(n, blocks\)$"):
        mac_vectors.check(BLOCKS, GOOD)


def test_mac_vectors_refuse_too_few_scales() -> None:
    codes, scales = np.zeros((2, 33), np.uint16), np.zeros((2, 2), np.uint8)
    arrays = {"a": codes, "b": codes, "scale_a": scales, "scale_b": scales}
    mac_vectors.check(
        BLOCKS, arrays | {"job": np.array([job_of("mxfp8_e5m2", "fp32"), job_of("fp4", "fp32")], np.uint16)}
    )
    jobs = np.array([job_of("fp4", "fp32"), job_of("nvfp4", "fp32")], np.uint16)
    with pytest.raises(ValueError, match=r"^scale_a must have at least 3 codes a row in nvfp4, not 2$"):
        mac_vectors.check(BLOCKS, arrays | {"job": jobs})


def test_mac_vectors_pack_gives_each_beat_the_scales_of_its_block() -> None:
    modes, lengths = ["nvfp4", "fp4", "mxfp8_e5m2"], np.array([41, 9, 35])
    job = np.array([job_of(mode, "fp32") for mode in modes], np.uint16)
    arrays = {"job": job} | mac_vectors.random_operands(BLOCKS, np.random.default_rng(1), job, 41)
    for name in ("a", "b"):
        arrays[name][np.arange(41) >= lengths[:, None]] = 0
    beats = mac_vectors.pack_ragged(BLOCKS, arrays, lengths)["op"]
    assert beats.data.shape == (6 + 2 + 9, 12)
    for place, name in ((10, "scale_a"), (11, "scale_b")):
        found, scales = beats.data[:, place].tolist(), arrays[name].tolist()
        assert found[:6] == [scales[0][index] for index in (0, 0, 1, 1, 2, 2)]
        assert found[8:] == [scales[2][0]] * 8 + [scales[2][1]]
    whole = mac_vectors.pack_ragged(BLOCKS.model_copy(update={"core_only": False}), arrays, lengths)["scale"]
    wanted = [[arrays[name][row][block] for name in ("scale_a", "scale_b")] for row, block in
              ((0, 0), (0, 1), (0, 2), (2, 0), (2, 1))]  # fmt: skip
    assert whole.last is None
    np.testing.assert_array_equal(whole.data, wanted)


def test_mac_vectors_model_of_ragged_rows_ends_with_their_last_block() -> None:
    """Minus zero stays, and the scales behind the end count for nothing."""
    job = np.array([job_of("mxfp8_e5m2", "fp32")] * 2, np.uint16)
    a, b = np.zeros((2, 64), np.uint16), np.zeros((2, 64), np.uint16)
    a[:, 0], b[:, 0] = 0x3C, 0xBC
    scales = np.array([[0, 0], [0, 0xFF]], np.uint8)
    arrays = {"job": job, "a": a, "b": b, "scale_a": scales, "scale_b": scales}
    found = mac_vectors.model_ragged(BLOCKS, arrays, np.array([32, 1]))
    assert (found["y"].tolist(), found["status"].tolist()) == ([0x80000000] * 2, [16] * 2)
    found = mac_vectors.model(BLOCKS, arrays)
    assert (found["y"].tolist(), found["status"].tolist()) == ([0, 0x7FC00000], [16, 18])


@pytest.mark.parametrize("mode", ["mxint8", "mxfp8_e5m2", "nvfp4"])
def test_mac_stimulus_of_blocks(mode: str) -> None:
    """Sums that vanish, subnormal, saturated and plain ones, and few scales that are NaN."""
    block = MODES[mode].block
    assert block is not None
    a, b, scale_a, scale_b = block_operands(np.random.default_rng(3), block, (3000, 3 * block.block_length - 5))
    nan = np.isnan(decode(block.scale, scale_a)) | np.isnan(decode(block.scale, scale_b))
    assert 0.02 < nan.any(axis=1).mean() < 0.15
    result = mac_model.dot(mode, a, b, scale_a=scale_a, scale_b=scale_b)
    magnitude = result.codes & 0x7FFFFFFF
    finite = magnitude < 0x7F800000
    assert (magnitude[finite] == 0).mean() < 0.4
    assert (finite & (magnitude > 0x00800000) & (magnitude < 0x7F000000)).mean() > 0.3
    if mode != "nvfp4":  # whose scales reach neither end of fp32
        assert (finite & (magnitude > 0) & (magnitude < 0x00800000)).mean() > 0.02
        assert (magnitude == 0x7F7FFFFF).mean() > 0.02
        differences = np.abs(np.diff(scale_a.astype(int) + scale_b, axis=1))
        assert set(range(130)) <= set(differences[~nan[:, 1:]].tolist())


@pytest.mark.parametrize("mode", SINGLE_MODES)
def test_mac_stimulus_knows_the_codes_of_a_format(mode: str) -> None:
    element = ELEMENTS[mode]
    codes = np.arange(1 << element.bits, dtype=np.uint16)
    values = decode(element, codes)
    assert special_codes(element).tolist() == codes[~np.isfinite(values)].tolist()
    finite = values[np.isfinite(values)]
    extremes = set(decode(element, extreme_codes(element)).tolist())
    assert {0.0, finite.max(), finite.min(), finite[finite > 0].min(), finite[finite < 0].max(), 1.0} <= extremes
    kept = values != finite.min() if mode.startswith("int") else np.isfinite(values)
    np.testing.assert_array_equal(decode(element, negated(element, codes[kept])), -values[kept])


@pytest.mark.parametrize("mode", SINGLE_MODES)
def test_mac_stimulus_cancels_and_underflows(mode: str) -> None:
    """Sums far below their terms, single rows of zeros, and few special codes."""
    element = ELEMENTS[mode]
    a, b = operands(np.random.default_rng(3), element, (2000, 9))
    special = np.isin(a, special_codes(element)) | np.isin(b, special_codes(element))
    assert special.any(axis=1).mean() < 0.15
    assert special.any() == bool(len(special_codes(element)))
    rows = ~special.any(axis=1)
    products = decode(element, a[rows]) * decode(element, b[rows])
    small = np.abs(products.sum(axis=1)) < np.abs(products).max(axis=1) / 4
    assert (small & (products != 0).all(axis=1)).any()
    assert ((products == 0).sum(axis=1) > 5).any()


def test_refuses_sums_that_the_accumulator_might_not_hold() -> None:
    codes = np.zeros((1, 1 << 15), np.uint16)
    arrays = {"job": np.array([job_of("p16_1", "fp32")], np.uint16), "a": codes, "b": codes}
    message = r"^a must have at most 32767 codes a row in p16_1, not 32768$"
    with pytest.raises(ValueError, match=message):
        mac_vectors.check(FEW, arrays)
    mac_vectors.check(FEW, arrays | {"a": codes[:, 1:], "b": codes[:, 1:]})
