"""Recorded waveforms as an ADC would give them to a channel, and its records as what was found in each waveform."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from hdl.pulse.channel_config import ChannelConfig
from hdl.pulse.config import APART_BITS, ENERGY_BITS, FRACTION_BITS
from hdl.pulse.front_config import FRAME_SAMPLES, GROUP_SAMPLES, SOURCES
from sim.pulse.setup import Setup
from sim.pulse.signals import Codes

CUT = 1 << 4
"""The flag of a window that its record does not have whole."""

HOLD_OFF_SAMPLES = 8
"""Between triggers at least: what rises again so soon is noise of the same edge."""

THRESHOLD_SIGMAS, HYSTERESIS_SIGMAS = 6.0, 5.0
"""Of the noise: a tail with noise on it that has armed the trigger again does not come back to the threshold."""

BASELINE_EXPONENT = 4
"""Of records, each of which is led in by its own level; a stream's mean is longer."""

STREAM_BASELINE_EXPONENT = 8

LEVEL_SAMPLES = 256
"""Of a stream, at most, whose median leads it in."""


@dataclass(frozen=True)
class Playback:
    """What a channel is given, and where in it each record lies.

    Attributes
    ----------
    samples : int16 (channels, n)
    settings : of the front ends, those that are not as after reset
    starts : int64 (records,)
        Place of each record's first sample.
    length : samples of a record
    whole_windows : records are windows that were triggered already
    """

    samples: Codes
    settings: dict[str, int]
    starts: npt.NDArray[np.int64]
    length: int
    whole_windows: bool


def play(config: ChannelConfig, setup: Setup, waves: Codes, threshold: int | None = None) -> Playback:
    """Waveforms as channels of this config are given them: records, int16 (records, samples), or a stream, int16
    (samples,); of several channels, int16 (channels, records, samples) or (channels, samples).

    Raises
    ------
    ValueError
        If there is no record, a record is shorter than a window, or the threshold cannot be had.
    """
    each = waves if config.channels > 1 else waves[None]
    played = [_play_one(config, setup, one, threshold) for one in each]
    return replace(played[0], samples=np.concatenate([one.samples for one in played]))


def _play_one(config: ChannelConfig, setup: Setup, waves: Codes, threshold: int | None) -> Playback:
    """What one channel is given.

    Records of as many samples as a window are windows: triggered by the clock, without a baseline. Others are led in by
    their own level, the median of what comes before a pulse as the set-up says, until the baseline is that, and
    triggered by level.

    Parameters
    ----------
    threshold : codes above the baseline; None is 6 sigma of the set-up's noise
    """
    window = config.front.samples
    records = np.atleast_2d(waves)
    if not records.size or records.shape[1] < window:
        raise ValueError(f"waveforms must have at least the {window} samples of a window, not {waves.shape}")
    half = 1 << (setup.adc_bits - 1)
    settings = {"code_least": -half, "code_most": half - 1, "invert": int(setup.polarity < 0)}
    if waves.ndim == 2 and records.shape[1] == window:
        return _windows(config, records, settings)
    sigma = setup.noise_rms / setup.lsb
    level = math.ceil(THRESHOLD_SIGMAS * sigma) if threshold is None else threshold
    if not 1 <= level < 1 << (config.front.sample_bits - 1):
        raise ValueError(f"threshold must be in 1..{(1 << config.front.sample_bits - 1) - 1} codes, not {level}")
    settings |= {
        "source": SOURCES.index("level"),
        "threshold": level,
        "hysteresis": min(level, math.ceil(HYSTERESIS_SIGMAS * sigma)),
        "hold_off": HOLD_OFF_SAMPLES,
        "inspect": window,
        "gate_before": math.ceil(config.front.pre / GROUP_SAMPLES),
        "gate_after": math.ceil(window / GROUP_SAMPLES),
        "baseline_exponent": BASELINE_EXPONENT if waves.ndim == 2 else STREAM_BASELINE_EXPONENT,
    }
    quiet = max(1, setup.pre_samples - math.ceil(setup.onset_spread_samples)) if waves.ndim == 2 else LEVEL_SAMPLES
    return _led_in(config, records, settings, quiet)


def _windows(config: ChannelConfig, records: Codes, settings: dict[str, int]) -> Playback:
    window, pre = config.front.samples, config.front.pre
    period = GROUP_SAMPLES * math.ceil(window / GROUP_SAMPLES)
    row = np.zeros((len(records), period), np.int16)
    row[:, :window] = records
    samples = np.concatenate([np.zeros(FRAME_SAMPLES - pre, np.int16), row.reshape(-1)])
    # The last window ends with sample t + S - 1; the next trigger's sample must not come.
    samples = np.concatenate([samples, np.zeros(max(0, pre + window - period), np.int16)])
    starts = FRAME_SAMPLES - pre + period * np.arange(len(records))
    return Playback(samples[None], settings | {"period": period, "baseline_on": 0}, starts, window, whole_windows=True)


def _led_in(config: ChannelConfig, records: Codes, settings: dict[str, int], quiet: int) -> Playback:
    window = config.front.samples
    # Until a mean of nothing but the level has come to a frame: gate, rest of a sum, a sum, two frames, rest of one.
    means = 2 << settings["baseline_exponent"]
    lead = GROUP_SAMPLES * (settings["gate_after"] + settings["gate_before"] + 2) + means + 3 * FRAME_SAMPLES
    level = np.rint(np.median(records[:, :quiet], axis=1)).astype(np.int16)
    count, length = records.shape
    first = max(0, FRAME_SAMPLES + GROUP_SAMPLES * settings["gate_before"])
    row = np.concatenate([np.repeat(level[:, None], lead, axis=1), records], axis=1)
    before, after = np.full(first, level[0], np.int16), np.full(2 * window + FRAME_SAMPLES, level[-1], np.int16)
    starts = first + lead + (lead + length) * np.arange(count)
    samples = np.concatenate([before, row.reshape(-1), after])
    return Playback(samples[None], settings, starts, length, whole_windows=False)


def found(
    config: ChannelConfig, playback: Playback, records: Mapping[str, npt.NDArray[Any]]
) -> dict[str, npt.NDArray[Any]]:
    """A channel's records by waveform, an entry a pulse.

    Returns
    -------
    record : int64, time : float64, of the onset in samples from the record's start, energy : float64, codes, flags,
    channel, sequence : uint8, shape : float64, relative; of a filter with `pairs` instead apart : float64, samples to
    a second pulse that was fitted with it, 0 where there is none

    Pulses between the records, where the level of one goes over to that of the next, are left out.
    """
    time = records["time"] / (1 << FRACTION_BITS)
    at = np.maximum(np.searchsorted(playback.starts, time + config.filter.pre, side="right") - 1, 0)
    since = time - playback.starts[at]
    flags = records["flags"].astype(np.uint8)
    if playback.whole_windows:
        keep = np.ones(len(time), bool)  # the filter says itself what is cut
    else:
        first = np.floor(since + 0.5).astype(np.int64) - config.filter.pre
        keep = (since >= -config.filter.pre) & (since < playback.length)
        flags = np.where((first < 0) | (first + config.filter.taps > playback.length), flags | CUT, flags)
    everything: dict[str, npt.NDArray[Any]] = _second(config, records["shape"]) | {
        "record": at.astype(np.int64),
        "time": since,
        "energy": records["energy"] / (1 << ENERGY_BITS),
        "flags": flags,
        "channel": records["channel"],
        "sequence": records["sequence"],
    }
    return {name: values[keep] for name, values in everything.items()}


def _second(config: ChannelConfig, values: npt.NDArray[Any]) -> dict[str, npt.NDArray[Any]]:
    """What the record's second value is of."""
    return {"apart": values / (1 << APART_BITS)} if config.filter.pairs else {"shape": values / (1 << 15)}
