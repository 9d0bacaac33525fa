"""Parts of `simd.matmul`, each alone in Amaranth's simulator, and what its config derives."""

from __future__ import annotations

import numpy as np
import pytest
from amaranth.lib import data
from amaranth.sim import Simulator

from hdl.common.bursts import Bursts
from hdl.simd.config import MatmulConfig
from hdl.simd.matmul_chunks import Kind
from hdl.simd.matmul_drain import PipelinedDrain
from hdl.simd.matmul_filler import Filler
from hdl.simd.matmul_panels import Panels, RowAddresses
from hdl.simd.modes import MODES, OUTPUT_FORMATS, SINGLE_MODES, STATUS
from sim.common.formats import encode_flags, to_odd

SMALL = {"modes": ["int8"], "outputs": ["int8"], "rows": 3, "columns": 4, "bus_bits": 64, "depth_beats": 16}


def config_of(**changes):
    return MatmulConfig.parse(SMALL | changes)


def simulate(component, *benches):
    simulator = Simulator(component)
    simulator.add_clock(1e-6)
    for bench, background in benches:
        simulator.add_testbench(bench, background=background)
    simulator.run()


SEGMENTS = {  # the lowest place of a product, and the sign of 2**20 of the largest (P(16,1): 2**15), in 16s
    "fp4": (3, 5), "p4_1": (3, 5), "p8_0": (2, 5), "p16_1": (0, 7), "int4": (3, 5), "int8": (3, 5), "e4m3": (2, 5),
    "e5m2": (1, 6),
}  # fmt: skip


@pytest.mark.parametrize("mode", SINGLE_MODES)
def test_matmul_config_reaches_what_its_sums_need(mode):
    first, last = SEGMENTS[mode]
    assert config_of(modes=[mode]).reached_segments == range(first, last + 1)
    both = config_of(modes=["int8", mode] if mode != "int8" else ["int8"]).reached_segments
    assert both == range(min(3, first), max(5, last) + 1)


def test_matmul_config_derives_sizes():
    config = config_of(bus_bits=256, depth_beats=64)
    assert (config.engines, config.chunk_words, config.result_depth, config.total_bits) == (12, 8, 56, 121)
    assert config_of(modes=["p16_1"]).total_bits == 129
    assert config.latency_cycles == 2 + config.pipeline_cycles + 1 + 10


@pytest.mark.parametrize("bus_bytes", [4, 64])
def test_matmul_bursts_are_as_long_as_axi_allows(bus_bytes):
    """All words once and in order, at most 256 in a burst, none over a 4 KiB boundary, and no burst without need."""
    layout = data.StructLayout({"address": 30, "words": 10})
    bursts = Bursts(layout, bus_bytes)
    rng = np.random.default_rng(3)
    commands = [(int(rng.integers(0, 5000)), int(rng.integers(0, rng.choice([2, 70, 1024])))) for _ in range(200)]
    expected = []
    page = 4096 // bus_bytes
    for start, last in commands:
        address, left = start, last + 1
        while left:
            beats = min(left, 256, page - address % page)
            expected.append((address, beats - 1))
            address, left = address + beats, left - beats
    got = []

    async def give(ctx):
        for address, words in commands:
            while rng.random() < 0.3:
                await ctx.tick()
            ctx.set(bursts.i.payload, {"address": address, "words": words})
            ctx.set(bursts.i.valid, 1)
            await ctx.tick().until(bursts.i.ready)
            ctx.set(bursts.i.valid, 0)

    async def take(ctx):
        while len(got) < len(expected):
            ready = int(rng.random() < 0.7)
            ctx.set(bursts.o.ready, ready)
            payload = bursts.o.payload
            _, _, valid, address, beats = await ctx.tick().sample(bursts.o.valid, payload.address, payload.beats)
            if valid and ready:
                got.append((address, beats))

    simulate(bursts, (give, True), (take, False))
    assert got == expected


def test_matmul_row_addresses_walk_over_panels():
    """Rows of panels with an offset, as for chunks; the next panel begins where this one's rows end."""
    walker, size, start, stride = RowAddresses(16, 8), 3, 1000, 37

    async def bench(ctx):
        async def pulse(name):
            ctx.set(getattr(walker, name), 1)
            await ctx.tick()
            ctx.set(getattr(walker, name), 0)

        ctx.set(walker.start, start)
        ctx.set(walker.stride, stride)
        for _ in range(2):
            await pulse("restart")
            for panel in range(4):
                for offset in (0, 8, 16):
                    ctx.set(walker.offset, offset)
                    await pulse("begin")
                    for row in range(size):
                        assert ctx.get(walker.address) == start + offset + (size * panel + row) * stride
                        await pulse("step")
                await pulse("close")

    simulate(walker, (bench, False))


@pytest.mark.parametrize("size", [1, 3, 16])
def test_matmul_panels_count_off(size):
    panels = Panels(size, 8)

    async def bench(ctx):
        for count in (1, 2, size, size + 1, 3 * size, 255):
            ctx.set(panels.count, count)
            ctx.set(panels.restart, 1)
            await ctx.tick()
            ctx.set(panels.restart, 0)
            ctx.set(panels.step, 1)
            for first in range(0, count, size):
                assert ctx.get(panels.last_index) == min(size, count - first) - 1
                assert ctx.get(panels.last) == (first + size >= count)
                await ctx.tick()
            ctx.set(panels.step, 0)

    simulate(panels, (bench, False))


def test_matmul_filler_cuts_rows_off_where_they_end():
    """Of the last word of a short row, nibbles beyond the last bit are 0; of other words and of biases nothing is."""
    config = config_of(columns=4)
    filler = Filler(config)
    noise = (1 << 64) - 1

    async def bench(ctx):
        ctx.set(filler.words.valid, 1)
        ctx.set(filler.words.payload, noise)
        ctx.set(filler.fill.valid, 1)
        for last_bit in (3, 59, 63, 64 + 7, 3 * 64 + 31, 8 * 64 + 3):
            words = last_bit // 64 % 8 + 1
            ctx.set(filler.last_bit, last_bit)
            for kind, short in ((Kind.A, 1), (Kind.B, 1), (Kind.A, 0), (Kind.BIAS, 1)):
                ctx.set(filler.fill.payload, {"kind": kind, "short": short, "index": 1, "ends_operand": 0})
                count = 2 if kind == Kind.BIAS else words if short else 8
                for word in range(count):
                    assert ctx.get(filler.fill.ready) == (word == count - 1)
                    await ctx.tick()
                    ends = short and word == count - 1 and kind != Kind.BIAS
                    assert ctx.get(filler.data) == (noise if not ends else (2 << last_bit % 64) - 1)
                    writes = [ctx.get(one) for one in (filler.write_a, filler.write_b, filler.bias_write)]
                    assert writes == [2 * (kind == Kind.A), 2 * (kind == Kind.B), int(kind == Kind.BIAS)]
                    if kind != Kind.BIAS:
                        assert ctx.get(filler.address) == word

    simulate(filler, (bench, False))


def sums(rng, config, count):
    """Sums as the array holds them: of any size, with carries that are still to be added."""
    reached, bits = config.reached_segments, config.segment_bits
    for _ in range(count):
        carries = [int(carry) for carry in rng.integers(0, 2, len(reached) - 1)]
        late = sum(carry << (bits * (place + 1)) for place, carry in enumerate(carries))
        exact = int.from_bytes(rng.bytes(16), "little", signed=True) >> int(rng.integers(0, 128))
        exact >>= 129 - bits * len(reached)
        if rng.random() < 0.1:
            exact = int(rng.integers(-2, 3))
        value = (exact - late) % (1 << (bits * len(reached)))
        yield exact << (bits * reached.start), value, sum(carry << place for place, carry in enumerate(carries))


DRAINS = [(["int8"], ["int8", "int32", "e4m3"]), (["p16_1", "e5m2"], ["fp32", "p16_1", "fp16", "fp4"])]


@pytest.mark.parametrize(("modes", "outputs"), DRAINS)
def test_matmul_drain_rounds_once(modes, outputs):
    """A sum and a bias a cycle, against whole numbers; specials are the end-to-end tests' matter."""
    config = config_of(modes=modes, outputs=outputs)
    drain, rng = PipelinedDrain(config), np.random.default_rng(4)
    per_job, latency = 60, config.drain_cycles

    async def bench(ctx):
        for output in outputs * 3:
            place, scale = int(rng.integers(0, 89)), int(rng.integers(-64, 64))
            infinity = int(rng.integers(2))
            ctx.set(drain.mode, MODES[modes[0]].code)
            ctx.set(drain.output, OUTPUT_FORMATS.index(output))
            ctx.set(drain.infinity, infinity)
            ctx.set(drain.bias_segment, place >> 4)
            ctx.set(drain.scale_exponent, scale)
            numerators, got = [], []
            for cycle, (exact, value, carries) in enumerate(sums(rng, config, per_job + latency)):
                bias = int(rng.integers(-(2**31), 2**31)) >> int(rng.integers(0, 33))
                numerators.append(exact + (bias << place))
                ctx.set(drain.sum, {"value": value, "carries": carries, "special": 0})
                ctx.set(drain.bias, bias << (place & 15))
                ctx.set(drain.valid, cycle < per_job)
                if cycle >= latency:
                    assert ctx.get(drain.done) == 1
                    got.append((ctx.get(drain.result.code), ctx.get(drain.result.status)))
                await ctx.tick()
            assert ctx.get(drain.done) == 0
            values = to_odd(np.array(numerators[:per_job], object), -56 + scale)
            codes, over, under = encode_flags(output, values, "inf" if infinity else "saturate")
            status = over * (1 << STATUS.index("overflow")) + under * (1 << STATUS.index("underflow"))
            assert got == list(zip(codes.tolist(), status.tolist(), strict=True)), (output, place, scale)

    simulate(drain, (bench, False))
