"""Tables about designs and boards: for people on standard error, as plain data for the command's JSON."""

from __future__ import annotations

from typing import Any

from rich.table import Table

from boards.catalog import BOARDS
from flows.load import Design, load_design, named_designs
from flows.paths import shown
from flows.preflight import fits, needs_of
from flows.progress import console
from hdl.common.config import field_range


def designs_table() -> list[dict[str, Any]]:
    """The named designs."""
    rows = []
    table = _table("design", "block", "parameters", "board", "what it is")
    for name, path in named_designs().items():
        design = load_design(name)
        params = design.config.model_dump(mode="json")
        table.add_row(
            f"[bold]{name}[/]",
            design.block.name,
            ", ".join(f"{key} {value}" for key, value in params.items()),
            design.target.board or "–",
            design.block.summary,
        )
        rows.append({"name": name, "block": design.block.name, "params": params, "path": str(path)})
    console().print(table)
    return rows


def boards_table() -> list[dict[str, Any]]:
    """The boards, their resources, and the named designs that fit."""
    designs = [load_design(name) for name in named_designs()]
    rows = []
    table = _table("board", "", "LUT", "FF", "BRAM", "DSP", "clock MHz", "extra", "designs that fit")
    for board in BOARDS.values():
        fitting = [design.name for design in designs if fits(needs_of(design.config), board)]
        resources = board.resources
        table.add_row(
            f"[bold]{board.name}[/]",
            f"{board.title}\n[dim]{board.device}[/]",
            *(f"{number:,}" for number in (resources.lut, resources.ff, resources.bram, resources.dsp)),
            f"{board.default_clock_hz / 1e6:g}",
            board.extra or "",
            " ".join(fitting),
        )
        rows.append(
            {
                "name": board.name,
                "title": board.title,
                "device": board.device,
                "family": board.family,
                "lut": resources.lut,
                "ff": resources.ff,
                "bram": resources.bram,
                "dsp": resources.dsp,
                "clock_hz": board.default_clock_hz,
                "baud": board.baud,
                "extra": board.extra,
                "fits": fitting,
            }
        )
    console().print(table)
    return rows


def description(design: Design) -> dict[str, Any]:
    """All that a user of the design must know: ports, latency, parameters, arrays, registers."""
    from flows.verilog import port_table

    config, out = design.config, console()
    ports = port_table(design.block.build(config))
    vectors = design.block.vectors_module()
    out.print(f"[bold]{design.name}[/]: {design.block.name}, {design.block.summary}")
    out.print(f"module {design.top}, from {shown(design.path)}")
    out.print(f"latency {config.latency_cycles} cycles, from an item's last input beat to its first output beat\n")

    table = _table("parameter", "value", "allowed", "meaning")
    for name, parameter in type(config).model_fields.items():
        value = str(getattr(config, name))
        table.add_row(name, value, field_range(type(config), name), " ".join((parameter.description or "").split()))
    out.print(table, "")
    table = _table("port", "direction", "bits", "interface", "role")
    for port in ports:
        table.add_row(port["name"], port["direction"], str(port["width"]), port["interface"], port["role"])
    out.print(table, "")
    table = _table("array", "", "type and shape", "meaning")
    for direction, specs in (("in", design.block.inputs(design.config)), ("out", vectors.OUTPUTS)):
        for name, spec in specs.items():
            table.add_row(name, direction, str(spec), spec.meaning)
    out.print(table, "")
    registers = config.registers.registers if config.registers else ()
    table = _table("register", "offset", "field", "bits", "software", "reset", "meaning")
    for register in registers:
        for number, field in enumerate(register.fields):
            bits = f"{field.low + field.width - 1}:{field.low}" if field.width > 1 else str(field.low)
            head = ("", "") if number else (register.name, f"0x{register.offset_bytes:02x}")
            table.add_row(*head, field.name, bits, field.access, f"0x{field.reset:x}", field.description)
    out.print(table if registers else "no registers")
    return {
        "design": design.name,
        "block": design.block.name,
        "summary": design.block.summary,
        "top": design.top,
        "path": str(design.path),
        "config_sha256": design.config_sha256,
        "params": config.model_dump(mode="json"),
        "latency_cycles": config.latency_cycles,
        "ports": ports,
        "arrays": {
            direction: {
                name: {"dtype": spec.dtype, "shape": spec.shape, "meaning": spec.meaning}
                for name, spec in specs.items()
            }
            for direction, specs in (("inputs", design.block.inputs(design.config)), ("outputs", vectors.OUTPUTS))
        },
        "registers": [
            {
                "name": register.name,
                "offset_bytes": register.offset_bytes,
                "description": register.description,
                "fields": [
                    {
                        "name": field.name,
                        "low": field.low,
                        "width": field.width,
                        "access": field.access,
                        "reset": field.reset,
                        "description": field.description,
                    }
                    for field in register.fields
                ],
            }
            for register in registers
        ],
    }


def _table(*columns: str) -> Table:
    table = Table(box=None, pad_edge=False, header_style="dim", padding=(0, 2, 0, 0))
    names = ("design", "block", "board", "port", "register", "parameter", "array")
    numbers = ("bits", "LUT", "FF", "BRAM", "DSP", "clock MHz", "offset", "reset")
    for column in columns:
        table.add_column(
            column, justify="right" if column in numbers else "left", overflow="fold", no_wrap=column in names
        )
    return table
