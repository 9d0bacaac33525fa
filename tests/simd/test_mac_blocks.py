"""Block formats of `simd.mac` in Verilator: where the fp32 sum of blocks meets a block's sum, zeros, scales, ends."""

from __future__ import annotations

import numpy as np
import pytest

from flows.load import load_design
from flows.simd import Items, by_model, by_rtl
from hdl.common.format_table import IntFormat
from hdl.simd.config import MacConfig
from hdl.simd.mac import build
from hdl.simd.modes import ALL_MODES, MODES, SINGLE_MODES, STATUS
from sim.common.formats import encode
from sim.simd import mac_model, mac_vectors
from sim.simd.mac_stimulus import block_operands, negated
from sim.simd.mac_vectors import job_of

DEEP = pytest.mark.deep
BLOCK_MODES = [mode for mode in ALL_MODES if mode not in SINGLE_MODES]
MX = [mode for mode in BLOCK_MODES if mode != "nvfp4"]
PARAMS = {"modes": BLOCK_MODES, "outputs": ["bf16", "e4m3", "p16_1", "int8", "fp32"], "core_only": True}
UNDER, NAN = (1 << STATUS.index(name) for name in ("underflow", "nan"))
ONE_SCALE = {"nvfp4": 0x38} | dict.fromkeys(MX, 127)
PLACES = range(-40, 140)
"""Where the sum so far goes, counted as the aligner does: clamped below 0, kept above 127, `lost` below 24, and below
32 told apart from a block's sum by its size."""


@pytest.fixture(scope="module")
def block():
    def of(name):
        config = MacConfig.parse(PARAMS)
        return PARAMS, config, build(config)

    return of


everything = pytest.mark.parametrize("built", ["blocks"], indirect=True)


def given(mode, a, b, scale_a, scale_b, outputs=("fp32",)):
    """Arrays of these rows, in every one of the outputs, overflow saturated and infinite in turn."""
    jobs = [
        job_of(mode, outputs[row % len(outputs)], ("saturate", "inf")[row // len(outputs) % 2]) for row in range(len(a))
    ]
    arrays = {"job": np.array(jobs, np.uint16), "a": a.astype(np.uint16), "b": b.astype(np.uint16)}
    return arrays | {"scale_a": scale_a.astype(np.uint8), "scale_b": scale_b.astype(np.uint8)}


def results(built, arrays):
    """Codes and status of the Verilog, once they are the golden model's."""
    packed, right = mac_vectors.pack(built.config, arrays), mac_vectors.model(built.config, arrays)
    with built.harness() as harness:
        run = harness.run(packed, {"y": len(arrays["job"])}, stall_in=0, stall_out=0)
    got = mac_vectors.unpack(built.config, arrays, run.outputs)
    wrong = np.flatnonzero((got["y"] != right["y"]) | (got["status"] != right["status"]))
    for row in wrong[:1]:
        mode, output, overflow = mac_vectors.job_fields(int(arrays["job"][row]))
        found, wanted = ((hex(one["y"][row]), int(one["status"][row])) for one in (got, right))
        case = {name: arrays[name][row].tolist() for name in ("a", "b", "scale_a", "scale_b")}
        pytest.fail(
            f"{len(wrong)} wrong; row {row}, {mode.name} to {output}, {overflow}: {case} is {wanted}, not {found}"
        )
    return got["y"], got["status"]


def one_of(mode):
    """The code of 1."""
    return int(encode(MODES[mode].element, 1.0))


def sums_so_far(rng, mode, rows):
    """Three blocks a row, whose sum is a power of two, next to one, the sum of random blocks, subnormal, or 0."""
    element, size = MODES[mode].element, 32
    a, b = (codes.astype(np.int64) for codes in block_operands(rng, MODES[mode].block, (rows, 3 * size))[:2])
    kind = rng.integers(6, size=rows)
    start = np.where(kind == 4, rng.integers(-149, -126, rows), rng.integers(-100, 100, rows))
    # Blocks of single products, 2**start, +-2**(start - 23) or 24 places below, and nothing.
    few = kind != 3
    a[few], b[few] = 0, 0
    a[few, 0] = np.where(kind[few] == 5, 0, one_of(mode))
    b[few, 0] = np.where(rng.random(few.sum()) < 0.5, one_of(mode), negated(element, np.array([one_of(mode)]))[0])
    a[few, size] = np.where((kind[few] == 1) | (kind[few] == 2), one_of(mode), 0)
    b[few, size] = np.where(kind[few] == 1, b[few, 0], negated(element, b[few, 0].astype(np.uint16)))
    exponents = np.stack([start, start - np.where(kind == 1, 23, 24), start], axis=1)
    near = rng.integers(-20, 20, (rows, 3)) + start[:, None]
    total = np.where(few[:, None], exponents, near) + 254
    scale_a = np.clip(total // 2, 0, 254)
    return a, b, scale_a, total - scale_a


def last_blocks(rng, mode, rows):
    """A block a row: zeros, a one, the smallest product, two of them, the largest of all, or random; either sign."""
    element = MODES[mode].element
    largest = (1 << element.bits - 1) - 1 if isinstance(element, IntFormat) else element.max_code
    a, b, _, _ = block_operands(rng, MODES[mode].block, (rows, 32))
    kind = rng.integers(7, size=rows)
    for which, codes in ((0, [0]), (1, [one_of(mode)]), (2, [1]), (3, [1, 1]), (4, [largest] * 32), (5, [largest, 1])):
        chosen = kind == which
        a[chosen], b[chosen] = 0, 0
        a[np.ix_(chosen, range(len(codes)))] = codes
        minus = negated(element, np.array(codes, np.uint16))
        b[np.ix_(chosen, range(len(codes)))] = np.where(rng.random((chosen.sum(), 1)) < 0.5, codes, minus)
    return a, b


@DEEP
@pytest.mark.parametrize("mode", MX)
@everything
def test_mac_block_sums_meet_at_every_place(built, mode):
    """The scales of a row's last block are such that the sum so far comes to each place, the ends among them."""
    rng = np.random.default_rng([5, MODES[mode].code])
    places = np.repeat(PLACES, 400)
    a, b, scale_a, scale_b = sums_so_far(rng, mode, len(places))
    so_far = mac_model.dot(
        mode, a.astype(np.uint8), b.astype(np.uint8), scale_a=scale_a.astype(np.uint8), scale_b=scale_b.astype(np.uint8)
    )
    field = np.maximum(so_far.codes >> 23 & 0xFF, 1).astype(np.int64)
    total = field - built.config.leading_exponent(mode) - places
    reached = (total >= 0) & (total <= 2 * 254)
    assert reached.mean() > 0.7
    for borders in (range(-3, 3), range(21, 36), range(125, 131)):
        assert set(borders) <= set(places[reached].tolist())
    total = np.clip(total, 0, 2 * 254)
    last_a, last_b = last_blocks(rng, mode, len(places))
    last_scale = np.minimum(total, 254)
    codes, _ = results(
        built,
        given(
            mode,
            np.concatenate([a, last_a], axis=1),
            np.concatenate([b, last_b], axis=1),
            np.concatenate([scale_a, last_scale[:, None]], axis=1),
            np.concatenate([scale_b, (total - last_scale)[:, None]], axis=1),
        ),
    )
    kept = codes == so_far.codes
    assert 0.2 < kept.mean() < 0.9


def single_products(mode, exponents, signs):
    """A block for each of these exponents, (rows, blocks), of one product: sign * 2**exponent, sign from -1 to 1."""
    (rows, blocks), one = exponents.shape, one_of(mode)
    a, b = (np.zeros((rows, 32 * blocks), np.int64) for _ in range(2))
    minus = int(negated(MODES[mode].element, np.array([one], np.uint16))[0])
    a[:, ::32], b[:, ::32] = one, np.choose(signs + 1, [minus, 0, one])
    total = exponents + 254
    return a, b, total // 2, total - total // 2


@pytest.mark.parametrize("mode", MX)
@everything
def test_mac_block_sums_tie_or_just_not(built, mode):
    """A block's smallest sum, and the sum so far with a digit half its last place below, and 1, 0 or -1 at its own end,
    which lies below the accumulator or just above."""
    element = MODES[mode].element
    smallest = built.config.place(mode)
    grid = np.meshgrid(range(12, 32), (-1, 0, 1), (-1, 1), (-1, 1), (-1, 0))
    place, end, sign, last_sign, below = (axis.ravel() for axis in grid)
    digit = smallest - place + below
    kept = (digit > 0) & (digit < 23)
    place, end, sign, last_sign, digit = (axis[kept] for axis in (place, end, sign, last_sign, digit))
    exponents = np.stack([0 * digit, digit - 23, 0 * digit - 23], axis=1)
    a, b, scale_a, scale_b = single_products(mode, exponents, np.stack([sign, sign, sign * end], axis=1))
    total = 127 - built.config.leading_exponent(mode) - place
    assert ((total >= 0) & (total <= 2 * 254)).all()
    last = np.zeros((2, len(place), 32), np.int64)
    last[0, :, 0] = 1
    last[1, :, 0] = np.where(last_sign > 0, 1, negated(element, np.array([1], np.uint16))[0])
    operands = (np.concatenate([codes, more], axis=1) for codes, more in zip((a, b), last, strict=True))
    scales = (
        np.concatenate([scale, more[:, None]], axis=1)
        for scale, more in ((scale_a, total // 2), (scale_b, total - total // 2))
    )
    codes, _ = results(built, given(mode, *operands, *scales))
    assert len(np.unique(codes)) > len(codes) // 8


@pytest.mark.parametrize("mode", MX)
@everything
def test_mac_what_a_block_lost_is_forgotten_after_it(built, mode):
    """2**-80 is lost in 1; then 2**-24 is a tie, to even."""
    exponents = np.tile([-80, 0, -24], (4, 1))
    signs = np.array([[1, 1, 1], [-1, 1, 1], [1, -1, -1], [-1, -1, -1]])
    codes, _ = results(built, given(mode, *single_products(mode, exponents, signs)))
    assert codes.tolist() == [0x3F800000] * 2 + [0xBF800000] * 2


@pytest.mark.parametrize("dots", [1_000, pytest.param(100_000, marks=DEEP)])
@pytest.mark.parametrize("mode", BLOCK_MODES)
@everything
def test_mac_of_random_blocks(built, mode, dots):
    """Any output, scales far and near, a short last block."""
    length = 4 * MODES[mode].block.block_length - 3
    operands = block_operands(np.random.default_rng([6, MODES[mode].code]), MODES[mode].block, (dots, length))
    results(built, given(mode, *operands, outputs=PARAMS["outputs"]))


@pytest.mark.parametrize("mode", BLOCK_MODES)
@everything
def test_mac_multiplies_every_pair_of_a_block_format(built, mode):
    """All pairs of elements, of 8 bits every 7th; sums of two exact in fp32, so that a wrong place would show."""
    count = 1 << MODES[mode].element.bits
    pairs = np.arange(0, count * count, 7 if count == 256 else 1)
    rows = np.stack([pairs % count, pairs // count])[:, :, None]
    scale = np.full((len(pairs), 1), ONE_SCALE[mode])
    results(built, given(mode, *rows, scale, scale))


@DEEP
@everything
def test_mac_multiplies_every_pair_of_nvfp4_scales(built):
    """NaN and both signs among them; the sum of products is odd."""
    scale_a, scale_b = (codes.ravel()[:, None] for codes in np.meshgrid(np.arange(256), np.arange(256)))
    a, b = np.full((2, len(scale_a), 3), 1)
    _, status = results(built, given("nvfp4", a, b, scale_a, scale_b))
    assert (status == NAN).sum() == 2 * 2 * 256 - 4


@pytest.mark.parametrize("mode", MX)
@everything
def test_mac_block_sums_of_minus_zero(built, mode):
    """-2**-254 is rounded to -0, which leaves as -0 wherever there is one; a block of zeros more makes it +0."""
    a, b = (np.zeros((10, 33), np.int64) for _ in range(2))
    a[:, 0], b[:, 0] = one_of(mode), negated(MODES[mode].element, np.array([one_of(mode)], np.uint16))[0]
    scale = np.zeros((10, 2), np.int64)
    # One block, then two; bf16, e4m3, p16_1, int8, fp32.
    codes, status = results(built, given(mode, a[:, :32], b[:, :32], scale, scale, outputs=PARAMS["outputs"]))
    assert codes.tolist() == [0x8000, 0x80, 0, 0, 0x80000000] * 2
    assert status.tolist() == [UNDER] * 10
    codes, status = results(built, given(mode, a, b, scale, scale, outputs=PARAMS["outputs"]))
    assert (codes.tolist(), status.tolist()) == ([0] * 10, [UNDER] * 10)


@pytest.mark.parametrize("mode", BLOCK_MODES)
@everything
def test_mac_scale_that_is_nan_counts_whatever_it_scales(built, mode):
    """In any block, of zeros too, be it one element long; not in the row after."""
    size, nan = MODES[mode].block.block_length, 0x7F if mode == "nvfp4" else 0xFF
    rows = 12
    a, b = (np.zeros((rows, 2 * size + 1), np.int64) for _ in range(2))
    scale_a, scale_b = (np.full((rows, 3), ONE_SCALE[mode]) for _ in range(2))
    for row in range(0, rows, 2):
        (scale_a if row < 6 else scale_b)[row, row // 2 % 3] = nan
    codes, status = results(built, given(mode, a, b, scale_a, scale_b))
    assert (codes.tolist(), status.tolist()) == ([0x7FC00000, 0] * 6, [NAN, 0] * 6)


@pytest.mark.parametrize("mode", BLOCK_MODES)
@everything
def test_mac_blocks_end_with_the_packet(built, mode):
    """Rows of every length up to two blocks and a bit, one after the other."""
    size = MODES[mode].block.block_length
    lengths = np.arange(1, 2 * size + 3)
    operands = list(block_operands(np.random.default_rng(7), MODES[mode].block, (len(lengths), int(lengths[-1]))))
    for codes in operands[:2]:
        codes[np.arange(codes.shape[1]) >= lengths[:, None]] = 0
    arrays = given(mode, *operands)
    with built.harness() as harness:
        traffic = mac_vectors.pack_ragged(built.config, arrays, lengths)
        run = harness.run(traffic, {"y": len(lengths)}, stall_in=0.3, stall_out=0.3, seed=1)
    got = mac_vectors.unpack(built.config, arrays, run.outputs)
    right = mac_vectors.model_ragged(built.config, arrays, lengths)
    assert {name: codes.tolist() for name, codes in got.items()} == {
        name: codes.tolist() for name, codes in right.items()
    }


@DEEP
@pytest.mark.parametrize("mode", ["mxfp6_e2m3", "nvfp4", "int8"])
def test_simd_dot_of_blocks_is_the_same_in_rtl(mode):
    """Items of unequal lengths, an empty one among them, with scales where the format has them."""
    rng, block = np.random.default_rng(4), MODES[mode].block
    columns = {name: [] for name in ("a", "b", "scale_a", "scale_b")}
    for length in (33, 0, 5, 64, 33, 1):
        for name in ("a", "b"):
            columns[name].append(rng.integers(1 << MODES[mode].element.bits, size=length).astype(np.uint8))
        for name in ("scale_a", "scale_b"):
            count = -(-length // block.block_length) if block else 0
            columns[name].append(rng.integers(100, 160, count).astype(np.uint8))
    scales = [columns[name] if block else None for name in ("scale_a", "scale_b")]
    items = Items(MODES[mode], columns["a"], columns["b"], *scales, None, None)
    design = load_design("mac_full_core")
    got, right = (engine(design, items, "fp32", "inf") for engine in (by_rtl, by_model))
    assert (got.codes.tolist(), got.status.tolist()) == (right.codes.tolist(), right.status.tolist())
