"""The figures of pulse.

    .venv/bin/python bench/pulse.py [NAME ...]

    limit      time and energy of the optimal filter over the bound, 27 to 57 dB, 10:1; draws docs/pulse_limit.svg
    classic    LED, CFD, peak, trapezoid and gate of pulse.classic beside the optimal filter and the bound
    pairs      two pulses in a window: what the fit of both makes of the first one's time and energy
    others     coloured noise, jitter, fewer bits of ADC, steeper pulses, pile-up
    channel    r0 through pulse_r0 in Verilator, from samples to records
    daq        dead time and losses of pulse_r0 at three loads in Verilator, beside the stage model
    network    networks trained for five kinds of pulses, five seeds each, beside the filter; an hour
    bits       networks of 4 to 8 bits a weight and 8 to 16 an activation, two kinds of pulses, two seeds each; cells
               of their gateware; draws docs/pulse_bits.svg; half an hour
    front      cells and clock of pulse_front_r0 on an LFE5U-85F
    cnn        the same of pulse_cnn_r0
    histogram  the same of pulse_histogram
    cpu        the same of the SoC's processor with each core (extra `cores`), on an LFE5U-25F
    filter     the same of pulse_filter_r0, pulse_filter_grid, pulse_filter_pairs

Resolutions of `limit`, `classic`, `pairs` and `others` are the golden model's: the gateware gives the same bits, as its
tests say. Prints a line a figure, with its target, and one JSON object at the end.
"""

from __future__ import annotations

import argparse

from bench import (
    pulse_bits,
    pulse_channel,
    pulse_classic,
    pulse_cpu,
    pulse_daq,
    pulse_limit,
    pulse_network,
    pulse_pairs,
)
from bench.common import Benches, run
from bench.ecp5 import routed_design


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help="figures; all if none is named")
    benches: Benches = {"limit": pulse_limit.limit, "others": pulse_limit.others, "channel": pulse_channel.channel}
    benches["pairs"] = pulse_pairs.pairs
    benches["classic"] = pulse_classic.classic
    benches["daq"] = pulse_daq.daq
    benches["network"] = pulse_network.network
    benches["bits"] = pulse_bits.bits
    benches["front"] = lambda: routed_design("pulse_front_r0", 140, "at least 125")
    benches["cnn"] = lambda: routed_design("pulse_cnn_r0", 90, "at least 80")
    benches["histogram"] = lambda: routed_design("pulse_histogram", 120, "at least 80")
    benches["cpu"] = pulse_cpu.cpu
    filters = ("pulse_filter_r0", "pulse_filter_grid", "pulse_filter_pairs")
    benches["filter"] = lambda: {name: routed_design(name, 90, "at least 80") for name in filters}
    run(benches, parser.parse_args().names)


if __name__ == "__main__":
    main()
