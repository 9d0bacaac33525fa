"""Netlists back into event JSON: what `parse_event_json` reads as the same netlist and the same pulses."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from hdl.sfq.cell_files import load_library, table_of
from hdl.sfq.cells import Cell, ps
from hdl.sfq.netlist import Netlist, Stimulus


def event_json(netlist: Netlist, stimulus: Stimulus, library: str) -> dict[str, Any]:
    """A netlist and its input pulses as a document of plain data, times in ps.

    Parameters
    ----------
    stimulus : ticks by input wire; an input that it does not name has no pulse
    library : the library whose cells need no table; all others get one, once, below `cells`

    Raises
    ------
    ConfigError
        If there is no such library.
    """
    keys, tables = _tables(dict.fromkeys(one.cell.name for one in netlist.instances), netlist, library)
    document: dict[str, Any] = {"name": netlist.name, "unit": "ps", "library": library}
    if tables:
        document["cells"] = tables
    return document | {
        "inputs": {wire: [ps(time) for time in stimulus.get(wire, [])] for wire in netlist.inputs},
        "outputs": list(netlist.outputs),
        "netlist": [
            {"inst": one.name, "cell": keys[id(one.cell)], "pins": dict(one.pins)} for one in netlist.instances
        ],
    }


def _tables(taken: Iterable[str], netlist: Netlist, library: str) -> tuple[dict[int, str], dict[str, Any]]:
    """The name that each cell (by identity) is written under, and the tables of those that the library has not.

    Cells of one name and different tables are told apart by a number.
    """
    known = load_library(library)
    used, keys, tables = {*taken, *known}, dict[int, str](), dict[str, Any]()
    written: dict[str, list[tuple[str, Cell]]] = {name: [(name, cell)] for name, cell in known.items()}
    for cell in {id(one.cell): one.cell for one in netlist.instances}.values():
        same = written.setdefault(cell.name, [])
        key = next((key for key, other in same if identical(cell, other)), None)
        if key is None:
            key, number = cell.name, 1
            while same and key in used:
                number += 1
                key = f"{cell.name}_{number}"
            used.add(key)
            same.append((key, cell))
            tables[key] = table_of(cell) | ({} if key == cell.name else {"name": cell.name})
        keys[id(cell)] = key
    return keys, tables


def identical(cell: Cell, other: Cell) -> bool:
    """Whether two cells are equal in all that a run can see: also in the order of states and of the pins in them."""
    orders = [[(state, *reactions) for state, reactions in one.states.items()] for one in (cell, other)]
    return cell == other and orders[0] == orders[1]
