"""`pulse.front` as arrays in and out, for every engine: settings, then samples; events and windows come back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from hdl.pulse.front_config import FRAME_SAMPLES, SIGNED_SETTINGS, SOURCES, FrontConfig
from sim.common.beats import Beats, data_of
from sim.common.stimulus import integers
from sim.common.vectors import Arrays, ArraySpec, check_arrays
from sim.pulse.front_model import Given, find, give, surely_kept
from sim.pulse.settings import check_settings, setting_range, setting_write, settings_of
from sim.pulse.setup import Setup
from sim.pulse.signals import stream

LATENCY_BY_BENCH = True

INPUTS = {
    "samples": ArraySpec("int16", "(beats, lanes)", "a detector's codes, in order"),
    "settings": ArraySpec(
        "int64", "(settings,)", "registers, in the order of the config's `setting_names`; `run` is 1"
    ),
}
OUTPUTS = {
    "time": ArraySpec("int64", "(n,)", "the trigger's sample"),
    "flags": ArraySpec("uint8", "(n,)", "bits: 0 pile-up, 1 saturated, 3 baseline not settled"),
    "number": ArraySpec("uint32", "(n,)", "of the trigger"),
    "baseline": ArraySpec("int32", "(n,)", "2^-8 codes"),
    "windows": ArraySpec("int16", "(n, samples)", "codes above the baseline"),
}

EVENT = np.dtype([("time", "<u2", 3), ("flags", "u1"), ("spare", "u1"), ("number", "<u4"), ("baseline", "<i4")])
"""A beat of the stream `event`."""

CYCLES_A_CODE = 8
"""That a code may take to be taken: random streams leave so much time that even then no trigger finds the ring full."""


def check(config: FrontConfig, arrays: Mapping[str, Any]) -> None:
    """Refuse arrays that are not `INPUTS` of this config, and settings that do not fit their registers.

    Raises
    ------
    ValueError
        With one line that names array, expected and received.
    """
    sizes = check_arrays(INPUTS, arrays)
    for name, axis, size in (("samples", "lanes", config.lanes), ("settings", "settings", len(config.setting_names))):
        if sizes[axis] != size:
            raise ValueError(f"{name} must be {INPUTS[name]} with {axis} = {size}, not {arrays[name].shape}")
    check_settings(config, SIGNED_SETTINGS, arrays)
    if not settings_of(config, arrays)["run"]:
        raise ValueError("settings must have run = 1, not 0")


def model(config: FrontConfig, arrays: Mapping[str, Any]) -> Arrays:
    """`OUTPUTS` by the golden model, of a ring that is never full. Raises as `check`."""
    check(config, arrays)
    given = _given(config, arrays)
    found = {name: given.events[name].astype(OUTPUTS[name].dtype) for name in OUTPUTS if name != "windows"}
    return found | {"windows": given.windows}


def register_writes(config: FrontConfig, arrays: Mapping[str, Any]) -> list[tuple[int, list[int]]]:
    """Settings, while samples do not count; then they do. Raises as `check`."""
    check(config, arrays)
    settings = settings_of(config, arrays) | {"run": 0}
    return [setting_write(config, name, value) for name, value in (*settings.items(), ("run", 1))]


def pack(config: FrontConfig, arrays: Mapping[str, Any]) -> dict[str, Beats]:
    """Traffic of the stream `samples`. Raises as `check`."""
    check(config, arrays)
    return {"samples": Beats(np.ascontiguousarray(arrays["samples"].astype("<i2")).view(np.uint8))}


def expected_beats(config: FrontConfig, arrays: Mapping[str, Any]) -> dict[str, int]:
    """Beats of the streams `event`, one a window, and `window`, one a code."""
    windows = len(_given(config, arrays).events)
    return {"event": windows, "window": windows * config.samples}


def unpack(config: FrontConfig, arrays: Mapping[str, Any], outputs: Mapping[str, Beats]) -> Arrays:
    """`OUTPUTS` out of the traffic of both output streams. Raises as `data_of`."""
    count = expected_beats(config, arrays)["event"]
    codes = data_of(outputs, "window", count * config.samples, 2)
    windows = np.ascontiguousarray(codes).view("<i2").astype(np.int16).reshape(count, config.samples)
    return events(data_of(outputs, "event", count, config.event_bits // 8)) | {"windows": windows}


def events(data: npt.NDArray[np.uint8]) -> Arrays:
    """`OUTPUTS` but the windows, out of beats of the stream `event`: uint8, (n, 16)."""
    found = np.ascontiguousarray(data).view(EVENT)[:, 0]
    time = (found["time"].astype(np.int64) << np.array([0, 16, 32])).sum(axis=1)
    return {"time": time} | {name: found[name].astype(OUTPUTS[name].dtype) for name in ("flags", "number", "baseline")}


def operations(config: FrontConfig, arrays: Mapping[str, Any]) -> int:
    """Multiplications and additions: offset, pole-zero and discriminator of each sample, the baseline of each code."""
    of_source = {"none": 0, "level": 1, "trapezoid": 5, "zero_crossing": 5}
    a_sample = 3 + of_source[SOURCES[settings_of(config, arrays)["source"]]]
    return a_sample * int(arrays["samples"].size) + expected_beats(config, arrays)["window"]


def random_arrays(config: FrontConfig, seed: int, items: int, apart: int = 0) -> Arrays:
    """`INPUTS` for the seed, with about `items` pulses: pulses that pile up and saturate, silence, codes of all sizes.

    No trigger finds the ring full: where some would, the hold-off is longer.

    Parameters
    ----------
    apart : samples more from a pulse to the next, on an average

    Raises
    ------
    ValueError
        If `items` is below 1.
    """
    if items < 1:
        raise ValueError(f"items must be at least 1, not {items}")
    rng = np.random.default_rng(seed)
    settings = random_settings(config, rng)
    samples = random_samples(config, rng, items, -1 if settings["invert"] else 1, apart)
    triggers = find(config, settings, samples.ravel()).triggers
    while not surely_kept(config, settings, triggers, CYCLES_A_CODE * config.samples).all():
        settings["hold_off"] = 2 * settings["hold_off"] + 16
        triggers = find(config, settings, samples.ravel()).triggers
    return {"samples": samples, "settings": np.array([settings[name] for name in config.setting_names], np.int64)}


def random_samples(
    config: FrontConfig, rng: np.random.Generator, items: int, polarity: Literal[1, -1], apart: int = 0
) -> npt.NDArray[np.int16]:
    """About `items` pulses in beats, int16 (beats, lanes), with silence before and after them."""
    full_scale = float(rng.choice([0.6, 1.25, 4.0]))
    setup = Setup(
        adc_bits=config.code_bits,
        full_scale=full_scale,
        polarity=polarity,
        baseline=full_scale * (0.5 - polarity * float(rng.uniform(0, 0.45))),
        baseline_walk=float(rng.choice([0, 0.02])),
        snr_db=float(rng.uniform(20, 60)),
        amplitude_least=0.2,
    )
    gap = int(rng.integers(16, 4 * config.samples + 16)) + apart
    sizes = [int(rng.integers(1, 6)) * FRAME_SAMPLES, items * gap, 2 * config.samples]
    parts = [
        stream(setup, size, pulses * setup.sample_rate_hz / size, int(rng.integers(1 << 32))).codes
        for size, pulses in zip(sizes, (0, items, 0), strict=True)
    ]
    codes = np.concatenate(parts).astype(np.int64)
    codes = codes[: len(codes) // config.lanes * config.lanes].reshape(-1, config.lanes)
    if rng.random() < 0.3:  # codes of all sizes, but not everywhere
        wild = integers(rng, config.code_bits, codes.shape) >> int(rng.integers(0, config.code_bits))
        codes = np.where((np.arange(len(codes)) // 200 % 3 == 1)[:, None], wild, codes)
    if rng.random() < 0.5:  # above a code's bits there may be anything
        codes = (codes & ((1 << config.code_bits) - 1)) | (
            rng.integers(-(1 << 15), 1 << 15, codes.shape) << config.code_bits
        )
    return codes.astype(np.int16)


def random_settings(config: FrontConfig, rng: np.random.Generator) -> dict[str, int]:
    """All settings: in most cases such as somebody would choose, in some of them anything."""
    span = 1 << config.code_bits
    source = SOURCES[int(rng.choice(4, p=[0.05, 0.35, 0.35, 0.25]))]
    rise = int(rng.integers(0, 32))
    height = span // 8 * (max(1, rise) if source in ("trapezoid", "zero_crossing") else 1)
    settings = {
        "run": 1,
        "invert": int(rng.random() < 0.3),
        "offset": int(rng.integers(-span, span)) >> int(rng.integers(1, 8)),
        "pole": int(rng.choice([0, int(rng.integers(0, 1 << 16)), 65000])),
        "code_least": -(span >> 1) + int(rng.integers(0, 2)),
        "code_most": (span >> 1) - 1 - int(rng.integers(0, span // 16)),
        "baseline_on": int(rng.random() < 0.8),
        "baseline_exponent": int(rng.integers(0, 10)),
        "gate_before": int(rng.integers(0, 32)),
        "gate_after": int(rng.integers(0, 24)),
        "source": SOURCES.index(source),
        "external_on": int(rng.random() < 0.5),
        "rise": rise,
        "flat": int(rng.integers(0, 32)),
        "threshold": int(rng.integers(0, height)),
        "hysteresis": int(rng.integers(0, height)),
        "hold_off": int(rng.integers(0, 3 * config.samples)),
        "inspect": int(rng.integers(0, 1 << int(rng.integers(1, 11)))),
        "period": int(rng.integers(0, 1 << int(rng.integers(3, 14)))) * int(rng.random() < 0.2),
    }
    if rng.random() < 0.3:
        for name in config.setting_names[1:]:
            low, high = setting_range(config, SIGNED_SETTINGS, name)
            if rng.random() < 0.3:
                settings[name] = int(rng.choice([low, high, int(rng.integers(low, high, endpoint=True))]))
    for name in ("offset", "code_least", "code_most", "threshold", "hysteresis"):
        low, high = setting_range(config, SIGNED_SETTINGS, name)
        settings[name] = min(max(settings[name], low), high)
    return settings


def _given(config: FrontConfig, arrays: Mapping[str, Any]) -> Given:
    settings = settings_of(config, arrays)
    return give(config, settings, find(config, settings, arrays["samples"].ravel()))
