"""Netlists of a block alone: counted, linted, and simulated against integers."""

from __future__ import annotations

import json
import os
import random
import re
import subprocess
from pathlib import Path

import pytest
from amaranth.back import verilog
from amaranth.hdl import Module, Signal, signed
from amaranth.lib import memory, wiring
from amaranth.lib.wiring import In, Out

from flows.errors import NielloError, ToolError
from flows.simcells import OURS, simulation_library
from flows.synth import cell_counts, netlist
from flows.tools import environment, run_tool
from sim.common import verilator

SEED = 20
CYCLES = 2000


class Mac(wiring.Component):
    """What netlists are made of: multipliers of both kinds, a carry chain, an enable, resets, a memory."""

    def __init__(self):
        super().__init__(
            {
                "a": In(signed(8)),
                "b": In(signed(8)),
                "clear": In(1),
                "write": In(1),
                "total": Out(signed(32)),
                "unsigned_product": Out(16),
                "word": Out(8),
            }
        )

    def elaborate(self, platform):
        m = Module()
        product = Signal(signed(16))
        m.d.sync += [
            product.eq(self.a * self.b),
            self.unsigned_product.eq(self.a.as_unsigned() * self.b.as_unsigned()),
        ]
        m.d.sync += self.total.eq(self.total + product)
        with m.If(self.clear):
            m.d.sync += self.total.eq(-5)
        m.submodules.words = words = memory.Memory(shape=8, depth=16, init=[])
        write, read = words.write_port(), words.read_port(domain="comb")
        m.d.comb += [
            write.addr.eq(self.a[:4]),
            write.data.eq(self.b),
            write.en.eq(self.write),
            read.addr.eq(self.b[:4]),
            self.word.eq(read.data),
        ]
        return m


def emit(folder: Path, name: str) -> Path:
    os.environ.update(environment())
    path = folder / f"{name}.v"
    text = verilog.convert(Mac(), name=name, emit_src=False, strip_internal_attrs=True)
    # Yosys casts the operands of signed operations, but writes unsigned ones plainly: with operands declared as signed,
    # Verilog takes those for signed too.
    path.write_text(re.sub(r"^(\s*(?:input|output|wire|reg)) signed ", r"\1 ", text, flags=re.MULTILINE))
    return path


def signed_of(value: int, bits: int) -> int:
    return value - (1 << bits) if value >> (bits - 1) & 1 else value


def expected_trace(stimulus: list[tuple[int, int, int, int, int]]) -> list[tuple[int, int, int]]:
    """(total, unsigned product, word) before each clock edge; stimulus rows are a, b, clear, write, rst."""
    total = product = unsigned = 0
    words = [0] * 16
    trace = []
    for a, b, clear, write, rst in stimulus:
        trace.append((total % 2**32, unsigned, words[b & 15]))
        next_total = -5 if clear else signed_of((total + product) % 2**32, 32)
        product, unsigned, total = signed_of(a, 8) * signed_of(b, 8), a * b, next_total
        if rst:
            product = unsigned = total = 0
        if write:
            words[a & 15] = b
    return trace


def simulate(folder: Path, sources: list[Path], tops: list[str], stimulus) -> dict[str, list[tuple[int, int, int]]]:
    """Compiles the modules `tops` side by side and returns what each shows before each clock edge."""
    instances = "\n".join(
        f"  wire [31:0] total{n}; wire [15:0] product{n}; wire [7:0] word{n};\n"
        f"  {top} dut{n}(.clk(clk), .rst(row[0]), .write(row[1]), .clear(row[2]), .b(row[10:3]), .a(row[18:11]),"
        f" .total(total{n}), .unsigned_product(product{n}), .word(word{n}));"
        for n, top in enumerate(tops)
    )
    shown = ", ".join(f"total{n}, product{n}, word{n}" for n in range(len(tops)))
    # Rows are set, and outputs shown, at the clock edge: what is shown belongs to the row before it.
    bench = f"""
module bench(input clk);
  reg [18:0] row = 0; reg [18:0] rows [0:{len(stimulus)}]; integer i = 0;
{instances}
  initial $readmemh("stimulus.hex", rows);
  always @(posedge clk) begin
    if (i > 0) $display("{" ".join(["%0d %0d %0d"] * len(tops))}", {shown});
    if (i == {len(stimulus)}) $finish;
    row <= rows[i]; i <= i + 1;
  end
endmodule
"""
    stimulus = [*stimulus, (0, 0, 0, 0, 0)]
    (folder / "stimulus.hex").write_text(
        "".join(f"{a << 11 | b << 3 | clear << 2 | write << 1 | rst:05x}\n" for a, b, clear, write, rst in stimulus)
    )
    rows = run_bench(folder, bench, sources)
    return {top: [(row[3 * n], row[3 * n + 1], row[3 * n + 2]) for row in rows] for n, top in enumerate(tops)}


MAIN = """
#include "Vbench.h"
#include "verilated.h"
int main(int argc, char** argv) {
    VerilatedContext context;
    context.commandArgs(argc, argv);
    Vbench bench{&context};
    while (!context.gotFinish()) {
        bench.clk = !bench.clk;
        bench.eval();
    }
    bench.final();
}
"""


def run_bench(folder: Path, bench: str, sources: list[Path]) -> list[list[int]]:
    """The numbers that a bench displays, a row a line; its one input is a clock."""
    (folder / "bench.sv").write_text(bench)
    (folder / "main.cpp").write_text(MAIN)
    env = verilator.environment()
    argv = [
        "verilator",
        "--cc",
        "--exe",
        "--build",
        "-Wall",
        *verilator.waiver_flags(),
        "-j",
        "2",
        "--output-split",
        "0",
    ]
    argv += ["-CFLAGS", "-O0", "--top-module", "bench", "bench.sv", "main.cpp", *map(str, sources)]
    run_tool(argv, cwd=folder, log=folder / "build.log", env=env, timeout_s=300)
    done = subprocess.run(["obj_dir/Vbench"], cwd=folder, capture_output=True, text=True, check=True)
    lines = [line.split() for line in done.stdout.splitlines()]
    return [[int(word) for word in words] for words in lines if words and words[0].isdigit()]


def random_stimulus() -> list[tuple[int, int, int, int, int]]:
    random.seed(SEED)
    extreme = [(a, b, 0, 1, 0) for a in (0, 1, 127, 128, 255) for b in (0, 1, 127, 128, 255)]
    rows = [
        (random.getrandbits(8), random.getrandbits(8), random.random() < 0.01, random.getrandbits(1), 0)
        for _ in range(CYCLES)
    ]
    rows = [(a, b, int(clear), write, 0) for a, b, clear, write, _ in rows]
    # A memory may hold anything until it is written: all of it is, before anything is read that counts.
    fill = [(address, 0, 0, 1, 1) for address in range(16)]
    reset = [(3, 4, 1, 0, 1), (5, 6, 0, 0, 0)]
    return fill + extreme + rows[: CYCLES // 2] + reset + rows[CYCLES // 2 :]


@pytest.fixture(scope="module")
def netlists(tmp_path_factory):
    """`get(family, dsp)`: folder, module name and metrics of the netlist of `Mac`; made once."""
    made = {}

    def get(family: str, dsp: bool):
        if (family, dsp) not in made:
            folder = tmp_path_factory.mktemp(f"{family}_{dsp}")
            name = f"mac_{family}_{'dsp' if dsp else 'lut'}"
            metrics = netlist(emit(folder, name), name, family, folder, dsp=dsp)
            made[family, dsp] = (folder, name, metrics)
        return made[family, dsp]

    return get


@pytest.mark.parametrize(
    ("family", "dsp", "multipliers"),
    [("ecp5", True, 2), ("ecp5", False, 0), ("ice40", True, 2), ("ice40", False, 0), ("gowin", True, 2)],
)
def test_netlist_lints_clean_and_is_counted(netlists, family, dsp, multipliers):
    folder, name, metrics = netlists(family, dsp)
    assert metrics["dsp"] == multipliers
    assert metrics["bram"] == 0
    # 32 of the total, 16 of each product, of which the lowest are alike and may be shared; the memory's, where it is
    # made of flip-flops.
    assert 60 <= metrics["ff"] - (128 if family == "ice40" else 0) <= 64
    assert metrics["carry"] >= (16 if family == "ecp5" else 31)
    assert metrics["lutram"] == (0 if family == "ice40" else 2)
    assert metrics["lut"] >= 32
    assert 10_000_000 < metrics["peak_rss_bytes"] < 1_000_000_000
    argv = ["verilator", "--lint-only", "-Wall", *verilator.waiver_flags(), "--top-module", name]
    argv += [f"{name}.netlist.v", f"{name}.cells.v"]
    run_tool(argv, cwd=folder, log=folder / "lint.log", env=verilator.environment())
    assert (folder / "lint.log").read_text().count("%Warning") == 0


@pytest.mark.parametrize("family", ["ecp5", "gowin"])
def test_netlist_for_simulation_has_no_block_ram_even_where_a_memory_asks_for_it(tmp_path, family):
    (tmp_path / "words.v").write_text("""
module words(input clk, input write, input [3:0] to, input [7:0] given, input [3:0] from, output reg [7:0] read);
  (* ram_style = "block" *)
  reg [7:0] kept [15:0];
  always @(posedge clk) begin
    if (write) kept[to] <= given;
    read <= kept[from];
  end
endmodule
""")
    metrics = netlist(tmp_path / "words.v", "words", family, tmp_path)
    assert metrics["bram"] == 1
    cells = set(re.findall(r"^  (\w+) #\(", (tmp_path / "words.netlist.v").read_text(), re.MULTILINE))
    assert cells & {"TRELLIS_DPR16X4", "RAM16SDP4"}
    assert not cells & {"DP16KD", "PDPW16KD", "SDPB", "SDPX9B"}


@pytest.mark.deep
def test_netlists_compute_what_integers_say(netlists, tmp_path):
    made = [netlists(family, dsp) for family in ("ecp5", "ice40") for dsp in (True, False)]
    cells = {}
    for folder, name, _ in made:
        # One copy of the models serves both netlists of a family.
        family = name.split("_")[1]
        cells[family] = cells.get(family, "") + (folder / f"{name}.netlist.v").read_text()
    sources = [folder / f"{name}.netlist.v" for folder, name, _ in made]
    for family, text in cells.items():
        (tmp_path / f"{family}.v").write_text(simulation_library(family, text))
        sources.append(tmp_path / f"{family}.v")
    stimulus = random_stimulus()
    traces = simulate(tmp_path, sources, [name for _, name, _ in made], stimulus)
    expected = expected_trace(stimulus)
    for name, trace in traces.items():
        assert trace[16:] == expected[16:], name


@pytest.mark.deep
def test_gowin_netlist_computes_what_integers_say(netlists, tmp_path):
    folder, name, _ = netlists("gowin", True)
    stimulus = random_stimulus()
    traces = simulate(tmp_path, [folder / f"{name}.netlist.v", folder / f"{name}.cells.v"], [name], stimulus)
    assert traces[name][16:] == expected_trace(stimulus)[16:]


@pytest.mark.deep
def test_multiplier_model_multiplies_as_integers_do(tmp_path):
    random.seed(SEED)
    corners = [0, 1, 2, 0x1FFFF, 0x20000, 0x20001, 0x3FFFF, 0x15555, 0x2AAAA]
    pairs = [(a, b) for a in corners for b in corners]
    pairs += [(random.getrandbits(18), random.getrandbits(18)) for _ in range(1000)]
    rows = [(a, b, signs & 1, signs >> 1) for a, b in pairs for signs in range(4)]
    (tmp_path / "rows.hex").write_text("".join(f"{sb << 37 | sa << 36 | b << 18 | a:010x}\n" for a, b, sa, sb in rows))
    pins = ", ".join(
        [f".{port}{bit}(row[{base + bit}])" for port, base in (("A", 0), ("B", 18)) for bit in range(18)]
        + [f".P{bit}(p[{bit}])" for bit in range(36)]
    )
    bench = f"""
module bench(input clk);
  reg [37:0] rows [0:{len(rows) - 1}]; reg [37:0] row = 0; wire [35:0] p; integer i = 0;
  /* verilator lint_off PINMISSING */
  MULT18X18D dut({pins}, .SIGNEDA(row[36]), .SIGNEDB(row[37]));
  initial $readmemh("rows.hex", rows);
  always @(posedge clk) begin
    if (i > 0) $display("%0d", p);
    if (i == {len(rows)}) $finish; else row <= rows[i];
    i <= i + 1;
  end
endmodule
"""
    (tmp_path / "model.v").write_text(simulation_library("ecp5", "  MULT18X18D dut (\n"))
    got = [row[0] for row in run_bench(tmp_path, bench, [tmp_path / "model.v"])]
    assert got == [(signed_of(a, 18) if sa else a) * (signed_of(b, 18) if sb else b) % 2**36 for a, b, sa, sb in rows]


@pytest.mark.parametrize(
    ("parameter", "message"),
    [
        ('REG_OUTPUT_CLK("CLK0")', "MULT18X18D with registers has no simulation model here"),
        ('REG_INPUTA_CLK("CLK0")', "MULT18X18D with registers has no simulation model here"),
        ('MULT_BYPASS("ENABLED")', "MULT18X18D with MULT_BYPASS has no simulation model here"),
    ],
)
def test_multiplier_model_refuses_what_it_does_not_cover(tmp_path, parameter, message):
    (tmp_path / "top.v").write_text(f"module top; MULT18X18D #(.{parameter}) dut(); endmodule\n")
    argv = [
        "verilator",
        "--lint-only",
        "-Wno-PINMISSING",
        "-Wno-WIDTHEXPAND",
        "--top-module",
        "top",
        "top.v",
        str(OURS["ecp5"][0]),
    ]
    with pytest.raises(ToolError, match=rf"^verilator: %Warning-USERFATAL: \S+: {message}; log: \S+$"):
        run_tool(argv, cwd=tmp_path, log=tmp_path / "log", env=verilator.environment())


def test_counts_add_what_carry_chains_and_small_memories_occupy():
    cells = {"LUT4": 10, "CCU2C": 3, "TRELLIS_DPR16X4": 2, "TRELLIS_FF": 7, "DP16KD": 1, "MULT18X18D": 4, "PFUMX": 5}
    stat = {"design": {"num_cells_by_type": cells}}
    expected = {"lut": 10 + 6 + 8, "ff": 7, "carry": 3, "lutram": 2, "bram": 1, "dsp": 4}
    assert cell_counts("ecp5", stat) == expected
    cells = {
        "SB_LUT4": 9,
        "SB_CARRY": 4,
        "SB_DFF": 1,
        "SB_DFFESR": 2,
        "SB_RAM40_4K": 3,
        "SB_MAC16": 5,
        "SB_SPRAM256KA": 1,
    }
    expected = {"lut": 9, "ff": 3, "carry": 4, "lutram": 0, "bram": 3, "dsp": 5}
    assert cell_counts("ice40", {"design": {"num_cells_by_type": cells}}) == expected


def test_cell_without_a_model_is_refused():
    text = "module top();\n  DP16KD #(\n  ) ram (\n  );\nendmodule\n"
    with pytest.raises(NielloError, match=r"^no simulation model of DP16KD \(ecp5\)$"):
        simulation_library("ecp5", text)


def test_same_source_gives_the_same_files_anywhere(netlists, tmp_path):
    folder, name, _ = netlists("ecp5", True)
    elsewhere = tmp_path / "a" / "deeper place"
    elsewhere.mkdir(parents=True)
    netlist(emit(elsewhere, name), name, "ecp5", elsewhere)
    for kind in ("netlist", "cells"):
        assert (elsewhere / f"{name}.{kind}.v").read_bytes() == (folder / f"{name}.{kind}.v").read_bytes()
    stat = json.loads((elsewhere / "stat.json").read_text())
    assert stat["design"]["num_cells_by_type"]["MULT18X18D"] == 2


def test_broken_verilog_ends_with_yosys_error_line(tmp_path):
    (tmp_path / "bad.v").write_text("module bad(input a;\nendmodule\n")
    with pytest.raises(ToolError, match=r"^yosys on bad: source\.v:1: ERROR: syntax error.*; log: \S+synth\.log$"):
        netlist(tmp_path / "bad.v", "bad", "ecp5", tmp_path)
