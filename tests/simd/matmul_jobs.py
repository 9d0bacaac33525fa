"""Jobs of `simd.matmul` by hand: operands in memory, and what must come out, from exact integers."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hdl.common.format_table import ELEMENTS, PositFormat
from hdl.simd.modes import MODES, OUTPUT_FORMATS
from sim.common.formats import decode, encode_flags, to_odd

ADDRESS = {
    "format": 0x1C, "exponents": 0x20, "m": 0x24, "n": 0x28, "k": 0x2C, "a_address": 0x30, "a_stride": 0x34,
    "b_address": 0x38, "b_stride": 0x3C, "c_address": 0x40, "c_stride": 0x44, "bias_address": 0x48,
}  # fmt: skip
STATUS_ADDRESS, IRQ_ADDRESS, CONTROL_ADDRESS, CYCLES_ADDRESS, BEATS_ADDRESS = 0x10, 0x14, 0x18, 0x4C, 0x50
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
            special = (np.where(np.isfinite(a), 0, a)[:, None] * np.where(np.isfinite(b), 1, 0)[None]).sum(2)
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


def run(harness, job, memory, registers, after, *, cycles=200_000):
    """Runs a job to its end, looks at all of memory and status; cycles and beats that the design counted."""
    for name, value in registers.items():
        harness.write(ADDRESS[name], value)
    harness.write(IRQ_ADDRESS, DONE)
    harness.write(CONTROL_ADDRESS, 2)
    harness.write(CONTROL_ADDRESS, 1)
    memory.run(harness, cycles)
    for _ in range(20):
        memory.step(harness)
    memory.idle(harness)
    status = harness.read(STATUS_ADDRESS)
    harness.write(STATUS_ADDRESS, 0xFF)
    wrong = np.flatnonzero(memory.data != after)
    assert not len(wrong), (
        f"{len(wrong)} bytes, first at {wrong[0] - registers['c_address']:#x} of C: "
        f"{memory.data[wrong[:8]]} not {after[wrong[:8]]}"
    )
    assert status == DONE | job.expected()[1], f"status {status:#x}, not {DONE | job.expected()[1]:#x}"
    return harness.read(CYCLES_ADDRESS), harness.read(BEATS_ADDRESS)
