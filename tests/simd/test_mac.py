"""`simd.mac` in Verilator: the cocotb bench, and dot products in bulk against the golden model."""

from __future__ import annotations

import numpy as np
import pytest

from flows.load import load_design
from hdl.simd.config import MacConfig
from hdl.simd.mac import build
from hdl.simd.modes import MODES, SINGLE_MODES, default_output
from sim.common.harness import HarnessError
from sim.simd import mac_vectors
from sim.simd.mac_stimulus import negated
from sim.simd.mac_vectors import job_of

DEEP = pytest.mark.deep
QUAD, FULL, QUAD_FPGA = "mac_quad_core", "mac_full_core", "mac_quad_fpga_core"
DESIGNS = [QUAD, FULL, QUAD_FPGA]
STALLS = [(0.0, 0.0), (0.4, 0.4), (0.7, 0.1), (0.1, 0.7)]
QUICK_DOTS = {QUAD: 10_000, QUAD_FPGA: 5_000}  # of a mode, over all stalls
DEEP_DOTS = {
    QUAD: 100_000,
    FULL: 20_000,
    QUAD_FPGA: 100_000,
    "fpga": 10_000,
}  # `bench/simd.py wrong` has 100,000 of all
SMALL = {"modes": ["fp4", "p8_0"], "outputs": ["p8_0", "e5m2"], "core_only": True}
WHOLE = {"modes": ["fp4", "nvfp4"], "outputs": ["p8_0", "fp32"]}
BLOCKS = {"modes": ["mxfp4", "nvfp4", "p8_0"], "outputs": ["e5m2", "p16_1"], "core_only": True}
CONFIGS = {name: load_design(name).config.model_dump(mode="json") for name in DESIGNS}
FPGA = CONFIGS[FULL] | {"modes": list(SINGLE_MODES), "technology": "fpga"}
CONFIGS |= {"fpga": FPGA, "small": SMALL, "blocks": BLOCKS, "whole": WHOLE}

MODES_OF = [
    pytest.param(name, mode, marks=DEEP) if name == "fpga" else (name, mode)
    for name in [*DESIGNS, "fpga"]
    for mode in SINGLE_MODES
    if mode in CONFIGS[name]["modes"] and mode != "p16_1"
]
"""Designs with the single formats of which all pairs of operands can be tried."""


@pytest.fixture(scope="module")
def block():
    def of(name):
        config = MacConfig.parse(CONFIGS[name])
        return CONFIGS[name], config, build(config)

    return of


def compare(built, arrays, **options):
    """The run's result, once it equals the golden model's."""
    packed, expected = mac_vectors.pack(built.config, arrays), mac_vectors.expected_beats(built.config, arrays)
    with built.harness() as harness:
        result = harness.run(packed, expected, **options)
    got = mac_vectors.unpack(built.config, arrays, result.outputs)
    right = mac_vectors.model(built.config, arrays)
    for row in np.flatnonzero((got["y"] != right["y"]) | (got["status"] != right["status"]))[:1]:
        mode, output, overflow = mac_vectors.job_fields(int(arrays["job"][row]))
        a, b = (arrays[name][row].tolist() for name in "ab")
        found, wanted = ((hex(one["y"][row]), int(one["status"][row])) for one in (got, right))
        pytest.fail(f"row {row}, {mode.name} to {output}, {overflow}: {a} · {b} is {wanted}, not {found}")
    return result


@DEEP
@pytest.mark.parametrize("built", ["small", "blocks", *DESIGNS], indirect=True)
def test_mac_bench_passes(built, tmp_path):
    assert len(built.bench_tests("sim.simd.mac_bench", tmp_path)) == 9 + 3 * len(built.config.modes)


@DEEP
@pytest.mark.parametrize("built", ["whole"], indirect=True)
def test_mac_whole_bench_passes(built, tmp_path):
    assert len(built.bench_tests("sim.simd.mac_bench", tmp_path)) == 8 + len(built.config.modes) + 2 * 1


@pytest.mark.parametrize("built", ["whole"], indirect=True)
def test_mac_control_bench_passes(built, tmp_path):
    assert len(built.bench_tests("sim.simd.mac_control_bench", tmp_path)) == 7


@pytest.mark.parametrize(("stall_in", "stall_out"), STALLS)
@pytest.mark.parametrize(
    ("built", "dots"),
    [*QUICK_DOTS.items(), *(pytest.param(name, dots, marks=DEEP) for name, dots in DEEP_DOTS.items())],
    indirect=["built"],
)
def test_mac_matches_the_model_on_random_dot_products(built, stall_in, stall_out, dots):
    seeds = 10  # each has its own length
    items = dots * len(built.config.modes) // len(STALLS) // seeds
    for seed in range(seeds):
        arrays = mac_vectors.random_arrays(built.config, [dots, int(100 * stall_in), seed], items)
        compare(built, arrays, stall_in=stall_in, stall_out=stall_out, seed=seed)


def all_pairs(mode, step=1):
    """Every pair of a mode's codes, or every step-th of them, as two columns."""
    count = 1 << MODES[mode].element.bits
    pairs = np.arange(0, count * count, step)
    return (pairs % count).astype(np.uint16)[:, None], (pairs // count).astype(np.uint16)[:, None]


def arrays_of(config, mode, a, b):
    """Arrays at the mode's default output, as far as the designs here have it."""
    jobs = np.full(len(a), job_of(mode, default_output(MODES[mode])), np.uint16)
    scales = (
        {}
        if not config.block_modes
        else mac_vectors.random_operands(config, np.random.default_rng(1), jobs, a.shape[1])
    )
    return scales | {"job": jobs, "a": a, "b": b}


@pytest.mark.parametrize(("built", "mode"), MODES_OF, indirect=["built"])
def test_mac_multiplies_every_pair(built, mode):
    """Of 8-bit modes, all pairs take long: here those with all modes take every 7th."""
    step = 7 if MODES[mode].slot_bits == 8 and built.params in (CONFIGS[FULL], FPGA) else 1
    compare(built, arrays_of(built.config, mode, *all_pairs(mode, step)), stall_in=0, stall_out=0)


@DEEP
@pytest.mark.parametrize("mode", ["int8", "p8_0", "e4m3", "e5m2"])
@pytest.mark.parametrize("built", [FULL, "fpga"], indirect=True)
def test_mac_multiplies_every_8_bit_pair(built, mode):
    compare(built, arrays_of(built.config, mode, *all_pairs(mode)), stall_in=0, stall_out=0)


def between_opposites(config, mode, step):
    """Every step-th pair, between the largest product and its opposite, each in a beat of its own."""
    element, lanes = MODES[mode].element, MODES[mode].elements_per_beat
    largest = np.uint16(getattr(element, "max_code", (1 << (element.bits - 1)) - 1))
    a_pair, b_pair = all_pairs(mode, step)
    a, b = (np.zeros((len(a_pair), 2 * lanes + 1), np.uint16) for _ in range(2))
    a[:, 0], a[:, [lanes]], a[:, 2 * lanes] = largest, a_pair, negated(element, np.array([largest]))[0]
    b[:, 0], b[:, [lanes]], b[:, 2 * lanes] = largest, b_pair, largest
    return arrays_of(config, mode, a, b)


@pytest.mark.parametrize("step", [11, pytest.param(1, marks=DEEP)])
@pytest.mark.parametrize(("built", "mode"), MODES_OF, indirect=["built"])
def test_mac_loses_nothing_where_large_products_cancel(built, mode, step):
    step = step if MODES[mode].slot_bits == 8 else 1
    compare(built, between_opposites(built.config, mode, step), stall_in=0, stall_out=0)


@pytest.mark.parametrize("built", DESIGNS, indirect=True)
def test_mac_accumulates_the_largest_products_of_p16_1(built):
    """2**14 of 2**56 each, and below them one of 2**-56; then with the opposite sign."""
    a = np.full((3, (1 << 14) + 1), 0x7FFF, np.uint16)
    b = a.copy()
    a[:, -1] = b[:, -1] = 1
    a[1, :-1] = 0x8001
    a[2, : 1 << 13] = 0x8001
    compare(built, arrays_of(built.config, "p16_1", a, b))


@pytest.mark.parametrize("built", DESIGNS, indirect=True)
def test_mac_forgets_everything_at_reset(built):
    arrays = mac_vectors.random_arrays(built.config, 9, 200)
    for reset_at in (2, 9, 40, 133, 217):
        compare(built, arrays, seed=reset_at, reset_at=reset_at, stall_out=0.5)


@pytest.mark.parametrize("built", [QUAD, pytest.param("blocks", marks=DEEP)], indirect=True)
def test_mac_handshakes_do_not_wait_for_each_other_within_a_cycle(built):
    """No input reaches an output without a register between: neither a READY another READY nor a VALID."""
    inputs = ["s_axis_op_tvalid", "s_axis_op_tlast", "m_axis_y_tready"]
    built.assert_handshakes_independent(inputs, data=["s_axis_op_tdata"])


@DEEP
@pytest.mark.parametrize(
    ("built", "module", "operator", "other"),
    [
        ("small", "lanes", "^", "&"),
        ("blocks", "block_sum", "&", "|"),
        ("small", "aligner", "+", "-"),
        ("small", "accumulator", "kept_4 +", "kept_4 -"),
        ("small", "drain", "^", "&"),
        ("blocks", "scales", "+", "-"),
        ("blocks", "sequence", "&", "|"),
    ],
    indirect=["built"],
)
def test_mac_mutated_is_caught(built, module, operator, other, tmp_path):
    """An operator in the middle of a module becomes another: the vectors see it."""
    arrays = mac_vectors.random_arrays(built.config, 5, 5_000)
    compare(built, arrays, stall_in=0, stall_out=0)
    right = mac_vectors.model(built.config, arrays)
    with built.mutant(module, operator, other, tmp_path) as harness:
        try:
            result = harness.run(mac_vectors.pack(built.config, arrays), {"y": 5_000}, stall_in=0, stall_out=0)
        except HarnessError:
            return
    got = mac_vectors.unpack(built.config, arrays, result.outputs)
    assert any((got[name] != right[name]).any() for name in right)
