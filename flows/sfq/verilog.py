"""Netlists as structural Verilog: one module, one instance a cell, named pins, and empty modules for the cells."""

from __future__ import annotations

from collections.abc import Mapping

from flows.sfq.fan_out import check_fan_out
from flows.sfq.names import verilog_name
from hdl.common.config import ConfigError
from hdl.sfq.cell_files import Cells
from hdl.sfq.cells import Cell
from hdl.sfq.netlist import Netlist
from hdl.sfq.netlist_json import cell_keys

HEAD = """\
// A netlist of pulse logic, written by niello. A wire carries pulses from one pin to one pin.
// The cells below are empty: put models of your own in their place to simulate.
"""


def structural_verilog(netlist: Netlist, library: Cells) -> str:
    """The netlist as Verilog text, instances in order; cells that the library has not keep their names, numbered where
    two have one.

    Raises
    ------
    ConfigError
        If an output is no end of its own, or the netlist has the name of a cell.
    """
    check_fan_out(netlist)
    keys, _ = cell_keys(netlist, library)
    cells = {keys[id(one.cell)]: one.cell for one in netlist.instances}
    if netlist.name in {*cells, *library}:
        raise ConfigError(f"netlist {netlist.name} has the name of a cell; give it another")
    ports = [f"input {verilog_name(wire)}" for wire in netlist.inputs]
    ports += [f"output {verilog_name(wire)}" for wire in netlist.outputs]
    wires, outside = set(netlist.wires), {*netlist.inputs, *netlist.outputs}
    inside = [wire for wire in netlist.wires if wire not in outside]
    lines = [f"module {verilog_name(netlist.name)}(", ",\n".join(f"  {port}" for port in ports), ");"]
    lines += [f"  wire {verilog_name(wire)};" for wire in inside]
    for one in netlist.instances:
        ends = {pin: verilog_name(one.pins[pin]) if pin in one.pins else "" for pin in _pins(one.cell)}
        pins = ", ".join(f".{verilog_name(pin)}({end})" for pin, end in ends.items())
        name = verilog_name(one.name, twin=one.name in wires)
        lines.append(f"  {verilog_name(keys[id(one.cell)])} {name} ({pins});")
    return HEAD + "\n".join([*lines, "endmodule", "", black_boxes(cells)])


def _pins(cell: Cell) -> tuple[str, ...]:
    return (*cell.inputs, *cell.outputs)


def black_boxes(cells: Mapping[str, Cell]) -> str:
    """Empty modules of cells, by name."""
    lines = []
    for key, cell in cells.items():
        ports = [f"input {verilog_name(pin)}" for pin in cell.inputs]
        ports += [f"output {verilog_name(pin)}" for pin in cell.outputs]
        lines += ["(* blackbox *)", f"module {verilog_name(key)}({', '.join(ports)});", "endmodule", ""]
    return "\n".join(lines)
