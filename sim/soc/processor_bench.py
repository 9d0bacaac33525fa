"""cocotb bench of the processor with its monitor: memory, registers, other blocks, faults, noise, watchdog, interrupt.

`NIELLO_CONFIG` and `NIELLO_PORTS` say what was built; `random` is seeded by cocotb.
"""

from __future__ import annotations

import json
import os
import random
from typing import Any, Self

import cocotb
from cocotb.triggers import ClockCycles
from cocotbext.axi import AxiLiteBus, AxiLiteRam

from hdl.soc.config import IDENTITY, IO_BASE, RAM_BASE, SYSTEM_BASE, WORD_BYTES, ProcessorConfig
from sim.common.pauses import pause_all
from sim.soc import monitor, monitor_edge
from sim.soc.monitor_edge import REQUEST_CYCLES, MonitorEdge

CONFIG = ProcessorConfig.parse(json.loads(os.environ["NIELLO_CONFIG"]))
SYSTEM = CONFIG.registers
VARIABLES_BYTES, STACK_BYTES = 64, 256
"""Room that the monitor has behind its image, and below the end of the memory."""

FREE = range(RAM_BASE + WORD_BYTES * len(CONFIG.image) + VARIABLES_BYTES, CONFIG.ram_bytes - STACK_BYTES, WORD_BYTES)

INTERRUPT = {"sentinel": 11}.get(CONFIG.core, 7)
"""Number of the core's interrupt in `mie` and `mcause`: the machine's external one, or its timer's."""

SLOWER = monitor_edge.SLOWER.get(CONFIG.core, 1)

TIMER_CYCLES = 4 * REQUEST_CYCLES * SLOWER
"""Longer than what is asked before an interrupt is waited for."""

JUMP_TO_ITSELF = 0x0000006F

CODE, MARK = 0x1000, 0x1800
WAITS_FOR_AN_INTERRUPT = (
    0x00000297, 0x03428293,  # la t0, handler
    0x30529073,              # csrw mtvec, t0
    (((1 << INTERRUPT) + 0x800) & ~0xFFF) | 0x337, (1 << INTERRUPT & 0xFFF) << 20 | 0x00030313,  # li t1, 1 << INTERRUPT
    0x30431073,              # csrw mie, t1
    0x00002E37, 0x800E0E13,  # li t3, MARK
    0x30046073,              # csrsi mstatus, 8
    0x000E2E83,              # wait: lw t4, 0(t3)
    0xFE0E8EE3,              # beqz t4, wait
    0x30047073,              # csrci mstatus, 8
    0x00008067,              # ret
    0x800003B7,              # handler: lui t2, SYSTEM_BASE >> 12
    0x0003AA23,              # sw zero, 20(t2): irq_enable
    0x34202EF3,              # csrr t4, mcause
    0x01DE2023,              # sw t4, 0(t3)
    0x30200073,              # mret
)  # fmt: skip
CAUSE = 1 << 31 | INTERRUPT


def system(name: str) -> int:
    """The address of one of the processor's own registers."""
    return SYSTEM_BASE + SYSTEM[name].offset_bytes


class Bench(MonitorEdge):
    """The processor, a memory at its port `io`, and a host at its console."""

    slower = SLOWER
    io: AxiLiteRam
    io_bytes: int

    @classmethod
    async def start(cls, dut: Any, stall: float = 0) -> Self:
        """Reset; streams and the memory rest with this probability in every cycle."""
        bench = cls(dut)
        dut.io_irq.value = 0
        bench.io_bytes = 1 << len(dut.m_axil_io_araddr)
        bus = AxiLiteBus.from_prefix(dut, "m_axil_io")
        bench.io = AxiLiteRam(bus, bench.clock, getattr(dut, bench.ports.reset), size=bench.io_bytes)
        await bench.reset()
        bench.stall(stall)
        if stall:
            pause_all(bench.io, stall)
        return bench


@cocotb.test()
async def the_processor_says_what_it_is(dut: Any) -> None:
    """Identity, size, time; nothing has happened."""
    bench = await Bench.start(dut)
    assert (await bench.peek(system("identity"))).to_bytes(4, "little") == IDENTITY
    assert await bench.peek(system("shape")) == CONFIG.ram_bytes
    assert await bench.peek(system("status")) == 0
    before = await bench.peek(system("time_low"))
    assert before < await bench.peek(system("time_low")) < 10 * REQUEST_CYCLES * SLOWER
    assert await bench.peek(system("time_high")) == 0


@cocotb.test()
@cocotb.parametrize(stall=[0, 0.5])
async def words_are_kept(dut: Any, stall: float) -> None:
    """In memory and at the port `io`, each as last written; the image is the config's."""
    bench = await Bench.start(dut, stall)
    kept: dict[int, int] = {}
    for _ in range(15):
        if random.random() < 0.5:
            address = random.choice(FREE)
        else:
            address = IO_BASE + WORD_BYTES * random.randrange(bench.io_bytes // WORD_BYTES)
        kept[address] = random.getrandbits(32)
        await bench.poke(address, kept[address])
    for address, word in kept.items():
        assert await bench.peek(address) == word
        if address >= IO_BASE:
            assert int.from_bytes(bench.io.read(address - IO_BASE, WORD_BYTES), "little") == word
    for place in random.sample(range(len(CONFIG.image)), 5):
        assert await bench.peek(RAM_BASE + WORD_BYTES * place) == CONFIG.image[place]


@cocotb.test()
async def faults_are_told_and_change_nothing(dut: Any) -> None:
    """Accesses to nothing, and writes to the image."""
    bench = await Bench.start(dut)
    nowhere = [
        CONFIG.ram_bytes,
        SYSTEM_BASE - WORD_BYTES,
        SYSTEM_BASE + (1 << SYSTEM.address_bits),
        IO_BASE - WORD_BYTES,
    ]
    nowhere += [IO_BASE + bench.io_bytes, (1 << 32) - WORD_BYTES]
    for address in nowhere:
        await bench.fault(address)
        assert await bench.peek(system("fault_address")) == address
        await bench.fault(address, 5)
    for place in (0, 1, len(CONFIG.image) - 1):
        await bench.fault(WORD_BYTES * place, ~CONFIG.image[place] & 0xFFFFFFFF)
        assert await bench.peek(system("fault_address")) == WORD_BYTES * place
        assert await bench.peek(WORD_BYTES * place) == CONFIG.image[place]
    assert await bench.peek(system("status")) == 0


@cocotb.test()
async def damaged_requests_do_nothing(dut: Any) -> None:
    """Characters that noise has changed, lines cut short, run together or without end: an error, and on it goes."""
    bench = await Bench.start(dut)
    address = random.choice(FREE)
    await bench.poke(address, 0x600D600D)
    for _ in range(12):
        damaged = bytearray(monitor.request("w", address, random.getrandbits(32)))
        place = random.randrange(len(damaged) - 1)
        damaged[place] = random.choice([octet for octet in range(256) if octet not in (damaged[place], 0x0A)])
        await bench.refused(bytes(damaged), 1)
    whole = monitor.request("w", address, 1)
    await bench.refused(whole[:7] + b"\n", 1)
    await bench.refused(b"w\n", 1)
    await bench.refused(whole[:-1] + whole, 2)
    await bench.refused(bytes(random.choice(range(11, 256)) for _ in range(60)) + b"\n", 2)
    for text in (b"q" + whole[1:17], b"w" + whole[1:9], b"r" + whole[1:17], b"r0000000", b"r00001002", b"r000010G0"):
        await bench.refused(text + f"{monitor.fletcher(text):04x}\n".encode(), 2)
    assert await bench.lines(b"\n\n" + monitor.request("r", address), 1) == [b"=600d600d" + _sum(b"=600d600d")]
    assert await bench.peek(system("status")) == 0


def _sum(text: bytes) -> bytes:
    return f"{monitor.fletcher(text):04x}\n".encode()


@cocotb.test()
async def the_watchdog_ends_a_hang(dut: Any) -> None:
    """In so many cycles: the monitor is back, what happened is told, memory and other blocks are as they were."""
    bench = await Bench.start(dut)
    address = random.choice(FREE)
    await bench.poke(address, JUMP_TO_ITSELF)
    await bench.poke(IO_BASE, 77)
    cycles = 20_000 * SLOWER
    await bench.poke(system("watchdog"), cycles)
    assert await bench.ask("g", address) == address
    await ClockCycles(dut.clk, cycles - 3000)
    bench.sources["console_in"].send_nowait(monitor.request("r", address))
    await ClockCycles(dut.clk, 1000)
    assert bench.sinks["console_out"].empty()
    assert await bench.lines(b"", 1) == [b"=0000006f" + _sum(b"=0000006f")]
    assert await bench.peek(system("status")) == SYSTEM["status"]["watchdog"].mask
    await bench.poke(system("status"), SYSTEM["status"]["watchdog"].mask)
    assert await bench.peek(system("status")) == 0
    assert await bench.peek(IO_BASE) == 77
    assert await bench.peek(system("watchdog")) > cycles


@cocotb.test()
@cocotb.parametrize(cause=["timer", "io", "receive"])
async def interrupts_come_to_software(dut: Any, cause: str) -> None:
    """Each that is enabled, once it is pending; others do not."""
    bench = await Bench.start(dut)
    for place, word in enumerate(WAITS_FOR_AN_INTERRUPT):
        await bench.poke(CODE + WORD_BYTES * place, word)
    await bench.poke(MARK, 0)
    now = await bench.peek(system("time_low"))
    if cause == "timer":
        await bench.poke(system("compare_low"), now + TIMER_CYCLES)
        await bench.poke(system("compare_high"), 0)
    await bench.poke(system("irq_enable"), SYSTEM["irq_enable"][cause].mask)
    await bench.ask("g", CODE)
    await ClockCycles(dut.clk, 2000 * SLOWER)
    late = monitor.request("r", MARK)
    if cause == "receive":
        bench.sources["console_in"].send_nowait(late)
    elif cause == "io":
        dut.io_irq.value = 1
        await ClockCycles(dut.clk, 2000 * SLOWER)
    else:
        await ClockCycles(dut.clk, TIMER_CYCLES)
    if cause != "receive":
        bench.sources["console_in"].send_nowait(late)
    (line,) = await bench.lines(b"", 1)
    assert monitor.answer(line) == CAUSE
    assert await bench.peek(system("irq_enable")) == 0
    pending = SYSTEM["irq_pending"]
    expected = pending["transmit"].mask | (0 if cause == "receive" else pending[cause].mask)
    assert await bench.peek(system("irq_pending")) == expected


@cocotb.test()
async def reset_in_mid_flight_leaves_no_trace(dut: Any) -> None:
    """Of a request that was under way; memory keeps what it has."""
    bench = await Bench.start(dut, 0.2)
    address = random.choice(FREE)
    await bench.poke(address, 0xCAFE0000)
    for _ in range(4):
        bench.sources["console_in"].send_nowait(monitor.request("r", random.choice((address, IO_BASE))))
        await ClockCycles(dut.clk, random.randint(100, 6000))
        bench.sources["console_in"].clear()
        await bench.reset()
        bench.sinks["console_out"].clear()
        assert await bench.peek(address) == 0xCAFE0000
        assert await bench.peek(system("status")) == 0
