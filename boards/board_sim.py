"""A board in Verilator, behind a pseudo-terminal that any serial program opens as it would a real port.

library = build_board_sim(Path("board.v"), "niello_board", build_dir)
simulation = BoardSim(library, clock_hz=25_000_000, baud=1_000_000)
with simulation as port, serial.Serial(port, 1_000_000, timeout=1) as line:
    ...
print(simulation.cycles)
"""

from __future__ import annotations

import ctypes
import os
import threading
import tty
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from sim.common.verilate import Signature, build_library, load_library

LEAST_CYCLES_PER_BIT = 4


class BoardSimError(Exception):
    """The simulated board ended in a Verilog error. `str()` is one line."""


@dataclass(frozen=True)
class Counters:
    """Simulated cycles, bytes sent to and received from the board, bytes without a stop bit, bytes that no one read."""

    cycles: int
    sent_bytes: int
    received_bytes: int
    framing_errors: int
    lost_bytes: int


_FUNCTIONS: dict[str, Signature] = {
    "board_new": (ctypes.c_void_p, [ctypes.c_uint64, ctypes.c_uint64]),
    "board_delete": (None, [ctypes.c_void_p]),
    "board_stop": (None, [ctypes.c_void_p]),
    "board_error": (ctypes.c_char_p, [ctypes.c_void_p]),
    "board_run": (ctypes.c_int, [ctypes.c_void_p, ctypes.c_int, ctypes.c_int]),
    "board_counters": (None, [ctypes.c_void_p, ctypes.c_void_p]),
}


def build_board_sim(
    verilog: Path | Sequence[Path],
    top: str,
    build_dir: Path,
    *,
    extra_args: Sequence[str] = (),
    ccache_dir: Path | None = None,
) -> Path:
    """Compile a board top into a shared library for `BoardSim`.

    The top has the inputs `clk`, `rst` (synchronous, active high) and `uart_rx`, and the output `uart_tx`; other
    outputs are ignored, other inputs stay 0.

    Raises
    ------
    sim.common.verilator.BuildError
        With the tool's own error line and the log's path.
    """
    glue = {"board_sim.cpp": Path(__file__).with_name("board_sim.cpp").read_text()}
    sources = [verilog] if isinstance(verilog, Path) else list(verilog)
    return build_library(sources, top, glue, build_dir, arguments=extra_args, ccache_dir=ccache_dir)


class BoardSim:
    """A running board: a context manager that gives the path of its serial port.

    The board is reset when the context is entered and runs in a thread of its own until it is left. It runs as fast as
    it can while its line is busy and for some million cycles after; then it runs a few milliseconds in a hundred until
    the next byte, so that its time-outs still come.

    Parameters
    ----------
    library : Path
        From `build_board_sim`.
    clock_hz : int
        The board's clock; only its ratio to `baud` matters to the simulation.
    baud : int
        Rate of the line, 8 data bits, no parity, 1 stop bit.

    Raises
    ------
    ValueError
        If a bit is shorter than 4 cycles.
    """

    def __init__(self, library: Path, clock_hz: int, baud: int):
        if baud < 1 or clock_hz < LEAST_CYCLES_PER_BIT * baud:
            raise ValueError(f"a bit must last at least {LEAST_CYCLES_PER_BIT} cycles, not {clock_hz} Hz / {baud} baud")
        self._library = load_library(library, _FUNCTIONS)
        self._rates = (clock_hz, baud)
        self._board: int | None = None
        self._thread: threading.Thread | None = None
        self._files: list[int] = []
        self._counters = Counters(0, 0, 0, 0, 0)

    def __enter__(self) -> str:
        terminal, port = os.openpty()
        wake_read, wake_write = os.pipe()
        self._files = [terminal, port, wake_read, wake_write]  # the port stays open, or the last client's close ends it
        tty.setraw(port)
        os.set_blocking(terminal, False)
        path = os.ttyname(port)
        self._board = self._library.board_new(*self._rates)
        arguments = (self._board, terminal, wake_read)
        self._thread = threading.Thread(target=self._library.board_run, args=arguments, name="board-sim", daemon=True)
        self._thread.start()
        return path

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._thread is None:
            return
        self._library.board_stop(self._board)
        os.write(self._files[3], b"\0")
        self._thread.join()
        self._thread = None
        self._counters = self.counters
        message = self._library.board_error(self._board).decode()
        self._library.board_delete(self._board)
        self._board = None
        for file in self._files:
            os.close(file)
        if message and error is None:
            raise BoardSimError(message)

    @property
    def counters(self) -> Counters:
        """What passed since the context was entered; also afterwards."""
        if self._board is None:
            return self._counters
        values = (ctypes.c_uint64 * 5)()
        self._library.board_counters(self._board, values)
        return Counters(*values)

    @property
    def cycles(self) -> int:
        """Simulated cycles."""
        return self.counters.cycles
