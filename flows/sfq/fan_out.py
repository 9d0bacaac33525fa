"""The rule of wires in hardware: each leads from one end to one end. Event JSON may look at a wire under way; formats
that describe hardware may not."""

from __future__ import annotations

from hdl.common.config import ConfigError
from hdl.sfq.netlist import Netlist

HINT = "a splitter makes two of a pulse"


def check_fan_out(netlist: Netlist) -> None:
    """Refuses a netlist with an output that is no end of its own.

    Raises
    ------
    ConfigError
        Naming the output: a cell receives it, too, or it is an input, or it stands twice.
    """
    receivers, inputs, seen = netlist.receivers(), set(netlist.inputs), set[str]()
    for wire in netlist.outputs:
        if wire in receivers:
            number, pin = receivers[wire]
            raise ConfigError(f"output {wire} is received by {netlist.instances[number].name}.{pin}, too; {HINT}")
        if wire in inputs:
            raise ConfigError(f"output {wire} is an input, too; a JTL between them makes two wires of it")
        if wire in seen:
            raise ConfigError(f"output {wire} stands twice; {HINT}")
        seen.add(wire)
