"""`niello pulse scope`: a waveform as a channel sees it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from flows.errors import BadInput
from flows.load import load_design
from flows.output import check_output, write_output
from flows.paths import shown
from flows.pulse.run import FLAGS, read_waves
from flows.pulse.scope_picture import Pulse, View, scope_picture
from flows.pulse.setups import read_setup
from flows.store import disk_errors
from hdl.pulse.channel_config import ChannelConfig
from hdl.pulse.front_config import FRAME_SAMPLES
from sim.pulse import channel_vectors, front_model
from sim.pulse.playback import found, play
from sim.pulse.setup import Setup
from sim.pulse.signals import Codes

MOST_SHOWN = 20_000
STREAM_SHOWN = 1000
"""Samples of a stream, if it is not said how many."""

FINE = 8
"""Points of a fitted pulse for each sample."""


@dataclass(frozen=True)
class Asked:
    """What the command line says, as it says it."""

    waves: Path
    out: Path
    record: int = 0
    first: int = 0
    samples: int | None = None
    design: str = "pulse_r0"
    setup: str = "r0"
    threshold: int | None = None
    channel: int = 0


def scope(asked: Asked) -> dict[str, Any]:
    """A picture of a record, or of a part of a stream; the pulses that it shows.

    Raises
    ------
    BadInput
        If an option or the waveforms are wrong.
    """
    config = load_design(asked.design).config
    if not isinstance(config, ChannelConfig):
        raise BadInput(f"--design must be a design of pulse.channel; {asked.design} is none")
    check_output(asked.out, inputs=(asked.waves,))
    if not 0 <= asked.channel < config.channels:
        raise BadInput(f"--channel must be in 0..{config.channels - 1}, not {asked.channel}")
    setup, waves = read_setup(asked.setup), read_waves(asked.waves, config.channels)
    if config.channels > 1:  # one of them is shown, as if it were alone
        waves, config = waves[asked.channel], config.model_copy(update={"channels": 1})
    chosen, first, count = _chosen(asked, waves, config)
    try:
        playback = play(config, setup, chosen, asked.threshold)
        arrays = channel_vectors.arrays_for(config, setup, playback.samples, playback.settings)
    except ValueError as error:
        raise BadInput(f"{shown(asked.waves)}: {error}") from None
    seen = front_model.find(config.front, channel_vectors.settings_for(config, arrays).front, playback.samples[0])
    pulses = found(config, playback, channel_vectors.model(config, arrays))

    begin = int(playback.starts[0])
    view = slice(begin + first, begin + first + count)
    frames = np.arange(view.start, view.stop) // FRAME_SAMPLES
    triggers = [int(time) - begin for time in seen.triggers if view.start <= time < view.stop]
    baseline = seen.baseline[frames] / (1 << config.front.baseline_fraction_bits)
    if playback.whole_windows:  # the front end has none: the level before the pulse
        quiet = max(1, setup.pre_samples - math.ceil(setup.onset_spread_samples))
        baseline = np.full(count, float(np.median(seen.signal[begin : begin + quiet])))
    near = (pulses["time"] >= first - config.front.samples) & (pulses["time"] < first + count)
    fits = [
        _fitted(setup, config, float(time), float(energy), baseline, first)
        for time, energy in zip(pulses["time"][near], pulses["energy"][near], strict=True)
    ]
    windows = [(t - config.front.pre, t - config.front.pre + config.front.samples) for t in triggers]
    what = f"record {asked.record}" if waves.ndim == 2 else f"samples {first} to {first + count - 1}"
    listed = [
        {
            "onset": round(float(pulses["time"][each]), 4),
            "energy": round(float(pulses["energy"][each]), 2),
            "flags": [name for bit, name in enumerate(FLAGS) if pulses["flags"][each] >> bit & 1],
        }
        for each in np.flatnonzero(near)
    ]
    told = "; ".join(f"onset {each['onset']:.3f}, {each['energy']:.1f} codes" for each in listed[:3])
    title = f"{asked.waves.name}, {what}: {told or 'no pulse'}{' …' if len(listed) > 3 else ''}"
    picture = scope_picture(
        title,
        f"A waveform as {asked.design} sees it: its baseline, {len(triggers)} triggers, {len(fits)} fitted pulses.",
        View(first, seen.signal[view].astype(np.float64), baseline, triggers, windows, fits),
    )
    with disk_errors(asked.out, hint="make room, or name another file with -o"):
        write_output(asked.out, picture.encode())
    return {
        "design": asked.design,
        "setup": asked.setup,
        "channel": asked.channel,
        "record": asked.record if waves.ndim == 2 else None,
        "first": first,
        "samples": count,
        "triggers": triggers,
        "pulses": listed,
        "out": shown(asked.out),
    }


def _chosen(asked: Asked, waves: Codes, config: ChannelConfig) -> tuple[Codes, int, int]:
    """What is played, and the part of it that is shown."""
    if waves.ndim == 2 and not 0 <= asked.record < len(waves):
        raise BadInput(f"--record must be in 0..{len(waves) - 1}, not {asked.record}")
    if waves.ndim == 1 and asked.record:
        raise BadInput(f"--record is for files of records; {shown(asked.waves)} is a stream", hint="--first, --samples")
    length = waves.shape[-1]
    if not 0 <= asked.first < length:
        raise BadInput(f"--first must be in 0..{length - 1}, not {asked.first}")
    most = min(MOST_SHOWN, length - asked.first)
    count = min(most, STREAM_SHOWN if waves.ndim == 1 else most) if asked.samples is None else asked.samples
    if not 1 <= count <= most:
        raise BadInput(f"--samples must be in 1..{most}, not {count}")
    if waves.ndim == 2:
        return waves[asked.record : asked.record + 1], asked.first, count
    # A stream's baseline comes from all before; what is behind the view makes its last windows whole.
    return waves[: asked.first + count + 2 * config.front.samples], asked.first, count


def _fitted(
    setup: Setup, config: ChannelConfig, onset: float, energy: float, baseline: np.ndarray[Any, Any], first: int
) -> Pulse:
    """A pulse of the set-up's shape, on the baseline where it begins, over its window."""
    after = config.front.samples - config.front.pre
    at = onset + np.arange(-FINE, after * FINE + 1) / FINE
    inside = (at >= first) & (at <= first + len(baseline) - 1)
    level = baseline[int(np.clip(round(onset) - first, 0, len(baseline) - 1))]
    height = level + energy * setup.pulse.value((at - onset) * setup.sample_ns)
    return Pulse(onset, at[inside], height[inside])
