"""Netlists back into event JSON: what `parse_event_json` reads as the same netlist and the same pulses."""

from __future__ import annotations

from typing import Any

from hdl.sfq.cell_files import Cells, load_library, table_of
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
    keys, own = cell_keys(netlist, load_library(library))
    document: dict[str, Any] = {"name": netlist.name, "unit": "ps", "library": library}
    if own:
        document["cells"] = {
            key: table_of(cell) | ({} if key == cell.name else {"name": cell.name}) for key, cell in own.items()
        }
    return document | {
        "inputs": {wire: [ps(time) for time in stimulus.get(wire, [])] for wire in netlist.inputs},
        "outputs": list(netlist.outputs),
        "netlist": [
            {"inst": one.name, "cell": keys[id(one.cell)], "pins": dict(one.pins)} for one in netlist.instances
        ],
    }


def cell_keys(netlist: Netlist, library: Cells) -> tuple[dict[int, str], dict[str, Cell]]:
    """The name that each cell (by `id`) is written under, and by these names the cells that the library has not.

    Cells of one name and different tables are told apart by a number.
    """
    cells = {id(one.cell): one.cell for one in netlist.instances}
    used, keys, own = {*library, *(cell.name for cell in cells.values())}, dict[int, str](), dict[str, Cell]()
    written: dict[str, dict[str, Cell]] = {name: {name: cell} for name, cell in library.items()}
    for number, cell in cells.items():
        same = written.setdefault(cell.name, {})
        key = next((key for key, other in same.items() if identical(cell, other)), None)
        if key is None:
            key, count = cell.name, 1
            while same and key in used:
                count += 1
                key = f"{cell.name}_{count}"
            used.add(key)
            same[key] = own[key] = cell
        keys[number] = key
    return keys, own


def identical(cell: Cell, other: Cell) -> bool:
    """Whether two cells are equal in all that a run can see: also in the order of states and of the pins in them."""
    orders = [[(state, *reactions) for state, reactions in one.states.items()] for one in (cell, other)]
    return cell == other and orders[0] == orders[1]
