"""cocotb bench of `pulse.filter`: protocol, latency, reset, registers and bank, held against the golden model.

`NIELLO_CONFIG` and `NIELLO_PORTS` say what was built; `random` is seeded by cocotb.
"""

from __future__ import annotations

import json
import os
from typing import Any, ClassVar

import cocotb
from cocotb.triggers import ClockCycles

from hdl.common.registers import load_registers
from hdl.pulse.config import FRACTION_BITS, PHASES, FilterConfig
from sim.pulse import filter_vectors
from sim.pulse.window_bench import WindowBench
from sim.pulse.windows import window_beats

CONFIG = FilterConfig.parse(json.loads(os.environ["NIELLO_CONFIG"]))
REGISTERS = load_registers(*CONFIG.register_source)
BUSY = REGISTERS["status"]["busy"].mask


ONE_PULSE = {"pair_passes": 0} if CONFIG.pairs else {}
"""Settings with which a window's latency is known beforehand."""


class Bench(WindowBench):
    """The filter's."""

    MAP: ClassVar = REGISTERS
    CONFIG: ClassVar = CONFIG
    VECTORS: ClassVar = filter_vectors
    MEMORY: ClassVar = ("bank_address", "bank_data")
    FIRST: ClassVar = {
        "passes": CONFIG.default_passes,
        "guess": CONFIG.pre << FRACTION_BITS,
        "chi_base": (1 << 32) - 1,
        "code_least": 1 << 15,
        "code_most": (1 << 15) - 1,
    }


@cocotb.test()
async def constants_say_what_was_built(dut: Any) -> None:
    """Identity, shape and the settings' first values; everything else is 0 after reset."""
    bench = await Bench.start(dut)
    assert (await bench.read("identity")).to_bytes(4, "little") == b"FILT"
    assert REGISTERS["shape"].decode(await bench.read("shape")) == {
        "samples": CONFIG.samples,
        "taps": CONFIG.taps,
        "pre": CONFIG.pre,
        "width": CONFIG.shape,
        "stretches": CONFIG.stretches,
        "pairs": CONFIG.pairs,
    }
    await bench.first_values()


@cocotb.test()
@cocotb.parametrize(stall=[0, 0.3, 0.7])
async def records_match_the_model(dut: Any, stall: float) -> None:
    """Windows, banks and settings of all kinds, both streams stalled."""
    bench = await Bench.start(dut, stall)
    for _ in range(3):
        arrays = Bench.some(8)
        await bench.load(arrays)
        await bench.check(arrays)
    assert await bench.read("windows") == 24
    assert await bench.read("status") == 0


@cocotb.test()
@cocotb.parametrize(passes=[1, 2, CONFIG.most_passes])
async def latency_is_what_the_config_says(dut: Any, passes: int) -> None:
    """And a window in so many cycles while others wait: two are kept, the third comes in when a record is taken."""
    bench = await Bench.start(dut)
    arrays = Bench.some(4, passes=passes, **ONE_PULSE)
    await bench.load(arrays)
    await bench.check(arrays)
    latency = CONFIG.fit_cycles(passes)
    window, fit = bench.watches["window"], bench.watches["fit"]
    assert fit.offered[0] - window.lasts[0] == latency
    starts = window.taken[:: CONFIG.samples]
    assert starts[1] == window.lasts[0] + 1
    for number in (1, 2, 3):
        assert fit.offered[number] == max(fit.offered[number - 1], window.lasts[number]) + latency
    assert starts[2] == max(window.lasts[1], fit.taken[0]) + 1
    assert await bench.read("cycles") == 4 * latency
    await bench.clear()


def _one_pulse(arrays: dict[str, Any]) -> Any:
    settings = arrays["settings"].copy()
    settings[CONFIG.setting_names.index("pair_passes")] = 0
    return settings


if CONFIG.pairs:

    @cocotb.test()
    @cocotb.parametrize(passes=[1, 3], pair_passes=[1, 3, CONFIG.most_passes])
    async def latency_of_pairs_is_what_the_config_says(dut: Any, passes: int, pair_passes: int) -> None:
        """Of windows in which one pulse leaves anything at all."""
        bench = await Bench.start(dut)
        everything = {"chi_base": 0, "chi_share": 0, "passes": passes}
        arrays = Bench.some(4, pair_passes=pair_passes, **everything)
        while not Bench.VECTORS.model(CONFIG, arrays | {"settings": _one_pulse(arrays)})["chi"].all():
            arrays = Bench.some(4, pair_passes=pair_passes, **everything)
        await bench.load(arrays)
        await bench.check(arrays)
        exponent = arrays["settings"][CONFIG.setting_names.index("exponent_template")]
        latency = CONFIG.fit_cycles(passes) + CONFIG.pair_cycles(passes, pair_passes, int(exponent))
        window, fit = bench.watches["window"], bench.watches["fit"]
        assert fit.offered[0] - window.lasts[0] == latency
        assert await bench.read("cycles") == 4 * latency


@cocotb.test()
async def reset_in_mid_flight_leaves_no_trace(dut: Any) -> None:
    """Neither in the records that follow nor in the registers; the bank stays, as a memory does."""
    bench = await Bench.start(dut, 0.2)
    longest = CONFIG.latency_cycles + (CONFIG.pair_cycles(CONFIG.default_passes, 1, 31) if CONFIG.pairs else 0)
    some = {"passes": CONFIG.default_passes} | ({"pair_passes": 1} if CONFIG.pairs else {})
    await bench.interrupted(Bench.some(3, **some), 3 * longest)


@cocotb.test()
@cocotb.parametrize(stall=[0, 0.4])
async def bad_windows_are_dropped_whole(dut: Any, stall: float) -> None:
    """And are told; those before and after are not disturbed."""
    bench = await Bench.start(dut, stall)
    await bench.between_bad_ones(Bench.some(7))


@cocotb.test()
async def writes_to_no_coefficient_change_nothing(dut: Any) -> None:
    """Those beyond taps, places and rows; the address counts on over them, and such a write is told."""
    bench = await Bench.start(dut)
    arrays = Bench.some(2)
    await bench.load(arrays)
    beyond = [CONFIG.bank_address("templates", "z", place) for place in (0, PHASES - 1)]
    if not CONFIG.shape:
        beyond += [CONFIG.bank_address(memory, "c", 3, 1) for memory in ("weights", "templates")]
    beyond += [CONFIG.bank_address("weights", "b", place) for place in range(CONFIG.places, 1 << CONFIG.place_bits)]
    beyond += [CONFIG.bank_address("weights", "a", 5) + tap for tap in range(CONFIG.taps, 1 << CONFIG.tap_bits)]
    for address in beyond:
        assert await bench.read("status") == 0
        await bench.write("bank_address", address)
        await bench.write("bank_data", 0x5A5A)
        assert await bench.read("bank_address") == address + 1
        await bench.tells("bad_bank")
    await bench.check(arrays)


@cocotb.test()
async def a_bank_that_changes_harms_no_other_fit(dut: Any) -> None:
    """What is written while a window is fitted may be in that fit; the next has it whole."""
    bench = await Bench.start(dut)
    first = Bench.some(1, passes=CONFIG.most_passes)
    await bench.load(first)
    bench.send("window", window_beats(first["windows"]))
    await ClockCycles(dut.clk, CONFIG.samples + 10)
    assert await bench.read("status") == BUSY
    second = Bench.some(3)
    await bench.load(second)
    assert len(await bench.receive("fit", 1)) == 1
    assert await bench.read("status") == 0
    await bench.check(second)
