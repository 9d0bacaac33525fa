"""`niello sfq cells`: what the cells of a library are, as tables for people and as JSON."""

from __future__ import annotations

from typing import Any

from rich.markup import escape
from rich.table import Table

from flows.errors import BadInput
from flows.progress import console
from flows.sfq.netlists import read_library
from hdl.common.config import did_you_mean
from hdl.sfq.cell_files import LIBRARIES, table_of
from hdl.sfq.cells import Cell, Reaction, Ticks, exact_ps, ps

COLUMNS = ("cell", "JJ", "inputs", "outputs", "states", "delays, ps", "windows, ps", "source")


def cells_of(library: str) -> dict[str, Any]:
    """The cells of a library: a table on standard error, and what it says as JSON, times in ps.

    Raises
    ------
    BadInput
        If there is no such library, or its table makes no sense.
    """
    cells = read_library(library)
    rows = {name: _summary(cell) for name, cell in cells.items()}
    table = Table(*COLUMNS, title=escape(library))
    for name, row in rows.items():
        delays = ", ".join(f"{pin} {_span(times)}" for pin, times in row["delays_ps"].items())
        states, windows = ", ".join(row["states"]), _span(row["windows_ps"])
        pins = (" ".join(row["inputs"]), " ".join(row["outputs"]))
        table.add_row(*map(escape, (name, str(row["jj"]), *pins, states, delays, windows, row["source"])))
    console().print(table)
    return {"library": library, "libraries": [*LIBRARIES], "cells": rows}


def _summary(cell: Cell) -> dict[str, Any]:
    reactions = [one for row in cell.states.values() for one in row.values()]
    delays = {pin: sorted({one.fires[pin] for one in reactions if pin in one.fires}) for pin in cell.outputs}
    windows = sorted({time for one in reactions for times in (one.blocks, one.ages) for time in times.values() if time})
    return {
        "jj": cell.junctions,
        "inputs": list(cell.inputs),
        "outputs": list(cell.outputs),
        "states": list(cell.states),
        "delays_ps": {pin: [ps(time) for time in times] for pin, times in delays.items()},
        "windows_ps": [ps(time) for time in windows],
        "bias_ua": cell.bias_ua,
        "source": cell.source,
    }


def _span(times: list[float]) -> str:
    return "–".join(f"{time:.10g}" for time in dict.fromkeys([*times[:1], *times[-1:]])) or "none"


def one_cell(library: str, name: str) -> dict[str, Any]:
    """A cell's state machine, a line a transition on standard error, and its table as JSON, in a library's form.

    Raises
    ------
    BadInput
        As `cells_of`, or if the library has no such cell.
    """
    cells = read_library(library)
    if name not in cells:
        raise BadInput(f"{name} is not a cell of {library}{did_you_mean(name, [*cells])}")
    cell = cells[name]
    said = console()
    said.print(escape(f"{name}: {cell.junctions} JJ; {cell.source}"), highlight=False)
    width, pin_width = max(map(len, cell.states)), max(map(len, cell.inputs))
    for state, reactions in cell.states.items():
        mark = "(*)" if state == cell.initial else "   "
        for pin, reaction in reactions.items():
            line = f"{mark} {state:>{width}} --{pin:-<{pin_width}}--> {reaction.target:{width}}  {_doing(reaction)}"
            said.print(escape(line.rstrip()), highlight=False, soft_wrap=True)
            mark = "   "
    return {"library": library, "cell": name, "table": table_of(cell)}


def _doing(reaction: Reaction) -> str:
    def listed(times: Ticks) -> str:
        return ", ".join(f"{pin} {exact_ps(time)} ps" for pin, time in times.items())

    parts = [
        f"fires {listed(reaction.fires)}" if reaction.fires else "",
        f"then quiet: {listed(reaction.blocks)}" if reaction.blocks else "",
        f"last pulses must be older than {listed(reaction.ages)}" if reaction.ages else "",
    ]
    return "; ".join(part for part in parts if part)
