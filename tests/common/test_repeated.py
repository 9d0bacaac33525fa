"""Components that a design has many of share a module."""

from __future__ import annotations

import re

import pytest
from amaranth.hdl import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out
from amaranth.sim import Simulator

from boards.catalog import BOARDS
from boards.platform_top import plan
from flows.verilog import emit
from hdl.common.repeated import Pattern


class Adder(wiring.Component):
    """A sum, a cycle later."""

    def __init__(self, bits):
        super().__init__({"x": In(bits), "more": In(bits), "y": Out(bits)})

    def elaborate(self, platform):
        m = Module()
        m.d.sync += self.y.eq(self.x + self.more)
        return m


class Pair(wiring.Component):
    """Two adders of one pattern, one after the other."""

    def __init__(self, bits):
        self._bits = bits
        super().__init__({"x": In(bits), "y": Out(bits)})

    def elaborate(self, platform):
        m = Module()
        adders = Pattern(Adder, self._bits)
        m.submodules.first, m.submodules.second = first, second = adders.another(), adders.another()
        m.d.comb += [first.x.eq(self.x), first.more.eq(1), second.x.eq(first.y), second.more.eq(2), self.y.eq(second.y)]
        return m


class Chains(wiring.Component):
    """Chains of pairs of 8 bits, themselves of one pattern, and a lone adder of a pattern of its own."""

    def __init__(self, pairs=3):
        self._pairs = pairs
        super().__init__({"uart_rx": In(1), "uart_tx": Out(1), "activity": Out(1)})

    def elaborate(self, platform):
        m = Module()
        pairs, lone = Pattern(Pair, 8), Pattern(Adder, 8).another()
        value = self.uart_rx
        for index in range(self._pairs):
            m.submodules[f"pair_{index}"] = pair = pairs.another()
            m.d.comb += pair.x.eq(value)
            value = pair.y
        m.submodules.lone = lone
        m.d.comb += [lone.x.eq(value), lone.more.eq(5), self.uart_tx.eq(lone.y.xor()), self.activity.eq(lone.y[1])]
        return m


def test_repeated_components_are_written_once():
    """Patterns that are alike, but not the same, have modules of their own."""
    verilog = emit(Chains(), "top")
    modules = re.findall(r"^module (\w+)", verilog, re.MULTILINE)
    assert sorted(modules) == ["top", "top__adder", "top__adder_2", "top__core", "top__pair"]
    used = re.findall(r"^  (top__\w+) +(\w+) ", verilog, re.MULTILINE)
    assert sorted(used) == [
        ("top__adder", "first"),
        ("top__adder", "second"),
        ("top__adder_2", "lone"),
        ("top__core", "core"),
        *(("top__pair", f"pair_{index}") for index in range(3)),
    ]
    assert emit(Chains(), "top") == verilog


@pytest.mark.parametrize("board", ["icebreaker", "ulx3s_85f"])
def test_repeated_components_are_files_of_a_boards_plan(board):
    """On ULX3S, the clock domain has no reset."""
    files = plan(BOARDS[board], Chains()).files
    modules = {name: content for name, content in files.items() if name.startswith("top__")}
    assert sorted(modules) == ["top__adder.il", "top__adder_2.il", "top__pair.il"]
    script = files["top.ys"]
    assert all(f"read_rtlil {name}" in script for name in modules)


def test_repeated_components_work_in_a_simulation_in_python():
    found = []

    async def bench(context):
        context.set(pair.x, 10)
        await context.tick().repeat(2)
        found.append(context.get(pair.y))

    pair = Pattern(Pair, 8).another()
    simulator = Simulator(pair)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()
    assert found == [13]
