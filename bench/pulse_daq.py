"""The stage model of a channel beside the channel itself, in Verilator."""

from __future__ import annotations

from typing import Any

from bench.common import made, say
from flows import engines
from flows.steps import HARNESS_LIBRARY
from hdl.pulse.channel_config import ChannelConfig
from hdl.pulse.front_config import FRAME_SAMPLES
from sim.common.harness import Harness
from sim.pulse.daq import follow, random_times
from sim.pulse.dead_time import counted, random_pulses, stages

DESIGN = "pulse_r0"
LOADS = (0.3, 0.9, 2.0)
"""Pulses for each that the filter can fit."""

SAMPLES = 4_000_000


def daq() -> dict[str, Any]:
    """Dead time and losses of `pulse_r0` at three loads, and what the model says at the same rate, other pulses."""
    design, (rtl, library) = made(DESIGN, "elaborate", "harness")
    config = design.config
    assert isinstance(config, ChannelConfig)
    found: dict[str, Any] = {}
    with Harness(library[HARNESS_LIBRARY], engines.read_ports(rtl[f"{DESIGN}.ports.json"])) as harness:
        for load in LOADS:
            times = random_pulses(load / config.filter.latency_cycles, SAMPLES, 1)
            got = counted(harness, config, times, SAMPLES)
            rate, cycles = len(times) / (SAMPLES - FRAME_SAMPLES), 10.0 * SAMPLES
            model = follow(stages(config), random_times(rate, cycles, 2), cycles)
            dead = (got["dead"] - FRAME_SAMPLES) / (SAMPLES - FRAME_SAMPLES)
            lost = got["lost"] / got["triggers"]
            found[f"load {load}"] = {
                "dead": dead,
                "model": model.dead,
                "lost": lost,
                "model_lost": model.lost / model.triggers,
            }
            say(f"load {load}: dead time", f"{100 * dead:.3f}", "%", "none")
            say(f"load {load}: model over gateware", f"{model.dead / dead:.4f}", "", "0.98 to 1.02")
            say(
                f"load {load}: triggers lost, model",
                f"{100 * lost:.3f}, {100 * model.lost / model.triggers:.3f}",
                "%",
                "none",
            )
    return found
