"""The figures of attention.

    .venv/bin/python bench/attention.py [NAME ...]

    numerics   error of the golden model against float64, four shapes of data, 8 and 9 bits of probabilities
    formats    the same with keys and values in every format, 1024 keys
    schedule   the scheduler's counts: utilisation of masks against their tile limit, words, ratio to N^2 d^2 / M
    compare    useful utilisation over N beside FuseMax's model; draws docs/attention_compare.svg
    small      words of the schedule that splits d, for buffers below d^2
    ------
    rtl        utilisation and words of the gateware, and what the golden model says of its outputs; takes minutes
    linear     throughput of linear layers on the gateware, and whether they are right; takes minutes
    wide       cycles of jobs two at a time and two of four against ordinary ones, on the gateware; takes minutes
    area       LUT4e of the array on ECP5, part by part, and LUTs of packed rows on UltraScale+; takes minutes
    route      clock of the 8x16 array on an LFE5U-85F, three seeds; takes most of an hour

Prints a line a figure, with its target, and one JSON object at the end.
"""

from __future__ import annotations

import argparse

from bench import (
    attention_area,
    attention_formats,
    attention_linear,
    attention_numerics,
    attention_route,
    attention_rtl,
    attention_schedule,
    attention_wide,
)
from bench.common import Benches, run


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help="figures; all above the line if none is named")
    benches: Benches = {
        "numerics": attention_numerics.numerics,
        "formats": attention_formats.formats,
        "schedule": attention_schedule.schedule,
        "compare": attention_schedule.compared,
        "small": attention_schedule.small,
    }
    asked: Benches = {"rtl": attention_rtl.rtl, "linear": attention_linear.linear, "wide": attention_wide.wide}
    asked |= {"area": attention_area.area, "route": attention_route.route}
    run({**benches, **asked}, parser.parse_args().names or list(benches))


if __name__ == "__main__":
    main()
