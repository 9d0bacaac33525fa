"""Figures of stochastic pulse networks: margins, accuracy by window, RTL against the model, cycles."""

from __future__ import annotations

from typing import Any

import numpy as np

from bench.common import say
from flows.sfq.network import Library
from flows.sfq.train import network_config
from hdl.sfq.network_config import load_currents
from sim.sfq.network_program import NOMINAL
from sim.sfq.network_study import Point, model_counter, quality, ranges
from sim.sfq.network_tasks import task
from sim.sfq.network_training import as_layers, forward

CHIPS = np.arange(1, 33)
DIGIT_CHIPS = np.arange(1, 3)
WINDOWS = (4, 8, 16, 32, 64)
RTL_POINTS = {"bias": (0.8, 1.0, 1.2), "spread": (0.1, 0.3), "temperature_k": (1.0, 64.0), "slots": (16, 256)}
RTL_CHIPS, RTL_EXAMPLES = np.arange(1, 4), 8


def network() -> dict[str, Any]:
    """XOR's margin and the ranges in which it is positive, the digits' accuracy, RTL against the model."""
    return {"xor": _xor(), "digits": _digits(), "rtl": {name: _rtl(name) for name in ("xor_network", "digit_network")}}


def _xor() -> dict[str, Any]:
    config = network_config("xor_network")
    examples, nominal = task("xor").test, Point(NOMINAL, config.window_slots)
    found = quality(config, examples, nominal, CHIPS, model_counter(config))
    say(f"XOR, worst margin of {len(CHIPS)} chips, {config.window_slots} slots", found.worst, "of a rate", "above 0")
    positive = ranges(config, examples, nominal, CHIPS, model_counter(config))
    for axis, (low, high) in positive.items():
        say(f"XOR, margin positive, {axis}", f"{low:g}..{high:g}", "", "none")
    return {"nominal": vars(found), "positive": positive}


def _digits() -> dict[str, Any]:
    config = network_config("digit_network")
    examples = task("digits").test
    rates = forward(config, as_layers(load_currents(config)), examples.rates)
    surrogate = float((rates.argmax(axis=1) == examples.labels).mean())
    say(f"digits, {len(examples.labels)} held out, surrogate", 100 * surrogate, "% right", "none")
    by_slots = {}
    for slots in WINDOWS:
        found = quality(config, examples, Point(NOMINAL, slots), DIGIT_CHIPS, model_counter(config))
        say(f"digits, windows of {slots} slots, mean of {len(DIGIT_CHIPS)} chips", 100 * found.mean, "% right", "none")
        by_slots[slots] = vars(found)
    return {"surrogate": round(surrogate, 4), "slots": by_slots}


def _rtl(name: str) -> dict[str, Any]:
    """Windows at some points of every axis whose counts the Verilated design has other than the model."""
    config = network_config(name)
    library = Library(name, config)
    examples = task(config.task).test.first(RTL_EXAMPLES)
    nominal = Point(NOMINAL, min(config.window_slots, 64))
    for axis, values in RTL_POINTS.items():
        for value in values:
            quality(config, examples, nominal.at(axis, value), RTL_CHIPS, library)
    say(f"{name}: windows that RTL has otherwise, of {library.windows}", library.differing, "", "0")
    say(f"{name}: cycles a slot", config.slot_cycles, "cycles", "none")
    say(f"{name}: synapses a cycle", config.synapses / config.slot_cycles, "", "none")
    return {
        "windows": library.windows,
        "differing": library.differing,
        "cycles": library.cycles,
        "slot_cycles": config.slot_cycles,
    }
