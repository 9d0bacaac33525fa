"""Verilog of other people as a part of a design: written into the design's own file, as one module."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

from amaranth._toolchain.yosys import find_yosys
from amaranth.hdl import Instance


class Foreign(NamedTuple):
    """A module in Verilog files.

    Attributes
    ----------
    top : its name there
    files : these files
    parameters : names and values
    ports : those that the module has in the design; all, if none is named
    """

    top: str
    files: tuple[Path, ...]
    parameters: tuple[tuple[str, int], ...] = ()
    ports: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """What the module's name ends with in a design."""
        return self.top.lower()

    def instance(self, platform: Any, **ports: Any) -> Instance:
        """One of them, which has no other ports than these, named as for Amaranth's `Instance`.

        Raises
        ------
        TypeError
            If nobody writes Verilog: a simulation in Python has none of it.
        """
        modules = getattr(platform, "modules", None)
        if modules is None:
            raise TypeError(f"{self.top} is Verilog: it can be written out, not simulated in Python")
        names = tuple(name.split("_", 1)[1] for name in ports)
        return Instance(modules.name_of(self._replace(ports=names)), **ports)

    def written(self, name: str, command: str) -> str:
        """What a command of Yosys, the one that Amaranth finds, writes of it: a single module of this name. Memories
        stay what they are, and no name depends on where the files are."""
        text: str = find_yosys(lambda version: True).run(["-q", "-"], "\n".join([*self._script(name), command]))
        return text

    def _script(self, name: str) -> list[str]:
        others = " ".join(f"w:{port} %d" for port in self.ports)
        values = " ".join(f"-chparam {key} {value}" for key, value in self.parameters)
        return [
            *(f"read_verilog -defer {file}" for file in self.files),
            f"hierarchy -check -top {self.top} {values}",
            "proc",
            "flatten",
            *([f"delete -port x:* {others}"] if others else []),
            "pmuxtree",  # cases of which one at most is true: Verilator would warn that it cannot know
            "opt_expr",
            "opt_clean -purge",
            "memory_collect",
            f"rename -top {name}",
            "rename -enumerate",
            "attrmap -remove src",
            "attrmap -modattr -remove src",
        ]
