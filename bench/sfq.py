"""The figures of pulse logic.

    .venv/bin/python bench/sfq.py [NAME ...]

All of them, or: model (pulse deliveries a second of the event model, its compiled kernel and its Monte Carlo). Prints a
line a figure, with its target, and one JSON object at the end.
"""

from __future__ import annotations

import argparse

from bench import sfq_model
from bench.common import run


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help="figures; all of them if none is named")
    run({"model": sfq_model.model}, parser.parse_args().names)


if __name__ == "__main__":
    main()
