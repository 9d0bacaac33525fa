"""Netlists of pulse logic: instances of cells, and wires that each lead from one pin to one pin.

Read from event JSON, the format that simulators' runs are exchanged in:

    {"library": name, "cells": {name: table}, "inputs": {wire: [times in ps]}, "outputs": [wire],
     "netlist": [{"inst": name, "cell": name, "pins": {pin: wire}, "transitions": [...]}]}

`cells` are tables of the netlist's own, in the form of a library's; they come before those of the `library`. Instead,
`transitions` gives one instance a table: `src`, `trig`, `dst`, `prio` (order of pulses that come together), `busy`,
`guard` (least ages by input) and `fire` (delays by output). `outputs` may be a map, whose values are
ignored; where it is missing or an empty map, wires that no cell receives are looked at. Other keys are ignored.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from hdl.common.config import ConfigError, describe_value, did_you_mean
from hdl.common.plain_data import map_of, number_of, text_of, whole_number_of
from hdl.sfq.cell_files import Cells, all_pins, load_library, parse_cells, pin_times
from hdl.sfq.cells import Cell, Reaction, ps, ticks

DEFAULT_LIBRARY = "rsfqlib"

Stimulus = Mapping[str, Sequence[int]]
"""Ticks of the pulses at each input wire, increasing."""


@dataclass(frozen=True)
class Instance:
    """A cell in a netlist; `pins` are those that are connected, each with its wire."""

    name: str
    cell: Cell
    pins: Mapping[str, str]


@dataclass(frozen=True)
class Netlist:
    """Cells and wires.

    Attributes
    ----------
    name : str
    instances : in the order that they are numbered in
    inputs : wires that are driven from outside
    outputs : wires that are looked at

    Raises
    ------
    ConfigError
        If a wire has two drivers or two receivers, or what is named does not exist.
    """

    name: str
    instances: tuple[Instance, ...]
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]

    def __post_init__(self) -> None:
        drivers, receivers = dict.fromkeys(self.inputs, "an input"), dict[str, str]()
        names = set()
        for instance in self.instances:
            at = f"instance {instance.name}"
            if instance.name in names:
                raise ConfigError(f"{at}: there are two of this name")
            names.add(instance.name)
            known = [*instance.cell.inputs, *instance.cell.outputs]
            for pin, wire in instance.pins.items():
                if pin not in known:
                    raise ConfigError(f"{at}: {instance.cell.name} has no pin {pin}{did_you_mean(pin, known)}")
                ends, what = (drivers, "driven") if pin in instance.cell.outputs else (receivers, "received")
                if wire in ends:
                    hint = "; a splitter makes two of a pulse" if ends is receivers else ""
                    raise ConfigError(f"wire {wire} is {what} by {ends[wire]} and by {instance.name}.{pin}{hint}")
                ends[wire] = f"{instance.name}.{pin}"
        for wire, pin in receivers.items():
            if wire not in drivers:
                raise ConfigError(f"wire {wire}, received by {pin}, is driven by nothing")
        for wire in self.outputs:
            if wire not in drivers:
                raise ConfigError(f"output {wire} is not a wire{did_you_mean(wire, [*drivers])}")

    @property
    def wires(self) -> list[str]:
        """All wires: the inputs, then those that cells drive."""
        driven = [one.pins[pin] for one in self.instances for pin in one.cell.outputs if pin in one.pins]
        return [*self.inputs, *driven]

    @property
    def junctions(self) -> int:
        """Josephson junctions of all cells."""
        return sum(instance.cell.junctions for instance in self.instances)

    def receivers(self) -> dict[str, tuple[int, str]]:
        """The instance, by its number, and the pin that each wire leads to."""
        return {
            instance.pins[pin]: (number, pin)
            for number, instance in enumerate(self.instances)
            for pin in instance.cell.inputs
            if pin in instance.pins
        }


def coin_seed(seed: int, index: int) -> int:
    """What the generator of random bits of instance `index` begins with: 16 bits, not 0."""
    return (seed * 40503 + index * 30345 + 12345) % 0xFFFF + 1


def parse_event_json(document: Any, name: str = "netlist", library: Cells | None = None) -> tuple[Netlist, Stimulus]:
    """A netlist and the pulses at its inputs.

    Parameters
    ----------
    name : what the netlist is called if it does not say
    library : cells instead of those of the library that the document names

    Raises
    ------
    ConfigError
        Naming the instance, wire or field that is wrong.
    """
    if not isinstance(document, dict) or not isinstance(document.get("netlist"), list):
        raise ConfigError('a netlist must be a map with a list "netlist"')
    if document.get("unit", "ps") != "ps":
        raise ConfigError(f"unit must be ps, not {describe_value(document['unit'])}")
    if library is None:
        library = load_library(text_of(document.get("library", DEFAULT_LIBRARY), "library"))
    library = {**library, **parse_cells(document.get("cells", {}))}
    tables: dict[str, Cell] = {}
    instances = tuple(
        _instance(data, f"netlist[{index}]", library, tables) for index, data in enumerate(document["netlist"])
    )
    stimulus = parse_stimulus(document.get("inputs", {}))
    received = {wire for one in instances for pin, wire in one.pins.items() if pin in one.cell.inputs}
    driven = [wire for one in instances for pin, wire in one.pins.items() if pin in one.cell.outputs]
    named = document.get("outputs", {})
    if named == {}:
        named = [wire for wire in [*stimulus, *driven] if wire not in received]
    if not isinstance(named, dict | list):
        raise ConfigError(f"outputs must be a map or a list of wires, not {describe_value(named)}")
    outputs = tuple(text_of(wire, "outputs") for wire in named)
    return Netlist(str(document.get("name") or name), instances, tuple(stimulus), outputs), stimulus


def _instance(data: Any, at: str, library: Cells, tables: dict[str, Cell]) -> Instance:
    for key in ("inst", "cell", "pins"):
        if key not in map_of(data, at):
            raise ConfigError(f"{at}: {key} is missing")
    name, kind = text_of(data["inst"], f"{at}.inst"), text_of(data["cell"], f"{at}.cell")
    at = f"instance {name}"
    pins = {pin: text_of(wire, f"{at}, pin {pin}") for pin, wire in map_of(data["pins"], f"{at}, pins").items()}
    if "transitions" not in data:
        if kind not in library:
            raise ConfigError(f"{at}: {kind} is not a cell{did_you_mean(kind, [*library])}")
        return Instance(name, library[kind], pins)
    key = json.dumps([kind, data.get("jj"), [*pins], data["transitions"]])
    if key not in tables:
        tables[key] = _own_cell(kind, data, [*pins], at)
    return Instance(name, tables[key], pins)


def _own_cell(kind: str, data: Any, pins: list[str], at: str) -> Cell:
    """The cell of an instance that brings its own table; what triggers nothing is an output."""
    transitions = data["transitions"]
    if not isinstance(transitions, list) or not transitions:
        raise ConfigError(f"{at}: transitions must be a list of one or more, not {describe_value(transitions)}")
    for index, one in enumerate(transitions):
        for key in ("src", "trig", "dst"):
            text_of(map_of(one, f"{at}, transition {index}").get(key), f"{at}, transition {index}, {key}")
        number_of(one.get("prio", 0), f"{at}, transition {index}, prio")
    triggers = {one["trig"] for one in transitions}
    inputs = tuple(pin for pin in dict.fromkeys([*pins, *sorted(triggers)]) if pin in triggers)
    outputs = tuple(pin for pin in pins if pin not in triggers)
    order = sorted(range(len(transitions)), key=lambda index: transitions[index].get("prio", 0))
    states: dict[str, dict[str, Reaction]] = {}
    for source in dict.fromkeys(["idle", *(one["src"] for one in transitions)]):
        states[source] = {}
    if all(one["src"] != "idle" for one in transitions):
        del states["idle"]
    for index in order:
        one = transitions[index]
        where = f"{at}, state {one['src']}, pulse at {one['trig']}"
        if one["trig"] in states[one["src"]]:
            raise ConfigError(f"{where}: two transitions begin with it")
        guard = map_of(one.get("guard", {}), f"{where}, guard")
        guard = {pin: least for key, least in guard.items() for pin in (inputs if key == "*" else [key])}
        states[one["src"]][one["trig"]] = Reaction(
            target=one["dst"],
            fires=pin_times(one.get("fire", {}), f"{where}, fire"),
            blocks=all_pins(one.get("busy", 0), inputs, f"{where}, busy"),
            ages=pin_times(guard, f"{where}, guard"),
        )
    junctions = whole_number_of(data.get("jj", 0), f"{at}, jj")
    return Cell(name=kind, inputs=inputs, outputs=outputs, states=states, junctions=junctions)


def parse_stimulus(data: Any) -> Stimulus:
    """The pulses at each input, of a map from wires to times in ps.

    Raises
    ------
    ConfigError
        Naming the wire that is wrong.
    """
    return {text_of(wire, "inputs"): _pulses(times, wire) for wire, times in map_of(data, "inputs").items()}


def _pulses(times: Any, wire: str) -> list[int]:
    if not isinstance(times, list):
        raise ConfigError(f"input {wire} must be a list of times in ps, not {describe_value(times)}")
    found = sorted(ticks(time, f"input {wire}[{index}]") for index, time in enumerate(times))
    for before, after in zip([-1, *found], found, strict=False):
        if after < 0:
            raise ConfigError(f"input {wire}: times must be at least 0, not {ps(after):g}")
        if after == before:
            raise ConfigError(f"input {wire} has two pulses at {ps(after):g} ps")
    return found
