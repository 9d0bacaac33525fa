"""How near a whole channel comes to what can be known of a pulse: in gateware, from samples to records."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from bench.common import say
from flows.load import load_design
from flows.pulse.run import through
from hdl.pulse.channel_config import ChannelConfig
from sim.pulse.channel_vectors import arrays_for
from sim.pulse.fisher import bound
from sim.pulse.playback import found, play
from sim.pulse.setup import Setup
from sim.pulse.signals import records

DESIGN = "pulse_r0"
PULSES = 10_000
CASES = {
    "32 samples": {},
    "32 samples, 12 bits": {"adc_bits": 12},
    "96 samples, triggered by level": {"samples": 96},
    "37 dB, 10:1": {"snr_db": 37.0, "amplitude_least": 0.1},
    "57 dB, 10:1": {"snr_db": 57.0, "amplitude_least": 0.1},
}
"""Changes of r0. Records of 32 samples are windows; in longer ones pulses are looked for."""


def channel() -> dict[str, Any]:
    """r0 through `pulse_r0` in Verilator, every record held to the golden model: rms errors, ps and %, and the bound of
    a window."""
    design = load_design(DESIGN)
    config = design.config
    assert isinstance(config, ChannelConfig)
    result = {name: _measured(design, config, Setup.parse(change)) for name, change in CASES.items()}
    for name, each in result.items():
        say(f"{name}: time", f"{each['time_ps']:.2f}", "ps", f"bound {each['bound_ps']:.2f}")
        say(f"{name}: energy", f"{each['energy_percent']:.4f}", "%", f"bound {each['bound_percent']:.4f}")
    say("records that follow one another", config.filter.latency_cycles, "cycles", "at most 500: 100 k/s at 50 MHz")
    return result


def _measured(design: Any, config: ChannelConfig, setup: Setup) -> dict[str, float]:
    drawn = records(setup, PULSES, seed=1)
    playback = play(config, setup, drawn.codes)
    arrays = arrays_for(config, setup, playback.samples, playback.settings)
    with tempfile.TemporaryDirectory() as folder:
        outputs, metrics = through("rtl", design, config, arrays, Path(folder))
    events = found(config, playback, outputs)
    own = events["record"]
    assert np.array_equal(own, np.arange(PULSES)), "a pulse for each record"
    late = (events["time"] - drawn.first.onset[own]) * setup.sample_ns * 1e3
    high = 100 * (events["energy"] / drawn.first.amplitude[own] - 1)
    best = bound(Setup.parse(setup.model_dump() | {"samples": config.front.samples}))
    return {
        "time_ps": float(np.sqrt(np.mean(late**2))),
        "energy_percent": float(np.sqrt(np.mean(high**2))),
        "bound_ps": best.time_ps,
        "bound_percent": 100 * best.amplitude,
        "cycles": metrics["cycles"],
    }
