"""The generated parts of the READMEs: tables between marks, so that they cannot drift from the code.

    <!-- begin generated: ports dot_int8x16 -->
    <!-- end generated -->

`make docs` fills them (`python -m flows.docs`); a test says which are stale.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

from flows.catalog import BLOCKS
from flows.load import load_design, named_designs
from flows.paths import ROOT, shown
from hdl.common.config import field_range

MARKS = re.compile(r"(<!-- begin generated: (\w+)(?: ([\w.]+))? -->\n).*?(<!-- end generated -->)", re.DOTALL)


def pages() -> list[Path]:
    """Every page that may hold marks."""
    return [ROOT / "README.md", *sorted((ROOT / "hdl").glob("*/README.md")), *sorted((ROOT / "docs").glob("*.md"))]


def filled(text: str) -> str:
    """A page's text with its generated parts as they should be."""
    return MARKS.sub(lambda match: f"{match[1]}{TABLES[match[2]](match[3])}{match[4]}", text)


def stale() -> list[Path]:
    """The pages whose generated parts are not as they should be."""
    return [page for page in pages() if filled(page.read_text()) != page.read_text()]


def _ports(design_name: str) -> str:
    from flows.verilog import port_table

    design = load_design(design_name)
    rows = [
        [f"`{port['name']}`", port["direction"], str(port["width"]), port["interface"], port["role"]]
        for port in port_table(design.block.build(design.config))
    ]
    return _table(["port", "direction", "bits", "interface", "role"], rows)


def _registers(design_name: str) -> str:
    rows = []
    registers = load_design(design_name).config.registers
    if registers is None:
        return "No registers.\n"
    for register in registers.registers:
        for field in register.fields:
            bits = f"{field.low + field.width - 1}:{field.low}" if field.width > 1 else str(field.low)
            rows.append(
                [
                    f"0x{register.offset_bytes:02X}",
                    f"`{register.name}.{field.name}`",
                    bits,
                    field.access,
                    field.description,
                ]
            )
    return _table(["offset", "field", "bits", "software", "meaning"], rows)


def _parameters(block_name: str) -> str:
    model = BLOCKS[block_name].config_class()
    rows = []
    for name, field in model.model_fields.items():
        default = "required" if field.is_required() else str(field.default)
        rows.append([f"`{name}`", field_range(model, name), default, " ".join((field.description or "").split())])
    return _table(["parameter", "allowed", "default", "meaning"], rows)


def _arrays(block_name: str) -> str:
    vectors = BLOCKS[block_name].vectors_module()
    rows = [
        [f"`{name}`", direction, f"{spec.dtype} {spec.shape}", spec.meaning]
        for direction, specs in (("in", vectors.INPUTS), ("out", vectors.OUTPUTS))
        for name, spec in specs.items()
    ]
    return _table(["array", "", "type and shape", "meaning"], rows)


def _designs(block_name: str) -> str:
    rows = []
    for name in named_designs():
        design = load_design(name)
        if design.block.name == block_name:
            params = ", ".join(f"{key} {value}" for key, value in design.config.model_dump(mode="json").items())
            rows.append([f"`{name}`", params, str(design.config.latency_cycles), design.target.board or "–"])
    return _table(["design", "parameters", "latency, cycles", "board"], rows)


TABLES: dict[str, Callable[[str], str]] = {
    "ports": _ports,
    "registers": _registers,
    "parameters": _parameters,
    "arrays": _arrays,
    "designs": _designs,
}


def _table(header: list[str], rows: list[list[str]]) -> str:
    lines = [header, ["---"] * len(header), *([cell.replace("|", "\\|") for cell in row] for row in rows)]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def main() -> None:
    """Fills every page."""
    for page in stale():
        page.write_text(filled(page.read_text()))
        print(f"{shown(page)} renewed")


if __name__ == "__main__":
    main()
