"""Components that a design has many of: elaborated and written out once, as a module that all of them share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from amaranth.hdl import ClockSignal, Instance, Module, ResetSignal, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In

from hdl.common.foreign import Foreign


class Pattern:
    """What many components are like: `kind(*arguments)`, a component with registers of domain `sync`."""

    def __init__(self, kind: Callable[..., wiring.Component], *arguments: Any):
        self.kind, self.arguments = kind, arguments
        self.first = kind(*arguments)

    @property
    def name(self) -> str:
        """What the module's name ends with."""
        return self.kind.__name__.lower()

    def another(self) -> wiring.Component:
        """One more of them."""
        return _Another(self)


class Modules:
    """The modules that are written out once for all of a design; its platform has it as the attribute `modules`.

    Parameters
    ----------
    top : the design's top module, which their names begin with
    write : called once for each, with the module's name and what to make it from
    """

    def __init__(self, top: str, write: Callable[[str, Pattern | Foreign], None]):
        self._top, self._write = top, write
        self._names: dict[Pattern | Foreign, str] = {}

    def name_of(self, source: Pattern | Foreign) -> str:
        """The module of a pattern, or of other people's Verilog."""
        if source not in self._names:
            name = wanted = f"{self._top}__{source.name}"
            while name in self._names.values():
                name = f"{wanted}_{len(self._names)}"
            self._names[source] = name
            self._write(name, source)
        return self._names[source]


class _Another(wiring.Component):
    def __init__(self, pattern: Pattern):
        self._pattern = pattern
        super().__init__(pattern.first.signature)

    def elaborate(self, platform):
        modules = getattr(platform, "modules", None)
        if modules is None:  # nobody writes modules: a simulation in Python
            m = Module()
            m.submodules.one = one = self._pattern.kind(*self._pattern.arguments)
            wiring.connect(m, wiring.flipped(self), one)
            return m
        ports = {
            f"{'i' if member.flow is In else 'o'}_{'__'.join(map(str, path))}": Value.cast(value)
            for path, member, value in self.signature.flatten(self)
        }
        ports |= {"i_clk": ClockSignal(), "i_rst": ResetSignal(allow_reset_less=True)}
        return Instance(modules.name_of(self._pattern), **ports)
