"""`pulse.channel` as arrays in and out, for every engine: settings and the bank, then samples; records come back."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from hdl.pulse.channel_config import FILTER_BASE, FRONT_BASE, ChannelConfig
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

OF_FRONT = {"samples": "samples", "front_settings": "settings"}
OF_FILTER = {"weights": "weights", "templates": "templates", "filter_settings": "settings"}
"""Arrays of the units, by our names and by theirs."""

SETTINGS = "registers, in the order of its config's `setting_names`"

INPUTS = {
    "samples": front_vectors.INPUTS["samples"],
    "front_settings": ArraySpec("int64", "(front_settings,)", f"the front end's {SETTINGS}; `run` is 1"),
    "weights": filter_vectors.INPUTS["weights"],
    "templates": filter_vectors.INPUTS["templates"],
    "filter_settings": ArraySpec("int64", "(filter_settings,)", f"the filter's {SETTINGS}"),
    "channel": ArraySpec("uint8", "(one,)", "what records say of where they come from"),
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
    front_vectors.check(config.front, _of(OF_FRONT, arrays))
    windows = np.zeros((1, config.filter.samples), np.int16)
    filter_vectors.check(config.filter, _of(OF_FILTER, arrays) | {"windows": windows})


def model(config: ChannelConfig, arrays: Mapping[str, Any]) -> Arrays:
    """`OUTPUTS` by the golden model, of a ring that is never full. Raises as `check`."""
    check(config, arrays)
    found = records(config, settings_for(config, arrays), arrays["samples"].ravel())
    return {name: found[name].copy() for name in OUTPUTS}


def register_writes(config: ChannelConfig, arrays: Mapping[str, Any]) -> list[tuple[int, list[int]]]:
    """The filter's settings and bank, the channel's number, then the front end's settings. Raises as `check`."""
    check(config, arrays)
    registers = config.registers
    assert registers is not None
    windows = np.zeros((1, config.filter.samples), np.int16)
    fit = filter_vectors.register_writes(config.filter, _of(OF_FILTER, arrays) | {"windows": windows})
    front = front_vectors.register_writes(config.front, _of(OF_FRONT, arrays))
    number = registers["channel"].offset_bytes, arrays["channel"].tolist()
    return [
        *((FILTER_BASE + address, words) for address, words in fit),
        number,
        *((FRONT_BASE + address, words) for address, words in front),
    ]


def pack(config: ChannelConfig, arrays: Mapping[str, Any]) -> dict[str, Beats]:
    """Traffic of the stream `samples`. Raises as `check`."""
    check(config, arrays)
    return front_vectors.pack(config.front, _of(OF_FRONT, arrays))


def expected_beats(config: ChannelConfig, arrays: Mapping[str, Any]) -> dict[str, int]:
    """Beats of the stream `record`, one a pulse."""
    return {"record": front_vectors.expected_beats(config.front, _of(OF_FRONT, arrays))["event"]}


def unpack(config: ChannelConfig, arrays: Mapping[str, Any], outputs: Mapping[str, Beats]) -> Arrays:
    """`OUTPUTS` out of the traffic of the stream `record`. Raises as `data_of`."""
    return parsed(data_of(outputs, "record", expected_beats(config, arrays)["record"], config.record_bits // 8))


def parsed(data: npt.NDArray[np.uint8]) -> Arrays:
    """`OUTPUTS` out of beats of the stream `record`: uint8, (n, 16)."""
    found = np.ascontiguousarray(data).view(RECORD_BYTES)[:, 0]
    energy = (found["energy"].astype(np.int32) << np.array([8, 16, 24], np.int32)).sum(axis=1, dtype=np.int32) >> 8
    return {name: found[name].copy() for name in OUTPUTS if name != "energy"} | {"energy": energy}


def operations(config: ChannelConfig, arrays: Mapping[str, Any]) -> int:
    """Those of the front end, and of the filter for each of its windows."""
    count = expected_beats(config, arrays)["record"]
    windows = {"windows": np.zeros((count, config.filter.samples), np.int16)}
    fit = filter_vectors.operations(config.filter, _of(OF_FILTER, arrays) | windows)
    return front_vectors.operations(config.front, _of(OF_FRONT, arrays)) + fit


def arrays_for(
    config: ChannelConfig, setup: Setup, samples: Codes, front: Mapping[str, int], channel: int = 0
) -> Arrays:
    """`INPUTS` for samples of a measurement: the bank of its pulses, and settings of the front end where they are not
    as after reset.

    Raises
    ------
    ValueError
        As `make_bank`.
    """
    # Polarity is the front end's to turn.
    bank, fit = make_bank(setup.model_copy(update={"polarity": 1}), config.filter)
    # The filter sees codes whose baseline was taken away: only those that were clamped are saturated.
    fit |= {"code_least": -(1 << 15), "code_most": (1 << 15) - 1}
    registers = config.front.registers
    assert registers is not None
    settings = {name: registers[name]["value"].reset for name in config.front.setting_names} | {"run": 1} | dict(front)
    beats = math.ceil(len(samples) / config.front.lanes)
    padded = np.append(samples, np.repeat(samples[-1:], beats * config.front.lanes - len(samples)))
    return {
        "samples": padded.reshape(beats, config.front.lanes),
        "front_settings": np.array([settings[name] for name in config.front.setting_names], np.int64),
        "weights": bank.weights,
        "templates": bank.templates,
        "filter_settings": np.array([fit[name] for name in config.filter.setting_names], np.int64),
        "channel": np.array([channel], np.uint8),
    }


def pace_cycles(config: ChannelConfig, arrays: Mapping[str, Any]) -> int:
    """Cycles a beat of samples, on an average, with which none of these triggers finds the ring full."""
    pace = 1
    while not _kept(config, arrays, pace):
        pace *= 2
    return pace


def random_arrays(config: ChannelConfig, seed: int, items: int) -> Arrays:
    """`INPUTS` for the seed, with about `items` pulses: those of the units. No trigger finds the ring full: where some
    would, the hold-off is longer.

    Raises
    ------
    ValueError
        If `items` is below 1.
    """
    fit = filter_vectors.random_arrays(config.filter, seed, 1)
    apart = record_cycles(config, settings_of(config.filter, fit)) * config.front.lanes
    front = front_vectors.random_arrays(config.front, seed, items, apart)
    arrays = {name: front[theirs] for name, theirs in OF_FRONT.items()}
    arrays |= {name: fit[theirs] for name, theirs in OF_FILTER.items()}
    arrays["channel"] = np.array([seed % 256], np.uint8)
    place = config.front.setting_names.index("hold_off")
    while not _kept(config, arrays, 1):
        arrays["front_settings"][place] = 2 * arrays["front_settings"][place] + 16
    return arrays


def _kept(config: ChannelConfig, arrays: Mapping[str, Any], beat_cycles: int) -> bool:
    """Whether no trigger finds the ring full where a beat of samples comes in so many cycles."""
    front = settings_of(config.front, _of(OF_FRONT, arrays))
    fit = settings_of(config.filter, _of(OF_FILTER, arrays))
    triggers = find(config.front, front, arrays["samples"].ravel()).triggers
    # Its codes are all taken when a fit is over, at most; half as long again for stalls of the records.
    window_cycles = 3 * (config.front.samples + record_cycles(config, fit)) // 2
    return bool(surely_kept(config.front, front, triggers, window_cycles, beat_cycles).all())


def _of(names: Mapping[str, str], arrays: Mapping[str, Any]) -> dict[str, Any]:
    """Arrays of a unit, by its names."""
    return {theirs: arrays[name] for name, theirs in names.items()}


def settings_for(config: ChannelConfig, arrays: Mapping[str, Any]) -> Settings:
    """What the arrays set."""
    fit = settings_of(config.filter, _of(OF_FILTER, arrays))
    front = settings_of(config.front, _of(OF_FRONT, arrays))
    return Settings(int(arrays["channel"][0]), front, fit, Bank(arrays["weights"], arrays["templates"]))
