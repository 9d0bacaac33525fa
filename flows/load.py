"""From a YAML file to a checked design. Everything that can be wrong with the file is said here, in one line."""

from __future__ import annotations

import functools
import hashlib
import json
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import Field

from boards.catalog import get_board
from flows.catalog import BLOCKS, Block
from flows.errors import BadInput
from flows.paths import ROOT, shown
from flows.yaml_files import read_yaml
from hdl.common.block import BlockConfig
from hdl.common.config import Config, ConfigError, describe_value, did_you_mean, nearest

MOST_CHARACTERS = 1_000_000
"""Size of a design's file; a larger one is some other file."""

NAME = re.compile(r"[a-z][a-z0-9_]{0,62}")


class Target(Config):
    """Where the design is built for."""

    board: str | None = None
    """Board name, as `niello boards` lists them."""

    clock_mhz: float | None = Field(default=None, gt=0, le=400)
    """Clock of the block, MHz; the board's oscillator when absent."""


class Budgets(Config):
    """Limits on the block's own figures; exceeding one fails the run."""

    lut: int | None = Field(default=None, ge=0)
    """Look-up tables of the block's netlist, at most."""

    ff: int | None = Field(default=None, ge=0)
    """Flip-flops of the block's netlist, at most."""

    dsp: int | None = Field(default=None, ge=0)
    """DSP blocks of the block's netlist, at most."""

    bram: int | None = Field(default=None, ge=0)
    """Block memories of the block's netlist, at most."""

    fmax_mhz: float | None = Field(default=None, gt=0)
    """Routed clock of the board's bitstream, MHz, at least."""


@dataclass(frozen=True)
class Design:
    """A checked design: its name is the file's stem."""

    name: str
    path: Path
    block: Block
    config: BlockConfig
    target: Target
    budgets: Budgets

    @property
    def top(self) -> str:
        """Name of the Verilog module."""
        return f"niello_{self.name}"

    @functools.cached_property
    def config_sha256(self) -> str:
        """Identity of what is built: block and all parameters, defaults included."""
        content = {"block": self.block.name, "params": self.config.identity}
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def named_designs() -> dict[str, Path]:
    """Every design in `hdl/<family>/configs/`, by name."""
    return {path.stem: path for path in sorted((ROOT / "hdl").glob("*/configs/*.yml"), key=lambda path: path.stem)}


def load_design(name_or_path: str) -> Design:
    """The design of that name, or in that YAML file; of a netlist of pulse logic, FILE.json, its emulation.

    Raises
    ------
    BadInput
        One line: file, field, allowed range, what came, nearest valid name.
    """
    known = named_designs()
    if name_or_path in known:
        return _load_file(known[name_or_path])
    path = Path(name_or_path)
    if path.suffix == ".json":
        return _emulation_of(path)
    if path.suffix in (".yml", ".yaml") or "/" in name_or_path or os.path.isfile(name_or_path):  # noqa: PTH113  no error for any name
        return _load_file(path)
    raise BadInput(f'no design "{name_or_path[:80]}"{did_you_mean(name_or_path[:80], list(known))}')


def _load_file(path: Path) -> Design:
    document = _read_map(path)
    try:
        return _design(path, document)
    except ConfigError as error:
        raise BadInput(f"{shown(path)}: {error}") from None


def _emulation_of(path: Path) -> Design:
    """With so many slots that no pulse can be lost."""
    from flows.sfq.netlists import read_netlist
    from hdl.sfq.emulation_plan import EmulationPlan
    from hdl.sfq.netlist import DEFAULT_LIBRARY
    from hdl.sfq.netlist_json import event_json

    netlist, _ = read_netlist(path)
    try:
        longest = max(EmulationPlan(netlist, 1).delays, default=1)
        slots = max(2, 1 << (longest - 1).bit_length())
        # Its pulses are no part of the gateware.
        params = {"netlist": event_json(netlist, {}, DEFAULT_LIBRARY), "slots": slots}
        return _design(path, {"block": "sfq.emulation", "params": params})
    except ConfigError as error:
        raise BadInput(f"{shown(path)}: {error}") from None


def _design(path: Path, document: dict[Any, Any]) -> Design:
    if not NAME.fullmatch(path.stem):
        raise ConfigError(
            f"the file's name is the design's: it must be 1 to 63 of a-z, 0-9, _, a letter first, not {path.stem!r}"
        )
    fields = ["block", "params", "target", "budgets"]
    for key in document:
        if key not in fields:
            raise ConfigError(f"{key} is not a field{did_you_mean(str(key), fields)}")
    if "block" not in document:
        raise ConfigError(f"block is missing; it must be one of {', '.join(BLOCKS)}")
    block = document["block"]
    if not isinstance(block, str) or block not in BLOCKS:
        near = nearest(block, list(BLOCKS)) if isinstance(block, str) else ""
        raise ConfigError(f"block must be one of {', '.join(BLOCKS)}, not {describe_value(block)}{near}")
    target = Target.parse(document.get("target", {}), at="target")
    if target.board is not None:
        try:
            get_board(target.board)
        except ConfigError as error:
            raise ConfigError(f"target.board: {error}") from None
    return Design(
        name=path.stem,
        path=path,
        block=BLOCKS[block],
        config=BLOCKS[block].config_class().parse(document.get("params", {}), at="params"),
        target=target,
        budgets=Budgets.parse(document.get("budgets", {}), at="budgets"),
    )


def _read_map(path: Path) -> dict[Any, Any]:
    document = read_yaml(path, "design", MOST_CHARACTERS, hint="`niello list` shows the named designs")
    if document is None:
        raise BadInput(f"{shown(path)}: the file is empty; a design has at least `block:` and `params:`")
    if not isinstance(document, dict):
        raise BadInput(f"{shown(path)}: a design must be a map with block and params, not {describe_value(document)}")
    return document
