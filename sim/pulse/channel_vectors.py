"""`pulse.channel` as arrays in and out, for every engine: settings and the bank, then samples; records come back."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from hdl.pulse.channel_config import FILTER_BASE, FRONT_BASE, FRONT_BYTES, ChannelConfig
from sim.common.beats import Beats, data_of
from sim.common.vectors import Arrays, ArraySpec, check_arrays
from sim.pulse import filter_vectors, front_vectors
from sim.pulse.bank import make_bank
from sim.pulse.channel_model import Settings, record_cycles, records
from sim.pulse.filter_model import Bank
from sim.pulse.front_model import find, surely_kept
from sim.pulse.settings import settings_of
from sim.pulse.setup import Setup
from sim.pulse.signals import Codes

LATENCY_BY_BENCH = True

OF_FILTER = {"weights": "weights", "templates": "templates", "filter_settings": "settings"}
"""Arrays of the filter, by our names and by its."""

SETTINGS = "registers, in the order of its config's `setting_names`"

INPUTS = {
    "samples": ArraySpec("int16", "(beats, channels, lanes)", "codes as the ADCs give them"),
    "front_settings": ArraySpec("int64", "(channels, front_settings)", f"each front end's {SETTINGS}; `run` is 1"),
    "weights": filter_vectors.INPUTS["weights"],
    "templates": filter_vectors.INPUTS["templates"],
    "filter_settings": ArraySpec("int64", "(filter_settings,)", f"the filter's {SETTINGS}"),
    "channel": ArraySpec(
        "uint8", "(one,)", "the first channel's number, which its records have; those of the others follow"
    ),
}
OUTPUTS = {
    "time": ArraySpec("int64", "(n,)", "of the onset, 2^-16 samples from the first one on"),
    "energy": ArraySpec("int32", "(n,)", "amplitude, 2^-8 codes"),
    "shape": ArraySpec(
        "int16", "(n,)", "relative change of width, 2^-15; with `pairs` between two pulses, 2^-8 samples"
    ),
    "flags": ArraySpec(
        "uint8",
        "(n,)",
        "bits: 0 pile-up, 1 saturated, 3 baseline not settled, 4 cut, 5 no pulse, 6 far, 7 lost before it",
    ),
    "channel": ArraySpec("uint8", "(n,)", "the channel's number"),
    "sequence": ArraySpec("uint8", "(n,)", "low bits of the trigger's number"),
}

RECORD_BYTES = np.dtype(
    [("channel", "u1"), ("flags", "u1"), ("time", "<i8"), ("energy", "u1", 3), ("shape", "<i2"), ("sequence", "u1")]
)
"""A beat of the stream `record`."""


def check(config: ChannelConfig, arrays: Mapping[str, Any]) -> None:
    """Refuse arrays that are not `INPUTS` of this config, and settings that do not fit their registers.

    Raises
    ------
    ValueError
        With one line that names array, expected and received.
    """
    check_arrays(INPUTS, arrays)
    if arrays["channel"].shape != (1,):
        raise ValueError(f"channel must be uint8 (1,), not {arrays['channel'].shape}")
    if arrays["samples"].shape[1] != config.channels:
        expected = f"{INPUTS['samples']} with channels = {config.channels}"
        raise ValueError(f"samples must be {expected}, not {arrays['samples'].shape}")
    for one in _fronts(arrays):
        front_vectors.check(config.front, one)
    filter_vectors.check(config.filter, _filter(config, arrays))


def model(config: ChannelConfig, arrays: Mapping[str, Any]) -> Arrays:
    """`OUTPUTS` by the golden model, of rings that are never full. Raises as `check`."""
    check(config, arrays)
    of_each = [
        records(config, settings_for(config, arrays, place), one["samples"].ravel())
        for place, one in enumerate(_fronts(arrays))
    ]
    return {name: np.concatenate([found[name] for found in of_each]) for name in OUTPUTS}


def register_writes(config: ChannelConfig, arrays: Mapping[str, Any]) -> list[tuple[int, list[int]]]:
    """The filter's settings and bank, the first channel's number, then the front ends' settings. Raises as `check`."""
    check(config, arrays)
    registers = config.registers
    assert registers is not None
    fit = filter_vectors.register_writes(config.filter, _filter(config, arrays))
    hold, channel = registers["hold"].offset_bytes, registers["channel"].offset_bytes
    writes = [(hold, [1]), *((FILTER_BASE + address, words) for address, words in fit)]
    writes.append((channel, arrays["channel"].tolist()))
    for place, one in enumerate(_fronts(arrays)):
        base = FRONT_BASE + place * FRONT_BYTES
        writes += [(base + address, words) for address, words in front_vectors.register_writes(config.front, one)]
    return [*writes, (hold, [0])]


def pack(config: ChannelConfig, arrays: Mapping[str, Any]) -> dict[str, Beats]:
    """Traffic of the stream `samples`. Raises as `check`."""
    check(config, arrays)
    beats = arrays["samples"].astype("<i2").reshape(len(arrays["samples"]), -1)
    return {"samples": Beats(np.ascontiguousarray(beats).view(np.uint8))}


def expected_beats(config: ChannelConfig, arrays: Mapping[str, Any]) -> dict[str, int]:
    """Beats of the stream `record`, one a pulse."""
    return {"record": sum(front_vectors.expected_beats(config.front, one)["event"] for one in _fronts(arrays))}


def unpack(config: ChannelConfig, arrays: Mapping[str, Any], outputs: Mapping[str, Beats]) -> Arrays:
    """`OUTPUTS` out of the traffic of the stream `record`: channel after channel, as the order in which they have their
    turns is nobody's to rely on. Raises as `data_of`."""
    found = parsed(data_of(outputs, "record", expected_beats(config, arrays)["record"], config.record_bits // 8))
    order = np.argsort(found["channel"] - arrays["channel"][0], kind="stable")
    return {name: values[order] for name, values in found.items()}


def parsed(data: npt.NDArray[np.uint8]) -> Arrays:
    """`OUTPUTS` out of beats of the stream `record`: uint8, (n, 16)."""
    found = np.ascontiguousarray(data).view(RECORD_BYTES)[:, 0]
    energy = (found["energy"].astype(np.int32) << np.array([8, 16, 24], np.int32)).sum(axis=1, dtype=np.int32) >> 8
    return {name: found[name].copy() for name in OUTPUTS if name != "energy"} | {"energy": energy}


def operations(config: ChannelConfig, arrays: Mapping[str, Any]) -> int:
    """Those of the front ends, and of the filter for each of their windows."""
    fit = filter_vectors.operations(config.filter, _filter(config, arrays, expected_beats(config, arrays)["record"]))
    return sum(front_vectors.operations(config.front, one) for one in _fronts(arrays)) + fit


def arrays_for(
    config: ChannelConfig, setup: Setup, samples: Codes, front: Mapping[str, int], channel: int = 0
) -> Arrays:
    """`INPUTS` for samples of a measurement: the bank of its pulses, and settings of all front ends where they are not
    as after reset.

    Parameters
    ----------
    samples : int16 (channels, n), or (n,) of a single one
    channel : the first one's number

    Raises
    ------
    ValueError
        As `make_bank`, and if the samples are not of so many channels.
    """
    samples = np.atleast_2d(samples)
    if len(samples) != config.channels:
        raise ValueError(f"samples must be of {config.channels} channels, not {len(samples)}")
    # Polarity is the front end's to turn.
    bank, fit = make_bank(setup.model_copy(update={"polarity": 1}), config.filter)
    # The filter sees codes whose baseline was taken away: only those that were clamped are saturated.
    fit |= {"code_least": -(1 << 15), "code_most": (1 << 15) - 1}
    registers = config.front.registers
    assert registers is not None
    settings = {name: registers[name]["value"].reset for name in config.front.setting_names} | {"run": 1} | dict(front)
    row = np.array([settings[name] for name in config.front.setting_names], np.int64)
    return {
        "samples": _beats(config, list(samples)),
        "front_settings": np.tile(row, (config.channels, 1)),
        "weights": bank.weights,
        "templates": bank.templates,
        "filter_settings": np.array([fit[name] for name in config.filter.setting_names], np.int64),
        "channel": np.array([channel], np.uint8),
    }


def pace_cycles(config: ChannelConfig, arrays: Mapping[str, Any]) -> int:
    """Cycles a beat of samples, on an average, with which none of these triggers finds its ring full."""
    pace = 1
    while not all(kept() for kept in _kept(config, arrays, pace)):
        pace *= 2
    return pace


def random_arrays(config: ChannelConfig, seed: int, items: int) -> Arrays:
    """`INPUTS` for the seed, with about `items` pulses a channel: those of the units. No trigger finds its ring full:
    where some would, the hold-off is longer.

    Raises
    ------
    ValueError
        If `items` is below 1.
    """
    fit = filter_vectors.random_arrays(config.filter, seed, 1)
    apart = record_cycles(config, settings_of(config.filter, fit)) * config.front.lanes * config.channels
    fronts = [
        front_vectors.random_arrays(config.front, seed + (place << 32), items, apart)
        for place in range(config.channels)
    ]
    arrays = {name: fit[theirs] for name, theirs in OF_FILTER.items()}
    arrays["samples"] = _beats(config, [one["samples"].ravel() for one in fronts])
    arrays["front_settings"] = np.stack([one["settings"] for one in fronts])
    arrays["channel"] = np.array([seed % 256], np.uint8)
    place = config.front.setting_names.index("hold_off")
    for one, kept in zip(arrays["front_settings"], _kept(config, arrays, 1), strict=True):
        while not kept():
            one[place] = 2 * one[place] + 16
    return arrays


def _kept(config: ChannelConfig, arrays: Mapping[str, Any], beat_cycles: int) -> list[Callable[[], bool]]:
    """Of each channel, whether no trigger finds its ring full where a beat of samples comes in so many cycles."""
    fit = settings_of(config.filter, _filter(config, arrays))
    # Its codes are all taken when a fit of each channel is over, at most; half as long again for stalls of the records.
    window_cycles = 3 * config.channels * (config.front.samples + record_cycles(config, fit)) // 2

    def kept(one: dict[str, Any]) -> bool:
        front = settings_of(config.front, one)
        triggers = find(config.front, front, one["samples"].ravel()).triggers
        return bool(surely_kept(config.front, front, triggers, window_cycles, beat_cycles).all())

    return [functools.partial(kept, one) for one in _fronts(arrays)]


def _beats(config: ChannelConfig, codes: Sequence[Codes]) -> npt.NDArray[np.int16]:
    """Codes of each channel, side by side; a channel that ends early, or within a beat, stays at its last one."""
    lanes = config.front.lanes
    beats = max(math.ceil(len(one) / lanes) for one in codes)
    whole = [np.append(one, np.repeat(one[-1:], beats * lanes - len(one))).reshape(beats, lanes) for one in codes]
    return np.stack(whole, axis=1)


def _fronts(arrays: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Arrays of each front end, by its names."""
    samples = np.moveaxis(arrays["samples"], 1, 0)
    return [
        {"samples": each, "settings": settings}
        for each, settings in zip(samples, arrays["front_settings"], strict=True)
    ]


def _filter(config: ChannelConfig, arrays: Mapping[str, Any], windows: int = 1) -> dict[str, Any]:
    """Arrays of the filter, by its names, with so many empty windows."""
    empty = np.zeros((windows, config.filter.samples), np.int16)
    return {theirs: arrays[name] for name, theirs in OF_FILTER.items()} | {"windows": empty}


def settings_for(config: ChannelConfig, arrays: Mapping[str, Any], place: int = 0) -> Settings:
    """What the arrays set of a channel."""
    number = int(arrays["channel"][0]) + place & 0xFF
    front = settings_of(config.front, _fronts(arrays)[place])
    fit = settings_of(config.filter, _filter(config, arrays))
    return Settings(number, front, fit, Bank(arrays["weights"], arrays["templates"]))
