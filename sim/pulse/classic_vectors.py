"""`pulse.classic` as arrays in and out, for every engine: settings and the table, then windows; records come back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from hdl.pulse.classic_config import SIGNED_SETTINGS, TABLE_ENTRIES, ClassicConfig
from hdl.pulse.config import ENERGY_BITS
from sim.common.beats import Beats, data_of
from sim.common.stimulus import integers
from sim.common.vectors import Arrays, ArraySpec, check_sizes
from sim.pulse.classic_model import estimate
from sim.pulse.settings import check_settings, setting_range, setting_write, settings_of
from sim.pulse.shapes import CrRc
from sim.pulse.windows import window_beats

LATENCY_BY_BENCH = True

INPUTS = {
    "windows": ArraySpec("int16", "(n, samples)", "codes"),
    "table": ArraySpec("int16", "(phases,)", "corrections of a CFD's time by its fraction of a sample, 2^-16 samples"),
    "settings": ArraySpec("int64", "(settings,)", "registers, in the order of the config's `setting_names`"),
}
OUTPUTS = {
    "time": ArraySpec("int32", "(n,)", "of the pulse, from the window's first sample, 2^-16 samples"),
    "energy": ArraySpec("int32", "(n,)", "as `energy_source` and `energy_exponent` say, 2^-8 codes (times samples)"),
    "psd": ArraySpec("int16", "(n,)", "short gate over long gate, 2^-15"),
    "flags": ArraySpec("uint8", "(n,)", "bits: 1 saturated, 5 no pulse, 6 no zero crossing"),
    "short": ArraySpec("int64", "(n,)", "charge in the short gate, 2^-8 codes times samples"),
}

RECORD = np.dtype([("time", "<i4"), ("energy", "<i4"), ("psd", "<i2"), ("flags", "u1"), ("short", "u1", 5)])
"""A beat of the stream `fit`."""


def check(config: ClassicConfig, arrays: Mapping[str, Any]) -> None:
    """Refuse arrays that are not `INPUTS` of this config, and settings that do not fit their registers.

    Raises
    ------
    ValueError
        With one line that names array, expected and received.
    """
    known = {"samples": config.samples, "phases": TABLE_ENTRIES, "settings": len(config.setting_names)}
    check_sizes(INPUTS, arrays, known)
    check_settings(config, SIGNED_SETTINGS, arrays)


def model(config: ClassicConfig, arrays: Mapping[str, Any]) -> Arrays:
    """`OUTPUTS` by the golden model. Raises as `check`."""
    check(config, arrays)
    found = estimate(config, settings_of(config, arrays), arrays["table"], arrays["windows"])
    return {name: found[name].astype(spec.dtype) for name, spec in OUTPUTS.items()}


def register_writes(config: ClassicConfig, arrays: Mapping[str, Any]) -> list[tuple[int, list[int]]]:
    """Settings, then the table. Raises as `check`."""
    check(config, arrays)
    registers = config.registers
    assert registers is not None
    writes = [setting_write(config, name, value) for name, value in settings_of(config, arrays).items()]
    address, data = (registers[name].offset_bytes for name in ("table_address", "table_data"))
    return [*writes, (address, [0]), (data, arrays["table"].view(np.uint16).tolist())]


def pack(config: ClassicConfig, arrays: Mapping[str, Any]) -> dict[str, Beats]:
    """Traffic of the stream `window`: a packet a window. Raises as `check`."""
    check(config, arrays)
    return {"window": window_beats(arrays["windows"])}


def expected_beats(config: ClassicConfig, arrays: Mapping[str, Any]) -> dict[str, int]:
    """Beats the stream `fit` gives: one a window."""
    return {"fit": len(arrays["windows"])}


def unpack(config: ClassicConfig, arrays: Mapping[str, Any], outputs: Mapping[str, Beats]) -> Arrays:
    """`OUTPUTS` out of the traffic of the stream `fit`. Raises as `data_of`."""
    return records(data_of(outputs, "fit", len(arrays["windows"]), config.record_bits // 8))


def records(data: npt.NDArray[np.uint8]) -> Arrays:
    """`OUTPUTS` out of beats: uint8, (n, 16)."""
    found = np.ascontiguousarray(data).view(RECORD)[:, 0]
    short = (found["short"].astype(np.int64) << np.arange(24, 64, 8)).sum(axis=1) >> 24
    return {name: found[name].copy() for name in OUTPUTS if name != "short"} | {"short": short}


def operations(config: ClassicConfig, arrays: Mapping[str, Any]) -> int:
    """Of each sample: a difference from the baseline and from the threshold, a multiplication and a difference of the
    CFD, four additions of the trapezoid, two of the gates."""
    return 10 * int(arrays["windows"].size)


def random_arrays(config: ClassicConfig, seed: int, items: int) -> Arrays:
    """`INPUTS` of `items` windows for the seed: pulses of all heights, noise, silence and codes at the ends; settings
    under which most pulses cross, or any.

    Raises
    ------
    ValueError
        If `items` is below 1.
    """
    if items < 1:
        raise ValueError(f"items must be at least 1, not {items}")
    rng = np.random.default_rng(seed)
    code_bits = int(rng.integers(6, 17))
    settings = _random_settings(config, rng, code_bits)
    if rng.random() < 0.3:
        for name in config.setting_names:
            low, high = setting_range(config, SIGNED_SETTINGS, name)
            settings[name] = int(rng.integers(low, high, endpoint=True)) if rng.random() < 0.5 else settings[name]
    return {
        "windows": _random_windows(config, rng, code_bits, items),
        "table": (integers(rng, 16, TABLE_ENTRIES) >> int(rng.integers(0, 16))).astype(np.int16),
        "settings": np.array([settings[name] for name in config.setting_names], np.int64),
    }


def _random_settings(config: ClassicConfig, rng: np.random.Generator, code_bits: int) -> dict[str, int]:
    """Such as suit pulses of so many bits."""
    half = 1 << (code_bits - 1)
    return {
        "baseline_exponent": int(rng.integers(0, 8) * (rng.random() < 0.6)),
        "time_source": int(rng.random() < 0.7),
        "threshold": int(rng.integers(-half // 16, half) << ENERGY_BITS) >> int(rng.integers(0, 6)),
        "delay": int(rng.integers(0, 12)),
        "fraction": int(rng.integers(0, 256)),
        "table_on": int(rng.random() < 0.7),
        "time_offset": int(rng.integers(-(1 << 24), 1 << 24)) >> int(rng.integers(0, 24)),
        "energy_source": int(rng.integers(0, 4)),
        "energy_exponent": int(rng.integers(0, 16)),
        "rise": int(rng.integers(0, min(64, config.samples // 2))),
        "flat": int(rng.integers(0, min(64, config.samples // 2))),
        "gate_start": int(rng.integers(0, config.samples)),
        "gate_long": int(rng.integers(0, config.samples)),
        "gate_short": int(rng.integers(0, config.samples // 2)),
        "code_least": -int(rng.integers(half // 2, 2 * half)) // 2,
        "code_most": int(rng.integers(half, 4 * half)) // 4,
    }


def _random_windows(config: ClassicConfig, rng: np.random.Generator, code_bits: int, items: int) -> npt.NDArray[Any]:
    """Pulses on noise, clipped; some windows are noise of all sizes alone, the same code over and over, or ends."""
    half = 1 << (code_bits - 1)
    shape = (items, config.samples)
    onset = rng.uniform(-2, config.samples, (items, 1))
    since = np.arange(config.samples) - onset
    pulse = CrRc(int(rng.integers(1, 4)), float(rng.uniform(0.5, 4))).value(since)
    noise = rng.normal(0, 1, shape) * half * 2.0 ** -rng.uniform(3, 16, (items, 1))
    level = rng.uniform(-0.5, 0.5, (items, 1)) * half * (rng.random() < 0.7)
    windows = level + half * rng.uniform(0.02, 1.3, (items, 1)) * pulse + noise
    kind = rng.random((items, 1))
    ends = rng.choice([-half, half - 1], shape)
    windows = np.where(kind < 0.1, integers(rng, 16, shape) >> (16 - code_bits), windows)
    windows = np.where((kind >= 0.1) & (kind < 0.15), ends, windows)
    windows = np.where((kind >= 0.15) & (kind < 0.2), ends[:, :1], windows)
    return np.clip(np.rint(windows), -half, half - 1).astype(np.int16)
