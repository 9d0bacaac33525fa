"""`pim.device` in Verilator: random commands in bulk against the golden model."""

import ml_dtypes
import numpy as np
import pytest

from hdl.common.config import ConfigError
from hdl.pim.commands import Command
from hdl.pim.device_block import DeviceBlock
from hdl.pim.device_config import DeviceConfig
from sim.common.errors import HarnessError
from sim.pim import device_vectors

SMALL = {"banks": 4, "rows": 4, "columns": 8, "lanes": 4, "act_group": 2}
SLOW = {"base": "aim", "tFAW_cycles": 30}  # a MAC every two cycles, so that the accumulators' adder has a register
CONFIGS = {
    "tiny": {"profile": "pimgpt", "banks": 2, "rows": 4, "columns": 6, "lanes": 2, "dtype": "int8"},
    "bf16": {**SMALL, "profile": "pimgpt", "lanes": 2, "accumulators": 2, "gb_banks": 2},
    "bf16_slow": {**SMALL, "profile": SLOW, "banks": 2, "accumulators": 2, "row_buffers": 2},
    "int8": {**SMALL, "profile": "pimgpt", "dtype": "int8", "accumulators": 2, "row_buffers": 2, "checksum": True},
    "int8_wide": {**SMALL, "profile": "pimgpt", "banks": 8, "lanes": 32, "dtype": "int8", "gb_banks": 2, "ecc": False},
    "bf16_wide": {**SMALL, "profile": "pimgpt", "banks": 2, "lanes": 8, "columns": 5, "rows": 3},
}
DEEP = [pytest.param(name, marks=pytest.mark.deep) for name in CONFIGS if name != "tiny"]


@pytest.fixture(scope="module")
def block():
    def of(name):
        config = DeviceConfig.parse(CONFIGS[name])
        return CONFIGS[name], config, DeviceBlock(config)

    return of


@pytest.mark.parametrize("stalls", [(0.0, 0.0), (0.3, 0.6)])
@pytest.mark.parametrize("built", ["tiny", *DEEP], indirect=True)
def test_random_commands_match_the_model(built, stalls):
    config = built.config
    arrays = device_vectors.random_arrays(config, 5, 10_000)
    right = device_vectors.model(config, arrays)["answer"]
    stall_in, stall_out = stalls
    result = built.harness().run(
        device_vectors.pack(config, arrays), {"answer": len(right)}, stall_in=stall_in, stall_out=stall_out, seed=3
    )
    got = device_vectors.unpack(config, arrays, result.outputs)["answer"]
    np.testing.assert_array_equal(got, right)


@pytest.mark.deep
@pytest.mark.parametrize("built", ["bf16", "int8"], indirect=True)
def test_device_bench_passes(built, tmp_path):
    assert len(built.bench_tests("sim.pim.device_bench", tmp_path)) == 16


def answers(harness, config, arrays, count):
    result = harness.run(device_vectors.pack(config, arrays), {"answer": count}, stall_in=0, stall_out=0)
    return device_vectors.unpack(config, arrays, result.outputs)["answer"]


def status(harness, config):
    register = config.registers["device_status"]
    return {name for name, bit in register.decode(harness.read(register.offset_bytes)).items() if bit}


def tiles(config, count, bias, vector, columns):
    """For each tile its columns, written side by side in a row, multiplied by the vector onto biases, and read."""
    rows = [{"command": Command.ACT, "bank": bank} for bank in range(config.banks)]
    everybody = {"bank_mask": (1 << config.banks) - 1}
    steps = vector.shape[1]
    for tile in range(count):
        rows.append({"command": Command.WRMAC, **everybody, "data": bias[tile]})
        for col in range(steps):
            rows.append({"command": Command.WRGB, "col": col, "data": vector[tile, col]})
            for bank in range(config.banks):
                rows.append({"command": Command.WR, "bank": bank, "col": col, "data": columns[tile, col, bank]})
        rows += [{"command": Command.MAC, **everybody, "col": col} for col in range(steps)]
        rows.append({"command": Command.RDMAC, **everybody})
    return device_vectors.from_rows(config, rows)


def flushed(values):
    return np.where(np.abs(values) < np.float32(2.0**-126), np.copysign(np.float32(0), values), values)


def sums(accumulator, products):
    """numpy's float32: neighbours first, then to the accumulator, as declared."""
    while products.shape[-1] > 1:
        products = flushed(products[..., ::2] + products[..., 1::2])
    return flushed(accumulator + products[..., 0])


@pytest.mark.deep
@pytest.mark.parametrize("built", ["bf16", "bf16_wide"], indirect=True)
def test_bf16_sums_are_those_of_numpy_and_ml_dtypes(built):
    config, rng, count, steps = built.config, np.random.default_rng(2), 400, 5
    kind = ml_dtypes.bfloat16
    exponents = rng.integers(-8, 9, (count, 1, 1))
    vector = (rng.standard_normal((count, steps, config.lanes)) * 2.0**exponents).astype(kind)
    columns = rng.standard_normal((count, steps, config.banks, config.lanes)).astype(kind)
    bias = rng.standard_normal((count, config.banks)).astype(kind)
    vector[::40, 0, 0], vector[20::40, 0, 1] = np.inf, kind(2.0**-130)
    columns[::80, 1, :, 0] = np.nan
    got = answers(built.harness(), config, tiles(config, count, bias, vector, columns), count)
    with np.errstate(all="ignore"):
        right = bias.astype(np.float32)
        for col in range(steps):
            operands = flushed(columns[:, col].astype(np.float32)), flushed(vector[:, col, None].astype(np.float32))
            right = sums(right, flushed(operands[0] * operands[1]))
        codes = right.astype(kind).view(np.uint16)
    codes = np.where(np.isnan(right), 0x7FC0, codes).astype("<u2")
    np.testing.assert_array_equal(got.view("<u2")[:, : config.banks], codes)


def int8_tiles(config, rng, count, steps):
    vector = rng.integers(-128, 128, (count, steps, config.lanes), np.int8)
    columns = rng.integers(-128, 128, (count, steps, config.banks, config.lanes), np.int8)
    bias = rng.integers(-(2**31), 2**31, (count, config.banks)).astype("<i4")
    dots = np.einsum("tsl,tsbl->tb", vector.astype(np.int64), columns.astype(np.int64))
    return tiles(config, count, bias, vector, columns), dots, bias.astype(np.int64) + dots


@pytest.mark.deep
@pytest.mark.parametrize("built", ["int8"], indirect=True)
def test_int8_sums_and_their_checksum_are_exact(built):
    """The checksum is the sum of all dot products by brute force; only a sum that leaves int32 says so."""
    config, harness = built.config, built.harness()
    arrays, dots, sums = int8_tiles(config, np.random.default_rng(3), 300, 4)
    got = answers(harness, config, arrays, 300).view("<i4")
    np.testing.assert_array_equal(got[:, : config.banks], sums.astype(np.int32))
    np.testing.assert_array_equal(got[:, config.banks], dots.sum(1).astype(np.int32))
    assert status(harness, config) == ({"overflow"} if (sums != sums.astype(np.int32)).any() else set())


MUTANTS = [("device__rows", "&", "|"), ("macint8", "+", "-"), ("device__checksum", "+", "-")]


@pytest.mark.deep
@pytest.mark.parametrize("built", ["int8"], indirect=True)
@pytest.mark.parametrize(("module", "operator", "other"), MUTANTS)
def test_a_changed_operator_is_noticed(built, tmp_path, module, operator, other):
    config = built.config
    arrays = device_vectors.random_arrays(config, 5, 3000)
    right = device_vectors.model(config, arrays)["answer"]
    harness = built.mutant(module, operator, other, tmp_path)
    try:
        same = np.array_equal(answers(harness, config, arrays, len(right)), right)
    except HarnessError:  # more or fewer answers
        same = False
    assert not same or "checksum" in status(harness, config)


@pytest.mark.deep
@pytest.mark.parametrize("built", ["int8"], indirect=True)
def test_a_wrong_multiplier_is_told_by_the_checksum(built, tmp_path):
    config = built.config
    arrays, _, sums = int8_tiles(config, np.random.default_rng(4), 20, 4)
    harness = built.mutant("macint8", "*", "+", tmp_path)
    got = answers(harness, config, arrays, 20).view("<i4")[:, : config.banks]
    assert not np.array_equal(got, sums.astype(np.int32))
    assert "checksum" in status(harness, config)


def test_a_latency_that_the_device_cannot_keep_is_refused():
    with pytest.raises(ConfigError) as error:
        DeviceConfig.parse({"profile": "pimgpt", "dtype": "bf16", "lanes": 16, "device_latency_cycles": 15})
    assert str(error.value) == "params: device_latency_cycles must be at least 16, which the device takes, not 15"
