from __future__ import annotations

import random
import threading
import time
from pathlib import Path

import pytest
import serial

from boards.board_sim import BoardSim, BoardSimError, build_board_sim

CLOCK_HZ, BAUD = 25_000_000, 1_000_000
CYCLES_PER_BIT = 25  # of the design


@pytest.fixture(scope="session")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    source = Path(__file__).with_name("designs") / "echo.v"
    build = tmp_path_factory.mktemp("echo") / "build"
    library = build_board_sim(source, "niello_echo", build)
    return build.rename(build.with_name("moved")) / library.name


def echo(data: bytes) -> bytes:
    return bytes(byte ^ 0x20 for byte in data)


def exchange(port: str, data: bytes, *, baud: int = BAUD) -> bytes:
    with serial.Serial(port, baud, timeout=10) as line:
        writer = threading.Thread(target=line.write, args=(data,))
        writer.start()
        received = line.read(len(data))
        writer.join()
    return received


def payload(seed: int, size: int) -> bytes:
    """Bytes without the design's commands."""
    return bytes(byte for byte in random.Random(seed).randbytes(size) if byte > 3)


def test_board_sim_carries_every_byte_both_ways(library: Path) -> None:
    data = bytes([0, *range(4, 256)]) + payload(1, 4000)
    simulation = BoardSim(library, CLOCK_HZ, BAUD)
    with simulation as port:
        assert exchange(port, data) == echo(data)
    counters = simulation.counters
    assert counters.sent_bytes == counters.received_bytes == len(data)
    assert (counters.framing_errors, counters.lost_bytes) == (0, 0)
    assert simulation.cycles >= len(data) * 10 * CYCLES_PER_BIT


@pytest.mark.parametrize("clock_hz", [24_400_000, 25_600_000, 25_000_001])
def test_board_sim_holds_a_rate_that_is_no_whole_number_of_cycles(library: Path, clock_hz: int) -> None:
    data = payload(2, 300)
    simulation = BoardSim(library, clock_hz, BAUD)
    with simulation as port:
        assert exchange(port, data) == echo(data)
    assert simulation.counters.framing_errors == 0


def test_board_sim_at_another_rate_garbles_the_byte(library: Path) -> None:
    with BoardSim(library, CLOCK_HZ, BAUD * 5 // 4) as port, serial.Serial(port, BAUD, timeout=0.3) as line:
        line.write(b"\xf8")
        assert line.read(1) != echo(b"\xf8")


def test_board_sim_drops_a_byte_without_stop_bit(library: Path) -> None:
    simulation = BoardSim(library, CLOCK_HZ, BAUD)
    with simulation as port, serial.Serial(port, BAUD, timeout=5) as line:
        line.write(b"\x02")
        while not simulation.counters.framing_errors:
            assert simulation.cycles < 100_000_000
            time.sleep(0.001)
        line.write(b"a")
        assert line.read(1) == b"A"
    assert simulation.counters.framing_errors == 1
    assert simulation.counters.received_bytes == 1


def test_board_sim_survives_clients_that_come_and_go(library: Path) -> None:
    with BoardSim(library, CLOCK_HZ, BAUD) as port:
        for number in range(3):
            data = payload(number, 50)
            assert exchange(port, data) == echo(data)


def test_board_sim_is_reset_when_entered(library: Path) -> None:
    simulation = BoardSim(library, CLOCK_HZ, BAUD)
    with simulation as port, serial.Serial(port, BAUD, timeout=5) as line:
        line.write(b"\x03")
        assert line.read(3) == b"\x23" * 3
    with simulation as port:
        assert exchange(port, b"abc") == b"ABC"
    assert simulation.counters.sent_bytes == 3


def test_board_sim_leaves_no_thread_and_no_file(library: Path) -> None:
    threads, files = threading.active_count(), len(list(Path("/proc/self/fd").iterdir()))
    for _ in range(3):
        with BoardSim(library, CLOCK_HZ, BAUD) as port:
            assert threading.active_count() == threads + 1
            assert Path(port).exists()
    assert threading.active_count() == threads
    assert len(list(Path("/proc/self/fd").iterdir())) == files


def test_board_sim_stops_at_once_while_busy(library: Path) -> None:
    simulation = BoardSim(library, CLOCK_HZ, BAUD)
    with simulation as port, serial.Serial(port, BAUD, timeout=5) as line:
        line.write(b"\x03")
        line.read(100)
        started = time.monotonic()
    assert time.monotonic() - started < 1


def test_board_sim_rests_when_idle_and_wakes_for_a_byte(library: Path) -> None:
    simulation = BoardSim(library, CLOCK_HZ, BAUD)
    with simulation as port, serial.Serial(port, BAUD, timeout=10) as line:
        while simulation.cycles < 5_000_000:
            time.sleep(0.01)
        cycles, cpu, started = simulation.cycles, time.process_time(), time.monotonic()
        time.sleep(0.5)
        share = (time.process_time() - cpu) / (time.monotonic() - started)
        assert share < 0.12
        assert simulation.cycles > cycles  # the board's own time-outs must come
        line.write(b"x")
        assert line.read(1) == b"X"


def test_board_sim_reports_a_verilog_error(library: Path) -> None:
    with (
        pytest.raises(BoardSimError, match=r"^source0\.v:\d+: Verilog \$stop$"),
        BoardSim(library, CLOCK_HZ, BAUD) as port,
        serial.Serial(port, BAUD, timeout=0.2) as line,
    ):
        line.write(b"\x01")
        assert line.read(1) == b""


def test_board_sim_does_not_hide_the_callers_error(library: Path) -> None:
    with pytest.raises(KeyError, match="of the caller"), BoardSim(library, CLOCK_HZ, BAUD) as port:
        with serial.Serial(port, BAUD, timeout=0.2) as line:
            line.write(b"\x01")
            line.read(1)
        raise KeyError("of the caller")


@pytest.mark.parametrize("rates", [(3_999_999, 1_000_000), (25_000_000, 0)])
def test_board_sim_refuses_bits_that_are_too_short(library: Path, rates: tuple[int, int]) -> None:
    message = rf"^a bit must last at least 4 cycles, not {rates[0]} Hz / {rates[1]} baud$"
    with pytest.raises(ValueError, match=message):
        BoardSim(library, *rates)
