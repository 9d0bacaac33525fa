"""The figures of pulse logic.

    .venv/bin/python bench/sfq.py [NAME ...] [--circuits DIR] [--phases 1 2 3 4]

All of them, or:

    model   pulse deliveries a second of the event model, its compiled kernel and its Monte Carlo
    map     what the mapper makes of every AIGER file in the folder of `--circuits`; left out without it

Prints a line a figure, with its target, and one JSON object at the end.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from bench import sfq_map, sfq_model
from bench.common import Benches, run


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help="figures; all of them if none is named")
    parser.add_argument("--circuits", type=Path, metavar="DIR", help="AIGER files, for `map`")
    parser.add_argument("--phases", type=int, nargs="+", default=[1, 2, 3, 4], help="for `map`")
    arguments = parser.parse_args()

    def mapped() -> dict[str, Any]:
        return {f"phases_{count}": sfq_map.measure(arguments.circuits, count) for count in arguments.phases}

    benches: Benches = {"model": sfq_model.model}
    if arguments.circuits is not None:
        benches["map"] = mapped
    run(benches, arguments.names)


if __name__ == "__main__":
    main()
