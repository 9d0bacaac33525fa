"""Mutants of gateware: changes to its Verilog of which one at a time is made, chosen when the simulation begins.

So one compilation serves them all.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

Change = tuple[str, str]
"""A wire or a register, and what it is set to instead; `{}` is what it would be."""

MODULE = re.compile(r"^module .*?^endmodule", re.MULTILINE | re.DOTALL)


class Mutants:
    """Verilog with changes that can be chosen.

    Parameters
    ----------
    verilog : is rewritten
    module : the end of the changed module's name
    changes : by name
    """

    def __init__(self, verilog: Path, module: str, changes: Mapping[str, Change]):
        self._numbers = {name: number for number, name in enumerate(changes, 1)}
        self._chosen = verilog.with_name(f"{module}.hex")
        self.choose(None)
        text = verilog.read_text()
        (whole,) = (found for found in MODULE.finditer(text) if re.match(rf"module \S*{module} ", found[0]))
        body = whole[0]
        for name, (target, instead) in changes.items():
            assigned = rf"^( +(?:assign {target} =|{target} <=) )([^;]*);$"
            # A register that is not written in a cycle is not changed either.
            parts = re.findall(assigned, body, re.MULTILINE)
            assert len(parts) == 1, (name, target, len(parts))
            was = f"({parts[0][1]})"
            new = f"(mutant[0] == {self._numbers[name]}) ? ({instead.replace('{}', was)}) : {was};"
            body = re.sub(assigned, lambda found, new=new: found[1] + new, body, flags=re.MULTILINE)
        head, rest = body.split(";\n", 1)
        chooser = f'  reg [7:0] mutant [0:0];\n  initial $readmemh("{self._chosen.resolve()}", mutant);\n'
        verilog.write_text(text.replace(whole[0], f"{head};\n{chooser}{rest}"))

    def choose(self, name: str | None) -> None:
        """Makes the next simulation that begins this mutant; none, if it is no change of this module."""
        self._chosen.write_text(f"{self._numbers.get(name, 0):x}\n")
