"""From a design to the files that others build on: Verilog, ports, register header, FuseSoC core, power intent."""

from __future__ import annotations

import importlib.metadata
import json
import os
import re
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from flows.identifiers import plain_identifiers
from flows.tools import environment
from sim.common.verilator import WAIVERS

if TYPE_CHECKING:
    from amaranth.hdl import Elaboratable
    from amaranth.lib.wiring import Component

    from flows.load import Design
    from hdl.common.foreign import Foreign
    from hdl.common.repeated import Pattern

VERSION = importlib.metadata.version("niello")

_IMPORT = threading.Lock()


def load_amaranth() -> None:
    """Imports Amaranth, whole. For steps that begin at once: its modules import one another, and Python lets the second
    of two threads see them half done."""
    with _IMPORT:
        import amaranth.back.verilog
        import amaranth.build
        import amaranth.lib.wiring  # noqa: F401


def emit(component: Component, top: str, *, header: str = "") -> str:
    """Verilog of `component` as module `top`, its streams and buses under the names of `hdl.common.edge`.

    Every submodule's name starts with `top` and `__`, so that two designs live in one project.
    The text depends on nothing but the component: not on the machine, the folder or the hash seed.
    """
    from amaranth.hdl import Module, Signal

    from hdl.common.edge import ports
    from hdl.common.repeated import Modules

    module = Module()
    module.submodules.core = component
    edge = {}
    for port in ports(component):
        # A signal of its own, because a stream's payload is one signal and its data and last are two ports.
        signal = Signal(port.width, name=port.name)
        module.d.comb += port.value.eq(signal) if port.direction == "input" else signal.eq(port.value)
        edge[port.name] = (signal, None)
    bodies: list[str] = []

    class Platform:
        """What components see of how they are built."""

        modules = Modules(top, lambda name, source: bodies.append(_part(source, name, Platform)))

    body = _body(module, top, Platform, ports=edge)
    # So that the file reads without warnings in other people's flows; whatever else stands there keeps its own.
    waived = "".join(f"/* verilator lint_off {name} */\n" for name in WAIVERS)
    text = "\n\n".join([*bodies, body])
    return f"{header}/* verilator lint_save */\n{waived}{text}\n/* verilator lint_restore */\n"


def _part(source: Pattern | Foreign, name: str, platform: Any) -> str:
    """The Verilog of what is written out once, as module `name`."""
    from hdl.common.foreign import Foreign

    if not isinstance(source, Foreign):
        return _body(source.first, name, platform)
    os.environ.update(environment())
    body = _plain(source.written(name, "write_verilog -noattr"), name)
    # Other people's habits are not ours to warn of; a vector whose bits depend on one another is no loop.
    waived = "".join(f"/* verilator lint_off {warning} */\n" for warning in ("CMPCONST", "UNOPTFLAT"))
    return f"/* verilator lint_save */\n{waived}{body}\n/* verilator lint_restore */"


def _body(module: Elaboratable, name: str, platform: Any, **options: Any) -> str:
    """The Verilog of an Amaranth module."""
    from amaranth.back import verilog

    os.environ.update(environment())  # Amaranth finds its Yosys by environment variables alone
    text: str = verilog.convert(module, name, platform, emit_src=False, strip_internal_attrs=True, **options)
    # Yosys writes `$signed()` wherever an operation is signed, and relies on all else being unsigned; but it also
    # repeats the `signed` of Amaranth's declarations, which would turn unsigned operations on them into signed ones.
    text = re.sub(r"^(\s*(?:input|output|wire|reg)) signed ", r"\1 ", text, flags=re.MULTILINE)
    return _plain(text, name)


def _plain(text: str, name: str) -> str:
    """In plain names, and without the first line, which names Yosys' version."""
    return plain_identifiers(text, name).split("\n", 1)[1].strip("\n")


def port_table(component: Component) -> list[dict[str, Any]]:
    """The module's ports, clock and reset first, as `ports.json` lists them."""
    from hdl.common.edge import ports

    table: list[dict[str, Any]] = [
        {"name": "clk", "direction": "input", "width": 1, "interface": "clock", "role": "clk"},
        {"name": "rst", "direction": "input", "width": 1, "interface": "reset", "role": "rst"},
    ]
    for port in ports(component):
        table.append(
            {
                "name": port.name,
                "direction": port.direction,
                "width": port.width,
                "interface": port.interface,
                "role": port.role,
            }
        )
    return table


def check_names(verilog: str, top: str, table: list[dict[str, Any]]) -> None:
    """Nothing, where the Verilog's top has the ports of a table, by name.

    Raises
    ------
    ValueError
        If a port cannot have its name, which others go by.
    """
    found = re.search(rf"^module {top}\s*\(([^;]*);", verilog, flags=re.MULTILINE)
    named = re.findall(r"\w+", found[1] if found else "")
    for port in table:
        if port["name"] not in named and port["interface"] not in ("clock", "reset"):
            raise ValueError(f"port {port['name']} of {top}: the name is a word of Verilog")


def write_rtl(design: Design, out_dir: Path) -> dict[str, Path]:
    """Writes `NAME.v`, `NAME.ports.json`, `NAME.h` and `NAME.core` of a design into `out_dir`, and `NAME.upf` if its
    power can be switched in parts; says which.

    `latency_cycles` in `ports.json` is from the handshake of an item's last input beat to its first output beat.
    """
    from flows.register_docs import c_header, ports_header
    from flows.upf import power_intent

    component = design.block.build(design.config)
    table = port_table(component)
    files = {kind: out_dir / f"{design.name}.{kind}" for kind in ("v", "ports.json", "h", "core")}
    verilog = emit(component, design.top, header=_header(design, table))
    check_names(verilog, design.top, table)
    files["v"].write_text(verilog)
    if plan := design.block.power_plan(design.config):
        files["upf"] = out_dir / f"{design.name}.upf"
        files["upf"].write_text(power_intent(plan, verilog, design.top, header=_origin(design, "#")))
    ports_json = {
        "top": design.top,
        "clock": "clk",
        "reset": "rst",
        "latency_cycles": design.config.latency_cycles,
        "config_sha256": design.config_sha256,
        "ports": table,
    }
    files["ports.json"].write_text(json.dumps(ports_json, indent=1) + "\n")
    if design.config.register_source is None:
        ports_header(table, files["h"])
    else:
        c_header(*design.config.register_source, files["h"])
    files["core"].write_text(_core(design))
    return files


def _origin(design: Design, comment: str) -> str:
    """What a generated file comes from, as comments."""
    params = ", ".join(f"{name} = {value}" for name, value in design.config.model_dump().items())
    lines = [
        f"niello {VERSION}: {design.block.name}, {design.block.summary}",
        f"config {params}",
        f"sha256 {design.config_sha256}",
    ]
    return "".join(f"{comment} {line}\n" for line in lines)


def _header(design: Design, table: list[dict[str, Any]]) -> str:
    lines = [
        "clock clk, rising edge; reset rst, synchronous, active high",
        *(
            f"{port['direction']:6} {port['name']} [{port['width']}] {port['interface']}"
            for port in table
            if port["interface"] not in ("clock", "reset")
        ),
        "Generated: change the config, not this file.",
    ]
    return _origin(design, "//") + "".join(f"// {line}\n" for line in lines)


def _core(design: Design) -> str:
    core = {
        "name": f"::{design.top}:{VERSION}",
        "description": f"{design.block.name}: {design.block.summary}",
        "filesets": {
            "rtl": {"files": [{f"{design.name}.v": {"file_type": "verilogSource"}}]},
            "headers": {"files": [{f"{design.name}.h": {"file_type": "user"}}]},
        },
        "targets": {"default": {"filesets": ["rtl", "headers"], "toplevel": design.top}},
    }
    return f"CAPI=2:\n{yaml.safe_dump(core, sort_keys=False)}"
