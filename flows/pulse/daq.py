"""`niello pulse daq`: rates, bytes and dead time of each stage of a channel."""

from __future__ import annotations

from dataclasses import dataclass
from math import log10
from pathlib import Path
from typing import Any

import numpy as np

from flows.curves_picture import Curve, Panel, curves_picture
from flows.errors import BadInput
from flows.load import load_design
from flows.output import check_output, write_output
from flows.pulse.setups import read_setup
from flows.store import disk_errors
from hdl.pulse.channel_config import ChannelConfig
from sim.pulse.daq import Outcome, Stages, follow, random_times
from sim.pulse.playback import HOLD_OFF_SAMPLES, THRESHOLD_SIGMAS
from sim.pulse.setup import Setup

EVENTS, CURVE_EVENTS = 200_000, 20_000
"""Pulses that are followed, and for each point of the curve."""

CODE_BYTES, RECORD_BYTES = 2, 16
UART_BITS = 10
"""Of a byte: start, eight bits, stop."""

CURVE = 13
"""Rates of the curve, from a hundredth of the one that is asked for to ten times it."""


@dataclass(frozen=True)
class Asked:
    """What the command line says, as it says it."""

    rate_hz: float
    design: str = "pulse_r0"
    setup: str = "r0"
    clock_hz: float = 50e6
    channels: int | None = None
    baud: float | None = None
    accepted: float = 1.0
    seed: int = 0
    plot: Path | None = None


def daq(asked: Asked) -> dict[str, Any]:
    """What each stage of a channel takes and gives, at a rate of pulses in a channel.

    Raises
    ------
    BadInput
        If an option is wrong.
    """
    design = load_design(asked.design)
    config = design.config
    if not isinstance(config, ChannelConfig):
        raise BadInput(f"--design must be a design of pulse.channel; {asked.design} is none")
    for name, value, low, high in (
        ("--clock-hz", asked.clock_hz, 1e3, 1e9),
        ("--rate-hz", asked.rate_hz, 1e-3, asked.clock_hz),
        ("--channels", config.channels if asked.channels is None else asked.channels, 1, 256),
        ("--baud", 1.0 if asked.baud is None else asked.baud, 1, 1e10),
        ("--accepted", asked.accepted, 1e-6, 1),
        ("--seed", asked.seed, 0, (1 << 62) - 1),
    ):
        if not low <= value <= high:
            raise BadInput(f"{name} must be in {low:g}..{high:g}, not {value:g}")
    channels = config.channels if asked.channels is None else asked.channels
    if channels % config.channels:
        raise BadInput(f"--channels must be a multiple of the design's {config.channels}, not {channels}")
    if asked.plot:
        check_output(asked.plot)
    setup = read_setup(asked.setup)
    # Of all channels' records a share is accepted, and goes over the one link, in turn.
    link_hz = asked.baud / UART_BITS / RECORD_BYTES if asked.baud else None
    link = channels / config.channels * asked.accepted * asked.clock_hz / link_hz if link_hz else 0.0
    stages = stages_for(config, setup, link)
    found = _at(stages, config.channels, asked, asked.rate_hz, EVENTS)
    seconds = found.pulses / asked.rate_hz  # of one channel: rates are a channel's, on an average
    sample_hz = asked.clock_hz * config.front.lanes
    if asked.plot:
        rates = asked.rate_hz * np.logspace(-2, 1, CURVE)
        picture = _picture(
            asked,
            [
                (rate, _at(stages, config.channels, asked, rate, CURVE_EVENTS))
                for rate in rates
                if rate <= asked.clock_hz
            ],
        )
        with disk_errors(asked.plot, hint="make room, or name another file"):
            write_output(asked.plot, picture.encode())

    def stage(rate_hz: float, unit_bytes: int) -> dict[str, float]:
        return {"rate_hz": round(rate_hz, 3), "bytes_per_s": round(rate_hz * unit_bytes, 1)}

    return {
        "design": asked.design,
        "setup": asked.setup,
        "clock_hz": asked.clock_hz,
        "channels": channels,
        "pulses_hz": round(found.pulses / seconds, 3),
        "stages": {
            "samples": stage(sample_hz, CODE_BYTES),
            "triggers": stage(found.triggers / seconds, CODE_BYTES * config.front.samples),
            "windows": stage(found.records / seconds, CODE_BYTES * config.front.samples),
            "records": stage(found.records / seconds, RECORD_BYTES),
            "link": stage(channels * asked.accepted * found.records / seconds, RECORD_BYTES),
        },
        "not_triggered": round(1 - found.triggers / found.pulses, 6),
        "lost": round(found.lost / max(1, found.triggers), 6),
        "dead": round(found.dead, 6),
        "dead_hold_off": round(found.held_off, 6),
        "dead_ring_full": round(found.full, 6),
        "fit_busy": round(config.channels * found.records * stages.fit / (seconds * asked.clock_hz), 6),
        "most_records_hz": round(asked.clock_hz / max(stages.fit, stages.link), 1),
    }


def stages_for(config: ChannelConfig, setup: Setup, link: float = 0.0) -> Stages:
    """A channel that is set as `niello pulse run` sets it, for pulses of a set-up."""
    over = setup.sample_ns * np.arange(1 << 14, dtype=np.float64)
    above = setup.pulse.value(over) > THRESHOLD_SIGMAS * setup.noise_rms
    samples = float(np.flatnonzero(above)[-1] - np.flatnonzero(above)[0] + 1) if above.any() else 1.0
    return Stages.of(config, over=samples, hold_off=HOLD_OFF_SAMPLES, inspect=config.front.samples, link=link)


def _at(stages: Stages, channels: int, asked: Asked, rate_hz: float, events: int) -> Outcome:
    """About so many events in all, at a channel's rate."""
    cycles = events / channels * asked.clock_hz / rate_hz
    rate = rate_hz / asked.clock_hz
    # Seeds of the same channel in two runs differ by less than those of two channels.
    times = [random_times(rate, cycles, asked.seed + (place << 62)) for place in range(channels)]
    return follow(stages, times, cycles)


def _picture(asked: Asked, curve: list[tuple[float, Outcome]]) -> str:
    def points(values: list[float]) -> list[tuple[float, float]]:
        return [(log10(rate), value) for (rate, _), value in zip(curve, values, strict=True)]

    marks = [float(mark) for mark in range(int(log10(curve[0][0]) // 1), int(log10(curve[-1][0]) // 1) + 2)]
    share = [0.0, 0.2, 0.4, 0.6, 0.8, 1.0]
    given = points([outcome.records / outcome.pulses for _, outcome in curve])
    dead = points([outcome.dead for _, outcome in curve])
    panels = [
        Panel(
            "Pulses that have a record", "log10 of pulses/s", "share", marks, share, [Curve("records", given, given)]
        ),
        Panel("Dead time", "log10 of pulses/s", "share", marks, share, [Curve("held off, or full", dead, dead)]),
    ]
    what = f"Share of pulses with a record, and dead time of {asked.design}, over the rate of pulses"
    return curves_picture("daq", f"{asked.design} at {asked.clock_hz / 1e6:g} MHz", what, panels)
