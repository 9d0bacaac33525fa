"""Bench of the on-chip memory: bursts and single words at once, with cocotbext-axi's managers, against plain bytes."""

from __future__ import annotations

import os
import random
from typing import Any

import cocotb
from cocotb.clock import Clock
from cocotb.triggers import Combine, RisingEdge
from cocotbext.axi import AxiBurstType, AxiBus, AxiLiteBus, AxiLiteMaster, AxiMaster, AxiResp

from sim.common.pauses import pause_all
from sim.common.runner import CLOCK_PERIOD_NS

ADDRESS_BITS, DATA_BYTES = int(os.environ["NIELLO_ADDRESS_BITS"]), int(os.environ["NIELLO_DATA_BYTES"])
SIZE = 1 << ADDRESS_BITS
ACCESSES = 600


class Bench:
    """Both managers on a memory after reset; `share` of the cycles every channel rests."""

    def __init__(self, dut: Any, share: float):
        self.dut = dut
        self.bursts = AxiMaster(AxiBus.from_prefix(dut, "s_axi"), dut.clk, dut.rst)
        self.host = AxiLiteMaster(AxiLiteBus.from_prefix(dut, "s_axil_window"), dut.clk, dut.rst)
        for master in (self.bursts, self.host):
            pause_all(master, share)

    @classmethod
    async def start(cls, dut: Any, share: float = 0.3) -> Bench:
        dut.rst.value = 1
        Clock(dut.clk, CLOCK_PERIOD_NS, "ns").start()
        bench = cls(dut, share)
        for _ in range(3):
            await RisingEdge(dut.clk)
        dut.rst.value = 0
        return bench

    async def fill(self) -> bytearray:
        content = bytearray(random.randbytes(SIZE))
        await self.bursts.write(0, bytes(content))
        return content


@cocotb.test()
async def memory_gives_back_what_each_side_wrote(dut: Any) -> None:
    """The two work on halves of every 64 bytes of their own at the same time; each reads what both have written."""
    bench = await Bench.start(dut)
    content = await bench.fill()

    async def work(master: Any, mine: int, align: int) -> None:
        for _ in range(ACCESSES):
            block = random.randrange(SIZE // 64) * 64
            first = random.randrange(0, 32, align)
            length = random.randrange(align, 32 - first + 1, align)
            address = block + mine + first
            if random.random() < 0.5:
                data = random.randbytes(length)
                written = await master.write(address, data)
                assert written.resp == AxiResp.OKAY
                content[address : address + length] = data
            else:
                read = await master.read(address, length)
                assert (read.resp, read.data) == (AxiResp.OKAY, bytes(content[address : address + length]))

    # A burst's first beat may begin inside a word: cocotbext-axi sets strobes, and reads whole words.
    both = [cocotb.start_soon(work(bench.bursts, 0, 1)), cocotb.start_soon(work(bench.host, 32, 4))]
    await Combine(*both)
    assert (await bench.bursts.read(0, SIZE)).data == bytes(content)
    assert (await bench.host.read(0, SIZE)).data == bytes(content)


@cocotb.test()
async def memory_moves_a_beat_a_cycle(dut: Any) -> None:
    """Inside a burst, in each direction."""
    bench = await Bench.start(dut, share=0.0)
    data = random.randbytes(min(SIZE, 256 * DATA_BYTES, 4096))
    beats = len(data) // DATA_BYTES
    seen: dict[str, list[int]] = {"w": [], "r": []}

    async def watch() -> None:
        cycle = 0
        while True:
            await RisingEdge(dut.clk)
            cycle += 1
            for name, cycles in seen.items():
                if getattr(dut, f"s_axi_{name}valid").value and getattr(dut, f"s_axi_{name}ready").value:
                    cycles.append(cycle)

    watching = cocotb.start_soon(watch())
    await bench.bursts.write(0, data)
    assert (await bench.bursts.read(0, len(data))).data == data
    watching.cancel()
    for cycles in seen.values():
        assert len(cycles) == beats
        assert cycles[-1] - cycles[0] == beats - 1


@cocotb.test()
async def memory_refuses_what_lies_outside(dut: Any) -> None:
    """SLVERR, zeros, and nothing is written; the next access is not disturbed."""
    bench = await Bench.start(dut)
    content = await bench.fill()
    for address in (SIZE, 1 << 31, (1 << 32) - 4 * DATA_BYTES):
        read = await bench.bursts.read(address, 2 * DATA_BYTES)
        assert (read.resp, read.data) == (AxiResp.SLVERR, bytes(2 * DATA_BYTES))
        written = await bench.bursts.write(address, random.randbytes(2 * DATA_BYTES), burst=AxiBurstType.INCR)
        assert written.resp == AxiResp.SLVERR
    good = await bench.bursts.write(0, bytes(content[:DATA_BYTES]))
    assert good.resp == AxiResp.OKAY
    assert (await bench.bursts.read(0, SIZE)).data == bytes(content)


@cocotb.test()
async def memory_forgets_accesses_in_a_reset(dut: Any) -> None:
    """Nothing of a burst that a reset cut off comes afterwards; the content stays."""
    bench = await Bench.start(dut)
    content = await bench.fill()
    for _ in range(20):
        pending = cocotb.start_soon(bench.bursts.read(0, 8 * DATA_BYTES))
        for _ in range(random.randrange(1, 30)):
            await RisingEdge(dut.clk)
        dut.rst.value = 1
        await RisingEdge(dut.clk)
        await RisingEdge(dut.clk)
        assert not dut.s_axi_rvalid.value
        dut.rst.value = 0
        pending.cancel()
        await RisingEdge(dut.clk)
        assert (await bench.bursts.read(0, 64)).data == bytes(content[:64])
    assert (await bench.host.read(0, SIZE)).data == bytes(content)
