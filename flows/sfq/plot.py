"""`niello sfq plot`: a run as a picture or as waveforms, by the suffix of the file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, cast

from flows.errors import BadInput
from flows.output import check_output, write_output
from flows.paths import shown
from flows.sfq.conditions import Conditions
from flows.sfq.picture import run_picture
from flows.sfq.run import run_model
from flows.sfq.waves import SHAPES, Shape, vcd, wavedrom
from flows.store import disk_errors
from hdl.common.config import ConfigError

OUTPUTS = {".svg": "a picture", ".vcd": "VCD", ".json": "WaveDrom"}
"""What can be written, by suffix."""


def plot_file(
    path: Path, conditions: Conditions, out: Path | None, all_wires: bool, pulses: str | None
) -> dict[str, Any]:
    """Runs a netlist and writes what happened; default: a picture beside the current folder's files, FILE.svg.

    Raises
    ------
    BadInput
        As `run_file`, or if the output cannot be one, or there is more than its format shows.
    """
    out = out or Path(f"{path.stem}.svg")
    if out.suffix not in OUTPUTS:
        known = "; ".join(f"{suffix}: {what}" for suffix, what in OUTPUTS.items())
        raise BadInput(f"-o {shown(out)}: its suffix says the format: {known}")
    if pulses is not None and (out.suffix != ".vcd" or pulses not in SHAPES):
        raise BadInput(f"--pulses must be one of {', '.join(SHAPES)}, with -o FILE.vcd, not {pulses}")
    check_output(out, inputs=(path, *([conditions.inputs] if conditions.inputs else [])))
    netlist, result, _ = run_model(path, conditions)
    wires = netlist.wires if all_wires else list(dict.fromkeys([*netlist.inputs, *netlist.outputs]))
    try:
        if out.suffix == ".svg":
            text = run_picture(netlist, result, wires)
        elif out.suffix == ".json":
            text = json.dumps(wavedrom(netlist, result, wires), indent=1) + "\n"
        else:
            text = "\n".join([*vcd(netlist, result, cast("Shape", pulses or SHAPES[0])), ""])
    except ConfigError as error:
        raise BadInput(f"{shown(path)}: {error}") from None
    with disk_errors(out, hint="make room, or name another file with -o"):
        write_output(out, text.encode(errors="replace"))
    return {
        "netlist": netlist.name,
        "out": str(out),
        "wires": len(netlist.wires) if out.suffix == ".vcd" else len(wires),
        "pulses": sum(map(len, result.pulses.values())),
        "violations": len(result.violations),
    }
