"""The figures of pulse logic.

    .venv/bin/python bench/sfq.py [NAME ...] [--circuits DIR] [--phases 1 2 3 4]

Those above the line, or the ones that are named:

    model           pulse deliveries a second of the event model, its compiled kernel and its Monte Carlo
    circuit         JTL and cells against JoSIM; margins, delays and windows of the decks
    curves          synapse and neuron against stored curves
    emulation       LUTs a cell, routed clock, clocks a run of the gateware that is made from a netlist
    processor       deliveries a second and cycles a delivery of the gateware that takes its netlist at run time
    network         margins and accuracy of stochastic networks; their gateware against the model
    map             what the mapper makes of every AIGER file in the folder of `--circuits`, and of arithmetic, with T1
                    cells and without; left out without the folder
    ------
    processor_ecp5  look-up tables, memories and routed clock of the processor
    fit             what hdl/sfq/neuromorphic.yml holds, with errors
    optimise        what a search from the decks' parameters finds; many minutes
    picture         draws docs/sfq_neuromorphic.svg

Prints a line a figure, with its target, and one JSON object at the end.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from bench import sfq_circuit, sfq_emulation, sfq_map, sfq_model, sfq_network, sfq_neuromorphic, sfq_processor
from bench.common import Benches, run


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help="figures; all of them if none is named")
    parser.add_argument("--circuits", type=Path, metavar="DIR", help="AIGER files, for `map`")
    parser.add_argument("--phases", type=int, nargs="+", default=[1, 2, 3, 4], help="for `map`")
    arguments = parser.parse_args()

    def mapped() -> dict[str, Any]:
        return {f"phases_{count}": sfq_map.measure(arguments.circuits, count) for count in arguments.phases}

    benches: Benches = {
        "model": sfq_model.model,
        "circuit": sfq_circuit.circuit,
        "curves": sfq_neuromorphic.curves,
        "network": sfq_network.network,
        "emulation": sfq_emulation.emulation,
        "processor": sfq_processor.processor,
    }
    if arguments.circuits is not None:
        benches = {**benches, "map": mapped}
    asked: Benches = {
        "processor_ecp5": sfq_processor.ecp5,
        "fit": sfq_neuromorphic.fit,
        "optimise": sfq_circuit.optimise,
        "picture": sfq_neuromorphic.picture,
    }
    run({**benches, **asked}, arguments.names or list(benches))


if __name__ == "__main__":
    main()
