"""Bench of the register bank, on the register file `kinds`: every kind of field, against `sim.common.csr_model`.

cocotbext-axi is the manager where it can ask for what is wanted; odd strobes and exact cycles come from a manager of a
few lines. In every test a checker follows the bus and the hardware ports cycle by cycle.
"""

from __future__ import annotations

import os
import random
from collections import Counter
from typing import Any

import cocotb
from cocotb.clock import Clock
from cocotb.triggers import FallingEdge, ReadOnly, RisingEdge, Timer
from cocotbext.axi import AxiLiteBus, AxiLiteMaster

from sim.common.csr_checker import BUS_INPUTS, Checker
from sim.common.csr_model import DECERR, INPUT_BITS, MAPPED, OKAY, KindsModel, offset
from sim.common.pauses import pause_all
from sim.common.runner import CLOCK_PERIOD_NS

ADDRESSES = 64
TIMEOUT_CYCLES = 200
RANDOM_ACCESSES = int(os.environ["NIELLO_ACCESSES"])
BUILD = int(os.environ["NIELLO_BUILD"])
"""The parameter that the register file was elaborated with."""


async def start(dut: Any, *, lively: bool) -> Checker:
    """Clock, reset and checker."""
    for name in BUS_INPUTS:
        getattr(dut, f"s_axil_{name}").value = 0
    checker = Checker(dut, KindsModel(BUILD), lively=lively)
    checker.drive(dict.fromkeys(INPUT_BITS, 0))
    dut.rst.value = 1
    Clock(dut.clk, CLOCK_PERIOD_NS, "ns").start()
    for _ in range(3):
        await RisingEdge(dut.clk)
    dut.rst.value = 0
    cocotb.start_soon(checker.run())
    return checker


def manager(dut: Any) -> AxiLiteMaster:
    """The independent bus model."""
    return AxiLiteMaster(AxiLiteBus.from_prefix(dut, "s_axil"), dut.clk, dut.rst)


def random_address() -> int:
    """Any byte address, those with a register more often."""
    base = random.choice(MAPPED) if random.random() < 0.85 else random.randrange(0, ADDRESSES, 4)
    return base + random.randrange(4)


async def random_write(master: AxiLiteMaster) -> None:
    """One write inside one word, of 1 to 4 bytes."""
    address = random_address()
    data = random.randbytes(random.randint(1, 4 - address % 4))
    answer = await master.write(address, data)
    assert answer.resp == (OKAY if offset(address) in MAPPED else DECERR), f"write {address:#x}: {answer.resp!r}"


async def random_read(master: AxiLiteMaster) -> None:
    """One read inside one word, of 1 to 4 bytes; the checker knows what it must give."""
    address = random_address()
    answer = await master.read(address, random.randint(1, 4 - address % 4))
    assert answer.resp == (OKAY if offset(address) in MAPPED else DECERR), f"read {address:#x}: {answer.resp!r}"


async def repeat(action: Any, master: AxiLiteMaster, times: int) -> None:
    """One after the other."""
    for _ in range(times):
        await action(master)


async def write_word(
    dut: Any, address: int, data: int, strobe: int = 0xF, *, w_delay: int = 0, b_delay: int = 0
) -> int:
    """A write by hand. W becomes valid `w_delay` cycles after AW, or before it if negative; B is taken `b_delay`
    cycles after it could be. Returns the cycles from the one that shows AWVALID or WVALID first to BVALID's."""
    start_cycle = {"aw": max(0, -w_delay), "w": max(0, w_delay)}
    values = {"aw": {"awaddr": address}, "w": {"wdata": data, "wstrb": strobe}}
    pending = {"aw", "w"}
    b_cycle = None
    for cycle in range(TIMEOUT_CYCLES):
        for channel in ("aw", "w"):
            getattr(dut, f"s_axil_{channel}valid").value = channel in pending and cycle >= start_cycle[channel]
            for name, value in values[channel].items():
                getattr(dut, f"s_axil_{name}").value = value
        dut.s_axil_bready.value = b_cycle is not None and cycle >= b_cycle + b_delay
        await ReadOnly()
        if dut.s_axil_bvalid.value and b_cycle is None:
            b_cycle = cycle
        taken = {c for c in pending if cycle >= start_cycle[c] and getattr(dut, f"s_axil_{c}ready").value}
        done = b_cycle is not None and dut.s_axil_bready.value
        await RisingEdge(dut.clk)
        pending -= taken
        if done:
            dut.s_axil_bready.value = 0
            return int(b_cycle or 0)
    raise AssertionError(f"write of {address:#x} is not answered")


async def read_word(dut: Any, address: int, *, r_delay: int = 0) -> tuple[int, int]:
    """A read by hand; R is taken `r_delay` cycles after it could be. Returns the word and the cycles to RVALID."""
    waiting, r_cycle = True, None
    for cycle in range(TIMEOUT_CYCLES):
        dut.s_axil_arvalid.value = waiting
        dut.s_axil_araddr.value = address
        dut.s_axil_rready.value = r_cycle is not None and cycle >= r_cycle + r_delay
        await ReadOnly()
        if dut.s_axil_rvalid.value and r_cycle is None:
            r_cycle = cycle
        taken, done = waiting and dut.s_axil_arready.value, r_cycle is not None and dut.s_axil_rready.value
        word = int(dut.s_axil_rdata.value)
        await RisingEdge(dut.clk)
        waiting = waiting and not taken
        if done:
            dut.s_axil_rready.value = 0
            return word, int(r_cycle or 0)
    raise AssertionError(f"read of {address:#x} is not answered")


@cocotb.test()
async def csr_bank_holds_its_reset_values(dut: Any) -> None:
    """Every word after reset, through the independent bus model; what has no register is refused."""
    checker = await start(dut, lively=False)
    checker.drive({"data_word_next": 0xFEEDBEEF, "status_busy_next": 1})
    master = manager(dut)
    words = {
        0x00: 0x00C0DE | BUILD << 16,
        0x04: 0x12345678,
        0x08: 0x000A5001,
        0x0C: 0x60000100,
    }
    words |= {0x14: 0x00000F0F, 0x18: 0xFEEDBEEF, 0x20: 0}
    for address in range(0, ADDRESSES, 4):
        answer = await master.read(address, 4)
        assert int.from_bytes(answer.data, "little") == words.get(address, 0), f"{address:#x}: {answer!r}"
        assert answer.resp == (OKAY if address in words else DECERR), f"{address:#x}: {answer!r}"


@cocotb.test()
async def csr_bank_obeys_the_model_in_random_accesses(dut: Any) -> None:
    """Reads and writes side by side, back-pressure from none to heavy, hardware busy in every cycle."""
    checker = await start(dut, lively=True)
    master = manager(dut)
    rounds = (0.0, 0.2, 0.6)
    for share in rounds:
        pause_all(master, share)
        times = RANDOM_ACCESSES // len(rounds) // 4
        tasks = [cocotb.start_soon(repeat(action, master, times)) for action in (random_write, random_read) * 2]
        for task in tasks:
            await task
    counts = checker.counts
    accesses = sum(count for name, count in counts.items() if name.startswith(("read 0", "write 0")))
    assert accesses == RANDOM_ACCESSES, f"{accesses} accesses: {counts}"
    for address in range(0, ADDRESSES, 4):
        assert counts[f"read {address:#x}"] >= 5 and counts[f"write {address:#x}"] >= 5, f"{address:#x}: {counts}"
    for name in (
        "events: set against write-one-to-clear",
        "seen: set against read-to-clear",
        "position: hardware against software",
        "read and write in one cycle",
        "B stalled",
        "R stalled",
    ):
        assert counts[name] >= RANDOM_ACCESSES // 600, f"{name} was seen {counts[name]} times"


@cocotb.test()
async def csr_bank_honours_every_strobe(dut: Any) -> None:
    """All 16 patterns on every register, with ones and with random data."""
    await start(dut, lively=True)
    for address in MAPPED:
        for strobe in range(16):
            await write_word(dut, address, random.choice((0xFFFFFFFF, random.getrandbits(32))), strobe)
            await read_word(dut, address)


@cocotb.test()
async def csr_bank_takes_address_and_data_in_any_order(dut: Any) -> None:
    """W before, with and after AW; the response waits for whoever is slow."""
    await start(dut, lively=True)
    for w_delay in range(-6, 7):
        for b_delay in (0, 1, 5):
            data = random.getrandbits(32)
            cycles = await write_word(dut, 0x04, data, w_delay=w_delay, b_delay=b_delay)
            assert cycles == max(2, 2 - w_delay, 1 + w_delay), f"W {w_delay} cycles after AW: {cycles} cycles"
            word, _ = await read_word(dut, 0x04, r_delay=b_delay)
            assert word == data


@cocotb.test()
async def csr_bank_answers_in_the_stated_cycles(dut: Any) -> None:
    """Latency and throughput of the docstring, without stalls."""
    await start(dut, lively=False)
    assert await write_word(dut, 0x04, 1) == 2
    assert (await read_word(dut, 0x04)) == (1, 1)
    for name, value in {"arvalid": 1, "rready": 1, "awvalid": 1, "wvalid": 1, "bready": 1, "wstrb": 0}.items():
        getattr(dut, f"s_axil_{name}").value = value
    taken: Counter[str] = Counter()
    for _ in range(60):
        await RisingEdge(dut.clk)
        taken["read"] += int(dut.s_axil_arready.value)
        taken["write"] += int(dut.s_axil_wready.value)
    assert taken == {"read": 30, "write": 20}, f"{taken} in 60 cycles"
    for name in ("arvalid", "awvalid", "wvalid"):
        getattr(dut, f"s_axil_{name}").value = 0
    for _ in range(4):
        await RisingEdge(dut.clk)


@cocotb.test()
async def csr_bank_ready_depends_on_registers_alone(dut: Any) -> None:
    """No input that changes within a cycle reaches a READY or VALID of the bank in that cycle."""
    await start(dut, lively=False)
    master = manager(dut)
    pause_all(master, 0.5)
    tasks = [cocotb.start_soon(repeat(action, master, 20)) for action in (random_write, random_read)]
    handshakes = ("awready", "wready", "arready", "bvalid", "rvalid")
    while not all(task.done() for task in tasks):
        await FallingEdge(dut.clk)
        before = {name: int(getattr(dut, f"s_axil_{name}").value) for name in handshakes}
        for name in ("awvalid", "wvalid", "arvalid", "bready", "rready"):
            pin = getattr(dut, f"s_axil_{name}")
            held = int(pin.value)
            pin.value = not held
            await Timer(1, "ns")
            after = {name: int(getattr(dut, f"s_axil_{name}").value) for name in handshakes}
            pin.value = held
            assert after == before, f"{name} moved {before} to {after}"
    for task in tasks:
        await task


@cocotb.test()
async def csr_bank_never_loses_an_event(dut: Any) -> None:
    """An event in each of the cycles around software's clearing of it is there afterwards, if it came with or after."""
    checker = await start(dut, lively=False)
    for write_one_to_clear in (True, False):
        for event_cycle in range(6):
            port, read_shift = ("status_events_set", 0) if write_one_to_clear else ("status_seen_set", 16)
            checker.drive({port: 1})
            await RisingEdge(dut.clk)
            checker.drive({port: 0})
            await RisingEdge(dut.clk)
            cleared = write_word(dut, 0x0C, 1) if write_one_to_clear else read_word(dut, 0x0C)
            task = cocotb.start_soon(cleared)
            for _ in range(event_cycle):
                await RisingEdge(dut.clk)
            checker.drive({port: 1})
            await RisingEdge(dut.clk)
            checker.drive({port: 0})
            await task
            word, _ = await read_word(dut, 0x0C)
            # By write: AW in cycle 0, W in cycle 1. By read: AR in cycle 0.
            assert word >> read_shift & 1 == (event_cycle >= (1 if write_one_to_clear else 0)), f"cycle {event_cycle}"
            await write_word(dut, 0x0C, 0xF)
            await read_word(dut, 0x0C)


@cocotb.test()
async def csr_bank_recovers_from_reset_in_flight(dut: Any) -> None:
    """Reset at any moment leaves no answer behind and every field at its reset value."""
    checker = await start(dut, lively=True)
    master = manager(dut)
    pause_all(master, 0.4)
    for _ in range(60):
        tasks = [cocotb.start_soon(ignoring(action, master)) for action in (random_write, random_read) * 3]
        for _ in range(random.randrange(1, 16)):
            await RisingEdge(dut.clk)
        dut.rst.value = 1
        for _ in range(random.randrange(1, 4)):
            await RisingEdge(dut.clk)
        dut.rst.value = 0
        for task in tasks:
            await task
        answer = await master.read(0x04, 4)
        assert int.from_bytes(answer.data, "little") == 0x12345678
        await random_write(master)
    assert checker.counts["resets in flight"] >= 20, f"{checker.counts}"


async def ignoring(action: Any, master: AxiLiteMaster) -> None:
    """An access that reset may cut off: the bus model then answers None."""
    address = random_address()
    if action is random_write:
        await master.write(address, random.randbytes(1))
    else:
        await master.read(address, 1)
