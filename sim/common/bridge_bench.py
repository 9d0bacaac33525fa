"""In-simulator tests of the host bridge at its byte streams, against the independent model of the protocol.

The design under test is `hdl.common.bridge.Bridge` with its ports flattened: streams `rx`, `tx`, `input<k>`,
`output<k>` and the bus `m_axil`. `NIELLO_CONFIG` holds its parameters (`buffer_bytes`, `inputs`, ...) and `commands`,
the least number of commands that the random test executes.
"""

from __future__ import annotations

import random
from typing import Any

import cocotb
from cocotb.triggers import ClockCycles, RisingEdge

from sim.common import host_link_model as link
from sim.common.bridge_harness import CONFIG, ERROR_FROM, WINDOW, Bench


def read(address: int, count: int, *, fixed: bool = False) -> bytes:
    """A READ command."""
    return bytes([link.READ, fixed, count]) + address.to_bytes(4, "little")


def write(address: int, words: list[int], *, fixed: bool = False) -> bytes:
    """A WRITE command."""
    content = b"".join(word.to_bytes(4, "little") for word in words)
    return bytes([link.WRITE, fixed, len(words)]) + address.to_bytes(4, "little") + content


def send(channel: int, content: bytes, *, last: bool = False) -> bytes:
    """A SEND command."""
    return bytes([link.SEND, channel, last]) + len(content).to_bytes(2, "little") + content


def recv(channel: int, count: int) -> bytes:
    """A RECV command."""
    return bytes([link.RECV, channel]) + count.to_bytes(2, "little")


def random_octets(count: int) -> bytes:
    """Bytes in which flags and escapes are frequent."""
    return bytes(random.choice((0x7E, 0x7D, 0x5E, 0x00, random.getrandbits(8))) for _ in range(count))


def random_command(most_bytes: int) -> bytes:
    """A command, now and then a wrong one."""
    address = random.choice((0, WINDOW, WINDOW + 0x1000, 0xFFFF_FFF8, ERROR_FROM)) + 4 * random.randrange(4)
    address %= 1 << 32
    words = [random.getrandbits(32) for _ in range(random.choice((0, 1, 1, 2, 4)))]
    content = random_octets(min(random.choice((0, 1, 2, 7, 20)), most_bytes))
    wrong = [read(0, 255), recv(0, 65535), recv(1, 120), send(0, b"ab")[:-1], write(0, [1])[:-1]]
    wrong += [send(2, b"abc"), recv(2, 3), send(255, b""), recv(255, 0), random_octets(random.randrange(1, 5))]
    commands = [
        (1, bytes([link.PING])),
        (5, read(address, random.choice((0, 1, 1, 2, 3, 9)), fixed=random.random() < 0.3)),
        (5, write(address, words, fixed=random.random() < 0.3)),
        (5, send(random.randrange(2), content, last=random.random() < 0.5)),
        (4, recv(random.randrange(2), random.choice((0, 1, 2, 5, 16, 40)))),
        (1, random.choice(wrong)),
    ]
    return random.choices([command for _, command in commands], [weight for weight, _ in commands])[0]


def random_body(sequence: int) -> bytes:
    """The body of a request."""
    body = bytes([sequence])
    for _ in range(random.choices((0, 1, 2, 3, 5, 8), (0.2, 2, 2, 2, 2, 2))[0]):
        command = random_command(CONFIG["buffer_bytes"] - len(body) - 5)
        if len(body) + len(command) <= CONFIG["buffer_bytes"]:
            body += command
    return body


def spoil(line: bytes) -> bytes:
    """A frame as a bad line may bring it: a bit turned, bytes lost, cut off."""
    position = random.randrange(1, len(line) - 1)
    kind = random.randrange(3)
    if kind == 0:
        turned = bytearray(line)
        turned[position] ^= 1 << random.randrange(8)
        return bytes(turned)
    if kind == 1:
        return line[:position] + line[position + random.randrange(1, 4) :]
    return line[:position]


@cocotb.test()
async def test_bridge_random_traffic(dut: Any) -> None:
    """Right and wrong commands, repeated frames, spoilt frames and noise, with stalls everywhere."""
    bench = Bench(dut)
    await bench.start()
    sequence = 0
    while bench.model.commands < CONFIG["commands"]:
        for channel, source in enumerate(bench.outputs):
            if len(source.queue) < 40 and random.random() < 0.7:
                items = [(octet, random.random() < 0.1) for octet in random_octets(random.randrange(1, 40))]
                bench.offer(channel, items)
        line = link.frame(random_body(sequence))
        kind = random.random()
        if kind < 0.05:
            await bench.check(spoil(line))
        elif kind < 0.1:
            await bench.check(random_octets(random.randrange(1, 30)))
        await bench.check(line)
        if kind > 0.9:  # the answer was lost: the same again, or something else by the same number
            await bench.check(line if kind > 0.92 else link.frame(random_body(sequence)))
        sequence = sequence % 255 + 1 if random.random() < 0.98 else 0
    dut._log.info("%d commands in %d frames", bench.model.commands, bench.model.executions)


@cocotb.test()
async def test_bridge_frame_lengths(dut: Any) -> None:
    """Bodies of every length around the buffer's, whole and too long by any number of octets."""
    bench = Bench(dut, stall=0.0)
    await bench.start()
    size = CONFIG["buffer_bytes"]
    for sequence, length in enumerate([1, 2, *range(size - 3, size + 6), 2 * size, 2 * size + 3, 3 * size + 40, 5], 1):
        body = bytes([sequence]) + send(0, b"")[:3] + max(0, length - 6).to_bytes(2, "little")
        await bench.check(link.frame((body + bytes(max(0, length - 6)))[:length]))
    for line in (b"\x7e\x7e", link.frame(b""), b"\x7e\x01\x7e", b"\x7e\x01\x02\x7e", b"\x7e\xff\xff\x7e"):
        await bench.check(line)
    whole = link.frame(bytes([77, link.PING]))
    await bench.check(whole[:-1] + b"\x7d\x7e")  # aborted
    await bench.check(whole + whole[1:])  # one flag between two frames
    await bench.check(whole[1:])  # the flag before it was the last frame's


@cocotb.test()
async def test_bridge_response_room(dut: Any) -> None:
    """Commands whose answers just fit the response, and just do not, alone and after others."""
    bench = Bench(dut, stall=0.0)
    await bench.start()
    size = CONFIG["buffer_bytes"]
    before = [b"", read(0, 5), send(0, b"x"), bytes([link.PING])]
    for first in before:
        for count in range(size - 40, size + 3):
            bench.offer(0, [(octet, False) for octet in random_octets(size - len(bench.outputs[0].queue))])
            await bench.check(link.frame(bytes([0]) + first + recv(0, count) + bytes([link.PING])))
        for count in range((size - 60) // 4, size // 4 + 1):
            await bench.check(link.frame(bytes([0]) + first + read(0, count) + write(4, [count])))
    for count in range(1, size // 2):
        await bench.check(link.frame(bytes([0]) + count * bytes([link.PING])))


@cocotb.test()
async def test_bridge_frame_timeout(dut: Any) -> None:
    """A frame with a long gap at any place is dropped, and what comes after the gap is skipped up to a flag."""
    bench = Bench(dut, stall=0.0)
    await bench.start()
    line = link.frame(bytes([5, link.PING]))
    gap = CONFIG["frame_timeout_cycles"] + 20
    for cut in range(1, len(line)):
        await bench.send(line[:cut])
        await ClockCycles(dut.clk, gap)
        bench.model.feed(line[:cut])
        bench.model.gap()
        await bench.check(line[cut:])  # the second half is no frame, though it may end in a flag
        await bench.send(line[:cut])  # a shorter gap is none
        await ClockCycles(dut.clk, CONFIG["frame_timeout_cycles"] - 40)
        expected = bench.model.feed(line)
        await bench.send(line[cut:])
        assert await bench.receive(len(expected)) == expected


@cocotb.test()
async def test_bridge_silent_bus(dut: Any) -> None:
    """An access that nobody answers times out, keeps the bus legal, and the bus is free again when the answer comes."""
    bench = Bench(dut, stall=0.2)
    await bench.start()
    legal = cocotb.start_soon(_watch_bus(dut))
    for sequence, command in enumerate((read(WINDOW, 3), write(WINDOW, [1, 2, 3]), read(8, 1, fixed=True)), 1):
        await bench.check(link.frame(bytes([0]) + write(8, [sequence]) + read(8, 1)))
        bench.target.silent.clear()
        ending = b"\x03\x00"
        expected = link.frame(bytes([sequence]) + ending)
        await bench.send(link.frame(bytes([sequence]) + command + bytes([link.PING])))
        assert await bench.receive(len(expected)) == expected
        bench.memory.busy = True
        bench.model.respond(bytes([sequence]))  # the model does not see that access, only that the number was used
        accesses = len(bench.target.accesses)
        for body in (read(0, 1) + read(4, 1), write(0xFFFF_0000, [7]), send(0, b"goes on", last=True), read(0, 0)):
            expected = bench.model.feed(link.frame(bytes([0]) + body))
            await bench.send(link.frame(bytes([0]) + body))
            assert await bench.receive(len(expected)) == expected
        assert len(bench.target.accesses) == accesses  # no new access before the old one ended
        bench.target.silent.set()
        await ClockCycles(dut.clk, 60)
        bench.memory.busy = False
        bench.memory.words = dict(bench.target.words)
        bench.target.accesses.clear()
    await bench.check(link.frame(bytes([9]) + read(WINDOW, 4) + write(WINDOW + 4, [5, 6]) + read(WINDOW, 4)))
    assert not legal.done()


async def _watch_bus(dut: Any) -> None:
    """AXI: VALID stays until READY, and its payload with it."""
    waiting: dict[str, int] = {}
    while True:
        await RisingEdge(dut.clk)
        for channel, payload in (("aw", "awaddr"), ("w", "wdata"), ("ar", "araddr")):
            valid = getattr(dut, f"m_axil_{channel}valid").value == 1
            value = int(getattr(dut, f"m_axil_{payload}").value)
            if channel in waiting:
                assert valid, f"{channel}valid was withdrawn"
                assert waiting[channel] == value, f"{payload} changed"
            waiting.pop(channel, None)
            if valid and getattr(dut, f"m_axil_{channel}ready").value == 0:
                waiting[channel] = value


@cocotb.test()
async def test_bridge_address_never_taken(dut: Any) -> None:
    """READY of the address channels stays low: the request stays, and is taken much later."""
    bench = Bench(dut, stall=0.0)
    await bench.start()
    cocotb.start_soon(_watch_bus(dut))
    for channel, command in (
        (bench.bus.read_if.ar_channel, read(WINDOW, 1)),
        (bench.bus.write_if.aw_channel, write(WINDOW, [3])),
        (bench.bus.write_if.w_channel, write(WINDOW, [4])),
    ):
        for _ in range(4):  # the subordinate's queues hold two more
            channel.pause = True
            await bench.send(link.frame(bytes([0]) + command))
            expected = link.frame(bytes([0, link.TIMEOUT, 0]))
            assert await bench.receive(len(expected)) == expected
            await bench.send(link.frame(bytes([0]) + read(4, 1)))
            expected = link.frame(bytes([0, link.BUS_BUSY, 0]))
            assert await bench.receive(len(expected)) == expected
            channel.pause = False
            await ClockCycles(dut.clk, 40)
    assert bench.target.words == {WINDOW: 4}


@cocotb.test()
async def test_bridge_stalled_channel(dut: Any) -> None:
    """SEND to a channel that takes nothing ends, says how much was accepted, and loses and repeats nothing."""
    bench = Bench(dut, stall=0.2)
    await bench.start()
    content = bytes(range(1, 31))
    bench.inputs[1].blocked = True
    bench.model.inputs[1].room = 1  # the register in front of the channel
    await ClockCycles(dut.clk, 3)
    await bench.check(link.frame(bytes([1]) + send(1, content, last=True) + bytes([link.PING])))
    await bench.check(link.frame(bytes([2]) + send(0, b"meanwhile", last=True) + send(1, b"x") + send(0, b"not")))
    bench.inputs[1].blocked = False
    bench.model.inputs[1].room = None
    await bench.check(link.frame(bytes([3]) + send(1, content[1:], last=True)))
    await bench.check(link.frame(bytes([4]) + recv(0, 10) + recv(1, 0) + bytes([link.PING])))
    bench.offer(0, [(1, False), (2, True), (3, False)])
    await bench.check(link.frame(bytes([5]) + recv(0, 10) + recv(0, 10) + recv(0, 1)))


@cocotb.test()
async def test_bridge_reset_anywhere(dut: Any) -> None:
    """A reset at any moment of a frame: afterwards nothing is remembered, not even the sequence number."""
    bench = Bench(dut, stall=0.1)
    await bench.start()
    body = bytes([3]) + write(WINDOW, [1, 2]) + send(0, b"abcdef") + recv(1, 4)
    for moment in range(0, 260, 9):
        bench.rx.queue.extend((octet, False) for octet in link.frame(body))
        await ClockCycles(dut.clk, 1 + moment + random.randrange(9))
        await bench.reset()
        for sink, channel in zip(bench.inputs, bench.model.inputs, strict=True):
            sink.taken.clear()
            channel.taken.clear()
        bench.outputs[1].queue.clear()
        await ClockCycles(dut.clk, 10)
        bench.memory.words = dict(bench.target.words)
        bench.target.accesses.clear()
        bench.tx.taken.clear()
        await bench.check(link.frame(bytes([3]) + write(0, [moment]) + read(0, 1)))
        await bench.check(link.frame(bytes([3]) + write(0, [999]) + read(0, 1)))
