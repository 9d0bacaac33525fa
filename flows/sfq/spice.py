"""Netlists as SPICE decks for JoSIM: a subcircuit of cells, one X line each, with sources, sinks and prints around it.

The cells' own subcircuits come from the files that `.include` names, RSFQlib's: they are not ours to give. A cell's
subcircuit is called `LSmitll_` and the cell's name, and has its pins in the order of the cell's table, inputs first
(`LSmitll_DFF a clk q`). A pulse at an input is a triangle of current into RSFQlib's converter `LSmitll_DCSFQ`, which
makes one flux quantum of it; an output, and a wire or pin that leads nowhere, ends in a JTL and a resistor. The figures
are those of RSFQlib's own test benches.
"""

from __future__ import annotations

from collections.abc import Sequence

from flows.sfq.fan_out import check_fan_out
from flows.sfq.names import spice_names
from hdl.common.config import ConfigError
from hdl.sfq.cell_files import Cells
from hdl.sfq.cells import exact_ps
from hdl.sfq.netlist import Netlist, Stimulus
from hdl.sfq.netlist_json import cell_keys

PREFIX = "LSmitll_"
"""Of RSFQlib's subcircuits for MIT-LL's process."""

SOURCE, SINK = "niello_source", "niello_sink"
HELPERS = f"""\
.subckt {SOURCE} i q
Xconverter i m {PREFIX}DCSFQ
Xjtl m q {PREFIX}JTL
.ends
.subckt {SINK} a
Xjtl a q {PREFIX}JTL
Rload q 0 2
.ends
"""

RAMP_TICKS = 30
PEAK_CURRENT = "600u"
STEP_PS = 0.05
START_TICKS = 500
"""Bias currents rise in the first 5 ps, and cells settle after that: pulses come so much later in the deck."""

TAIL_TICKS = 2000
"""The deck runs on for so long after the last pulse at an input."""


def spice_deck(netlist: Netlist, stimulus: Stimulus, library: Cells, includes: Sequence[str] = ()) -> str:
    """A deck that JoSIM runs; times in it are later than those of the stimulus by `START_TICKS`.

    Parameters
    ----------
    stimulus : ticks by input wire
    includes : files with the cells' subcircuits; by default one a cell, called as the subcircuit

    Raises
    ------
    ConfigError
        If an output is no end of its own, two pulses at an input are too close for a source, or a file's name has a
        blank, which JoSIM does not read.
    """
    check_fan_out(netlist)
    keys, _ = cell_keys(netlist, library)
    kinds = list(dict.fromkeys(["DCSFQ", "JTL", *keys.values()]))
    cells = dict(zip(kinds, spice_names(kinds), strict=True))
    files = includes or [f"{PREFIX}{cell}.cir" for cell in cells.values()]
    for file in files:
        if not file.isprintable() or " " in file or not file:
            raise ConfigError(f"JoSIM includes no file with a blank in its name: {file!r}")
    last = max((time for times in stimulus.values() for time in times), default=0)
    top = spice_names([netlist.name])[0]
    sources, prints = list[str](), list[str]()
    for number, wire in enumerate(netlist.inputs):
        sources.append(f"I{number} 0 i{number} {_train(wire, stimulus.get(wire, ()))}")
        sources.append(f"Xsource{number} i{number} in{number} {SOURCE}")
        prints += [f"* input {_said(wire)}", f".print v(in{number})"]
    for number, wire in enumerate(netlist.outputs):
        prints += [f"* output {_said(wire)}", f".print v(out{number})"]
    ends = [f"in{number}" for number in range(len(netlist.inputs))]
    ends += [f"out{number}" for number in range(len(netlist.outputs))]
    lines = [f"* {_said(netlist.name)}: pulse logic, written by niello; first the netlist, inputs before outputs"]
    lines += [f".include {file}" for file in files]
    ports, inside = _netlist_lines(netlist, keys, cells)
    lines += [HELPERS + " ".join([f".subckt niello_{top}", *ports]), *inside, ".ends", ""]
    lines += [*sources, " ".join(["Xnetlist", *ends, f"niello_{top}"])]
    lines += [f"Xsink{number} out{number} {SINK}" for number in range(len(netlist.outputs))]
    lines += ["", f".tran {STEP_PS:g}p {exact_ps(last + START_TICKS + TAIL_TICKS)}p", *prints, ".end", ""]
    return "\n".join(lines)


def _netlist_lines(netlist: Netlist, keys: dict[int, str], cells: dict[str, str]) -> tuple[list[str], list[str]]:
    """The nodes of the netlist's ports, and the lines of its subcircuit."""
    received = netlist.receivers().keys() | set(netlist.outputs)
    loose = [
        (number, pin)
        for number, one in enumerate(netlist.instances)
        for pin in (*one.cell.inputs, *one.cell.outputs)
        if pin not in one.pins
    ]
    wires = netlist.wires
    names = spice_names([*wires, *(f"{netlist.instances[number].name}_{pin}" for number, pin in loose)])
    nodes = dict(zip(wires, names, strict=False))
    open_nodes = dict(zip(loose, names[len(wires) :], strict=True))
    ends = [*(nodes[wire] for wire in wires if wire not in received), *open_nodes.values()]
    labels = spice_names([*(one.name for one in netlist.instances), *("sink" for _ in ends)])
    lines = []
    for number, one in enumerate(netlist.instances):
        pins = (*one.cell.inputs, *one.cell.outputs)
        at = [nodes[one.pins[pin]] if pin in one.pins else open_nodes[number, pin] for pin in pins]
        lines.append(" ".join([f"X{labels[number]}", *at, PREFIX + cells[keys[id(one.cell)]]]))
    lines += [f"X{label} {node} {SINK}" for label, node in zip(labels[len(netlist.instances) :], ends, strict=True)]
    return [nodes[wire] for wire in (*netlist.inputs, *netlist.outputs)], lines


def _train(wire: str, times: Sequence[int]) -> str:
    """Triangles of current, each with its peak where the pulse should come."""
    points = ["0 0"]
    before: int | None = None
    for time in times:
        if before is not None and time - before <= 2 * RAMP_TICKS:
            raise ConfigError(
                f"input {wire}: pulses at {exact_ps(before)} and {exact_ps(time)} ps are not further apart than "
                f"{exact_ps(2 * RAMP_TICKS)} ps, which a source cannot make"
            )
        before = time
        peak = time + START_TICKS
        rising, falling = (exact_ps(peak + shift) for shift in (-RAMP_TICKS, RAMP_TICKS))
        points.append(f"{rising}p 0 {exact_ps(peak)}p {PEAK_CURRENT} {falling}p 0")
    if len(points) == 1:
        points.append("1p 0")
    return f"pwl({' '.join(points)})"


def _said(name: str) -> str:
    """A name in a comment, which ends with the line."""
    return "".join(char if char.isprintable() else "?" for char in name)
