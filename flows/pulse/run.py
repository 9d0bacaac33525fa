"""`niello pulse run`: waveforms from a file through a channel, and what was found in them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from flows import engines
from flows.array_files import npz_bytes, read_npy
from flows.errors import BadInput
from flows.load import Design, load_design
from flows.output import check_output, write_output
from flows.paths import shown
from flows.pulse.setups import read_setup
from flows.road import Route, results_or_error, travel
from flows.run import execute, needs
from flows.store import disk_errors
from hdl.pulse.channel_config import ChannelConfig
from sim.pulse import channel_vectors
from sim.pulse.playback import found, play
from sim.pulse.signals import Codes

ENGINES = ("model", "rtl", "board-sim")

FLAGS = ("pile_up", "saturated", "from_network", "baseline_not_settled", "window_cut", "no_pulse", "far", "lost_before")
"""Bits of `flags`, from bit 0 on."""


@dataclass(frozen=True)
class Asked:
    """What the command line says, as it says it."""

    waves: Path
    out: Path
    design: str = "pulse_r0"
    setup: str = "r0"
    engine: str = "model"
    threshold: int | None = None


def run(asked: Asked) -> dict[str, Any]:
    """Pulses into a file, and the run's figures.

    Raises
    ------
    BadInput
        If an option or the waveforms are wrong.
    NielloError
        If the gateware differs from the golden model, or a tool fails.
    """
    if asked.engine not in ENGINES:
        raise BadInput(f"--engine must be one of {', '.join(ENGINES)}, not {asked.engine}")
    design = load_design(asked.design)
    config = design.config
    if not isinstance(config, ChannelConfig):
        raise BadInput(f"--design must be a design of pulse.channel; {asked.design} is one of {design.block.name}")
    check_output(asked.out, inputs=(asked.waves,))
    waves, setup = read_waves(asked.waves, config.channels), read_setup(asked.setup)
    try:
        playback = play(config, setup, waves, asked.threshold)
        arrays = channel_vectors.arrays_for(config, setup, playback.samples, playback.settings)
    except ValueError as error:
        raise BadInput(f"{shown(asked.waves)}: {error}") from None
    outputs, metrics = through(asked.engine, design, config, arrays, asked.out.parent)
    pulses = found(config, playback, outputs)
    with disk_errors(asked.out, hint="make room, or name another file with -o"):
        write_output(asked.out, npz_bytes(**pulses))
    return (
        {"design": design.name, "engine": asked.engine, "setup": asked.setup, "channels": config.channels}
        | {"records": len(playback.starts), "samples": playback.length, "whole_windows": playback.whole_windows}
        | {"pulses": len(pulses["time"]), "between_records": len(outputs["time"]) - len(pulses["time"])}
        | {"flags": {name: int((pulses["flags"] >> bit & 1).sum()) for bit, name in enumerate(FLAGS)}}
        | {"energy_mean": round(float(pulses["energy"].mean()), 3) if len(pulses["energy"]) else None}
        | {"cycles": metrics["cycles"], "seconds": metrics["seconds"], "out": shown(asked.out)}
    )


def read_waves(path: Path, channels: int) -> Codes:
    """Codes, int16 (records, samples) or (samples,), of several channels behind an axis of these; whatever the byte
    order.

    Raises
    ------
    BadInput
        Naming the file, what it must hold, and what it holds.
    """
    waves = read_npy(path)
    several = channels > 1
    fits = waves.ndim - several in (1, 2) and not (several and len(waves) != channels)
    if waves.dtype.newbyteorder("=") != np.dtype(np.int16) or not fits:
        hint = "codes as the ADC gives them" if waves.dtype.kind == "f" else None
        axis = f"{channels}, " if several else ""
        expected = f"int16 ({axis}records, samples) or ({axis}{'samples' if several else 'samples,'})"
        raise BadInput(f"{shown(path)}: must be {expected}, not {waves.dtype} {waves.shape}", hint=hint)
    return waves.astype(np.int16)


def through(
    engine: str, design: Design, config: ChannelConfig, arrays: engines.Arrays, folder: Path
) -> tuple[engines.Arrays, dict[str, Any]]:
    """Records and metrics of a channel's arrays; samples come so slowly that no trigger is lost. Records that are not
    the golden model's are left in `folder`.

    Raises
    ------
    NielloError
        If the gateware differs from the golden model, or a tool fails.
    """
    if engine == "model":
        return engines.run_model(design, arrays)
    route = Route.of(design)
    needed = needs(route, engine)
    results = results_or_error(travel([route], lambda _: needed))
    expected = channel_vectors.model(config, arrays)
    pace = channel_vectors.pace_cycles(config, arrays)
    outputs, metrics = execute(route, engine, results, arrays, stalls=1 - 1 / pace)
    engines.compare(design, outputs, expected, arrays, folder)
    return outputs, metrics
