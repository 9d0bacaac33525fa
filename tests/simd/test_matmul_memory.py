"""Where simd.matmul's operands and results lie, the registers of a job, and its traffic, against plain loops."""

from __future__ import annotations

import dataclasses
import itertools

import numpy as np
import pytest

from hdl.simd.config import MatmulConfig
from hdl.simd.modes import OUTPUT_FORMATS
from sim.simd import matmul_memory
from sim.simd.matmul_memory import Job
from sim.simd.matmul_traffic import traffic

OPERAND_BITS = {"fp4": 4, "p4_1": 4, "int4": 4, "p8_0": 8, "int8": 8, "e4m3": 8, "e5m2": 8, "p16_1": 16}
OUTPUT_BITS = OPERAND_BITS | {"e2m3": 8, "e3m2": 8, "fp16": 16, "bf16": 16, "fp32": 32, "int32": 32}
BASE = 0xFFFF0000
CONFIG = MatmulConfig.parse(
    {"modes": list(OPERAND_BITS), "outputs": list(OUTPUT_FORMATS), "rows": 3, "columns": 4, "depth_beats": 16}
)


def job_of(mode: str, output: str, m: int, n: int, k: int, **others: object) -> Job:
    places = {
        **{"a_address": BASE + 0x40, "a_stride": 0x60, "b_address": BASE + 0x1000, "b_stride": 0x58},
        **{"c_address": BASE + 0x2008, "c_stride": 0xA0, "bias_address": BASE + 0x3000},
    }
    return dataclasses.replace(Job(mode, output, m, n, k, **places), **others)


def put(memory: list[int], address: int, index: int, bits: int, code: int) -> None:
    """One element, bit by bit."""
    for bit in range(bits):
        place = (address - BASE) * 8 + index * bits + bit
        memory[place // 8] &= ~(1 << place % 8)
        memory[place // 8] |= (code >> bit & 1) << place % 8


def codes(rng: np.random.Generator, bits: int, shape: tuple[int, int]) -> np.ndarray:
    return rng.integers(0, 1 << bits, shape).astype(np.uint32)


@pytest.mark.parametrize("mode", OPERAND_BITS)
@pytest.mark.parametrize(("m", "n", "k"), [(1, 1, 1), (3, 5, 7), (4, 2, 16), (2, 9, 33)])
def test_matmul_operands_lie_where_the_layout_says(mode: str, m: int, n: int, k: int) -> None:
    rng = np.random.default_rng([m, n, k])
    job = job_of(mode, "int8", m, n, k, has_bias=True)
    a, b = codes(rng, OPERAND_BITS[mode], (m, k)), codes(rng, OPERAND_BITS[mode], (k, n))
    bias = rng.integers(-(2**31), 2**31, n).astype(np.int32)
    memory = rng.integers(0, 256, 0x4000).astype(np.uint8)
    right = memory.tolist()
    for row, place in itertools.product(range(m), range(k)):
        put(right, job.a_address + row * job.a_stride, place, OPERAND_BITS[mode], int(a[row, place]))
    for column, place in itertools.product(range(n), range(k)):
        put(right, job.b_address + column * job.b_stride, place, OPERAND_BITS[mode], int(b[place, column]))
    for column in range(n):
        put(right, job.bias_address, column, 32, int(bias[column]) % (1 << 32))
    matmul_memory.write_operands(memory, BASE, job, a, b, bias)
    assert memory.tolist() == right


@pytest.mark.parametrize("output", OUTPUT_BITS)
@pytest.mark.parametrize(("m", "n"), [(1, 1), (3, 5), (4, 8), (2, 31)])
def test_matmul_results_lie_where_the_layout_says(output: str, m: int, n: int) -> None:
    rng = np.random.default_rng([m, n])
    job = job_of("int8", output, m, n, 4)
    c = codes(rng, 6 if output in ("e2m3", "e3m2") else OUTPUT_BITS[output], (m, n))
    memory = rng.integers(0, 256, 0x4000).astype(np.uint8)
    right = memory.tolist()
    for row in range(m):
        for column in range(n):
            put(right, job.c_address + row * job.c_stride, column, OUTPUT_BITS[output], int(c[row, column]))
        if OUTPUT_BITS[output] == 4 and n % 2:
            put(right, job.c_address + row * job.c_stride, n, 4, 0)
    matmul_memory.write_results(memory, BASE, job, c)
    assert memory.tolist() == right
    assert matmul_memory.read_results(memory, BASE, job).tolist() == c.tolist()


def test_matmul_memory_without_bias_is_not_touched_there() -> None:
    memory = np.full(0x4000, 0xA5, np.uint8)
    job = job_of("int8", "int8", 2, 3, 4)
    matmul_memory.write_operands(memory, BASE, job, np.zeros((2, 4), np.uint8), np.zeros((4, 3), np.uint8))
    assert (memory == 0).sum() == 2 * 4 + 3 * 4
    assert "bias" not in job.areas


def test_matmul_registers_hold_the_job() -> None:
    job = job_of("e5m2", "fp32", 65535, 513, 1, has_bias=True, infinity=True, bias_exponent=-56, scale_exponent=-64)
    assert matmul_memory.register_values(CONFIG, job) == {
        "format": 7 | 12 << 4 | 1 << 8 | 1 << 10,
        "exponents": 0xC8 | 0x40 << 8,
        **{"m": 65535, "n": 513, "k": 1},
        **{"a_address": BASE + 0x40, "a_stride": 0x60, "b_address": BASE + 0x1000, "b_stride": 0x58},
        **{"c_address": BASE + 0x2008, "c_stride": 0xA0, "bias_address": BASE + 0x3000},
    }
    other = job_of("fp4", "int32", 1, 2, 3, relu=True, bias_exponent=32, scale_exponent=63)
    words = matmul_memory.register_values(CONFIG, other)
    assert (words["format"], words["exponents"]) == (13 << 4 | 1 << 9, 32 | 63 << 8)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"m": 65536}, "count must be in 0..65535, not 65536"),
        ({"a_address": 1 << 32}, "bytes must be in 0..4294967295, not 4294967296"),
        ({"scale_exponent": 64}, "scale must be in -64..63, not 64"),
        ({"bias_exponent": -129}, "bias must be in -128..127, not -129"),
    ],
)
def test_matmul_registers_refuse_what_does_not_fit(wrong: dict[str, int], message: str) -> None:
    with pytest.raises(ValueError, match=f"^{message}$"):
        matmul_memory.register_values(CONFIG, dataclasses.replace(job_of("int8", "int8", 1, 1, 1), **wrong))


@pytest.mark.parametrize(("mode", "k"), [("int8", 1), ("int8", 64), ("int8", 65), ("int8", 200), ("fp4", 129)])
@pytest.mark.parametrize(("m", "n"), [(1, 1), (3, 4), (4, 4), (3, 5), (10, 9)])
@pytest.mark.parametrize("output", ["fp4", "int8", "fp32"])
def test_matmul_traffic_is_that_of_its_loops(mode: str, k: int, m: int, n: int, output: str) -> None:
    bits, bus_bytes, chunk_bytes = OPERAND_BITS[mode], 8, 16 * 4
    total_bytes = -(-k * bits // 8)
    beats = operand_words = 0
    written = []
    loaded: dict[str, tuple[int, int] | None] = {"a": None, "b": None}
    for i, j in itertools.product(range(0, m, 3), range(0, n, 4)):
        for start in range(0, total_bytes, chunk_bytes):
            size = min(chunk_bytes, total_bytes - start)
            beats += -(-size // 4)
            for name, panel, rows in (("a", i, min(3, m - i)), ("b", j, min(4, n - j))):
                if loaded[name] != (panel, start):
                    operand_words += rows * -(-size // bus_bytes)
                loaded[name] = (panel, start)
        for row in range(i, min(i + 3, m)):
            nibbles = [column * OUTPUT_BITS[output] // 4 for column in range(j, min(j + 4, n))]
            written += sorted({(row, j, nibble // (2 * bus_bytes)) for nibble in nibbles})
    found = traffic(CONFIG, job_of(mode, output, m, n, k, has_bias=True))
    assert dataclasses.astuple(found) == (beats, operand_words, 4 * n, len(written))
