"""`simd.matmul` from memory to memory, in Verilator: any products, in any formats, against exact integers.

The memory here holds the design to AXI4, and every byte of it is looked at afterwards.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest

from hdl.common.format_table import ELEMENTS, PositFormat
from hdl.simd.config import MatmulConfig
from hdl.simd.matmul import build
from hdl.simd.modes import MODES, OUTPUT_FORMATS
from sim.common.axi_memory import Memory
from sim.common.formats import decode, encode_flags, to_odd
from sim.simd.mac_stimulus import special_codes

DEEP = pytest.mark.deep

ADDRESS = {
    "format": 0x1C, "exponents": 0x20, "m": 0x24, "n": 0x28, "k": 0x2C, "a_address": 0x30, "a_stride": 0x34,
    "b_address": 0x38, "b_stride": 0x3C, "c_address": 0x40, "c_stride": 0x44, "bias_address": 0x48,
}  # fmt: skip
STATUS, IRQ, CONTROL, CYCLES, BEATS, JOBS = 0x10, 0x14, 0x18, 0x4C, 0x50, 0x54
DONE, NAR, NAN, INF, OVERFLOW, UNDERFLOW, BUS_ERROR, BAD_JOB = (1 << bit for bit in range(8))


@dataclass
class Job:
    """A product, its operands (codes) and options; `registers` is what it is started by."""

    mode: str
    output: str
    a: np.ndarray
    b: np.ndarray
    bias: np.ndarray | None = None
    bias_exponent: int = 0
    scale: int = 0
    relu: bool = False
    infinity: bool = False

    @property
    def shape(self):
        return self.a.shape[0], self.b.shape[0], self.a.shape[1]

    def expected(self):
        """Codes (M, N) and the status bits of all together."""
        element, output = MODES[self.mode].element, ELEMENTS[self.output]
        a, b = decode(element, self.a), decode(element, self.b)
        unit = -MODES[self.mode].product_exponent // 2
        whole = [np.ldexp(np.where(np.isfinite(x), x, 0), unit).astype(np.int64).astype(object) for x in (a, b)]
        low = -56  # no product and no bias has a smaller unit
        total = (whole[0] @ whole[1].T) * (1 << (-2 * unit - low))
        if self.bias is not None:
            total = total + self.bias.astype(object)[None] * (1 << (self.bias_exponent - low))
        with np.errstate(invalid="ignore"):
            special = np.zeros(total.shape)
            if not (np.isfinite(a).all() and np.isfinite(b).all()):
                special = (a[:, None] * b[None]).sum(2)
                special = np.where(np.isfinite(special), 0, special)
        value = np.where(special == 0, to_odd(total, low + self.scale), special)
        codes, over, under = encode_flags(output, value, "inf" if self.infinity else "saturate")
        nan, inf = np.isnan(value), np.isinf(value)
        if self.relu:
            is_nar = nan | (inf if isinstance(output, PositFormat) else False)
            zero = ~is_nar & np.signbit(value)
            codes, over, under, inf = (np.where(zero, 0, one) for one in (codes, over, under, inf))
        posit = isinstance(element, PositFormat)
        found = ((NAR if posit else NAN, nan), (INF, inf), (OVERFLOW, over), (UNDERFLOW, under))
        return codes.astype(np.int64), sum(bit for bit, where in found if where.any())

    def place(self, rng, bus_bytes, size):
        """Memory full of noise with the operands in it, and the registers; then the memory as it must be afterwards."""
        data = rng.integers(0, 256, size).astype(np.uint8)
        m, n, k = self.shape
        operand_bits = MODES[self.mode].slot_bits
        slot_bits = {6: 8}.get(ELEMENTS[self.output].bits, ELEMENTS[self.output].bits)

        def up(count):
            return -(-count // bus_bytes) * bus_bytes

        registers = {"m": m, "n": n, "k": k}
        place = 0
        matrices = (("a", m, k * operand_bits), ("b", n, k * operand_bits), ("c", m, n * slot_bits))
        for name, rows, bits in matrices:
            place += int(rng.integers(0, 80)) * bus_bytes
            stride = up(-(-bits // 8)) + bus_bytes * int(rng.integers(0, 3))
            registers |= {f"{name}_address": place, f"{name}_stride": stride}
            place += rows * stride
        registers["bias_address"] = place
        assert place + up(4 * n) <= size, place
        for name, codes in (("a", self.a), ("b", self.b)):
            self.write(data, codes, operand_bits, registers[f"{name}_address"], registers[f"{name}_stride"])
        if self.bias is not None:
            self.write(data, self.bias.astype(np.int64)[None] & 0xFFFFFFFF, 32, place, 0)
        overflow, relu, has_bias = (int(one) << bit for bit, one in
                                    ((8, self.infinity), (9, self.relu), (10, self.bias is not None)))  # fmt: skip
        formats = MODES[self.mode].code | OUTPUT_FORMATS.index(self.output) << 4
        registers["format"] = formats | overflow | relu | has_bias
        registers["exponents"] = (self.bias_exponent & 0xFF) | (self.scale & 0x7F) << 8
        after = data.copy()
        self.write(after, self.expected()[0], slot_bits, registers["c_address"], registers["c_stride"], whole=True)
        return data, registers, after

    @staticmethod
    def write(data, codes, slot_bits, address, stride, whole=False):
        """Rows of codes, densely; what is left of the last byte stays unless `whole`."""
        for row, line in enumerate(codes):
            packed = sum(int(code) << (slot_bits * place) for place, code in enumerate(line))
            bits = slot_bits * len(line)
            start = address + row * stride
            raw = bytearray(packed.to_bytes(-(-bits // 8), "little"))
            if bits % 8 and not whole:
                raw[-1] |= data[start + len(raw) - 1] & 0xF0
            data[start : start + len(raw)] = list(raw)


def start(harness, registers):
    Memory.idle(harness)
    for name, value in registers.items():
        harness.write(ADDRESS[name], value)
    harness.write(IRQ, DONE)
    harness.write(CONTROL, 2)
    harness.write(CONTROL, 1)


def run(harness, job, memory, registers, after):
    """Runs a job to its end; looks at all of memory and at the status. Cycles and beats that the design counted."""
    start(harness, registers)
    memory.run(harness, 200_000)
    for _ in range(20):
        memory.step(harness)
    memory.idle(harness)
    status = harness.read(STATUS)
    harness.write(STATUS, 0xFF)
    wrong = np.flatnonzero(memory.data != after)
    assert not len(wrong), (
        f"{job}: {len(wrong)} bytes, first at {wrong[0] - registers['c_address']:#x} of C: "
        f"{memory.data[wrong[:8]]} not {after[wrong[:8]]}"
    )
    assert status == DONE | job.expected()[1], f"{job}: status {status:#x}, not {DONE | job.expected()[1]:#x}"
    return harness.read(CYCLES), harness.read(BEATS)


ALL = {"modes": [mode for mode in MODES if MODES[mode].block is None], "outputs": list(OUTPUT_FORMATS)}
CONFIGS = {
    "small": {"modes": ["int8"], "outputs": ["int8", "int32"], "rows": 2, "columns": 2, "bus_bits": 64,
              "depth_beats": 16},
    "nibbles": {"modes": ["int4"], "outputs": ["int4"], "rows": 1, "columns": 2, "bus_bits": 32, "depth_beats": 16},
    "all": {**ALL, "rows": 3, "columns": 2, "bus_bits": 32, "depth_beats": 16},
    "column": {"modes": ["fp4", "p8_0"], "outputs": ["p8_0", "bf16"], "rows": 5, "columns": 1, "bus_bits": 512,
               "depth_beats": 16},
    "single": {"modes": ["e5m2"], "outputs": ["int32", "fp16"], "rows": 1, "columns": 1, "bus_bits": 32,
               "depth_beats": 32},
    "wide": {"modes": ["int4"], "outputs": ["int4", "int32"], "rows": 1, "columns": 16, "bus_bits": 32,
             "depth_beats": 16},
    "posit": {"modes": ["p16_1"], "outputs": ["p16_1", "fp32"], "rows": 2, "columns": 2, "bus_bits": 256,
              "depth_beats": 64},
}  # fmt: skip


@pytest.fixture(scope="module")
def block():
    def of(name):
        config = MatmulConfig.parse(CONFIGS[name])
        return CONFIGS[name], config, build(config)

    return of


def some_job(rng, config):
    """A job of any kind that the config can do; K small, or several chunks long."""
    mode, output = str(rng.choice(config.modes)), str(rng.choice(config.outputs))
    element = MODES[mode].element
    m, n = (int(rng.integers(1, 3 * size + 2)) for size in (config.rows, config.columns))
    k = int(rng.integers(1, 1 + int(rng.choice([6, 40, 80, 300]))))
    a, b = (rng.integers(0, 1 << element.bits, (rows, k)) for rows in (m, n))
    if rng.random() < 0.8:
        for codes in (a, b):
            codes[np.isin(codes, special_codes(element))] = 0
    bias = rng.integers(-(2**31), 2**31, n) >> int(rng.integers(0, 32)) if rng.random() < 0.6 else None
    scale = int(rng.integers(-64, 64)) if rng.random() < 0.4 else int(rng.integers(-12, 2))
    relu, infinity = (bool(rng.random() < 0.3) for _ in range(2))
    return Job(mode, output, a, b, bias, int(rng.integers(-56, 33)), scale, relu, infinity)


@pytest.mark.parametrize("jobs", [60, pytest.param(1000, marks=DEEP)])
@pytest.mark.parametrize(
    "built", ["small", "nibbles", "all", *(pytest.param(name, marks=DEEP) for name in list(CONFIGS)[3:])], indirect=True
)
def test_matmul_is_exact_in_any_memory(built, jobs):
    rng = np.random.default_rng(5)
    with built.harness() as harness:
        for seed in range(jobs):
            job = some_job(rng, built.config)
            data, registers, after = job.place(rng, built.config.bus_bytes, 1 << 16)
            stalls = {"words_a_cycle": float(rng.choice([1, 0.5])), "stall": float(rng.choice([0, 0.3, 0.8]))}
            memory = Memory(data, **stalls, latency_cycles=int(rng.integers(0, 30)), seed=seed)
            run(harness, job, memory, registers, after)


def int8_job(rng, m, n, k):
    return Job("int8", "int8", rng.integers(0, 256, (m, k)), rng.integers(0, 256, (n, k)), scale=-8)


@pytest.mark.parametrize("built", ["small"], indirect=True)
def test_matmul_tiles_follow_as_fast_as_they_are_read(built):
    """With a word a cycle from the memory, the array takes about as many cycles as there are words."""
    rng = np.random.default_rng(6)
    with built.harness() as harness:
        for k in (16, 24, 32):
            job = int8_job(rng, 16, 32, k)
            data, registers, after = job.place(rng, built.config.bus_bytes, 1 << 16)
            memory = Memory(data)
            cycles, beats = run(harness, job, memory, registers, after)
            words = sum(count for _, count in memory.reads)
            assert (beats, words) == (8 * 16 * k // 4, 8 * (16 + 1) * k // 4)
            assert cycles < words + 80


@pytest.mark.parametrize("built", ["small"], indirect=True)
def test_matmul_reads_nothing_twice_that_it_still_has(built):
    rng = np.random.default_rng(7)
    with built.harness() as harness:
        for m, n, k, rows_read in ((6, 6, 64, 6 + 3 * 6), (6, 2, 64, 6 + 2), (6, 6, 65, 2 * (3 * 6 + 3 * 6))):
            job = int8_job(rng, m, n, k)
            data, registers, after = job.place(rng, built.config.bus_bytes, 1 << 16)
            memory = Memory(data)
            run(harness, job, memory, registers, after)
            words = -(-k * 8 // built.config.bus_bits)
            whole = sum(beats for _, beats in memory.reads)
            assert whole == (rows_read * words if k <= 64 else rows_read // 2 * words), (m, n, k)


@pytest.mark.parametrize("built", ["small"], indirect=True)
def test_matmul_tells_of_memory_errors_and_goes_on(built):
    rng = np.random.default_rng(8)
    with built.harness() as harness:
        for name in ("a_address", "b_address", "c_address", None):
            job = int8_job(rng, 5, 5, 9)
            data, registers, after = job.place(rng, built.config.bus_bytes, 1 << 16)
            failing = frozenset([registers[name]]) if name else frozenset()
            memory = Memory(data, failing=failing)
            start(harness, registers)
            memory.run(harness, 5_000)
            np.testing.assert_array_equal(memory.data, after)
            assert bool(harness.read(STATUS) & BUS_ERROR) == (name is not None)
            harness.write(STATUS, 0xFF)


@pytest.mark.parametrize("built", ["small"], indirect=True)
def test_matmul_refuses_jobs_that_cannot_be_and_ignores_a_start_while_busy(built):
    rng = np.random.default_rng(9)
    job = int8_job(rng, 5, 5, 9)
    bad = [{"m": 0}, {"n": 0}, {"k": 0}, {"format": 0x50}, {"format": 0x45}, {"format": 0x05}, {"exponents": 33},
           {"exponents": 256 - 57}]  # fmt: skip
    bad += [{f"{x}_{what}": 8 * 50 + 4} for x in "abc" for what in ("address", "stride")]
    bad += [{"bias_address": 4, "format": 0x455}]
    with built.harness() as harness:
        for wrong in bad:
            data, registers, after = job.place(rng, built.config.bus_bytes, 1 << 16)
            memory = Memory(data.copy())
            start(harness, registers | wrong)
            for _ in range(30):
                memory.step(harness)
            assert harness.read(STATUS) == DONE | BAD_JOB, wrong
            assert (memory.reads, memory.writes, harness.read(JOBS)) == ([], [], 0)
            harness.write(STATUS, 0xFF)
        memory = Memory(data)
        start(harness, registers)
        harness.write(CONTROL, 1)
        memory.run(harness, 5_000)
        np.testing.assert_array_equal(memory.data, after)
        for _ in range(300):
            memory.step(harness)
        assert (harness.read(JOBS), harness.read(STATUS) >> 8) == (1, 0)


@pytest.mark.parametrize("built", ["small"], indirect=True)
def test_matmul_forgets_everything_at_reset(built):
    rng = np.random.default_rng(10)
    with built.harness() as harness:
        for cycles in (3, 20, 60, 150, 300):
            job = int8_job(rng, 7, 9, 70)
            data, registers, after = job.place(rng, built.config.bus_bytes, 1 << 16)
            start(harness, registers)
            memory = Memory(data.copy())
            for _ in range(cycles):
                memory.step(harness)
            memory.idle(harness)
            harness.reset()
            run(harness, job, Memory(data), registers, after)


@pytest.mark.parametrize("built", ["small"], indirect=True)
def test_matmul_handshakes_do_not_wait_for_each_other_within_a_cycle(built):
    inputs = [f"m_axi_{name}" for name in ("arready", "awready", "wready", "rvalid", "bvalid")]
    built.assert_handshakes_independent(inputs, data=["m_axi_rdata"])
