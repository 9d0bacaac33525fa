"""UART and framing in Amaranth's simulator, against lines and frames made in Python."""

from __future__ import annotations

import random
import re

import pytest
from amaranth.hdl import Module
from amaranth.lib import wiring
from amaranth.sim import Simulator

from hdl.common.framing import FrameReceiver, FrameSender
from hdl.common.uart import UartReceiver, UartTransmitter, uart_divisor
from sim.common import host_link_model as model


def simulate(component, *testbenches):
    simulator = Simulator(component)
    simulator.add_clock(1e-8)
    for index, testbench in enumerate(testbenches):
        simulator.add_testbench(testbench, background=index > 0)
    simulator.run()


def octets(seed: int, count: int) -> bytes:
    generator = random.Random(seed)
    return bytes(generator.choice((0x7D, 0x7E, 0x00, 0xFF, 0x55, generator.getrandbits(8))) for _ in range(count))


@pytest.mark.parametrize(
    ("clock_hz", "baud", "divisor"),
    [(12e6, 1_000_000, 12), (25e6, 1_000_000, 25), (48e6, 115200, 417), (27e6, 115200, 234), (4e6, 1_000_000, 4)],
)
def test_divisor_is_the_nearest(clock_hz, baud, divisor):
    assert uart_divisor(clock_hz, baud) == divisor


@pytest.mark.parametrize(
    ("clock_hz", "baud", "message"),
    [
        (12e6, 4_000_000, "4000000 baud is too fast for a clock of 1.2e+07 Hz; at most 3000000"),
        (
            12e6,
            1_600_000,
            "1600000 baud is 6.2% off at a clock of 1.2e+07 Hz (2 % at most); nearest: 1500000 baud",
        ),
        (12e6, 0, "clock and baud rate must be above 0, not 1.2e+07 Hz and 0 baud"),
    ],
)
def test_divisor_refuses_what_is_off(clock_hz, baud, message):
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        uart_divisor(clock_hz, baud)


class Loopback(wiring.Component):
    """A transmitter on a receiver."""

    def __init__(self, divisor: int):
        self.transmitter, self.receiver = UartTransmitter(divisor, 1), UartReceiver(divisor, 1)
        super().__init__({})

    def elaborate(self, platform):
        m = Module()
        m.submodules.transmitter, m.submodules.receiver = self.transmitter, self.receiver
        m.d.comb += self.receiver.rx.eq(self.transmitter.tx)
        return m


@pytest.mark.parametrize("divisor", [4, 5, 7, 12, 25])
def test_uart_loopback_brings_every_byte(divisor):
    loopback, data = Loopback(divisor), octets(divisor, 60)
    received, cycles = [], 0

    async def send(ctx):
        nonlocal cycles
        for octet in data:
            ctx.set(loopback.transmitter.i.payload, octet)
            ctx.set(loopback.transmitter.i.valid, 1)
            await ctx.tick().until(loopback.transmitter.i.ready)
        ctx.set(loopback.transmitter.i.valid, 0)
        await ctx.tick().repeat(12 * divisor)

    async def receive(ctx):
        nonlocal cycles
        ctx.set(loopback.receiver.o.ready, 1)
        async for _, _, valid, octet in ctx.tick().sample(loopback.receiver.o.valid, loopback.receiver.o.payload):
            cycles += 1
            if valid:
                received.append(octet)

    simulate(loopback, send, receive)
    assert bytes(received) == data
    # Ten bits and a cycle a byte, and what was waited at the end.
    assert abs(cycles - len(data) * (10 * divisor + 1) - 12 * divisor) <= 10 * divisor + 2


def line_levels(data: bytes, cycles_per_bit: float, stop_bits: float = 1.0) -> list[int]:
    """The line, sampled once a cycle, of a sender whose bits last a fraction of cycles."""
    levels, now = [1] * 20, 0.37
    for octet in data:
        for level in [0, *(octet >> place & 1 for place in range(8))]:
            until = now + cycles_per_bit
            levels += [level] * (int(until) - int(now))
            now = until
        until = now + stop_bits * cycles_per_bit
        levels += [1] * (int(until) - int(now))
        now = until
    return levels + [1] * int(2 * cycles_per_bit)


def receive_levels(divisor: int, levels: list[int], ready: bool = True) -> tuple[bytes, int, int]:
    """Bytes, framing errors and overruns that a receiver sees on a line."""
    receiver = UartReceiver(divisor, 1)
    received, framing_errors, overruns = [], 0, 0

    async def drive(ctx):
        nonlocal framing_errors, overruns
        ctx.set(receiver.rx, 1)
        ctx.set(receiver.o.ready, ready)
        for level in levels:
            ctx.set(receiver.rx, level)
            seen = (receiver.o.valid, receiver.o.payload, receiver.framing_error, receiver.overrun)
            _, _, valid, octet, framing_error, overrun = await ctx.tick().sample(*seen)
            framing_errors += framing_error
            overruns += overrun
            if valid and ready:
                received.append(octet)
        if not ready:
            ctx.set(receiver.o.ready, 1)
            received.append(ctx.get(receiver.o.payload))

    simulate(receiver, drive)
    return bytes(received), framing_errors, overruns


@pytest.mark.parametrize("divisor", [4, 5, 8, 12, 25])
@pytest.mark.parametrize("mismatch", [-0.02, 0.0, 0.02])
def test_uart_receives_from_a_clock_two_percent_off(divisor, mismatch):
    data = octets(divisor, 80)
    assert receive_levels(divisor, line_levels(data, divisor * (1 + mismatch))) == (data, 0, 0)


@pytest.mark.parametrize("mismatch", [-0.08, 0.08])
def test_uart_far_off_is_noticed(mismatch):
    received, framing_errors, _ = receive_levels(12, line_levels(b"\x00\xff\x0f" * 10, 12 * (1 + mismatch)))
    assert received != b"\x00\xff\x0f" * 10 or framing_errors


def test_uart_drops_a_byte_without_stop_bit_and_ends_a_break():
    levels = [1] * 20 + [0] * 200 + [1] * 30 + line_levels(b"after", 10)
    assert receive_levels(10, levels) == (b"after", 1, 0)


def test_uart_ignores_a_spike():
    levels = [1] * 20 + [0] * 3 + [1] * 200 + line_levels(b"ok", 12)
    assert receive_levels(12, levels) == (b"ok", 0, 0)


def test_uart_keeps_the_byte_that_waits_and_says_what_it_lost():
    assert receive_levels(8, line_levels(b"abc", 8), ready=False) == (b"a", 0, 2)


def feed_receiver(line: bytes, seed: int) -> list[bytes | None]:
    """What a frame receiver makes of a line: each frame's octets with the FCS if it is good, else None."""
    receiver = FrameReceiver()
    frames, current, generator = [], bytearray(), random.Random(seed)

    async def send(ctx):
        for octet in line:
            while generator.random() < 0.3:
                await ctx.tick()
            ctx.set(receiver.i.payload, octet)
            ctx.set(receiver.i.valid, 1)
            await ctx.tick().until(receiver.i.ready)
            ctx.set(receiver.i.valid, 0)
        await ctx.tick().repeat(3)

    async def take(ctx):
        while True:
            ctx.set(receiver.o.ready, generator.random() < 0.7)
            _, _, valid, ready, item = await ctx.tick().sample(receiver.o.valid, receiver.o.ready, receiver.o.payload)
            if valid and ready and item.end:
                frames.append(bytes(current) if item.good else None)
                current.clear()
            elif valid and ready:
                current.append(item.octet)

    simulate(receiver, send, take)
    return frames


def test_frame_receiver_passes_good_frames_and_marks_bad_ones():
    generator = random.Random(4)
    line, expected = b"\x01\x7d\x02", []
    for index in range(120):
        body = octets(index, generator.randrange(1, 20))
        frame = model.frame(body)
        if index % 3 == 2:
            turned = bytearray(frame)
            place = generator.randrange(1, len(frame) - 1)
            turned[place] ^= 1
            if 0x7E in turned[1:-1] or (turned[-2] == 0x7D and turned[-3] != 0x7D):
                continue
            frame = bytes(turned)
        if expected:
            expected.append(None)  # between two flags there is an empty frame
        line += frame
        expected.append(None if index % 3 == 2 else body + model.fcs(body).to_bytes(2, "little"))
    line += b"\x01" + model.frame(b"abc")[1:-1] + b"\x7d\x7e"  # noise, and an abort
    expected.append(None)
    assert feed_receiver(line, 1) == expected


@pytest.mark.parametrize("seed", range(3))
def test_frame_sender_sends_what_the_model_says(seed):
    sender, generator = FrameSender(), random.Random(seed)
    bodies = [octets(10 * seed + index, generator.randrange(1, 30)) for index in range(30)]
    line = bytearray()

    async def send(ctx):
        for body in bodies:
            for place, octet in enumerate(body):
                while generator.random() < 0.3:
                    await ctx.tick()
                ctx.set(sender.i.payload.data, octet)
                ctx.set(sender.i.payload.last, place == len(body) - 1)
                ctx.set(sender.i.valid, 1)
                await ctx.tick().until(sender.i.ready)
                ctx.set(sender.i.valid, 0)
        await ctx.tick().repeat(30)

    async def take(ctx):
        while True:
            ctx.set(sender.o.ready, generator.random() < 0.7)
            _, _, valid, ready, octet = await ctx.tick().sample(sender.o.valid, sender.o.ready, sender.o.payload)
            if valid and ready:
                line.append(octet)

    simulate(sender, send, take)
    assert bytes(line) == b"".join(model.frame(body) for body in bodies)
