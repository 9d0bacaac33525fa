"""Other people's Verilog in a design: once, whole, under the design's names, and at work."""

from __future__ import annotations

import os
import re

import numpy as np
import pytest
from amaranth.hdl import ClockSignal, Module, ResetSignal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out
from amaranth.sim import Simulator

from boards.catalog import BOARDS
from boards.platform_top import plan
from flows.tools import environment
from flows.verilog import emit, port_table
from hdl.common.foreign import Foreign
from sim.common.beats import Beats
from sim.common.harness import Harness, build_harness

SOURCE = """
// A sum and a count, of which not all ports are used.
module Adder #(parameter WIDTH = 4, parameter KIND = 0) (
  input clk, input reset, input [WIDTH-1:0] x, output [WIDTH-1:0] y, output reg [31:0] count
);
  wire [WIDTH-1:0] more;
  step #(.BY(KIND == 7 ? 2 : 1)) inner(x, more);
  assign y = more;
  always @(posedge clk) count <= reset ? 0 : count + 1;
endmodule
"""
INNER = "module step #(parameter BY = 1) (input [7:0] x, output [7:0] y); assign y = x + BY; endmodule\n"


@pytest.fixture
def adder(tmp_path):
    (tmp_path / "adder.v").write_text(SOURCE)
    (tmp_path / "step.v").write_text(INNER)
    return Foreign("Adder", (tmp_path / "adder.v", tmp_path / "step.v"), (("WIDTH", 8), ("KIND", 7)))


class Sums(wiring.Component):
    """Two sums, one after the other, combinational."""

    def __init__(self, adder):
        self._adder = adder
        super().__init__({"x": In(stream.Signature(8)), "y": Out(stream.Signature(8))})

    def elaborate(self, platform):
        m = Module()
        between = stream.Signature(8).create()
        for name, x, y in (("a", self.x, between), ("b", between, self.y)):
            clocked = {"i_clk": ClockSignal(), "i_reset": ResetSignal()}
            m.submodules[name] = self._adder.instance(platform, i_x=x.payload, o_y=y.payload, **clocked)
        m.d.comb += [self.y.valid.eq(self.x.valid), self.x.ready.eq(self.y.ready)]
        return m


def test_foreign_verilog_is_written_once_without_what_is_not_used(adder):
    verilog = emit(Sums(adder), "top")
    assert re.findall(r"^module (\w+)", verilog, re.MULTILINE) == ["top__adder", "top", "top__core"]
    assert re.search(r"^module top__adder\(clk, reset, x, y\);", verilog, re.MULTILINE)
    assert "count" not in verilog
    assert str(adder.files[0].parent) not in verilog
    assert emit(Sums(adder), "top") == verilog


def test_foreign_verilog_works(adder, tmp_path):
    component = Sums(adder)
    (tmp_path / "top.v").write_text(emit(component, "top"))
    ports = {"top": "top", "clock": "clk", "reset": "rst", "ports": port_table(component)}
    harness = Harness(build_harness(tmp_path / "top.v", ports, tmp_path / "harness", optimise="-O1"), ports)
    given = np.arange(256, dtype=np.uint8).reshape(-1, 1)
    got = harness.run({"x": Beats(given)}, {"y": 256}).outputs["y"].data
    np.testing.assert_array_equal(got, given + 4)


def test_foreign_verilog_is_a_file_of_a_boards_plan(adder, monkeypatch):
    for name, value in environment().items():
        monkeypatch.setitem(os.environ, name, value)

    class Top(wiring.Component):
        def __init__(self):
            super().__init__({"uart_rx": In(1), "uart_tx": Out(1), "activity": Out(1)})

        def elaborate(self, platform):
            m = Module()
            clocked = {"i_clk": ClockSignal(), "i_reset": ResetSignal(allow_reset_less=True)}
            m.submodules.one = adder.instance(platform, i_x=self.uart_rx, o_y=self.uart_tx, **clocked)
            return m

    text = plan(BOARDS["ulx3s_85f"], Top()).files["top__adder.il"]
    content = text.decode() if isinstance(text, bytes) else text
    assert "module \\top__adder" in content
    assert str(adder.files[0].parent) not in content


def test_foreign_verilog_is_not_simulated_in_python(adder):
    with pytest.raises(TypeError, match="^Adder is Verilog: it can be written out, not simulated in Python$"):
        Simulator(Sums(adder))
