"""Bench of the AXI4-Lite arbiter: two managers, each with reads and writes under way, on a memory that rests."""

from __future__ import annotations

import os
import random
from typing import Any

import cocotb
from cocotb.clock import Clock
from cocotb.triggers import ClockCycles, Combine, RisingEdge
from cocotbext.axi import AxiLiteBus, AxiLiteMaster, AxiLiteRam

from sim.common.pauses import pause_all
from sim.common.runner import CLOCK_PERIOD_NS

SIZE = 1 << int(os.environ["NIELLO_ADDRESS_BITS"])
ACCESSES = 250
LONGEST_MS = 0.3


async def started(dut: Any, share: float = 0.3) -> tuple[list[AxiLiteMaster], AxiLiteRam]:
    """The managers and the memory after reset; `share` of the cycles every channel rests."""
    dut.rst.value = 1
    Clock(dut.clk, CLOCK_PERIOD_NS, "ns").start()
    prefixes = ("s_axil_first", "s_axil_second")
    managers = [AxiLiteMaster(AxiLiteBus.from_prefix(dut, prefix), dut.clk, dut.rst) for prefix in prefixes]
    memory = AxiLiteRam(AxiLiteBus.from_prefix(dut, "m_axil_bus"), dut.clk, dut.rst, size=SIZE)
    for model in (*managers, memory):
        pause_all(model, share)
    await ClockCycles(dut.clk, 3)
    dut.rst.value = 0
    return managers, memory


@cocotb.test(timeout_time=LONGEST_MS, timeout_unit="ms")
async def each_manager_reads_what_it_wrote(dut: Any) -> None:
    """Both at once, in halves of their own; writes and reads of one manager side by side, in different quarters."""
    managers, memory = await started(dut)
    content = bytearray(SIZE)

    async def work(manager: AxiLiteMaster, first: int) -> None:
        for _ in range(ACCESSES):
            address = first + random.randrange(SIZE // 4)
            data = random.randbytes(random.randint(1, min(9, first + SIZE // 4 - address)))
            if random.random() < 0.5:
                await manager.write(address, data)
                content[address : address + len(data)] = data
            else:
                answer = await manager.read(address, len(data))
                assert bytes(answer.data) == bytes(content[address : address + len(data)])

    quarters = [(managers[side], (2 * side + half) * SIZE // 4) for side in (0, 1) for half in (0, 1)]
    await Combine(*(cocotb.start_soon(work(manager, first)) for manager, first in quarters))
    assert bytes(memory.read(0, SIZE)) == bytes(content)


@cocotb.test(timeout_time=LONGEST_MS, timeout_unit="ms")
async def a_manager_waits_for_one_access_at_most(dut: Any) -> None:
    """While the other one never stops asking."""
    managers, _ = await started(dut, 0)

    async def greedy() -> None:
        while True:
            await managers[0].write(0, bytes(32))

    busy = cocotb.start_soon(greedy())
    for _ in range(50):
        await ClockCycles(dut.clk, random.randint(1, 20))
        asked, taken, own = cocotb.start_soon(managers[1].read(SIZE // 2, 4)), 0, 0
        while not asked.done():
            await RisingEdge(dut.clk)
            waits = int(dut.s_axil_second_arvalid.value)
            taken += waits and int(dut.s_axil_first_bvalid.value) and int(dut.s_axil_first_bready.value)
            own += int(dut.s_axil_second_rvalid.value)
        assert taken <= 1 <= own
    busy.cancel()


@cocotb.test(timeout_time=LONGEST_MS, timeout_unit="ms")
async def reset_in_mid_flight_leaves_no_trace(dut: Any) -> None:
    """Of accesses that were under way."""
    managers, memory = await started(dut)
    for _ in range(20):
        under_way = [cocotb.start_soon(manager.write(0, bytes(12))) for manager in managers]
        await ClockCycles(dut.clk, random.randint(1, 25))
        for access in under_way:
            access.cancel()
        dut.rst.value = 1
        await ClockCycles(dut.clk, 2)
        dut.rst.value = 0
        for side, manager in enumerate(managers):
            data = random.randbytes(8)
            await manager.write(8 * side, data)
            assert bytes((await manager.read(8 * side, 8)).data) == data == bytes(memory.read(8 * side, 8))
