"""Cells as plain data, of a YAML library or of a netlist's own tables, and the libraries that come with niello.

A cell in YAML:

    inputs: [a, clk]
    outputs: [q]
    junctions: 7
    states:                       # the first is that after power-up
      empty: {a: {to: full}, clk: {}}
      full: {a: {}, clk: {to: empty, fires_ps: {q: 6.3}}}

Of a reaction everything has a default: `to` the state itself, `fires_ps` no output, `blocks_ps` and `ages_ps` no
input. One number for `ages_ps` stands for all inputs, and `busy_ps` blocks all that `blocks_ps` does not name.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from hdl.common.config import ConfigError, describe_value, did_you_mean
from hdl.common.plain_data import map_of, number_of, text_of, whole_number_of
from hdl.sfq.cells import Cell, Reaction, Ticks, ps, ticks

LIBRARIES = {path.stem: path for path in sorted(Path(__file__).with_name("libraries").glob("*.yml"))}

OPTIONAL = ("name", "outputs", "junctions", "bias_ua", "probe_ps", "source")
"""Fields of a cell that may be missing; its name is the key that it stands under, unless it says another."""

Cells = Mapping[str, Cell]
"""Cells by name."""


@cache
def load_library(name: str) -> Cells:
    """The cells of a library that comes with niello.

    Raises
    ------
    ConfigError
        If there is no such library.
    """
    if name not in LIBRARIES:
        raise ConfigError(f"{name} is not a cell library{did_you_mean(name, [*LIBRARIES])}")
    return parse_library(yaml.safe_load(LIBRARIES[name].read_text()))


def parse_library(data: Any) -> Cells:
    """The cells that a library's plain data describes.

    Raises
    ------
    ConfigError
        Naming the cell, state and field that is wrong.
    """
    found = map_of(data, "a library")
    _check_fields(found, "a library", required=["cells"], optional=["source"])
    if not map_of(found["cells"], "cells"):
        raise ConfigError("cells must be one or more, not {}")
    return parse_cells(found["cells"], text_of(found.get("source", "no source"), "source"))


def parse_cells(data: Any, source: str = "") -> Cells:
    """Cells of plain data, by key; `source` is that of those that name none.

    Raises
    ------
    ConfigError
        Naming the cell, state and field that is wrong.
    """
    return {name: _cell(text_of(name, "cells"), one, source) for name, one in map_of(data, "cells").items()}


def table_of(cell: Cell) -> dict[str, Any]:
    """A cell as plain data, which `parse_cells` reads as the same cell; without what is its default, and its name."""
    table: dict[str, Any] = {"inputs": list(cell.inputs), "outputs": list(cell.outputs)}
    for key, value in (
        ("junctions", cell.junctions),
        ("bias_ua", cell.bias_ua),
        ("probe_ps", cell.probe_ps),
        ("source", cell.source),
    ):
        if value is not None and (value or key == "bias_ua"):
            table[key] = value
    table["states"] = {
        state: {pin: _plain_reaction(state, reaction) for pin, reaction in reactions.items()}
        for state, reactions in cell.states.items()
    }
    return table


def _plain_reaction(state: str, reaction: Reaction) -> dict[str, Any]:
    def plain(times: Ticks) -> dict[str, float]:
        return {pin: ps(time) for pin, time in times.items()}

    fields = {
        "fires_ps": plain(reaction.fires),
        "blocks_ps": plain(reaction.blocks),
        "ages_ps": plain(reaction.ages),
    }
    target = {} if reaction.target == state else {"to": reaction.target}
    return target | {key: times for key, times in fields.items() if times}


def _cell(name: str, data: Any, source: str) -> Cell:
    at = f"cell {name}"
    found = map_of(data, at)
    _check_fields(found, at, required=["inputs", "states"], optional=OPTIONAL)
    inputs, outputs = (_names(found.get(key, []), f"{at}, {key}") for key in ("inputs", "outputs"))
    states = {}
    for state, reactions in map_of(found["states"], f"{at}, states").items():
        where = f"{at}, state {text_of(state, f'{at}, states')}"
        states[state] = {
            pin: _reaction(one, state, inputs, f"{where}, pulse at {text_of(pin, where)}")
            for pin, one in map_of(reactions, where).items()
        }
    return Cell(
        name=text_of(found.get("name", name), f"{at}, name"),
        inputs=inputs,
        outputs=outputs,
        states=states,
        junctions=whole_number_of(found.get("junctions", 0), f"{at}, junctions"),
        bias_ua=None if found.get("bias_ua") is None else number_of(found["bias_ua"], f"{at}, bias_ua"),
        probe_ps=number_of(found.get("probe_ps", 0), f"{at}, probe_ps"),
        source=text_of(found["source"], f"{at}, source") if "source" in found else source,
    )


def _reaction(data: Any, state: str, inputs: Iterable[str], at: str) -> Reaction:
    found = map_of(data, at)
    _check_fields(found, at, optional=("to", "fires_ps", "busy_ps", "blocks_ps", "ages_ps"))
    busy, ages = found.get("busy_ps", 0), found.get("ages_ps", {})
    return Reaction(
        target=text_of(found.get("to", state), f"{at}, to"),
        fires=pin_times(found.get("fires_ps", {}), f"{at}, fires_ps"),
        blocks=all_pins(busy, inputs, f"{at}, busy_ps") | pin_times(found.get("blocks_ps", {}), f"{at}, blocks_ps"),
        ages=pin_times(ages, f"{at}, ages_ps") if isinstance(ages, dict) else all_pins(ages, inputs, f"{at}, ages_ps"),
    )


def all_pins(time_ps: Any, pins: Iterable[str], at: str) -> dict[str, int]:
    """One time for all of these pins; none for time 0, which asks nothing."""
    found = ticks(time_ps, at)
    return dict.fromkeys(pins, found) if found else {}


def pin_times(data: Any, at: str) -> dict[str, int]:
    """Times by pin."""
    return {text_of(pin, at): ticks(value, f"{at}.{pin}") for pin, value in map_of(data, at).items()}


def _check_fields(
    data: Mapping[Any, Any], at: str, *, required: Iterable[str] = (), optional: Iterable[str] = ()
) -> None:
    known = sorted({*required, *optional})
    for key in data:
        if key not in known:
            raise ConfigError(f"{at}: {describe_value(key)} is not a field{did_you_mean(str(key), known)}")
    for key in sorted(required):
        if key not in data:
            raise ConfigError(f"{at}: {key} is missing")


def _names(data: Any, at: str) -> tuple[str, ...]:
    if not isinstance(data, list):
        raise ConfigError(f"{at} must be a list of names, not {describe_value(data)}")
    return tuple(text_of(one, at) for one in data)
