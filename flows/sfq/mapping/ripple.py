"""Verilog's additions with carries that ripple, bit by bit: each is a full adder, which a T1 cell can be.

Yosys makes gates of an addition as a tree of prefixes, which is shallow and has few full adders.
"""

from __future__ import annotations

import re
from pathlib import Path

from flows.errors import ToolError
from flows.sfq.mapping.aig import Aig, read_aiger
from flows.sfq.mapping.checks import same_logic
from flows.sfq.mapping.front_end import TO_GATES, WORDS
from flows.tools import run_tool

_ARITHMETIC = re.compile(r"cell \$(add|sub|neg|mul|macc|alu|lcu|lt|le|gt|ge)")

_RIPPLE = """\
(* techmap_celltype = "$lcu" *)
module _80_lcu_ripple (P, G, CI, CO);
  parameter WIDTH = 1;
  input [WIDTH-1:0] P, G;
  input CI;
  output [WIDTH-1:0] CO;
  assign CO = G | (P & {CO, CI});
endmodule
"""
"""Carries from what each bit generates and propagates. Its name comes before that of Yosys's own."""

_TIMEOUT_S = 120


def rippled(source: Aig, folder: Path) -> Aig | None:
    """The graph of the source in `folder` with such carries.

    None if it has no arithmetic, or if ABC does not prove that it is the source, register by register.
    """
    words = folder / WORDS
    if not words.exists() or not _ARITHMETIC.search(words.read_text()):
        return None
    (folder / "ripple.v").write_text(_RIPPLE)
    script = [
        f"read_rtlil {WORDS}",
        "techmap -map +/techmap.v -map ripple.v; opt; setundef -zero; opt",
        *TO_GATES,
        "write_aiger -symbols rippled.aig",
    ]
    (folder / "ripple.ys").write_text("\n".join(script) + "\n")
    try:
        run_tool(["yosys", "-s", "ripple.ys"], cwd=folder, log=folder / "ripple.log", timeout_s=_TIMEOUT_S)
        found = read_aiger(folder / "rippled.aig")
        found = found.reduced(next((name for name in found.inputs if name not in source.inputs), None))
        if (found.inputs, found.outputs, len(found.following)) != (
            source.inputs,
            source.outputs,
            len(source.following),
        ):
            return None
        (folder / "one.aig").write_bytes(source.core())
        (folder / "other.aig").write_bytes(found.core())
        return found if same_logic(folder, "one.aig", "other.aig") else None
    except ToolError:
        return None
