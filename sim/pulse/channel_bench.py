"""cocotb bench of `pulse.channel`: records, latency, reset, lost triggers, registers, held against the golden model.

`NIELLO_CONFIG` and `NIELLO_PORTS` say what was built; `random` is seeded by cocotb.
"""

from __future__ import annotations

import json
import os
import random
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import cocotb
import numpy as np
from cocotb.triggers import ClockCycles

from hdl.common.registers import load_registers
from hdl.pulse.channel_config import HISTOGRAM_BASE, ChannelConfig
from hdl.pulse.front_config import FRAME_SAMPLES
from hdl.pulse.histogram_config import SOURCES
from sim.common.register_edge import StalledEdge
from sim.pulse.channel_model import LOST_BEFORE, RECORD, record_cycles, records
from sim.pulse.channel_vectors import model, pack, parsed, random_arrays, register_writes, settings_for
from sim.pulse.histogram_model import COUNTERS, count
from sim.pulse.histogram_vectors import fields

_GIVEN = json.loads(os.environ["NIELLO_CONFIG"])
CONFIG = ChannelConfig.parse({name: value for name, value in _GIVEN.items() if name in ChannelConfig.model_fields})
"""What a larger block around a channel has besides is not looked at."""
REGISTERS = load_registers(*CONFIG.register_source)
CHANNELS, SAMPLES, LANES = CONFIG.channels, CONFIG.front.samples, CONFIG.front.lanes
IN_FLIGHT = 3
"""Records on their way beside those whose windows are in a ring: offered, fitted, waiting for the fit."""


class Bench(StalledEdge):
    """The block with a bus model on each of its interfaces."""

    MAP = REGISTERS

    async def load(self, arrays: dict[str, Any]) -> None:
        """Settings and bank; from here on samples count."""
        for address, words in register_writes(CONFIG, arrays):
            for word in words:
                await self.registers["csr"].write_dword(address, word)

    async def records(self, arrays: dict[str, Any], count: int) -> dict[str, Any]:
        """So many records, channel after channel."""
        beats = b"".join(await self.receive("record", count))
        got = parsed(np.frombuffer(beats, np.uint8).reshape(-1, CONFIG.record_bits // 8))
        order = np.argsort(got["channel"] - arrays["channel"][0], kind="stable")
        return {name: values[order] for name, values in got.items()}

    async def results(self, arrays: dict[str, Any], want: Mapping[str, Any]) -> None:
        """The records that come are these."""
        got = await self.records(arrays, len(want["time"]))
        for name, right in got.items():
            assert right.tolist() == want[name].tolist(), name

    async def write_each(self, register: str, value: int) -> None:
        """Change a register of each front end."""
        for place in range(CHANNELS):
            await self.write(f"front{place}_{register}", value)

    async def read_each(self, register: str) -> list[int]:
        """A register of each front end."""
        return [await self.read(f"front{place}_{register}") for place in range(CHANNELS)]

    async def play(self, arrays: dict[str, Any]) -> dict[str, Any]:
        """Settings, and all samples of a run; the records that are to come of it."""
        await self.load(arrays)
        self.send("samples", pack(CONFIG, arrays)["samples"])
        await self.sources["samples"].wait()
        await ClockCycles(self.clock, CONFIG.front.latency_cycles)
        await self.write_each("run", 0)
        return wanted(arrays, [()] * CHANNELS, stopped=True)

    async def check(self, arrays: dict[str, Any]) -> int:
        """The model's records come of a run; how many."""
        want = await self.play(arrays)
        await self.results(arrays, want)
        return len(want["time"])


def wanted(arrays: dict[str, Any], lost: Sequence[Collection[int]], *, stopped: bool = False) -> dict[str, Any]:
    """The model's records, channel after channel, without those of the triggers that each lost."""
    of_each = [
        records(CONFIG, settings_for(CONFIG, arrays, place), arrays["samples"][:, place].ravel(), gone, stopped=stopped)
        for place, gone in enumerate(lost)
    ]
    return {name: np.concatenate([found[name] for found in of_each]) for name in RECORD.names or ()}


def some(count: int) -> dict[str, Any]:
    """About so many pulses a channel, with settings and a bank."""
    return random_arrays(CONFIG, random.getrandbits(32), count)


def by_the_clock(count: int, period: int, passes: int = 2) -> dict[str, Any]:
    """So many triggers of each channel, `period` samples apart, in noise."""
    arrays = some(1)
    size = FRAME_SAMPLES + (count - 1) * period + max(SAMPLES, 4)
    size += -size % LANES
    assert (count - 1) * period + max(SAMPLES, 4) + LANES <= count * period
    rng = np.random.default_rng(random.getrandbits(32))
    arrays["samples"] = rng.integers(-100, 100, (size // LANES, CHANNELS, LANES)).astype(np.int16)
    quiet = dict.fromkeys(CONFIG.front.setting_names, 0)
    front = quiet | {"run": 1, "period": period, "code_least": -(1 << 15), "code_most": (1 << 15) - 1}
    row = np.array([front[name] for name in CONFIG.front.setting_names], np.int64)
    arrays["front_settings"] = np.tile(row, (CHANNELS, 1))
    arrays["filter_settings"][CONFIG.filter.setting_names.index("passes")] = passes
    return arrays


@cocotb.test()
async def constants_say_what_was_built(dut: Any) -> None:
    """Identity; the units answer in their windows; everything of its own is 0 after reset, and nothing else answers."""
    bench = await Bench.start(dut)
    assert (await bench.read("identity")).to_bytes(4, "little") == b"CHAN"
    assert await bench.read_each("identity") == CHANNELS * [int.from_bytes(b"FRON", "little")]
    assert await bench.read("shape") == CHANNELS
    assert (await bench.read("filter_identity")).to_bytes(4, "little") == b"FILT"
    for register in ("status", "control", "records", "cycles", "channel", "hold"):
        assert await bench.read(register) == 0, register
    own = CONFIG.own_registers
    beyond = own.registers[-1].offset_bytes + 4
    assert int((await bench.registers["csr"].read(beyond, 4)).resp) == 3
    behind = REGISTERS.registers[-1].offset_bytes + 4
    assert int((await bench.registers["csr"].read(behind, 4)).resp) == 3


@cocotb.test()
@cocotb.parametrize(stall=[0, 0.3, 0.7])
async def records_match_the_model(dut: Any, stall: float) -> None:
    """Streams, banks and settings of all kinds, samples with gaps, records stalled."""
    bench = await Bench.start(dut, stall)
    count = 0
    for _ in range(3):
        count += await bench.check(some(8))
    assert await bench.read("records") == count
    assert await bench.read("status") == 0
    await bench.command("clear_counters")
    assert [await bench.read(name) for name in ("records", "cycles")] == [0, 0]


@cocotb.test()
async def latency_is_what_the_config_says(dut: Any) -> None:
    """From the beat with a window's last sample to its record, of the channel whose turn is first."""
    bench = await Bench.start(dut)
    far = CHANNELS * CONFIG.latency_cycles * LANES + 4 & -4
    arrays = by_the_clock(3, far)
    await bench.load(arrays)
    bench.send("samples", pack(CONFIG, arrays)["samples"])
    await bench.results(arrays, model(CONFIG, arrays))
    taken, offered = bench.watches["samples"].taken, bench.watches["record"].offered
    for number in range(3):
        last = FRAME_SAMPLES + number * far + SAMPLES - 1
        assert offered[CHANNELS * number] - taken[last // LANES] == CONFIG.latency_cycles


@cocotb.test()
@cocotb.parametrize(passes=[1, 2])
async def records_follow_at_the_pace_of_fits(dut: Any, passes: int) -> None:
    """Where windows wait."""
    bench = await Bench.start(dut)
    period = SAMPLES + LANES + 7 & -4
    arrays = by_the_clock(CONFIG.front.events, period, passes)
    await bench.load(arrays)
    bench.send("samples", pack(CONFIG, arrays)["samples"])
    await bench.results(arrays, model(CONFIG, arrays))
    pace = record_cycles(CONFIG, {"passes": passes})
    offered = bench.watches["record"].offered
    gaps = np.diff(offered)[1:]
    window_cycles = CONFIG.front.window_cycles if CHANNELS == 1 else SAMPLES + 1
    assert gaps.tolist() == [max(pace, period // LANES // CHANNELS, window_cycles)] * len(gaps)


@cocotb.test()
@cocotb.parametrize(waits=[False, True])
async def every_trigger_is_a_record_or_counted_as_lost(dut: Any, waits: bool) -> None:
    """Triggers far faster than fits, records taken at once or late: what comes out is what the model says of those that
    were kept."""
    bench = await Bench.start(dut)
    bench.sinks["record"].pause = waits
    count = 12 * CONFIG.front.events
    arrays = by_the_clock(count, SAMPLES + LANES + 7 & -4)
    await bench.load(arrays)
    await bench.write_each("irq_enable", REGISTERS["front0_irq_enable"]["lost"].mask)
    bench.send("samples", pack(CONFIG, arrays)["samples"])
    await ClockCycles(dut.clk, 2 * len(arrays["samples"]))
    lost = await bench.read_each("lost")
    for each in lost:
        assert count // 2 < each <= count - CONFIG.front.events
    bench.sinks["record"].pause = False
    kept = CHANNELS * count - sum(lost)
    got = await bench.records(arrays, kept)
    assert count <= 256, "or a sequence number would come twice"
    of_each = [got["sequence"][got["channel"] == int(arrays["channel"][0]) + place & 0xFF] for place in range(CHANNELS)]
    gone = [sorted(set(range(count)) - set(sequence.tolist())) for sequence in of_each]
    assert [len(each) for each in gone] == lost
    want = wanted(arrays, gone)
    for name, values in got.items():
        assert values.tolist() == want[name].tolist(), name
    assert waits or (got["flags"] & LOST_BEFORE).any()
    assert await bench.read_each("triggers") == CHANNELS * [count]
    assert await bench.read("records") == sum(await bench.read_each("windows")) == kept
    for place in range(CHANNELS):
        assert await bench.interrupt() == 1
        await bench.write(f"front{place}_status", REGISTERS["front0_status"]["lost"].mask)
    assert await bench.interrupt() == 0


@cocotb.test()
async def reset_in_mid_flight_leaves_no_trace(dut: Any) -> None:
    """Neither in the records that follow nor in the registers."""
    bench = await Bench.start(dut, 0.2)
    for _ in range(4):
        arrays = some(8)
        await bench.load(arrays)
        bench.send("samples", pack(CONFIG, arrays)["samples"])
        await ClockCycles(dut.clk, random.randint(FRAME_SAMPLES, 4 * len(arrays["samples"])))
        for source in bench.sources.values():
            source.clear()
        await bench.reset()
        bench.sinks["record"].clear()
        assert await bench.read_each("run") == CHANNELS * [0]
        assert await bench.check(arrays) == await bench.read("records")
    assert bench.sinks["record"].empty()


@cocotb.test()
async def a_run_that_ends_leaves_whole_windows(dut: Any) -> None:
    """Records of windows that were complete come out, others are counted as lost; the next run begins with sample 0."""
    bench = await Bench.start(dut)
    arrays = by_the_clock(IN_FLIGHT, SAMPLES + LANES + 7 & -4)
    cut = arrays | {"samples": arrays["samples"][: -SAMPLES // LANES // 2]}
    await bench.load(cut)
    bench.send("samples", pack(CONFIG, cut)["samples"])
    await bench.results(cut, model(CONFIG, cut))
    await bench.write_each("run", 0)
    assert await bench.read_each("triggers") == CHANNELS * [IN_FLIGHT]
    assert await bench.read_each("lost") == CHANNELS * [1]
    await bench.check(some(8))
    assert bench.sinks["record"].empty()


@cocotb.test()
async def records_are_counted_where_there_is_a_histogram(dut: Any) -> None:
    """Bins are those of the records that came, whatever is counted; where there is none nothing answers."""
    bench = await Bench.start(dut, 0.2)
    histogram = CONFIG.histogram
    if histogram is None:
        assert int((await bench.registers["csr"].read(HISTOGRAM_BASE, 4)).resp) == 3
        return
    for source in SOURCES:
        arrays = next(each for each in iter(lambda: some(8), None) if len(model(CONFIG, each)["time"]) > 3)
        values = model(CONFIG, arrays)["shape" if source == "shape" else "energy"].astype(np.int64)
        of_time = {"fraction": 0xFFFF, "interval": arrays["samples"].size}
        low, most = (0, of_time[source]) if source in of_time else (int(values.min()), int(values.max()))
        settings = dict.fromkeys(histogram.setting_names, 0)
        settings |= {"run": 1, "source": SOURCES.index(source), "low": low}
        settings["shift"] = max(0, (most - low).bit_length() - histogram.bin_bits)
        await bench.write("histogram_control", REGISTERS["histogram_control"]["clear"].mask)
        while await bench.read("histogram_status"):
            pass
        for name, value in settings.items():
            await bench.write(f"histogram_{name}", value & 0xFFFF_FFFF)
        records_due = len((await bench.play(arrays))["time"])
        beats = np.frombuffer(b"".join(await bench.receive("record", records_due)), np.uint8)
        want = count(histogram, settings, fields(beats.reshape(records_due, -1)))
        assert want.bins.sum() > records_due // 2
        assert [await bench.read(f"histogram_{name}") for name in COUNTERS] == want.counters.tolist()
        await bench.write("histogram_bin", 0)
        assert [await bench.read("histogram_data") for _ in range(histogram.bins)] == want.bins.tolist()


@cocotb.test()
async def samples_that_are_held_are_not_looked_at(dut: Any) -> None:
    """Front ends that were started one after the other begin with the first sample after `hold`."""
    bench = await Bench.start(dut)
    arrays = by_the_clock(2, SAMPLES + LANES + 7 & -4)
    await bench.load(arrays)
    await bench.write("hold", 1)
    bench.send("samples", pack(CONFIG, some(8))["samples"])
    await bench.sources["samples"].wait()
    assert await bench.read_each("triggers") == CHANNELS * [0]
    await bench.write("hold", 0)
    bench.send("samples", pack(CONFIG, arrays)["samples"])
    await bench.results(arrays, model(CONFIG, arrays))
