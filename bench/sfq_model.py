"""Pulse deliveries a second: event model, compiled kernel, Monte Carlo on one core and on two; the best of five each.

What one core does counts in its own time (CPU seconds), what two do together by the clock, so that this needs a machine
at rest. Inputs are repeated, a period apart. What a run gives in Python, lists of times by wire, is counted in. PyLSE's
own figure is a recorded one (revision 5f7e65d, another machine), not measured here.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from bench.common import ROOT, one_core, say
from flows.sfq.engine import load_kernel
from hdl.sfq.netlist import Netlist, Stimulus, parse_event_json
from sim.sfq import event_model
from sim.sfq.kernel import Simulator
from sim.sfq.random_netlist import random_cell, random_netlist
from sim.sfq.sorters import bitonic_sorter
from sim.sfq.spread import Spread

PYLSE_PER_S = (73_000, 84_000)
"""Deliveries a second, recorded."""

KERNEL_TARGET = 50 * PYLSE_PER_S[1]
TRIALS_TARGET = 31_000_000

PERIOD = 5000
REPEATS = 200
MODEL_REPEATS = 20
"""Of the inputs, where Python alone does the work."""

PERIODS = (1, 50)
"""Of the inputs, in a trial: few pulses a cell, and many."""

MEASUREMENTS = 5
TRIAL_DELIVERIES = 4_000_000
"""About so many in all trials together."""

SPREADS = {"sigma": Spread(sigma=0.05), "sigma and jitter": Spread(sigma=0.05, jitter=2)}


def netlists() -> dict[str, tuple[Netlist, Stimulus]]:
    """Netlists by name, each with the inputs of one period."""
    found: dict[str, tuple[Netlist, Stimulus]] = {}
    for name in ("min_max", "full_adder_sync"):
        found[name] = parse_event_json(json.loads((ROOT / f"tests/sfq/data/{name}.json").read_text()))
    rng = np.random.default_rng(1)
    for width in (8, 16):
        netlist = bitonic_sorter(width)
        found[netlist.name] = netlist, {wire: [10 * int(rng.integers(200))] for wire in netlist.inputs}
    kinds = [random_cell(rng, f"R{n}", inputs=4, outputs=3, states=4, longest_ticks=8) for n in range(75)]
    netlist = random_netlist(rng, kinds, 300, input_share=0.4)
    found["random"] = netlist, {wire: sorted(rng.choice(2000, 4, replace=False).tolist()) for wire in netlist.inputs}
    return found


def repeated(stimulus: Stimulus, repeats: int) -> Stimulus:
    """The inputs again and again, a period apart."""
    return {wire: [at * PERIOD + time for at in range(repeats) for time in times] for wire, times in stimulus.items()}


def model() -> dict[str, Any]:
    """Deliveries a second of every engine on every netlist."""
    kernel = load_kernel()
    if kernel is None:
        raise SystemExit("no C++ compiler: there is no kernel to measure")
    figures: dict[str, Any] = {}
    for name, (netlist, stimulus) in netlists().items():
        say(name, len(netlist.instances), "cells", "none")
        rates = _rates(netlist, kernel.load(netlist), stimulus)
        for what, rate in rates.items():
            target = KERNEL_TARGET if what == "kernel" else TRIALS_TARGET if "trials" in what else 0
            say(f"  {what}", rate / 1e6, "M/s", f"at least {target / 1e6:g}" if target else "none")
        figures[name] = {
            "cells": len(netlist.instances),
            "deliveries_per_s": {what: round(rate) for what, rate in rates.items()},
            "kernel_over_event_model": round(rates["kernel"] / rates["event model"], 1),
            "kernel_over_recorded_pylse": [round(rates["kernel"] / of_pylse, 1) for of_pylse in PYLSE_PER_S],
        }
    return figures


def _rates(netlist: Netlist, simulator: Simulator, stimulus: Stimulus) -> dict[str, float]:
    """Deliveries a second by engine."""
    short, long = repeated(stimulus, MODEL_REPEATS), repeated(stimulus, REPEATS)
    rates = {}
    with one_core():
        rates["event model"] = _best(lambda: event_model.run(netlist, short).deliveries)
        rates["kernel"] = _best(lambda: simulator.run(long).deliveries)
    for what, spread in SPREADS.items():
        for repeats in PERIODS:
            work = _trials(simulator, repeated(stimulus, repeats), spread)
            with one_core():
                rates[f"trials, {what}, periods: {repeats}"] = _best(partial(work, 1))
            rates[f"trials, {what}, periods: {repeats}, two cores"] = _best(partial(work, 2), time.perf_counter)
    return rates


def _trials(simulator: Simulator, stimulus: Stimulus, spread: Spread) -> Callable[[int], int]:
    """A function from threads to deliveries."""
    plain = simulator.run(stimulus)
    expected = {wire: len(plain.pulses[wire]) for wire in simulator.netlist.outputs}
    scales, count = np.ones(len(simulator.netlist.instances)), max(8, TRIAL_DELIVERIES // plain.deliveries)

    def work(threads: int) -> int:
        found = simulator.trials(stimulus, spread, scales, expected, count=count, threads=threads)
        return int(found.deliveries)

    return work


def _best(work: Callable[[], int], clock: Callable[[], float] = time.process_time) -> float:
    """Deliveries a second of the quickest run."""
    best = 0.0
    for _ in range(MEASUREMENTS):
        start = clock()
        deliveries = work()
        best = max(best, deliveries / (clock() - start))
    return best
