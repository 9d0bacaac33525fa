"""The model of pim.lut_gemv against Python's integers and fractions, its costs against a plain slow machine."""

from __future__ import annotations

import itertools
import re
from fractions import Fraction

import numpy as np
import pytest

from hdl.common.config import ConfigError
from hdl.pim.lut_gemv_config import LutGemvConfig
from sim.pim import lut_gemv_model, lut_gemv_vectors
from sim.pim.lut_gemv_model import LutCost, LutJob, converted

CONFIG = LutGemvConfig(group=4, tables=2, depth=16)
GOOD = {"group": 4, "tables": 2, "depth": 16}


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"group": 4, "tables": 2}, "params.depth is missing; it must be a whole number in 16..4096"),
        (GOOD | {"group": 7}, "params.group must be a whole number in 2..6, not 7"),
        (GOOD | {"group": 3, "tables": 1},
         "params: group times tables must be at least 4, as a job's header has 32 bits, not 3"),
        (GOOD | {"side": "weights"}, "params.side must be one of activation, weight, not 'weights' (a string)"),
        (GOOD | {"table": 2}, 'params.table is not a field; did you mean "tables"?'),
    ],
)  # fmt: skip
def test_lut_gemv_config_refuses(params, message):
    with pytest.raises(ConfigError, match=f"^{re.escape(message)}$"):
        LutGemvConfig.parse(params)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"job": np.array([1, 4], np.uint8)}, "job[0] must have bits in 2..8, not 1"),
        ({"job": np.array([4, 4 + 48], np.uint8)},
         "job[1] must have one of the formats 0 (int32), 1 (bf16), 2 (fp32), not 3"),
        ({"w": np.array([[8, 0]] * 3, np.int8)}, "w must be in -8..7 for the 4 bits of job[0], not 8"),
        ({"job": np.array([4], np.uint8)}, "x must be int8 (batch, k) with batch = 1 as in job, not int8 (2, 2)"),
    ],
)  # fmt: skip
def test_lut_gemv_vectors_refuse(changed, message):
    good = {"job": np.array([4, 4], np.uint8), "x": np.ones((2, 2), np.int8), "w": np.ones((3, 2), np.int8)}
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        lut_gemv_vectors.check(CONFIG, good | {"scale": np.ones(3, np.uint32)} | changed)


@pytest.mark.parametrize("side", ["activation", "weight"])
def test_lut_gemv_is_the_product_of_matrices(side):
    config = LutGemvConfig(group=4, tables=2, depth=16, side=side)
    rng = np.random.default_rng(5)
    x, w = rng.integers(-128, 128, (40, 19), np.int8), rng.integers(-128, 128, (23, 19), np.int8)
    job = np.full(40 if side == "activation" else 23, 8, np.uint8)
    y = lut_gemv_vectors.model(config, {"job": job, "x": x, "w": w, "scale": np.zeros(23, np.uint32)})["y"]
    want = [[sum(int(p) * int(q) for p, q in zip(row, column, strict=True)) for column in w] for row in x]
    np.testing.assert_array_equal(y.view(np.int32), want)


def value(kind, code):
    """The number that a finite code means."""
    bits = code if kind == "fp32" else code << 16
    field, fraction = bits >> 23 & 255, bits & 0x7FFFFF
    return (-1) ** (bits >> 31) * Fraction(fraction | (field > 0) << 23) * Fraction(2) ** (max(field, 1) - 150)


@pytest.mark.parametrize("kind", ["bf16", "fp32"])
def test_lut_gemv_converts_to_the_nearest_number_ties_to_even(kind):
    rng = np.random.default_rng(6)
    scale = lut_gemv_vectors.random_scales(rng, 4000)
    scale = scale[(scale >> 23 & 255) < 255]
    total = (rng.integers(-(2**31), 2**31, len(scale)) >> rng.integers(0, 32, len(scale))).astype(np.int32)
    scale[:600:2] &= 0xFF80_0000  # powers of two: ties are frequent
    infinity, sign, bits = (0x7F80, 15, 9) if kind == "bf16" else (0x7F80_0000, 31, 25)
    total[:600:2] = rng.integers(1 << (bits - 1), 1 << bits, len(total[:600:2])) | 1
    largest = value(kind, infinity - 1)
    ties = 0
    codes = converted(kind, total, scale).tolist()
    for code, integer, factor in zip(codes, total.tolist(), scale.tolist(), strict=True):
        exact = integer * value("fp32", factor)
        if exact == 0:
            assert code == 0
            continue
        assert code >> sign == (exact < 0)
        magnitude, exact = code & ~(1 << sign), abs(exact)
        if magnitude == infinity:
            half = (largest - value(kind, infinity - 2)) / 2
            assert exact >= largest + half
            continue
        error = abs(exact - value(kind, magnitude))
        for neighbour in {max(magnitude - 1, 0), min(magnitude + 1, infinity - 1)} - {magnitude}:
            other = abs(exact - value(kind, neighbour))
            assert error < other or (error == other and magnitude % 2 == 0)
            ties += error == other
    assert ties > 100


@pytest.mark.parametrize(
    ("total", "scale", "code"),
    [
        (3, 0x7F800000, 0x7F800000),
        (-3, 0x7F800000, 0xFF800000),
        (-3, 0xFF800000, 0x7F800000),
        (0, 0x7F800000, 0x7FC00000),
        (0, 0xFFC12345, 0x7FC00000),
        (5, 0x7F800001, 0x7FC00000),
        (0, 0xBF800000, 0),
        (-7, 0x80000000, 0),
        (-1, 1, 0x80000001),
        (2**31 - 1, 0x7F7FFFFF, 0x7F800000),
    ],
)
def test_lut_gemv_converts_what_is_special(total, scale, code):
    assert converted("fp32", np.array([total], np.int32), np.array([scale], np.uint32)).tolist() == [code]


class SlowTable:
    """Which sums are there, as tuples of bits, lowest first."""

    def __init__(self, group, full):
        names = list(itertools.product([0, 1], repeat=group))
        self.there = {name for name in names if full or sum(name) < 2}
        self.names = sorted(names, key=lambda name: name[::-1])  # as numbers

    def make(self, wanted):
        """One cycle: whether the wanted sum was there; and one more is."""
        there = wanted in self.there
        if not there:
            while without_lowest(wanted) not in self.there:
                wanted = without_lowest(wanted)
            self.there.add(wanted)
        else:
            self.there.update([name for name in self.names if name not in self.there][:1])
        return there


def without_lowest(name):
    place = name.index(1)
    return (*name[:place], 0, *name[place + 1 :])


def slow_cost(config, job):
    """Cycle by cycle, as the machine's description says."""
    cycles, lookups, waits = 1, 0, 0
    for start in range(0, len(job.table), config.elements):
        tables = [SlowTable(config.group, not config.pattern_cache) for _ in range(config.tables)]
        cycles += 1
        if not config.pattern_cache:
            waits += 2**config.group - 1 - config.group
        for vector in job.index[:, start : start + config.elements].tolist():
            padded = vector + [0] * (config.elements - len(vector))
            planes = [[element >> plane & 1 for element in padded] for plane in range(job.index_bits)]
            planes = [bits for bits in planes if any(bits)]
            lookups += len(planes)
            for bits in planes or [padded]:
                names = [tuple(bits[i : i + config.group]) for i in range(0, config.elements, config.group)]
                while False in [table.make(name) for table, name in zip(tables, names, strict=True)]:
                    waits += 1
                cycles += 1
    return LutCost(cycles + waits, lookups, waits)


@pytest.mark.parametrize("cache", [False, True])
@pytest.mark.parametrize(("group", "tables"), [(4, 1), (2, 3), (6, 2), (3, 4)])
def test_lut_gemv_costs_what_a_slow_machine_takes(group, tables, cache):
    config = LutGemvConfig(group=group, tables=tables, depth=64, pattern_cache=cache)
    for seed in range(6):
        arrays = lut_gemv_vectors.random_arrays(config, seed, 2)
        for job, _ in lut_gemv_vectors.jobs(config, arrays):
            assert lut_gemv_model.cost(config, job) == slow_cost(config, job)


@pytest.mark.parametrize(("group", "tables"), [(4, 4), (6, 1), (6, 4)])
def test_lut_gemv_waits_no_longer_with_a_cache(group, tables):
    """Every cycle makes a sum in every table that has not all of them."""
    rng = np.random.default_rng(1)
    for bits in (2, 4, 8):
        index = rng.integers(-(2 ** (bits - 1)), 2 ** (bits - 1), (16, 96)).astype(np.int8)
        costs = []
        for cache in (False, True):
            config = LutGemvConfig(group=group, tables=tables, depth=16, pattern_cache=cache)
            job = LutJob(np.ones(96, np.int8), index, bits, "int32", np.zeros(16, np.uint32))
            costs.append(lut_gemv_model.cost(config, job))
        assert costs[1].lookups == costs[0].lookups
        assert 0 < costs[1].waits < costs[0].waits == 96 // (group * tables) * (2**group - 1 - group)


def test_lut_gemv_flags_a_sum_that_leaves_int32_at_any_plane():
    low = np.full(2**17, -128, np.int8)
    job = LutJob(low, low[None], 8, "int32", np.zeros(1, np.uint32))
    result = lut_gemv_model.run(CONFIG, job)
    assert (result.y.tolist(), result.overflow) == ([2**31], True)
    less = low.copy()
    less[-1] = -127
    assert not lut_gemv_model.run(CONFIG, LutJob(less, low[None], 8, "int32", job.scale)).overflow
    # The planes under the sign's lead out of the range, and the sign's back into it.
    high, ones = np.full(2**17 + 8 * 259, 127, np.int8), np.full(8, -1, np.int8)
    table = np.concatenate([high, high[:8]])
    result = lut_gemv_model.run(CONFIG, LutJob(table, np.concatenate([high, ones])[None], 8, "int32", job.scale))
    assert (result.y.tolist(), result.overflow) == ([127 * 127 * len(high) - 8 * 127], True)
    assert not lut_gemv_model.run(CONFIG, LutJob(high, high[None], 8, "int32", job.scale)).overflow
