"""The figures of pulse.

    .venv/bin/python bench/pulse.py [NAME ...]

    limit      time and energy of the optimal filter over the bound, 27 to 57 dB, 10:1; draws docs/pulse_limit.svg
    others     coloured noise, jitter, fewer bits of ADC, steeper pulses, pile-up

The golden model's figures: the gateware gives the same bits, as its tests say. Prints a line a figure, with its target,
and one JSON object at the end.
"""

from __future__ import annotations

import argparse

from bench import pulse_limit
from bench.common import Benches, run


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help="figures; all if none is named")
    benches: Benches = {"limit": pulse_limit.limit, "others": pulse_limit.others}
    run(benches, parser.parse_args().names)


if __name__ == "__main__":
    main()
