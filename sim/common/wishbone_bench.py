"""Bench of the way from Wishbone to AXI4-Lite: a Wishbone manager of a few lines, cocotbext-axi's memory behind it.

Answers that the memory never gives, and exact cycles, come from a subordinate of a few lines.
"""

from __future__ import annotations

import random
from typing import Any

import cocotb
from cocotb.clock import Clock
from cocotb.triggers import ReadOnly, RisingEdge
from cocotbext.axi import AxiLiteBus, AxiLiteRam

from sim.common.pauses import pause_all
from sim.common.runner import CLOCK_PERIOD_NS

MEMORY_BYTES = 64
TIMEOUT_CYCLES = 300
TRANSFERS = 3000
GIVEN_UP_ADDRESS = MEMORY_BYTES - 4
"""The word for writes that the manager gives up: whether they arrive is not for it to know."""

AXI_INPUTS = ("awready", "wready", "bvalid", "bresp", "arready", "rvalid", "rdata", "rresp")
CHANNELS = {"aw": ("awaddr", "awprot"), "w": ("wdata", "wstrb"), "ar": ("araddr", "arprot")}


async def start(dut: Any) -> None:
    """Clock, reset, and a check of the AXI side that goes on for ever."""
    for name in ("cyc", "stb", "we", "adr", "sel", "dat"):
        getattr(dut, f"s_wb_{name}_i").value = 0
    dut.rst.value = 1
    Clock(dut.clk, CLOCK_PERIOD_NS, "ns").start()
    for _ in range(3):
        await RisingEdge(dut.clk)
    dut.rst.value = 0
    cocotb.start_soon(check_axi(dut))


async def check_axi(dut: Any) -> None:
    """VALID and its payload hold until they are taken, and one transfer is under way at a time."""
    held: dict[str, tuple[int, ...]] = {}
    under_way = {"b": 0, "r": 0}
    while True:
        await RisingEdge(dut.clk)
        if dut.rst.value:
            held, under_way = {}, {"b": 0, "r": 0}
            continue
        for channel, payload in CHANNELS.items():
            valid = int(getattr(dut, f"m_axil_{channel}valid").value)
            values = tuple(int(getattr(dut, f"m_axil_{name}").value) for name in payload)
            if channel in held:
                assert valid and values == held[channel], f"{channel} changed before it was taken"
            taken = valid and getattr(dut, f"m_axil_{channel}ready").value
            if valid and not taken:
                held[channel] = values
            else:
                held.pop(channel, None)
            if taken and channel != "w":
                under_way["b" if channel == "aw" else "r"] += 1
        for channel in under_way:
            answered = getattr(dut, f"m_axil_{channel}valid").value and getattr(dut, f"m_axil_{channel}ready").value
            under_way[channel] -= int(answered)
        assert sum(under_way.values()) <= 1, f"answers due: {under_way}"
        acknowledged = int(dut.s_wb_ack_o.value) + int(dut.s_wb_err_o.value)
        assert acknowledged <= int(dut.s_wb_cyc_i.value and dut.s_wb_stb_i.value), "an answer that nobody asked for"


async def transfer(
    dut: Any,
    address: int,
    data: int | None = None,
    strobe: int = 0xF,
    *,
    give_up_after: int = TIMEOUT_CYCLES,
    keep: bool = False,
) -> tuple[str, int, int]:
    """One transfer, a write if there is `data`.

    Returns how it was answered (`ack`, `err` or, given up after so many cycles, ``), DAT_O, and the cycles from STB to
    the answer. `keep` leaves CYC up afterwards, as a manager does that has more to say; STB falls all the same when the
    caller does not follow up at once.
    """
    values = {"cyc": 1, "stb": 1, "we": data is not None, "adr": address, "sel": strobe, "dat": data or 0}
    for name, value in values.items():
        getattr(dut, f"s_wb_{name}_i").value = value
    answer, word, cycles = "", 0, -1
    while not answer and cycles < give_up_after:
        cycles += 1
        await ReadOnly()
        word = int(dut.s_wb_dat_o.value)
        answer = "ack" if dut.s_wb_ack_o.value else "err" if dut.s_wb_err_o.value else ""
        await RisingEdge(dut.clk)
    dut.s_wb_stb_i.value = 0
    dut.s_wb_cyc_i.value = keep
    return answer, word, cycles


def memory(dut: Any, share: float) -> AxiLiteRam:
    """The independent subordinate; every channel rests for that share of the cycles."""
    ram = AxiLiteRam(AxiLiteBus.from_prefix(dut, "m_axil"), dut.clk, dut.rst, size=MEMORY_BYTES)
    pause_all(ram, share)
    return ram


async def idle(dut: Any, cycles: int) -> None:
    """Let some cycles pass."""
    for _ in range(cycles):
        await RisingEdge(dut.clk)


@cocotb.test()
async def wishbone_reads_what_was_written(dut: Any) -> None:
    """Random transfers with every strobe, back to back and apart, some given up; the memory rests at random."""
    await start(dut)
    ram = memory(dut, 0.3)
    expected = bytearray(random.randbytes(MEMORY_BYTES))
    ram.write(0, bytes(expected))
    given_up = 0
    for _ in range(TRANSFERS):
        address, keep = random.randrange(0, GIVEN_UP_ADDRESS, 4), random.random() < 0.5
        kind = random.random()
        if kind < 0.1:
            write = random.random() < 0.5
            at, data = (GIVEN_UP_ADDRESS, random.getrandbits(32)) if write else (address, None)
            answer, _, _ = await transfer(dut, at, data, give_up_after=random.randint(0, 7))
            given_up += not answer
            await idle(dut, 1)  # STB must be seen to fall: a new address under one STB would be the same transfer
        elif kind < 0.5:
            data, strobe = random.getrandbits(32), random.randrange(16)
            answer, _, _ = await transfer(dut, address, data, strobe, keep=keep)
            assert answer == "ack", f"write of {address:#x}: {answer or 'no answer'}"
            for lane in range(4):
                if strobe >> lane & 1:
                    expected[address + lane] = data >> 8 * lane & 0xFF
        else:
            answer, word, _ = await transfer(dut, address, keep=keep)
            assert answer == "ack", f"read of {address:#x}: {answer or 'no answer'}"
            due = int.from_bytes(expected[address : address + 4], "little")
            assert word == due, f"read of {address:#x}: {word:#x}, expected {due:#x}"
        await idle(dut, random.choice((0, 0, 0, 1, 3)))
    assert ram.read(0, GIVEN_UP_ADDRESS) == bytes(expected[:GIVEN_UP_ADDRESS])
    assert given_up >= 100, f"only {given_up} transfers were given up"


async def answer_at_once(dut: Any, response: int, word: int) -> None:
    """A subordinate that takes AW, then W, or AR, and answers in the next cycle, always with the same."""
    for name in AXI_INPUTS:
        getattr(dut, f"m_axil_{name}").value = 0
    dut.m_axil_awready.value = dut.m_axil_wready.value = dut.m_axil_arready.value = 1
    while True:
        await RisingEdge(dut.clk)
        wrote = dut.m_axil_wvalid.value and dut.m_axil_wready.value
        read = dut.m_axil_arvalid.value and dut.m_axil_arready.value
        if dut.m_axil_bvalid.value and dut.m_axil_bready.value:
            dut.m_axil_bvalid.value = 0
        if dut.m_axil_rvalid.value and dut.m_axil_rready.value:
            dut.m_axil_rvalid.value = 0
        if wrote:
            dut.m_axil_bvalid.value, dut.m_axil_bresp.value = 1, response
        if read:
            dut.m_axil_rvalid.value, dut.m_axil_rdata.value, dut.m_axil_rresp.value = 1, word, response


@cocotb.test()
async def wishbone_answers_errors_with_err(dut: Any) -> None:
    """OKAY is ACK, SLVERR and DECERR are ERR, reading and writing; the next transfer is not disturbed."""
    await start(dut)
    for response, due in ((0, "ack"), (2, "err"), (3, "err"), (0, "ack")):
        word = random.getrandbits(32)
        task = cocotb.start_soon(answer_at_once(dut, response, word))
        await idle(dut, 2)
        answer, seen, _ = await transfer(dut, 8)
        assert (answer, seen) == (due, word), f"read answered {response}: {answer}, {seen:#x}"
        answer, _, _ = await transfer(dut, 8, 1)
        assert answer == due, f"write answered {response}: {answer}"
        task.cancel()
        await idle(dut, 1)


@cocotb.test()
async def wishbone_answers_in_the_stated_cycles(dut: Any) -> None:
    """Three cycles from STB to ACK with a subordinate that answers in the next cycle; a new transfer a cycle later."""
    await start(dut)
    cocotb.start_soon(answer_at_once(dut, 0, 5))
    await idle(dut, 2)
    for data in (None, 1, None, 2):
        answer, _, cycles = await transfer(dut, 4, data, keep=True)
        assert (answer, cycles) == ("ack", 3), f"{answer or 'no answer'} after {cycles} cycles"


@cocotb.test()
async def wishbone_forgets_a_transfer_at_reset(dut: Any) -> None:
    """Reset at any moment of a transfer: the next one is answered, by its own answer."""
    await start(dut)
    ram = memory(dut, 0.3)
    for number in range(40):
        ram.write(0, number.to_bytes(4, "little"))
        write = number % 2 == 1
        await transfer(dut, GIVEN_UP_ADDRESS, 1 if write else None, give_up_after=random.randint(0, 5))
        dut.rst.value = 1
        await idle(dut, 2)
        dut.rst.value = 0
        answer, word, _ = await transfer(dut, 0)
        assert (answer, word) == ("ack", number), f"{answer or 'no answer'}, {word}"
