"""The device's golden model: its arithmetic against ml_dtypes, float64 and whole numbers; its code; its states."""

import ml_dtypes
import numpy as np
import pytest

from hdl.pim.channel_config import ChannelConfig
from hdl.pim.commands import Command, Instruction, Op
from sim.pim import arithmetic
from sim.pim.device_model import Device
from sim.pim.secded import code

RANDOM = np.random.default_rng(1)
SMALL = {"banks": 4, "rows": 8, "columns": 8, "lanes": 8, "profile": "pimgpt", "act_group": 16}


def config(**changes):
    return ChannelConfig.parse(SMALL | changes)


def test_rounding_to_bf16_is_that_of_ml_dtypes():
    bits = RANDOM.integers(0, 1 << 32, 200_000, dtype=np.uint32)
    bits = np.concatenate([bits, (bits & np.uint32(0xFFFF0000)) | np.uint32(0x8000)])  # ties
    values = bits.view(np.float32)
    values = values[(np.abs(values) >= 2.0**-126) | (values == 0)]
    with np.errstate(all="ignore"):
        expected = values.astype(ml_dtypes.bfloat16).view(np.uint16)
    assert np.array_equal(arithmetic.rounded(values), np.where(np.isnan(values), 0x7FC0, expected))


def scalar_sum(a, b):
    """fp32 a + b through float64, which rounds the same; subnormals flushed."""
    with np.errstate(all="ignore"):
        made = np.float32(np.float64(a) + np.float64(b))
    return np.copysign(np.float32(0), made) if abs(made) < 2.0**-126 else made


@pytest.mark.parametrize("scale", [0, 60, 126])
def test_bf16_dot_product_is_the_tree_of_rounded_sums(scale):
    for _ in range(300):
        a, b = (
            (RANDOM.normal(size=8) * 2.0 ** RANDOM.integers(-scale, scale + 1, 8)).astype(ml_dtypes.bfloat16)
            for _ in range(2)
        )
        products = []
        for x, y in zip(a.astype(np.float64), b.astype(np.float64), strict=True):
            flush = [0.0 if abs(one) < 2.0**-126 else one for one in (x, y)]
            product = np.float64(flush[0] * flush[1])
            with np.errstate(all="ignore"):
                products.append(np.float32(0 if abs(product) < 2.0**-126 else product))
        while len(products) > 1:
            products = [scalar_sum(*products[at : at + 2]) for at in range(0, len(products), 2)]
        got = arithmetic.dot_bf16(a.view(np.uint16), b.view(np.uint16))
        assert got == products[0] or (np.isnan(got) and np.isnan(products[0]))


def test_bf16_special_values():
    one, infinity, nan, tiny = 0x3F80, 0x7F80, 0x7FC1, 0x0001
    dot = lambda a, b: arithmetic.rounded(arithmetic.dot_bf16(a, b))  # noqa: E731
    assert dot([infinity, one], [one, one]) == 0x7F80
    assert dot([infinity, infinity], [one, 0xBF80]) == 0x7FC0
    assert dot([nan, one], [one, one]) == 0x7FC0
    assert dot([infinity, one], [tiny, one]) == 0x7FC0  # a subnormal counts as zero
    assert dot([0x0080, 0], [0x3F00, 0]) == 0  # 2^-126 / 2
    assert dot([0x8080, 0x8000], [0x3F00, 0]) == 0x8000  # -0 + -0


def test_gemv_of_many_chunks_is_near_the_exact_one():
    weights = RANDOM.normal(size=(16, 100)).astype(ml_dtypes.bfloat16)
    vector = RANDOM.normal(size=100).astype(ml_dtypes.bfloat16)
    got = arithmetic.gemv_bf16(weights.view(np.uint16), vector.view(np.uint16), 8, [8, 4, 1]).astype(np.float64)
    exact = weights.astype(np.float64) @ vector.astype(np.float64)
    bound = np.abs(weights.astype(np.float64)) @ np.abs(vector.astype(np.float64)) * 5 * 2.0**-8
    assert (np.abs(got - exact) <= bound).all()


@pytest.mark.parametrize("bits", [4, 8, 16, 32, 64])
def test_secded_corrects_each_bit_and_detects_each_pair(bits):
    words = code(bits)
    total = bits + words.check_bits
    data = (
        RANDOM.integers(0, 1 << bits, 3, dtype=np.uint64, endpoint=False)
        if bits < 64
        else RANDOM.integers(0, 1 << 63, 3, dtype=np.uint64)
    )
    flips = [(a,) for a in range(total)] + [(a, b) for a in range(total) for b in range(a)]
    for word in data:
        check = words.encode(word)
        masks = [sum(1 << bit for bit in one) for one in flips]
        wrong = np.array([int(word) ^ (mask & ((1 << bits) - 1)) for mask in masks], np.uint64)
        checks = np.array([int(check) ^ (mask >> bits) for mask in masks], np.uint64)
        got, corrected, detected = words.decode(wrong, checks)
        single = np.arange(len(flips)) < total
        assert np.array_equal(corrected, single)
        assert np.array_equal(detected, ~single)
        assert np.array_equal(got, np.where(single, word, wrong))
    assert words.check_bits == {4: 4, 8: 5, 16: 6, 32: 7, 64: 8}[bits]


def test_int8_is_exact_and_wraps():
    device = Device(config(dtype="int8", checksum=True))
    cells = RANDOM.integers(-128, 128, (4, 8, 8), dtype=np.int8)
    vector = RANDOM.integers(-128, 128, (8, 8), dtype=np.int8)
    device.fill(3, cells)
    bias = np.array([5, -7, 2**31 - 1, -(2**31)])
    program = [
        Instruction(Op.WR_GB, count=8),
        Instruction(Op.WR_BIAS, bank_mask=15),
        Instruction(Op.MAC_ABK, bank_mask=15, row=3, count=8),
        Instruction(Op.RD_MAC, bank_mask=15),
        Instruction(Op.RD_MAC, bank_mask=15),
    ]
    first, second = device.run(program, [*vector, bias])
    exact = [
        sum(int(x) * int(y) for x, y in zip(one.ravel(), vector.ravel(), strict=True)) + int(start)
        for one, start in zip(cells, bias, strict=True)
    ]
    assert [int(one) for one in first] == [(value + 2**31) % 2**32 - 2**31 for value in exact]
    assert not second.any()
    assert "OVERFLOW" in device.status
    assert "CHECKSUM" not in device.status


def test_checksum_finds_a_wrong_accumulator_and_masks_do_not_trouble_it():
    device = Device(config(dtype="int8"))
    device.fill(0, RANDOM.integers(-128, 128, (4, 8, 8), dtype=np.int8))
    device.buffer[0] = RANDOM.integers(-128, 128, (8, 8), dtype=np.int8)
    device.write_bias(0b0110, np.array([1, 2, 3, 4]))
    device.multiply(0b1110, 0, 2, 3)
    device.read_accumulators(0b0100)
    device.multiply(0b0101, 0, 0, 2)
    device.read_accumulators(0b1111)
    assert device.status == set()
    device.multiply(0b1111, 0, 0, 8)
    device.accumulators[0, 2] += 1
    device.read_accumulators(0b1111)
    assert device.status == {"CHECKSUM"}


@pytest.mark.parametrize("dtype", ["bf16", "int8"])
def test_injected_errors_are_corrected_counted_and_scrubbed(dtype):
    device = Device(config(dtype=dtype, lanes=16))
    data = RANDOM.integers(0, 100, 16).astype(device.element)
    for bank in range(4):
        device.inject(bank, 1 << (17 * bank + 3), word=1)
        device.write(bank, 2, 5, data)
        assert not np.array_equal(device.row(2)[bank, 5], data)
        assert np.array_equal(device.read(bank, 2, 5), data)
    assert (device.corrected, device.detected) == (4, 0)
    for _ in range(2 * 8 + 6):
        device.refresh()
    assert device.corrected == 8
    assert np.array_equal(device.row(2)[:, 5], np.tile(data, (4, 1)))
    device.inject(3, 0b11)
    device.write(3, 1, 0, data)
    assert device.read(3, 1, 0)[0] == data[0] ^ 3
    assert (device.corrected, device.detected, device.first_error) == (8, 1, (3, 1, 0, 0))
    assert device.status == {"ECC_ERROR"}


def test_commands_act_on_what_is_open_and_illegal_ones_are_ignored():
    device = Device(config())
    ones = np.full(8, 0x3F80, np.uint16)
    device.issue(Command.WRGB, col=1, data=ones)
    device.issue(Command.WR, bank=0, col=1, data=ones)
    assert device.first_illegal == (Command.WR, "NOT_OPEN")
    device.issue(Command.ACTG, row=6)
    device.issue(Command.WR, bank=2, col=1, data=ones)
    device.issue(Command.ACT, bank=1, row=5)
    device.issue(Command.REF)
    device.issue(Command.MAC, bank_mask=15, col=1)
    assert device.issue(Command.RDMAC, bank_mask=15).tolist() == [0, 0, 0x4100, 0]
    device.issue(Command.PREA)
    device.issue(Command.REF)
    assert device.scrubbed == 1
    device.issue(Command.MAC, bank_mask=15, col=1)
    assert device.status == {"TIMING"}
    assert device.first_illegal == (Command.WR, "NOT_OPEN")
