"""The host driver against the model of the device, over a line in memory, good and bad."""

from __future__ import annotations

import random
import re
from collections import deque
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest

from boards import host_link
from boards.host import Host, HostError
from boards.host_link import recv, send
from hdl.common.host_protocol import Status
from sim.common import host_link_model as model
from sim.common.beats import Beats

IDENTITY = bytes.fromhex("0011223344556677")
PAGE = Path(__file__).resolve().parents[2] / "docs" / "host-link.md"


class Line:
    """Both directions of a line to the model, with faults; silence is what a time-out would find."""

    timeout: float | None = None

    def __init__(self, device: model.DeviceModel, faults: float = 0.0, seed: int = 0):
        self.device = device
        self.faults = faults
        self.random = random.Random(seed)
        self.waiting = bytearray()
        self.sent_bytes = 0
        self.received_bytes = 0
        self.dead = False

    def write(self, data: bytes) -> int:
        self.sent_bytes += len(data)
        if not self.dead:
            for answer in map(self.device.feed, self._mangle(data)):
                for part in self._mangle(answer):
                    self.waiting += part
        return len(data)

    def read(self, size: int = 1) -> bytes:
        given = bytes(self.waiting[:size])
        del self.waiting[:size]
        self.received_bytes += len(given)
        if not given:
            self.device.gap()
        return given

    def _mangle(self, data: bytes) -> list[bytes]:
        if not data or self.random.random() >= self.faults:
            return [data]
        place = self.random.randrange(len(data))
        noise = self.random.randbytes(self.random.randrange(1, 20))
        turned = bytearray(data)
        turned[place] ^= 1 << self.random.randrange(8)
        return self.random.choice(
            [[], [data, data], [data[:place]], [noise, data], [data, noise], [bytes(turned)], [data[place:], data]]
        )


def device(inputs: int = 2, outputs: int = 1, buffer_bytes: int = 1024, **bus) -> model.DeviceModel:
    return model.DeviceModel(
        IDENTITY,
        model.MemoryBus(**bus),
        [model.InputChannel() for _ in range(inputs)],
        [model.OutputChannel() for _ in range(outputs)],
        buffer_bytes=buffer_bytes,
    )


def test_crc_has_the_catalogued_check_value():
    assert host_link.crc(b"123456789") == 0x906E
    assert model.fcs(b"123456789") == 0x906E


def test_frames_of_driver_and_model_agree():
    generator = random.Random(1)
    for length in range(1, 200):
        body = bytes(generator.choice((0x7D, 0x7E, 0x5D, 0x5E, generator.getrandbits(8))) for _ in range(length))
        line = host_link.encode(body)
        assert line == model.frame(body)
        assert host_link.decode(line[1:-1]) == body
        turned = bytearray(line[1:-1])
        turned[generator.randrange(len(turned))] ^= 1 << generator.randrange(8)
        assert host_link.decode(bytes(turned)) is None


def test_page_examples_are_right():
    """The hex frames of the protocol page, against model and driver."""
    examples = re.findall(r"^    (host|device)  +((?:[0-9A-F]{2} ?)+)$", PAGE.read_text(), re.MULTILINE)
    assert [who for who, _ in examples] == ["host", "device"] * 3
    known = device()
    known.bus.write(8, 0x0000_0102)
    host = Host(Line(known))
    host._identity = host_link.Identity(1, IDENTITY, 1024, 2, 1, 512)
    sent = [
        bytes([0]) + host_link.ping().request,
        bytes([1]) + host_link.write(0x0C, [0x7E]).request + host_link.read(8, 1).request,
        bytes([2]) + send(0, b"\x01\x02", last=True).request + recv(0, 4).request,
    ]
    for body, (_, asked), (_, answered) in zip(sent, examples[::2], examples[1::2], strict=True):
        assert host_link.encode(body).hex(" ").upper() == asked
        assert known.feed(bytes.fromhex(asked)).hex(" ").upper() == answered


def test_ping_tells_identity_and_sizes():
    assert Host(Line(device())).ping() == host_link.Identity(1, IDENTITY, 1024, 2, 1, 512)


def test_registers_are_read_and_written_over_several_frames():
    known = device(buffer_bytes=128)
    host = Host(Line(known))
    words = [random.Random(2).getrandbits(32) for _ in range(100)]
    host.write(0x8000_0000, words)
    assert host.read(0x8000_0000, 100) == words
    assert known.bus.words == {0x8000_0000 + 4 * index: word for index, word in enumerate(words)}
    host.write(0x40, [1, 2, 3], fixed=True)
    assert host.read(0x40, 2, fixed=True) == [3, 3]


@pytest.mark.parametrize("seed", range(8))
def test_commands_happen_exactly_once_on_a_bad_line(seed):
    known = device()
    host = Host(Line(known, faults=0.3, seed=seed), attempts=60)
    generator = random.Random(seed)
    written, sent, offered = [], [], []
    for _ in range(300):
        kind = generator.randrange(3)
        if kind == 0:
            written.append(4 * generator.randrange(1000))
            host.write(written[-1], [generator.getrandbits(32)])
        elif kind == 1:
            content = generator.randbytes(generator.randrange(1, 30))
            sent += [(octet, False) for octet in content]
            host.send(0, content, last=False)
        else:
            offered.append(generator.getrandbits(8))
            known.outputs[0].waiting.append((offered[-1], True))
            assert host.recv(0, 5) == (bytes([offered[-1]]), True)
    assert known.bus.accesses == [("write", address) for address in written]
    assert known.inputs[0].taken == sent
    assert known.executions > 300


def test_batch_runs_in_order_and_stops_at_the_first_refusal():
    known = device(error_from=0x100)
    host = Host(Line(known))
    answers = host.transact(
        [host_link.write(0, [5]), host_link.read(0, 1), host_link.read(0x100, 1), host_link.write(4, [6])]
    )
    assert [answer.status for answer in answers] == [Status.OK, Status.OK, Status.BUS_ERROR]
    assert answers[1].content == b"\x05\x00\x00\x00"
    assert known.bus.words == {0: 5}


def test_batch_that_fits_no_frame_is_refused():
    host = Host(Line(device(buffer_bytes=64)))
    with pytest.raises(ValueError, match=r"^2 commands do not fit a frame of 64 bytes$"):
        host.transact([recv(0, 30), recv(0, 30)])
    with pytest.raises(ValueError, match=r"^1 commands do not fit a frame of 64 bytes$"):
        host.transact([send(0, bytes(59), last=False)])


def test_silent_line_is_named():
    line = Line(device())
    line.dead = True
    host = Host(line, name="/dev/ttyUSB1 at 1000000 baud", timeout_s=0.25, attempts=3)
    with pytest.raises(HostError, match=r"^no answer from /dev/ttyUSB1 at 1000000 baud after 3 attempts of 0\.25 s$"):
        host.ping()
    line.dead = False
    assert host.read(0, 1) == [0]


def test_missing_port_is_named():
    with pytest.raises(HostError, match=r"^cannot open /dev/no-such-port: .*No such file or directory.*$"):
        Host.open("/dev/no-such-port", 115200)


def test_wrong_design_is_named():
    host = Host(Line(device()), name="COM3")
    host.expect_identity(IDENTITY)
    expected = (
        "the board on COM3 runs another design: identity 0011223344556677, expected 3132333435363738; program it again"
    )
    with pytest.raises(HostError, match=f"^{re.escape(expected)}$"):
        host.expect_identity(b"12345678")


def test_bus_faults_name_the_address():
    known = device(error_from=0x10)
    host = Host(Line(known))
    with pytest.raises(HostError, match=r"^bus error at 0x00000010 \(read\)$"):
        host.read(8, 4)
    with pytest.raises(HostError, match=r"^bus error at 0x00000010 \(write\)$"):
        host.write(0, range(100))
    known.bus.read = lambda address: (model.TIMEOUT, 0)
    with pytest.raises(HostError, match=r"^no response from the bus at 0x00000008 \(read\)$"):
        host.read(8, 1)
    known.bus.busy = True
    expected = r"^the bus is still busy with an access that timed out earlier, at 0x00000008 \(read\)$"
    with pytest.raises(HostError, match=expected):
        host.read(8, 1)


def test_send_to_a_channel_that_takes_nothing_gives_up():
    known = device()
    known.inputs[1].room = 7
    host = Host(Line(known))
    with pytest.raises(HostError, match=r"^input channel 1 took 7 of 20 bytes, then none for 0\.01 s$"):
        host.send(1, bytes(20), last=True, stall_s=0.01)


class Adder:
    """A design behind the model: takes a byte of each input, gives their sum modulo 256, with queues that can fill."""

    PORTS: ClassVar = [
        {"name": "s_axis_a_tdata", "role": "a", "direction": "input", "width": 32, "interface": "axi4-stream"},
        {"name": "s_axis_a_tlast", "role": "a", "direction": "input", "width": 1, "interface": "axi4-stream"},
        {"name": "s_axis_b_tdata", "role": "b", "direction": "input", "width": 16, "interface": "axi4-stream"},
        {"name": "s_axis_b_tlast", "role": "b", "direction": "input", "width": 1, "interface": "axi4-stream"},
        {"name": "m_axis_y_tdata", "role": "y", "direction": "output", "width": 32, "interface": "axi4-stream"},
        {"name": "m_axis_y_tlast", "role": "y", "direction": "output", "width": 1, "interface": "axi4-stream"},
    ]

    def __init__(self, queue_bytes: int = 512, packets: bool = True):
        self.queue_bytes = queue_bytes
        self.ports = [port for port in self.PORTS if packets or port["name"] != "m_axis_y_tlast"]
        self.packets = packets
        self.queues: list[deque[tuple[int, bool]]] = [deque(), deque()]
        self.output = model.OutputChannel()
        self.timeouts = 0
        adder = self

        class Queue(model.InputChannel):
            def __init__(self, number: int):
                super().__init__()
                self.number = number

            def take(self, octet: int, last: bool) -> bool:
                adder.step()
                if len(adder.queues[self.number]) >= queue_bytes:
                    adder.timeouts += 1
                    return False
                adder.queues[self.number].append((octet, last))
                return True

        self.device = model.DeviceModel(
            IDENTITY, model.MemoryBus(), [Queue(0), Queue(1)], [self.output], channel_bytes=queue_bytes
        )
        receive = self.device._recv
        self.device._recv = lambda channel, count: (self.step(), receive(channel, count))[1]

    def step(self) -> None:
        while all(self.queues) and len(self.output.waiting) < self.queue_bytes:
            (a, last), (b, _) = (queue.popleft() for queue in self.queues)
            self.output.waiting.append(((a + b) % 256, last and self.packets))


def adder_case(seed: int, packets: int, longest: int) -> tuple[dict[str, Beats], Beats]:
    """Inputs of the adder, and what it must give."""
    generator = np.random.default_rng(seed)
    lengths = generator.integers(1, longest + 1, packets)
    last = np.zeros(lengths.sum(), dtype=np.bool_)
    last[np.cumsum(lengths) - 1] = True
    a, b = generator.integers(0, 256, (2, 4 * len(last)), dtype=np.uint8)
    b_last = np.zeros(2 * len(last), dtype=np.bool_)
    b_last[1::2] = last
    inputs = {"a": Beats(a.reshape(-1, 4), last), "b": Beats(b.reshape(-1, 2), b_last)}
    return inputs, Beats((a + b).reshape(-1, 4), last)


@pytest.mark.parametrize(("seed", "packets", "longest"), [(0, 3, 2000), (1, 400, 5), (2, 60, 40), (3, 1, 1)])
@pytest.mark.parametrize("with_packets", [True, False])
@pytest.mark.parametrize("queue_bytes", [512, 64])
def test_run_streams_brings_back_every_beat(seed, packets, longest, with_packets, queue_bytes):
    inputs, expected = adder_case(seed, packets, longest)
    adder = Adder(queue_bytes, with_packets)
    seen = []
    host = Host(Line(adder.device))
    result = host.run_streams(inputs, {"y": len(expected)}, adder.ports, progress=lambda *at: seen.append(at))
    np.testing.assert_array_equal(result["y"].data, expected.data)
    if with_packets:
        np.testing.assert_array_equal(result["y"].last, expected.last)
    else:
        assert result["y"].last is None
    total = 3 * 4 * len(expected)
    assert seen[-1] == (total, total)
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)


def test_run_streams_on_a_bad_line_loses_and_repeats_nothing():
    inputs, expected = adder_case(5, 50, 30)
    adder = Adder()
    host = Host(Line(adder.device, faults=0.3, seed=5), attempts=60)
    result = host.run_streams(inputs, {"y": len(expected)}, adder.ports)
    np.testing.assert_array_equal(result["y"].data, expected.data)
    np.testing.assert_array_equal(result["y"].last, expected.last)


def test_run_streams_wastes_little_of_the_line():
    """Vectors of 64 bytes a side: less than a quarter of the bytes on the line are not payload (escapes included)."""
    inputs, expected = adder_case(6, 200, 31)
    adder = Adder(packets=False)
    line = Line(adder.device)
    Host(line).run_streams(inputs, {"y": len(expected)}, adder.ports)
    payload = 12 * len(expected)
    assert line.sent_bytes + line.received_bytes < 1.25 * payload
    assert adder.timeouts == 0


def test_run_streams_names_a_design_that_stops():
    inputs, expected = adder_case(7, 2, 50)
    adder = Adder()
    short = {"a": inputs["a"], "b": Beats(inputs["b"].data[:2], inputs["b"].last[:2])}
    count = len(expected)
    message = (
        f"the design stopped for 0.01 s: input a took {4 * count} of {4 * count} bytes, input b took 4 of 4 bytes, "
        f"output y gave 4 of {4 * count}"
    )
    with pytest.raises(HostError, match=f"^{re.escape(message)}$"):
        Host(Line(adder.device)).run_streams(short, {"y": count}, adder.ports, stall_s=0.01)


def test_run_streams_notices_surplus_output():
    inputs, expected = adder_case(8, 2, 50)
    adder = Adder()
    count = len(expected) - 1
    with pytest.raises(HostError, match=f"^output y gave more than the {count} beats expected$"):
        Host(Line(adder.device)).run_streams(inputs, {"y": count}, adder.ports)


def test_run_streams_leaves_what_is_not_named_alone():
    """An adder without one of its operands gives nothing; what came of the other stays for the next run."""
    inputs, expected = adder_case(7, 2, 40)
    adder = Adder()
    host = Host(Line(adder.device))
    assert len(host.run_streams({"a": inputs["a"]}, {}, adder.PORTS)["y"]) == 0
    got = host.run_streams({"b": inputs["b"]}, {"y": len(expected)}, adder.PORTS)["y"]
    np.testing.assert_array_equal(got.data, expected.data)


def test_run_streams_refuses_other_streams():
    inputs, _ = adder_case(9, 1, 3)
    host = Host(Line(Adder().device))
    with pytest.raises(ValueError, match=r"^streams must be of \['a', 'b'\], not \['c'\]$"):
        host.run_streams(inputs | {"c": inputs["a"]}, {"y": 1}, Adder.PORTS)
    with pytest.raises(ValueError, match=r"^beats of a must have 4 bytes, not 2$"):
        host.run_streams({"a": inputs["b"], "b": inputs["b"]}, {"y": 1}, Adder.PORTS)
    with pytest.raises(ValueError, match=r"^the board has 1 inputs and 1 outputs, the design 2 and 1$"):
        Host(Line(device(inputs=1))).run_streams(inputs, {"y": 1}, Adder.PORTS)
