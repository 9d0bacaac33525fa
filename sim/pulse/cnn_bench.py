"""cocotb bench of `pulse.cnn`: networks, their cycles, images that change or are damaged, bad windows, reset.

`NIELLO_CONFIG` and `NIELLO_PORTS` say what was built; `random` is seeded by cocotb.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
from typing import Any

import cocotb
import numpy as np
from cocotb.triggers import ClockCycles

from hdl.common.registers import load_registers
from hdl.pulse.cnn_config import CnnConfig
from hdl.pulse.cnn_words import Memory, image_address
from sim.common.beats import Beats
from sim.common.register_edge import StalledEdge
from sim.common.stimulus import last_flags
from sim.pulse.cnn_compile import Bases, compile_network
from sim.pulse.cnn_network import INPUT, Dense, Input, Network, Requantisation
from sim.pulse.cnn_random import random_network
from sim.pulse.cnn_vectors import Writes, file_of, image_writes, input_writes, model, pack, random_arrays, result_order

CONFIG = CnnConfig.parse(json.loads(os.environ["NIELLO_CONFIG"]))
REGISTERS = load_registers(*CONFIG.register_source)
STICKY = ("bad_window", "no_network", "bad_address", "bad_image")
BAD_WINDOW, NO_NETWORK, BAD_ADDRESS, BAD_IMAGE, BUSY, ACTIVE = (
    REGISTERS["status"][name].mask for name in (*STICKY, "busy", "active")
)
COUNTERS = ("windows", "dropped", "cycles")
ALL = slice(None)
PATIENCE_CYCLES = 60_000
"""For a window: those of the longest random network, stalled."""


class Case:
    """A network with its image, and windows for it."""

    def __init__(self, network: Network, windows: int, bases: Bases):
        self.network, self.image = network, compile_network(network, CONFIG, bases)
        self.arrays = random_arrays(CONFIG, random.getrandbits(32), windows) | {"network": file_of(network)}

    @classmethod
    def any(cls, windows: int) -> Case:
        """A random one."""
        return cls(random_network(np.random.default_rng(random.getrandbits(32)), CONFIG, Bases()), windows, Bases())

    def beside(self, windows: int) -> Case:
        """One whose network lies behind this one's, and takes its windows as this one does; ValueError if none fits."""
        rng, bases, given = np.random.default_rng(random.getrandbits(32)), self.image.end, self.network.input
        network = random_network(rng, CONFIG, bases)
        while network.input.channels != given.channels:
            network = random_network(rng, CONFIG, bases)
        return Case(Network(given, network.layers, network.raw, network.activation_bits), windows, bases)

    @classmethod
    def pair(cls, windows: int) -> tuple[Case, Case]:
        """Two whose networks fit beside each other."""
        while True:
            first = cls.any(windows)
            with contextlib.suppress(ValueError):
                return first, first.beside(windows)

    @property
    def cycles(self) -> int:
        """Of a window in the layers."""
        return sum(self.image.read_cycles(CONFIG)) + len(self.image.program) * CONFIG.layer_cycles

    def packets(self) -> list[bytes]:
        """Of the stream `result`, for all windows."""
        found = model(CONFIG, self.arrays)
        order = result_order(self.network.shapes[self.network.last.name], CONFIG.elements)
        values = found["values"].reshape(len(found["values"]), -1)[:, order]
        return [row.astype("<i4").tobytes() for row in np.column_stack([found["reference"], values])]


class Bench(StalledEdge):
    """The block with a bus model on each of its interfaces."""

    MAP = REGISTERS

    async def put(self, writes: Writes) -> None:
        """Words to registers."""
        for address, words in writes:
            for word in words:
                await self.registers["csr"].write_dword(address, word)

    async def load(self, case: Case) -> None:
        """Normaliser and image; the network is active then."""
        await self.put(input_writes(CONFIG, case.network.input) + image_writes(CONFIG, case.image))

    def feed(self, case: Case, part: slice = ALL) -> None:
        """Queue a case's windows, or some of them."""
        windows = {"windows": case.arrays["windows"][part]}
        self.send("window", pack(CONFIG, case.arrays | windows)["window"])

    async def results(self, case: Case, part: slice = ALL) -> None:
        """The packets of windows that were sent are the golden model's."""
        wanted = case.packets()[part]
        assert await self.receive("result", len(wanted), timeout_cycles=PATIENCE_CYCLES) == wanted

    async def check(self, case: Case) -> None:
        """Send a case's windows, and compare."""
        self.feed(case)
        await self.results(case)


@cocotb.test()
async def constants_say_what_was_built(dut: Any) -> None:
    """Identity and shape; everything else is 0 after reset."""
    bench = await Bench.start(dut)
    assert (await bench.read("identity")).to_bytes(4, "little") == b"PCNN"
    names = ("samples", "products", "elements", "activation_bits", "weight_bits")
    assert REGISTERS["shape"].decode(await bench.read("shape")) == {name: getattr(CONFIG, name) for name in names}
    for register in ("status", "irq_enable", *COUNTERS):
        assert await bench.read(register) == 0, register


@cocotb.test()
@cocotb.parametrize(stall=[0, 0.3, 0.7])
async def results_match_the_model(dut: Any, stall: float) -> None:
    """Networks of all kinds of layers, both streams stalled."""
    bench = await Bench.start(dut, stall)
    for number in range(1, 7):
        case = Case.any(3)
        await bench.load(case)
        await bench.check(case)
        assert await bench.read("windows") == 3 * number
    assert await bench.read("status") == ACTIVE


@cocotb.test()
async def layers_take_the_cycles_of_the_page(dut: Any) -> None:
    """Windows that wait for each other follow in as many cycles as their layers take."""
    bench, checked = await Bench.start(dut), 0
    while checked < 4:
        case = Case.any(5)
        outputs = model(CONFIG, case.arrays)["values"][0].size
        held_up = outputs > max(24, case.image.read_cycles(CONFIG)[-1])  # by the stream, which takes a word a cycle
        if case.cycles < 2 * (CONFIG.samples + CONFIG.input_cycles) or held_up:
            continue
        await bench.load(case)
        await bench.command("clear_counters")
        before = len(bench.watches["result"].lasts)
        await bench.check(case)
        lasts = bench.watches["result"].lasts[before:]
        assert np.diff(lasts).tolist() == [case.cycles] * 4
        checked += 1


@cocotb.test()
async def latency_is_the_config_s(dut: Any) -> None:
    """From a window's last beat to its reference and to its first output, with nothing before it."""
    bench = await Bench.start(dut)
    weights, bias = np.ones((1, CONFIG.samples), np.int8), np.zeros(1, np.int32)
    layer = Dense(name="sum", source=INPUT, weights=weights, bias=bias, output=Requantisation.power_of_two(1))
    case = Case(Network(Input(CONFIG.samples), (layer,), True, CONFIG.activation_bits), 3, Bases())
    await bench.load(case)
    reads = -(-CONFIG.samples // CONFIG.products)
    for number in range(3):
        bench.feed(case, slice(number, number + 1))
        await bench.results(case, slice(number, number + 1))
        last, offered = bench.watches["window"].lasts[-1], bench.watches["result"].offered[-2:]
        assert offered == [last + CONFIG.input_cycles, last + CONFIG.latency_cycles + reads - 1]


@cocotb.test()
async def reset_in_mid_flight_leaves_no_trace(dut: Any) -> None:
    """Neither in the results that follow nor in the registers; the memories stay, but no network is active."""
    bench = await Bench.start(dut, 0.2)
    case = Case.any(3)
    await bench.load(case)
    for _ in range(5):
        bench.feed(case)
        await ClockCycles(dut.clk, random.randint(3, 3 * (CONFIG.samples + case.cycles)))
        for source in bench.sources.values():
            source.clear()
        await bench.reset()
        bench.sinks["result"].clear()
        assert await bench.read("status") == 0
        await bench.put(input_writes(CONFIG, case.network.input))
        await bench.command("begin_image")
        await bench.command("activate")  # an image without words, whose checksum is 0
        await bench.check(case)
        assert await bench.read("windows") == 3
        assert await bench.read("status") == ACTIVE
    assert bench.sinks["result"].empty()


@cocotb.test()
@cocotb.parametrize(stall=[0, 0.4])
async def bad_windows_are_dropped_whole(dut: Any, stall: float) -> None:
    """And are told; those before and after are not disturbed."""
    bench = await Bench.start(dut, stall)
    case = Case.any(6)
    await bench.load(case)
    data = pack(CONFIG, case.arrays)["window"].data.reshape(-1, CONFIG.samples, 2)
    lengths = [1, CONFIG.samples - 1, CONFIG.samples + 1, 2 * CONFIG.samples, 3 * CONFIG.samples + 5]
    for number, length in enumerate(lengths):
        bench.send("window", Beats(data[number], last_flags([CONFIG.samples])))
        bench.send("window", Beats(np.resize(data[number + 1], (length, 2)), last_flags([length])))
    bench.send("window", Beats(data[5], last_flags([CONFIG.samples])))
    await bench.results(case)
    assert [await bench.read(name) for name in ("windows", "dropped")] == [6, len(lengths)]
    await told(bench, BAD_WINDOW)


async def told(bench: Bench, bit: int) -> None:
    """A sticky bit is set, alone; it interrupts when enabled, and goes when cleared."""
    sticky = sum(REGISTERS["status"][name].mask for name in STICKY)
    assert await bench.read("status") & sticky == bit
    assert await bench.interrupt() == 0
    await bench.write("irq_enable", bit)
    assert await bench.interrupt() == 1
    await bench.write("status", bit)
    assert (await bench.interrupt(), await bench.read("status") & sticky) == (0, 0)
    await bench.write("irq_enable", 0)


@cocotb.test()
async def windows_without_a_network_are_dropped(dut: Any) -> None:
    """And are told; when there is one, it takes those that come after."""
    bench = await Bench.start(dut)
    case = Case.any(2)
    bench.feed(case)
    await ClockCycles(dut.clk, 4 * CONFIG.samples + 20)
    assert [await bench.read(name) for name in ("windows", "dropped")] == [0, 2]
    await told(bench, NO_NETWORK)
    await bench.load(case)
    await bench.check(case)


@cocotb.test()
@cocotb.parametrize(stall=[0, 0.3])
async def networks_change_between_windows(dut: Any, stall: float) -> None:
    """A second one is written while the first works, and takes over between two windows: each is of one of them."""
    bench = await Bench.start(dut, stall)
    first, second = Case.pair(24)
    second.arrays["windows"] = first.arrays["windows"]
    await bench.load(first)
    *image, activate = image_writes(CONFIG, second.image)
    bench.feed(first, slice(2))
    await bench.put(image)
    await bench.results(first, slice(2))
    bench.feed(first, slice(2, None))
    await ClockCycles(dut.clk, 3 * (CONFIG.samples + first.cycles))
    await bench.put([activate])
    packets = await bench.receive("result", 22, timeout_cycles=PATIENCE_CYCLES)
    told_by = [case.packets()[2:] for case in (first, second)]
    changes = [n for n in range(23) if packets == told_by[0][:n] + told_by[1][n:]]
    assert any(0 < n < 22 for n in changes)


@cocotb.test()
async def damaged_images_are_refused(dut: Any) -> None:
    """A bit of any word wrong: the network before it goes on, with what it was given."""
    bench = await Bench.start(dut)
    case, other = Case.pair(3)
    await bench.load(case)
    for _ in range(4):
        writes = image_writes(CONFIG, other.image)
        place = random.choice([number for number, (_, words) in enumerate(writes[1:-3], 1) if len(words) > 1])
        address, words = writes[place]
        harmed = list(words)
        harmed[random.randrange(len(words))] ^= 1 << random.randrange(32)
        await bench.put([*writes[:place], (address, harmed), *writes[place + 1 :]])
        await told(bench, BAD_IMAGE)
        await bench.check(case)
    await bench.put(image_writes(CONFIG, other.image))
    assert await bench.read("crc") == other.image.crc
    assert await bench.read("status") == ACTIVE


@cocotb.test()
async def writes_beyond_the_memories_change_nothing(dut: Any) -> None:
    """And are told; the address counts on."""
    bench = await Bench.start(dut)
    case = Case.any(2)
    await bench.load(case)
    rows = (16 * CONFIG.layers, 2 * CONFIG.channel_words, CONFIG.weight_words * CONFIG.products // 4)
    beyond = [image_address(memory, 0, most) for memory, most in zip(Memory, rows, strict=True)]
    beyond += [image_address(memory, CONFIG.elements, 0) for memory in (Memory.CHANNELS, Memory.WEIGHTS)]
    for address in [*beyond, 3 << 28]:
        await bench.write("image_address", address)
        await bench.write("image_data", 0x5A5A5A5A)
        assert await bench.read("image_address") == address + 1
        await told(bench, BAD_ADDRESS)
    await bench.check(case)
