"""`niello sfq convert`: netlists from one format into another, by the suffixes of the files."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from flows.errors import BadInput
from flows.output import check_output, write_output
from flows.paths import shown
from flows.sfq.netlists import read_netlist
from flows.sfq.spice import spice_deck
from flows.sfq.verilog import structural_verilog
from flows.store import disk_errors
from hdl.common.config import ConfigError
from hdl.sfq.cell_files import LIBRARIES, load_library
from hdl.sfq.netlist import DEFAULT_LIBRARY
from hdl.sfq.netlist_json import cell_keys, event_json

OUTPUTS = {".json": "event JSON", ".v": "structural Verilog", ".cir": "a deck for JoSIM"}
"""What can be written, by suffix."""


def convert_file(
    path: Path, out: Path, library: str | None, inputs: Path | None, includes: Sequence[str]
) -> dict[str, Any]:
    """Writes the netlist in `out`'s format; what it is made of goes into the JSON.

    Raises
    ------
    BadInput
        If a file or an option is wrong, or the format cannot say what the netlist holds.
    """
    if out.suffix not in OUTPUTS:
        known = "; ".join(f"{suffix}: {what}" for suffix, what in OUTPUTS.items())
        raise BadInput(f"-o {shown(out)}: its suffix says the format: {known}")
    if includes and out.suffix != ".cir":
        raise BadInput("--include is for decks: -o FILE.cir")
    check_output(out, inputs=(path, *([inputs] if inputs else [])))
    netlist, stimulus = read_netlist(path, library, inputs)
    # The library that has most of its cells: all others are written with tables of their own.
    name = min(LIBRARIES, key=lambda name: (len(cell_keys(netlist, load_library(name))[1]), name != DEFAULT_LIBRARY))
    cells = load_library(name)
    try:
        if out.suffix == ".json":
            text = json.dumps(event_json(netlist, stimulus, name), indent=1) + "\n"
        elif out.suffix == ".v":
            text = structural_verilog(netlist, cells)
        else:
            text = spice_deck(netlist, stimulus, cells, includes)
    except ConfigError as error:
        raise BadInput(f"{shown(path)}: {error}") from None
    with disk_errors(out, hint="make room, or name another file with -o"):
        write_output(out, text.encode(errors="replace"))
    return {
        "netlist": netlist.name,
        "out": str(out),
        "cells": len(netlist.instances),
        "jj": netlist.junctions,
        "inputs": len(netlist.inputs),
        "outputs": len(netlist.outputs),
        "pulses": sum(map(len, stimulus.values())),
    }
