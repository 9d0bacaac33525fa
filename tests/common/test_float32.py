"""Single precision in gateware, held against numpy's float32 and ml_dtypes' bfloat16."""

import ml_dtypes
import numpy as np
import pytest
from amaranth.hdl import Cat, Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out
from amaranth.sim import Simulator

from hdl.common.float32 import FloatAdd, FloatMultiply, from_bfloat16, normalised, to_bfloat16
from sim.common.beats import Beats

NAN = 0x7FC00000
CORNERS = [0, 1, 0x7FFFFF, 0x800000, 0x800001, 0xFFFFFF, 0x3F800000, 0x3F7FFFFF, 0x33800000, 0x33800001, 0x34000000]
CORNERS += [0x7F7FFFFF, 0x7F000000, 0x7F800000, 0x7F800001, 0x7FC00000, 0x7FFFFFFF, 0x73000000, 0x72FFFFFF]
CORNERS = np.array(CORNERS + [code | 0x80000000 for code in CORNERS], np.uint32)


class ToBFloat16(wiring.Component):
    value: In(32)
    code: Out(16)

    def elaborate(self, platform):
        m = Module()
        m.d.comb += self.code.eq(to_bfloat16(m, self.value, "code"))
        return m


class FromBFloat16(wiring.Component):
    code: In(16)
    value: Out(32)

    def elaborate(self, platform):
        m = Module()
        m.d.comb += self.value.eq(from_bfloat16(m, self.code, "value"))
        return m


class Pipelines(wiring.Component):
    """Every stage count of every component on the same operands: a stream of pairs in, one of all results out."""

    def __init__(self):
        self.cores = {f"add_{n}": (FloatAdd(n), n) for n in range(6)}
        self.cores |= {f"multiply_{n}": (FloatMultiply(24, n), n) for n in range(3)}
        self.cores |= {f"narrow_{n}": (FloatMultiply(8, n), n) for n in range(3)}
        super().__init__({"pair": In(stream.Signature(64)), "results": Out(stream.Signature(32 * len(self.cores)))})

    def elaborate(self, platform):
        m = Module()
        results = []
        m.d.comb += self.pair.ready.eq(1)
        for name, (core, stages) in self.cores.items():
            m.submodules[name] = core
            operands = (self.pair.payload[:32], self.pair.payload[32:])
            for member, operand in zip((core.a, core.b), operands, strict=True):
                m.d.comb += member.eq(operand[32 - len(member) :])
            value = result_of(core)
            for cycle in range(5 - stages):
                later = Signal(32, name=f"{name}_after_{cycle}")
                m.d.sync += later.eq(value)
                value = later
            results.append(value)
        valid = self.pair.valid
        for cycle in range(5):
            later = Signal(name=f"valid_{cycle}")
            m.d.sync += later.eq(valid)
            valid = later
        m.d.comb += [self.results.payload.eq(Cat(results)), self.results.valid.eq(valid)]
        return m


def result_of(core):
    return core.sum if isinstance(core, FloatAdd) else core.product


def operands(rng, count):
    """Codes of all kinds: any bits, close magnitudes, sums that cancel, products near 2**-126, corners."""
    a, b = rng.integers(0, 1 << 32, (2, count), np.uint32)
    sign = rng.integers(0, 2, count).astype(np.uint32) << 31
    near = (a + rng.integers(-3 << 23, 3 << 23, count)).astype(np.uint32) ^ sign
    close = (a ^ 0x80000000) + rng.integers(-4, 5, count).astype(np.uint32)
    small = ((128 - (a >> 23 & 255).astype(np.int64) + rng.integers(-128, -124, count)) % 255).astype(np.uint32) << 23
    corners = CORNERS[rng.integers(0, len(CORNERS), (2, count))]
    kind = rng.integers(0, 6, count)
    b = np.select([kind == 1, kind == 2, kind == 3, kind >= 4], [near, close, b & 0x807FFFFF | small, corners[0]], b)
    return np.where(kind == 4, corners[1], a).astype(np.uint32), b.astype(np.uint32)


def flushed(codes):
    """Subnormal numbers become zero of their sign, NaN the one NaN."""
    codes = np.where(codes & 0x7F800000 == 0, codes & 0x80000000, codes)
    return np.where((codes & 0x7FFFFFFF) > 0x7F800000, NAN, codes).astype(np.uint32)


def oracle(kind, a, b):
    if kind == "narrow":
        a, b = a & 0xFFFF0000, b & 0xFFFF0000
    x, y = flushed(a).view(np.float32), flushed(b).view(np.float32)
    with np.errstate(all="ignore"):
        return flushed((x + y if kind == "add" else x * y).view(np.uint32))


@pytest.fixture(scope="module")
def block():
    return lambda key: ({}, None, Pipelines())


@pytest.mark.deep
@pytest.mark.parametrize("built", ["all"], indirect=True)
def test_every_pipeline_matches_numpy(built):
    count = 1_000_000
    a, b = operands(np.random.default_rng(3), count)
    pairs = np.stack([a, b], 1).view(np.uint8).reshape(count, 8)
    result = built.harness().run({"pair": Beats(pairs)}, {"results": count}, stall_in=0, stall_out=0)
    got = result.outputs["results"].data.view(np.uint32)
    names = list(Pipelines().cores)
    for column, name in enumerate(names):
        want = oracle(name.split("_")[0], a, b)
        wrong = np.flatnonzero(got[:, column] != want)
        assert not len(wrong), f"{name}: {a[wrong[0]]:08x} and {b[wrong[0]]:08x} gave {got[wrong[0], column]:08x}"


def settle(component, inputs, output):
    """Values of a combinational component's output for rows of its inputs, in Amaranth's simulator."""
    got = []

    async def bench(ctx):
        for row in zip(*inputs.values(), strict=True):
            for name, value in zip(inputs, row, strict=True):
                ctx.set(getattr(component, name), int(value))
            await ctx.delay(1e-9)
            got.append(ctx.get(getattr(component, output)))

    simulator = Simulator(component)
    simulator.add_testbench(bench)
    simulator.run()
    return np.array(got, np.uint32)


@pytest.mark.parametrize("kind", ["add", "multiply", "narrow"])
def test_sums_and_products_match_numpy(kind):
    a, b = operands(np.random.default_rng(4), 500)
    if kind == "add":
        got = settle(FloatAdd(0), {"a": a, "b": b}, "sum")
    elif kind == "multiply":
        got = settle(FloatMultiply(24, 0), {"a": a, "b": b}, "product")
    else:
        got = settle(FloatMultiply(8, 0), {"a": a >> 16, "b": b >> 16}, "product")
    np.testing.assert_array_equal(got, oracle(kind, a, b))


def test_products_on_the_brim_of_the_subnormal_numbers_match_numpy():
    """Products just below 2**-126: where IEEE 754 rounds up to the least normal number, and where it does not."""
    a = np.arange(0x00800000, 0x00800000 + 300, dtype=np.uint32)
    b = np.concatenate([np.uint32(0x3F7FFFFF) - np.arange(300, dtype=np.uint32)])
    a, b = np.concatenate([a, a[:1].repeat(300)]), np.concatenate([b, b])
    got = settle(FloatMultiply(24, 0), {"a": a, "b": b}, "product")
    want = oracle("multiply", a, b)
    assert {0, 0x00800000} <= set(want.tolist()), "both sides of the brim are there"
    np.testing.assert_array_equal(got, want)


def test_bfloat16_rounds_as_ml_dtypes():
    codes = np.concatenate([CORNERS, operands(np.random.default_rng(5), 500)[0]])
    ties = np.arange(0x3F800000, 0x3F800000 + 0x60000, 0x4000, dtype=np.uint32)
    codes = flushed(
        np.concatenate([codes, ties, ties + 1, ties - 1, [0x7F7F7FFF, 0x7F7F8000, 0xFF7FFFFF]]).astype(np.uint32)
    )
    got = settle(ToBFloat16(), {"value": codes}, "code")
    with np.errstate(all="ignore"):
        want = codes.view(np.float32).astype(ml_dtypes.bfloat16).view(np.uint16)
    np.testing.assert_array_equal(got, np.where(np.isnan(codes.view(np.float32)), 0x7FC0, want))


def test_bfloat16_widens_without_subnormal_numbers():
    codes = np.arange(0, 1 << 16, 37, dtype=np.uint16)
    codes = np.concatenate([codes, (CORNERS >> 16).astype(np.uint16)])
    got = settle(FromBFloat16(), {"code": codes}, "value")
    np.testing.assert_array_equal(got, flushed(codes.astype(np.uint32) << 16))


def test_stages_out_of_range_are_refused():
    with pytest.raises(ValueError, match=r"^stages must be in 0\.\.5, not 6$"):
        FloatAdd(6)
    with pytest.raises(ValueError, match=r"^stages must be in 0\.\.2, not 3$"):
        FloatMultiply(8, 3)
    with pytest.raises(ValueError, match=r"^significand_bits must be 8 or 24, not 11$"):
        FloatMultiply(11, 0)


@pytest.mark.parametrize("width", [1, 2, 5, 8, 28])
def test_leading_digits_go_to_the_top(width):
    class Normal(wiring.Component):
        value: In(width)
        normal: Out(width)
        zeros: Out(6)

        def elaborate(self, platform):
            m = Module()
            normal, zeros = normalised(m, self.value, "normal")
            m.d.comb += [self.normal.eq(normal), self.zeros.eq(zeros)]
            return m

    values = sorted(
        {1 << k for k in range(width)} | {(1 << k) - 1 for k in range(1, width + 1)} | {(1 << width) * 2 // 3}
    )
    zeros = [width - value.bit_length() for value in values]
    np.testing.assert_array_equal(settle(Normal(), {"value": values}, "zeros"), zeros)
    want = [value << count for value, count in zip(values, zeros, strict=True)]
    np.testing.assert_array_equal(settle(Normal(), {"value": values}, "normal"), want)
