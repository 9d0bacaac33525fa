"""Structural Verilog and BLIF into netlists, read by Yosys.

Modules, wires, instances of the library's cells, aliases (`assign a = b`) and hierarchy, which is flattened: the cell
`x` of the instance `s` is called `s.x`. Bit 3 of a bus `a` is the wire `a[3]`. A cell's own module in the file, such as
an empty declaration or a model, is not looked at. Logic is refused: `niello sfq map` makes cells of it.
"""

from __future__ import annotations

import json
import re
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from flows.errors import BadInput
from flows.paths import shown
from flows.sfq.fan_out import HINT, check_fan_out
from flows.sfq.names import name_of
from flows.sfq.verilog import black_boxes
from flows.text_files import read_text
from flows.tools import error_line, run_tool
from hdl.common.config import ConfigError, did_you_mean
from hdl.sfq.cell_files import Cells
from hdl.sfq.netlist import Instance, Netlist

MOST_CHARACTERS = 1 << 28
TIMEOUT_S = 600.0

READERS = {".v": "read_verilog", ".sv": "read_verilog -sv", ".blif": "read_blif"}
"""Yosys' commands by a file's suffix."""

_UNKNOWN = re.compile(r"Module `\\?(\S+)' referenced in .* is not part of the design")


def read_structural(path: Path, cells: Cells) -> Netlist:
    """The netlist in a Verilog or BLIF file, its instances in the order of the file.

    Raises
    ------
    BadInput
        If the file cannot be read, or is no netlist of these cells with one end to each wire.
    """
    text = read_text(path, "Verilog" if path.suffix != ".blif" else "BLIF", MOST_CHARACTERS)
    source = f"source{path.suffix}"
    try:
        with tempfile.TemporaryDirectory(prefix="niello-") as folder:
            modules = _modules(Path(folder), source, text, cells)
        if not modules:
            raise ConfigError("no module with cells in it")
        return _netlist(*modules, cells)
    except ConfigError as error:
        raise BadInput(f"{shown(path)}: {error}".replace(f": {source}:", ":")) from None


def _modules(folder: Path, source: str, text: str, cells: Cells) -> tuple[str, dict[str, Any]] | None:
    """Name and contents of the top module, flat, as `write_json` gives it; None if the file has none."""
    (folder / source).write_text(text)
    (folder / "cells.v").write_text(black_boxes(cells))
    script = [
        f"{READERS[Path(source).suffix]} {source}",
        "read_verilog -lib -overwrite cells.v",
        "proc",
        "write_json modules.json",
        "hierarchy -check -auto-top",
        "flatten",
        "write_json netlist.json",
    ]
    (folder / "read.ys").write_text("\n".join(script))
    log = folder / "log"
    run = run_tool(["yosys", "-q", "-s", "read.ys"], cwd=folder, log=log, timeout_s=TIMEOUT_S, check=False)
    if run.returncode:
        line = error_line("yosys", log.read_text(errors="replace"), run.returncode)
        unknown = _UNKNOWN.search(line)
        if unknown:
            name = name_of(unknown[1])
            raise ConfigError(f"{name} is not a cell, nor a module of the file{did_you_mean(name, [*cells])}")
        raise ConfigError(re.sub("ERROR: ?", "", line))
    modules = json.loads((folder / "modules.json").read_text())["modules"]
    used = {cell["type"] for module in modules.values() for cell in module["cells"].values()}
    tops = [name for name, one in modules.items() if "blackbox" not in one["attributes"] and name not in used]
    if len(tops) > 1:
        raise ConfigError(f"modules {_name(tops[0])} and {_name(tops[1])} are used by none; a file has one top")
    modules = json.loads((folder / "netlist.json").read_text())["modules"]
    return (_name(tops[0]), modules[tops[0]]) if tops else None


def _netlist(name: str, module: dict[str, Any], cells: Cells) -> Netlist:
    for port, entry in module["ports"].items():
        if entry["direction"] == "inout":
            raise ConfigError(f"port {_name(port)} is inout; a wire of pulse logic leads one way")
    names = _wire_names(module)
    inputs, outputs = list[str](), list[str]()
    for port, entry in module["ports"].items():
        ends = inputs if entry["direction"] == "input" else outputs
        ends += [_wire(bit, names, f"port {_name(port)}") for bit in entry["bits"]]
    instances, is_blif = list[Instance](), "src" not in module["attributes"]
    for key, entry in sorted(module["cells"].items(), key=_place):
        if entry["type"] == "$scopeinfo":
            continue
        instance = f"u{len(instances)}" if entry["hide_name"] else _name(key)
        instances.append(_instance(instance, entry, names, cells, "BLIF" if is_blif else "Verilog"))
    driven = set(inputs) | {wire for one in instances for pin, wire in one.pins.items() if pin in one.cell.outputs}
    for wire in outputs:
        if wire not in driven:
            raise ConfigError(f"output {wire} is driven by nothing")
    netlist = Netlist(name, tuple(instances), tuple(inputs), tuple(outputs))
    check_fan_out(netlist)
    return netlist


def _instance(name: str, entry: dict[str, Any], names: dict[Any, str], cells: Cells, kind: str) -> Instance:
    at = f"instance {name}"
    if entry["type"].startswith("$"):
        logic = {"BLIF": ".names and .latch are logic", "Verilog": "there is logic in the file"}[kind]
        raise ConfigError(f"{logic} ({_name(entry['type'])}); niello sfq map makes cells of it")
    cell = cells[_name(entry["type"])]
    connected = {_name(pin): bits for pin, bits in entry["connections"].items() if bits}
    pins = {
        pin: _wire(connected[pin][0], names, f"{at}, pin {pin}")
        for pin in (*cell.inputs, *cell.outputs)
        if pin in connected
    }
    return Instance(name, cell, pins)


def _wire(bit: Any, names: dict[Any, str], at: str) -> str:
    if isinstance(bit, str):
        raise ConfigError(f"{at} is tied to {bit}; no pulse comes on a wire that is left open")
    return names[bit]


def _wire_names(module: dict[str, Any]) -> dict[Any, str]:
    """The name of each bit of a net: that of an input, else of an output, else the outermost in the hierarchy."""
    nets, ports = module["netnames"], module["ports"]

    def rank(name: str) -> tuple[int, int, int]:
        direction = ports[name]["direction"] if name in ports else ""
        depth = len(nets[name]["attributes"].get("hdlname", "").split())
        return ("input", "output", "").index(direction), nets[name]["hide_name"], depth

    found: dict[Any, str] = {}
    for name in sorted(nets, key=rank):
        for bit, wire in zip(nets[name]["bits"], _bit_names(_name(name), nets[name]), strict=True):
            first = found.setdefault(bit, wire)
            if name in ports and first != wire and isinstance(bit, int):
                raise ConfigError(f"ports {first} and {wire} are one wire; {HINT}, and a JTL one of an input")
    return found


def _bit_names(name: str, net: dict[str, Any]) -> Iterator[str]:
    width, offset = len(net["bits"]), net.get("offset", 0)
    if width == 1 and not offset:
        return iter([name])
    order = range(width - 1, -1, -1) if net.get("upto") else range(width)
    return (f"{name}[{offset + place}]" for place in order)


def _name(key: str) -> str:
    """A name of Yosys' JSON: what begins with `$`, a digit or a backslash keeps a backslash before it."""
    return key if key.startswith("$") else name_of(key.removeprefix("\\"))


def _place(item: tuple[str, dict[str, Any]]) -> tuple[list[int], str]:
    """Where an instance stands in its file; in BLIF, whose instances have no names, Yosys numbers them in its order."""
    key, entry = item
    return [int(number) for number in re.findall(r"\d+", entry["attributes"].get("src", key))], key
