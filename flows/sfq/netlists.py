"""Netlists from files: event JSON, structural Verilog, BLIF; with a cell library and pulses of other files."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from flows.errors import BadInput
from flows.paths import shown
from flows.sfq.structural import READERS, read_structural
from flows.text_files import read_json
from flows.yaml_files import read_yaml
from hdl.common.config import ConfigError, did_you_mean
from hdl.sfq.cell_files import Cells, load_library, parse_library
from hdl.sfq.netlist import DEFAULT_LIBRARY, Netlist, Stimulus, parse_event_json, parse_stimulus

MOST_CHARACTERS = 1 << 28
"""Of a netlist's file."""

MOST_LIBRARY_CHARACTERS = 1 << 22

YAML = (".yml", ".yaml")


def read_netlist(path: Path, library: str | None = None, inputs: Path | None = None) -> tuple[Netlist, Stimulus]:
    """The netlist in a file, by its suffix, and its input pulses.

    Parameters
    ----------
    library : a library's name or YAML file, instead of the one that the netlist names
    inputs : a JSON file with pulses instead of the netlist's own: a map from wires to times in ps, or event JSON

    Raises
    ------
    BadInput
        One line: file, instance, wire or field, what it must be, what came.
    """
    if path.suffix in READERS:
        netlist = read_structural(path, read_library(DEFAULT_LIBRARY if library is None else library))
        stimulus: Stimulus = {wire: [] for wire in netlist.inputs}
    else:
        document = read_json(path, MOST_CHARACTERS)
        cells = _named_library(path, document) if library is None else read_library(library)
        try:
            netlist, stimulus = parse_event_json(document, path.stem, cells)
        except ConfigError as error:
            raise BadInput(f"{shown(path)}: {error}") from None
    return netlist, read_stimulus(inputs, netlist) if inputs else stimulus


def _named_library(path: Path, document: Any) -> Cells | None:
    """The library that a document names by a YAML file, relative to its own; None if it names none or one of ours."""
    name = document.get("library") if isinstance(document, dict) else None
    if not isinstance(name, str) or Path(name).suffix not in YAML:
        return None
    return read_library(str(path.parent / name))


def read_library(name_or_path: str) -> Cells:
    """The cells of a library that comes with niello, or of a YAML file.

    Raises
    ------
    BadInput
        If there is none, or its table makes no sense: the reason.
    """
    path = Path(name_or_path)
    if path.suffix not in YAML and "/" not in name_or_path:
        try:
            return load_library(name_or_path)
        except ConfigError as error:
            raise BadInput(str(error), hint="one of your own is FILE.yml") from None
    document = read_yaml(path, "cell library", MOST_LIBRARY_CHARACTERS)
    try:
        return parse_library(document)
    except ConfigError as error:
        raise BadInput(f"{shown(path)}: {error}") from None


def read_stimulus(path: Path, netlist: Netlist) -> Stimulus:
    """Pulses at all inputs of a netlist; those that the file does not name have none.

    Raises
    ------
    BadInput
        Naming the file and the wire that is wrong.
    """
    document = read_json(path, MOST_CHARACTERS)
    if isinstance(document, dict) and isinstance(document.get("inputs"), dict):
        document = document["inputs"]
    try:
        found: Mapping[str, Any] = parse_stimulus(document)
        for wire in found:
            if wire not in netlist.inputs:
                raise ConfigError(f"{wire} is not an input of {netlist.name}{did_you_mean(wire, [*netlist.inputs])}")
    except ConfigError as error:
        raise BadInput(f"{shown(path)}: {error}") from None
    return {wire: found.get(wire, []) for wire in netlist.inputs}
