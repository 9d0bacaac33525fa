"""What the benches of blocks share that take windows and give a record for each."""

from __future__ import annotations

import random
from typing import Any, ClassVar

import numpy as np
from cocotb.triggers import ClockCycles

from sim.common.register_edge import StalledEdge
from sim.pulse.windows import window_beats

COUNTERS = ("windows", "dropped", "cycles")


class WindowBench(StalledEdge):
    """The block with a bus model on each of its interfaces, and its golden model beside it."""

    CONFIG: ClassVar[Any]
    """The block's."""

    VECTORS: ClassVar[Any]
    """The block's vectors module, with a function `records` of beats."""

    MEMORY: ClassVar[tuple[str, ...]]
    """Registers that lead to its memory."""

    FIRST: ClassVar[dict[str, int]]
    """What registers hold after reset; the others 0."""

    @classmethod
    def some(cls, count: int, **settings: int) -> dict[str, Any]:
        """Random windows, memories and settings, some of which are given."""
        arrays: dict[str, Any] = cls.VECTORS.random_arrays(cls.CONFIG, random.getrandbits(32), count)
        for name, value in settings.items():
            arrays["settings"][cls.CONFIG.setting_names.index(name)] = value
        return arrays

    async def load(self, arrays: dict[str, Any]) -> None:
        """Settings and memories."""
        for address, words in self.VECTORS.register_writes(self.CONFIG, arrays):
            for word in words:
                await self.registers["csr"].write_dword(address, word)

    async def load_settings(self, arrays: dict[str, Any]) -> None:
        """Settings alone: memories have what they had."""
        for name, value in zip(self.CONFIG.setting_names, arrays["settings"].tolist(), strict=True):
            await self.write(name, value & self.MAP[name]["value"].mask)

    async def results(self, arrays: dict[str, Any]) -> None:
        """The records of windows that were sent are the golden model's."""
        want = self.VECTORS.model(self.CONFIG, arrays)
        beats = b"".join(await self.receive("fit", len(arrays["windows"])))
        got = self.VECTORS.records(np.frombuffer(beats, np.uint8).reshape(-1, self.CONFIG.record_bits // 8))
        for name, right in want.items():
            assert got[name].tolist() == right.tolist(), name

    async def check(self, arrays: dict[str, Any]) -> None:
        """Send windows, and compare."""
        self.send("window", window_beats(arrays["windows"]))
        await self.results(arrays)

    async def first_values(self) -> None:
        """Settings, all other registers and counters are as after reset."""
        for register in (*self.CONFIG.setting_names, "status", "irq_enable", "control", *self.MEMORY, *COUNTERS):
            assert await self.read(register) == self.FIRST.get(register, 0), register

    async def clear(self) -> None:
        """Counters are cleared by command."""
        await self.command("clear_counters")
        for register in COUNTERS:
            assert await self.read(register) == 0, register

    async def interrupted(self, arrays: dict[str, Any], longest: int) -> None:
        """Windows that a reset cuts off within `longest` cycles leave no trace, but memories keep what they have."""
        await self.load(arrays)
        for _ in range(5):
            self.send("window", window_beats(arrays["windows"]))
            await ClockCycles(self.clock, random.randint(3, longest))
            for source in self.sources.values():
                source.clear()
            await self.reset()
            self.sinks["fit"].clear()
            await self.first_values()
            await self.load_settings(arrays)
            await self.check(arrays)
            assert await self.read("windows") == len(arrays["windows"])
            assert await self.read("status") == 0
        await ClockCycles(self.clock, longest)
        assert self.sinks["fit"].empty()

    async def between_bad_ones(self, arrays: dict[str, Any]) -> None:
        """Windows of other lengths, after each of the seven given but the last, are dropped whole, and told."""
        await self.load(arrays)
        samples = self.CONFIG.samples
        lengths = [1, samples - 1, samples + 1, 2 * samples, 1, 3 * samples + 5]
        for number, length in enumerate(lengths):
            good, bad = arrays["windows"][number], arrays["windows"][number + 1]
            self.send("window", window_beats(good[None]))
            self.send("window", window_beats(np.resize(bad, (1, length))))
        self.send("window", window_beats(arrays["windows"][len(lengths) :]))
        await self.results(arrays)
        assert [await self.read(name) for name in ("windows", "dropped")] == [len(lengths) + 1, len(lengths)]
        await self.tells("bad_window")
        assert self.sinks["fit"].empty()

    async def tells(self, name: str) -> None:
        """Of status only this bit is set; it interrupts where it may, and is cleared."""
        bit = self.MAP["status"][name].mask
        assert await self.read("status") == bit
        assert await self.interrupt() == 0
        await self.write("irq_enable", bit)
        assert await self.interrupt() == 1
        await self.write("status", bit)
        assert (await self.interrupt(), await self.read("status")) == (0, 0)
        await self.write("irq_enable", 0)
