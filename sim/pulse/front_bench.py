"""cocotb bench of `pulse.front`: protocol, latency, a full ring, `run`, reset, registers, held to the golden model.

`NIELLO_CONFIG` and `NIELLO_PORTS` say what was built; `random` is seeded by cocotb.
"""

from __future__ import annotations

import json
import os
import random
from typing import Any

import cocotb
import numpy as np
import numpy.typing as npt
from cocotb.triggers import ClockCycles, FallingEdge, RisingEdge

from hdl.common.registers import load_registers
from hdl.pulse.front_config import FrontConfig
from sim.common.beats import Beats
from sim.common.register_edge import RegisterEdge
from sim.pulse.front_model import COUNTERS, Found, Given, find, give, surely_kept
from sim.pulse.front_vectors import events, random_samples, random_settings

CONFIG = FrontConfig.parse(json.loads(os.environ["NIELLO_CONFIG"]))
REGISTERS = load_registers(*CONFIG.register_source)
LOST, BUSY, SETTLED = (REGISTERS["status"][name].mask for name in ("lost", "busy", "settled"))
ENDS = {"code_least": -(1 << (CONFIG.code_bits - 1)), "code_most": (1 << (CONFIG.code_bits - 1)) - 1}
FIRST = dict.fromkeys(CONFIG.setting_names, 0) | ENDS | {"baseline_on": 1, "baseline_exponent": 10}
"""The settings after reset."""

Codes = npt.NDArray[np.int16]
Bools = npt.NDArray[np.bool_]


class Bench(RegisterEdge):
    """The block with a bus model on each of its interfaces, and samples with an external trigger each.

    Attributes
    ----------
    beats : int
        Taken since the samples were given.
    """

    MAP = REGISTERS

    @classmethod
    async def start(cls, dut: Any, stall: float = 0) -> Bench:
        """Reset the block; all streams are stalled with this probability in every cycle."""
        bench = cls(dut)
        bench.beats, bench._external = 0, np.zeros((0, CONFIG.lanes), np.bool_)
        dut.external.value = 0
        cocotb.start_soon(bench._drive())
        await bench.reset()
        bench.stall(stall)
        return bench

    async def _drive(self) -> None:
        """`external` beside the beat that is offered; where none is, anything."""
        valid = self.dut.s_axis_samples_tvalid
        while True:
            await FallingEdge(self.clock)
            noise = random.getrandbits(CONFIG.lanes)
            offered = int(valid.value) and self.beats < len(self._external)
            lanes = self._external[self.beats] if offered else []
            self.dut.external.value = sum(int(bit) << lane for lane, bit in enumerate(lanes)) if offered else noise
            await RisingEdge(self.clock)
            self.beats += int(valid.value)
            assert int(self.dut.s_axis_samples_tready.value) == 1

    async def assert_first(self) -> None:
        """All registers are as after reset."""
        for name in CONFIG.setting_names:
            assert await self.read(name) == word(name, FIRST[name]), name
        for name in ("status", "irq_enable", "control", "baseline", *COUNTERS):
            assert await self.read(name) == 0, name

    async def begin(self, settings: dict[str, int], external: Bools) -> None:
        """Set, clear, run; the external triggers of the samples to come."""
        for name in CONFIG.setting_names[1:]:
            await self.write(name, word(name, settings[name]))
        await self.command("clear_counters")
        await self.write("run", 1)
        self.beats, self._external = 0, external.reshape(-1, CONFIG.lanes)

    def feed(self, samples: Codes) -> None:
        """Queue samples, a whole number of beats."""
        data = np.ascontiguousarray(samples.astype("<i2").reshape(-1, CONFIG.lanes))
        self.send("samples", Beats(data.view(np.uint8)))

    async def run(self, settings: dict[str, int], samples: Codes, external: Bools) -> None:
        """Begin, and feed all samples."""
        await self.begin(settings, external)
        self.feed(samples)
        await self.taken(len(samples) // CONFIG.lanes)

    async def taken(self, beats: int) -> None:
        """Until so many are, and have gone through."""
        while self.beats < beats:
            await RisingEdge(self.clock)
        await ClockCycles(self.clock, CONFIG.latency_cycles)

    async def end(self, settings: dict[str, int], samples: Codes, external: Bools) -> tuple[Found, Given]:
        """Stop, let everything out, and hold it to the model: events, windows, counters."""
        await self.write("run", 0)
        self.sources["samples"].clear()
        await self.taken(0)
        while await self.read("status") & BUSY:
            await ClockCycles(self.clock, CONFIG.samples)
        counters = {name: await self.read(name) for name in COUNTERS}
        counted = counters["live"] + counters["dead"]
        found = find(CONFIG, settings, samples[:counted], external[:counted])
        got, windows = self.collected()
        lost = set(range(len(found.triggers))) - set(got["number"].tolist())
        want = give(CONFIG, settings, found, lost, stopped=True)
        for name, values in got.items():
            assert values.tolist() == want.events[name].tolist(), name
        assert windows.tolist() == want.windows.tolist()
        assert counters["live"] <= want.counters["live"]
        exact = COUNTERS if len(found.triggers) < CONFIG.events else COUNTERS[: COUNTERS.index("live")]
        assert [counters[name] for name in exact] == [want.counters[name] for name in exact]
        return found, want

    def collected(self) -> tuple[dict[str, Any], Codes]:
        """Events and windows that came since the last call."""
        received: dict[str, list[bytes]] = {}
        for role in ("event", "window"):
            sink, received[role] = self.sinks[role], []
            while not sink.empty():
                received[role].append(bytes(sink.recv_nowait().tdata))
        assert {len(window) for window in received["window"]} <= {2 * CONFIG.samples}
        data = np.frombuffer(b"".join(received["event"]), np.uint8).reshape(-1, CONFIG.event_bits // 8)
        windows = np.frombuffer(b"".join(received["window"]), "<i2").reshape(-1, CONFIG.samples)
        return events(data), windows


def word(name: str, value: int) -> int:
    """A setting in its register."""
    return value & REGISTERS[name]["value"].mask


def some(pulses: int, **given: int) -> tuple[dict[str, int], Codes, Bools]:
    """Random settings, some of which are given, samples and external triggers."""
    rng = np.random.default_rng(random.getrandbits(32))
    settings = random_settings(CONFIG, rng) | given
    samples = random_samples(CONFIG, rng, pulses, -1 if settings["invert"] else 1).ravel()
    return settings, samples, rng.random(len(samples)) < rng.choice([0, 0.02, 0.5])


def pulsed(samples: int, triggers: list[int]) -> tuple[Codes, Bools]:
    """Random codes, and external triggers at these samples; so many samples at least, a whole number of beats."""
    samples = -(-samples // CONFIG.lanes) * CONFIG.lanes
    codes = np.random.default_rng(random.getrandbits(32)).integers(-500, 500, samples)
    external = np.zeros(samples, np.bool_)
    external[triggers] = True
    return codes.astype(np.int16), external


def surely_lost(found: Found, given: Given) -> set[int]:
    """Triggers without an event, of those whose windows were whole."""
    whole = np.flatnonzero(found.triggers + CONFIG.samples - 1 < len(found.signal))
    return set(whole.tolist()) - set(given.events["number"].tolist())


@cocotb.test()
async def constants_say_what_was_built(dut: Any) -> None:
    """Identity, shape and the settings' first values; everything else is 0 after reset; settings are kept."""
    bench = await Bench.start(dut)
    assert (await bench.read("identity")).to_bytes(4, "little") == b"FRON"
    assert REGISTERS["shape"].decode(await bench.read("shape")) == {
        name: getattr(CONFIG, name) for name in ("samples", "pre", "lanes", "events")
    }
    await bench.assert_first()
    for name in CONFIG.setting_names[1:]:
        for value in (0x5A5A5A5A, 0xFFFFFFFF):
            await bench.write(name, value)
            assert await bench.read(name) == word(name, value), name


@cocotb.test()
@cocotb.parametrize(stall=[0, 0.3, 0.7])
async def events_match_the_model(dut: Any, stall: float) -> None:
    """Settings and streams of all kinds, one after the other; what is lost had no time."""
    bench = await Bench.start(dut, stall)
    for _ in range(6):
        stream = some(12)
        await bench.run(*stream)
        found, given = await bench.end(*stream)
        assert len(found.signal) == len(stream[1])
        kept = surely_kept(CONFIG, stream[0], found.triggers, CONFIG.samples)
        if stall:
            kept[CONFIG.events :] = False
        assert not kept[list(surely_lost(found, given))].any()


@cocotb.test()
async def a_full_ring_loses_triggers_alone(dut: Any) -> None:
    """Outputs stand still: of triggers every four samples the first ones are kept, all are counted and gate, and the
    live time ends when the ring is full; then all kept ones come out, and new ones have room."""
    bench = await Bench.start(dut)
    settings = FIRST | {"external_on": 1, "inspect": 3, "baseline_exponent": 3, "gate_after": 1}
    times = list(range(130, 130 + 8 * (CONFIG.events + 3), 8))
    again = times[-1] + 2 * CONFIG.samples
    samples, external = pulsed(again + 2 * CONFIG.samples, [*times, again])
    held = again // CONFIG.lanes * CONFIG.lanes
    for sink in bench.sinks.values():
        sink.pause = True
    await bench.write("irq_enable", LOST)
    await bench.begin(settings, external)
    bench.feed(samples[:held])
    await bench.taken(held // CONFIG.lanes)
    assert await bench.read("status") & (LOST | BUSY) == LOST | BUSY
    assert await bench.interrupt() == 1
    assert [await bench.read(name) for name in ("triggers", "windows", "lost")] == [len(times), 0, 3]
    until_full = times[CONFIG.events - 1] + 1
    full = find(CONFIG, settings, samples[:until_full], external[:until_full])
    assert await bench.read("live") == give(CONFIG, settings, full).counters["live"]
    assert await bench.read("live") + await bench.read("dead") == held
    for sink in bench.sinks.values():
        sink.pause = False
    while await bench.read("status") & BUSY:
        await ClockCycles(dut.clk, CONFIG.samples)
    bench.feed(samples[held:])
    await bench.taken(len(samples) // CONFIG.lanes)
    found, given = await bench.end(settings, samples, external)
    assert surely_lost(found, given) == set(range(CONFIG.events, CONFIG.events + 3))
    await bench.write("status", LOST)
    assert (await bench.interrupt(), await bench.read("status") & LOST) == (0, 0)


@cocotb.test()
@cocotb.parametrize(lane=list(range(CONFIG.lanes)))
async def latency_is_what_the_config_says(dut: Any, lane: int) -> None:
    """Of an event that waits for its window, and of one that waits for the event before it, both outputs alike."""
    bench = await Bench.start(dut)
    first = 256 + lane
    stream = pulsed(first + 3 * CONFIG.samples, [first, first + 5])
    await bench.run(FIRST | {"external_on": 1}, *stream)
    taken, event, window = (bench.watches[role] for role in ("samples", "event", "window"))
    assert np.ptp(np.diff(taken.taken)) == 0  # a beat each cycle
    assert event.offered[0] - taken.taken[(first + CONFIG.samples - 1) // CONFIG.lanes] == CONFIG.latency_cycles
    await ClockCycles(dut.clk, 3 * CONFIG.samples)
    assert event.offered[1] - event.offered[0] == CONFIG.window_cycles
    assert window.offered[:: CONFIG.samples] == event.offered
    assert np.ptp(np.diff(window.taken[: CONFIG.samples])) == 0
    await bench.end(FIRST | {"external_on": 1}, *stream)


@cocotb.test()
async def an_event_waits_for_its_inspection(dut: Any) -> None:
    """Or for the next trigger; no other does so."""
    bench = await Bench.start(dut)
    size = CONFIG.samples * CONFIG.lanes  # a window goes out in so many samples
    settings = FIRST | {"external_on": 1, "inspect": 3 * size}
    times = [300, 300 + 2 * size, 300 + 6 * size]
    stream = pulsed(300 + 11 * size, times)
    await bench.run(settings, *stream)
    known = (times[1], times[1] + 3 * size, times[2] + 3 * size)
    for offered, sample in zip(bench.watches["event"].offered, known, strict=True):
        since = offered - bench.watches["samples"].taken[sample // CONFIG.lanes]
        assert 0 < since <= CONFIG.latency_cycles
    found, given = await bench.end(settings, *stream)
    assert [int(flags) & 1 for flags in given.events["flags"]] == [1, 1, 0]
    assert len(found.triggers) == 3


@cocotb.test()
@cocotb.parametrize(held=["event", "window"])
async def an_output_waits_for_the_event_before_alone(dut: Any, held: str) -> None:
    """Of an event and its window one is taken while the other stands still; the next ones wait for both."""
    bench = await Bench.start(dut)
    settings = FIRST | {"external_on": 1}
    stream = pulsed(256 + 4 * CONFIG.samples, [256, 261])
    bench.sinks[held].pause = True
    await bench.run(settings, *stream)
    await ClockCycles(dut.clk, 3 * CONFIG.samples)
    other = "window" if held == "event" else "event"
    assert len(bench.watches[other].taken) == (CONFIG.samples if held == "event" else 1)
    assert not bench.watches[held].taken
    assert await bench.read("windows") == 0
    bench.sinks[held].pause = False
    _, given = await bench.end(settings, *stream)
    assert len(given.events) == 2


@cocotb.test()
@cocotb.parametrize(stall=[0, 0.4])
async def run_stops_between_two_samples(dut: Any, stall: float) -> None:
    """Anywhere: samples count no longer, windows that are not whole are lost; the next stream begins with sample 0."""
    bench = await Bench.start(dut, stall)
    for _ in range(6):
        settings, samples, external = some(12, inspect=random.choice([0, 10, 1000]))
        external[140 + random.randrange(30) :: random.choice([9, 40])] = True
        settings["external_on"] = 1
        await bench.begin(settings, external)
        bench.feed(samples)
        while bench.beats < random.randint(160, len(samples)) // CONFIG.lanes:
            await RisingEdge(dut.clk)
        found, given = await bench.end(settings, samples, external)
        assert bool(await bench.read("status") & LOST) == (len(found.triggers) > len(given.events))
        await bench.write("status", LOST)
        before = [await bench.read(name) for name in COUNTERS]
        bench.feed(samples[: 20 * CONFIG.lanes])
        await ClockCycles(dut.clk, 60)
        assert [await bench.read(name) for name in COUNTERS] == before
        assert bench.sinks["event"].empty()
        await bench.command("clear_counters")
        assert not any([await bench.read(name) for name in COUNTERS])
        while not bench.sources["samples"].idle():
            await RisingEdge(dut.clk)


@cocotb.test()
async def the_baseline_now_can_be_read(dut: Any) -> None:
    """In the middle of frames: none, then each frame's."""
    bench = await Bench.start(dut)
    settings = FIRST | {"baseline_exponent": 7, "offset": -1234}
    samples, external = pulsed(7 * 128, [])
    found = find(CONFIG, settings, samples, external)
    await bench.begin(settings, external)
    for frame in range(7):
        for half in (0, 64):
            start = frame * 128 + half
            bench.feed(samples[start : start + 64])
            await bench.taken((start + 64) // CONFIG.lanes)
            if not half:
                assert await bench.read("baseline") == int(found.baseline[frame]) & 0xFFFFFF
                assert bool(await bench.read("status") & SETTLED) == bool(found.settled[frame])
    assert found.settled.tolist() == [False] * 3 + [True] * 4
    await bench.write("baseline_on", 0)
    await ClockCycles(dut.clk, 8)
    assert (await bench.read("baseline"), await bench.read("status") & SETTLED) == (0, SETTLED)


@cocotb.test()
async def reset_in_mid_flight_leaves_no_trace(dut: Any) -> None:
    """Neither in the events that follow nor in the registers."""
    bench = await Bench.start(dut, 0.2)
    for _ in range(5):
        stream = some(12)
        await bench.begin(stream[0], stream[2])
        bench.feed(stream[1])
        await ClockCycles(dut.clk, random.randint(3, 800))
        bench.sources["samples"].clear()
        await bench.reset()
        for sink in bench.sinks.values():
            sink.clear()
        await bench.assert_first()
        await bench.run(*stream)
        await bench.end(*stream)
