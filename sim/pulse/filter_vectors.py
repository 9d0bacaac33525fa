"""`pulse.filter` as arrays in and out, for every engine: settings and the bank, then windows; records come back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from hdl.pulse.config import FRACTION_BITS, MEMORIES, SIGNED_REGISTERS, FilterConfig
from sim.common.beats import Beats, data_of
from sim.common.stimulus import integers
from sim.common.vectors import Arrays, ArraySpec, check_sizes
from sim.pulse.filter_model import Bank, fit
from sim.pulse.settings import check_settings, setting_range, setting_write, settings_of
from sim.pulse.windows import window_beats

LATENCY_BY_BENCH = True

INPUTS = {
    "windows": ArraySpec("int16", "(n, samples)", "codes"),
    "weights": ArraySpec("int16", "(rows, places, taps)", "W of rows A, B, Z, with `shape` C; 16 phases a stretch"),
    "templates": ArraySpec("int16", "(templates, places, taps)", "T of rows A, B and, with `shape`, C; as W"),
    "settings": ArraySpec("int64", "(settings,)", "registers, in the order of the config's `setting_names`"),
}
OUTPUTS = {
    "time": ArraySpec("int32", "(n,)", "of the pulse, from the window's first sample, 2^-16 samples"),
    "energy": ArraySpec("int32", "(n,)", "amplitude, 2^-8 codes"),
    "shape": ArraySpec(
        "int16", "(n,)", "relative change of width, 2^-15; with `pairs` between two pulses, 2^-8 samples"
    ),
    "flags": ArraySpec("uint8", "(n,)", "bits: 0 pile-up, 1 saturated, 4 cut, 5 no pulse, 6 far"),
    "chi": ArraySpec("uint64", "(n,)", "sum of squared residuals, 2^-8 codes squared"),
}

RECORD = np.dtype([("time", "<i4"), ("energy", "<i4"), ("shape", "<i2"), ("flags", "u1"), ("chi", "u1", 5)])
"""A beat of the stream `fit`."""


def check(config: FilterConfig, arrays: Mapping[str, Any]) -> None:
    """Refuse arrays that are not `INPUTS` of this config, and settings that do not fit their registers.

    Raises
    ------
    ValueError
        With one line that names array, expected and received.
    """
    known = {"samples": config.samples, "rows": len(config.weight_rows), "places": config.places, "taps": config.taps}
    known |= {"templates": len(config.template_rows), "settings": len(config.setting_names)}
    check_sizes(INPUTS, arrays, known)
    check_settings(config, SIGNED_REGISTERS, arrays)


def model(config: FilterConfig, arrays: Mapping[str, Any]) -> Arrays:
    """`OUTPUTS` by the golden model. Raises as `check`."""
    check(config, arrays)
    bank = Bank(arrays["weights"], arrays["templates"])
    found = fit(config, settings_of(config, arrays), bank, arrays["windows"])
    return {name: found[name].astype(spec.dtype) for name, spec in OUTPUTS.items()}


def register_writes(config: FilterConfig, arrays: Mapping[str, Any]) -> list[tuple[int, list[int]]]:
    """Settings, then the bank row by row. Raises as `check`."""
    check(config, arrays)
    registers = config.registers
    assert registers is not None
    writes = [setting_write(config, name, value) for name, value in settings_of(config, arrays).items()]
    address, data = (registers[name].offset_bytes for name in ("bank_address", "bank_data"))
    for memory, rows in zip(MEMORIES, (config.weight_rows, config.template_rows), strict=True):
        for row, places in zip(rows, arrays[memory].view(np.uint16), strict=True):
            for place, words in enumerate(places.tolist()):
                writes += [(address, [config.bank_address(memory, row, place)]), (data, words)]
    return writes


def pack(config: FilterConfig, arrays: Mapping[str, Any]) -> dict[str, Beats]:
    """Traffic of the stream `window`: a packet a window. Raises as `check`."""
    check(config, arrays)
    return {"window": window_beats(arrays["windows"])}


def expected_beats(config: FilterConfig, arrays: Mapping[str, Any]) -> dict[str, int]:
    """Beats the stream `fit` gives: one a window."""
    return {"fit": len(arrays["windows"])}


def unpack(config: FilterConfig, arrays: Mapping[str, Any], outputs: Mapping[str, Beats]) -> Arrays:
    """`OUTPUTS` out of the traffic of the stream `fit`. Raises as `data_of`."""
    return records(data_of(outputs, "fit", len(arrays["windows"]), config.record_bits // 8))


def records(data: npt.NDArray[np.uint8]) -> Arrays:
    """`OUTPUTS` out of beats: uint8, (n, 16)."""
    found = np.ascontiguousarray(data).view(RECORD)[:, 0]
    chi = found["chi"].astype(np.uint64) << np.arange(0, 40, 8, dtype=np.uint64)
    return {name: found[name].copy() for name in OUTPUTS if name != "chi"} | {"chi": chi.sum(1, dtype=np.uint64)}


def operations(config: FilterConfig, arrays: Mapping[str, Any]) -> int:
    """Multiplications and additions: of the rows in every pass, of the fit and the residual's squares."""
    passes = max(1, settings_of(config, arrays)["passes"])
    products = passes * len(config.weight_rows) + len(config.template_rows) + 1
    return 2 * products * config.taps * len(arrays["windows"])


def random_arrays(config: FilterConfig, seed: int, items: int) -> Arrays:
    """`INPUTS` of `items` windows for the seed: windows, coefficients and settings of all sizes, extremes among them.

    What is not extreme is such that amplitudes are pulses', times move by less than the clamp, and residuals stay below
    saturation, in a good part of the windows.

    Raises
    ------
    ValueError
        If `items` is below 1.
    """
    if items < 1:
        raise ValueError(f"items must be at least 1, not {items}")
    rng = np.random.default_rng(seed)
    taps = config.taps
    code_bits = int(rng.integers(4, 17))
    windows = (integers(rng, 16, (items, config.samples)) >> (16 - code_bits)).astype(np.int16)
    weights = integers(rng, 16, (len(config.weight_rows), config.places, taps)).astype(np.int16)
    templates = integers(rng, 16, (len(config.template_rows), config.places, taps)).astype(np.int16)
    if rng.random() < 0.7:  # mostly pulses: where all rise alike, so does the amplitude
        weights[0] |= 0x4000
        weights[0] &= 0x7FFF
        windows = np.where(rng.random((items, 1)) < 0.7, np.abs(windows.astype(int)), windows)
        windows = np.clip(windows, -(2**15), 2**15 - 1).astype(np.int16)
    if rng.random() < 0.1:
        weights[:], templates[:] = 0, 0
    shift = int(rng.integers(4, 16))
    last_start = config.samples - taps
    settings = {
        "passes": int(rng.integers(0, 8)),
        "guess": (config.pre << FRACTION_BITS) + int(rng.integers(-(1 << 17), (last_start + 2) << FRACTION_BITS)),
        "exponent_template": int(rng.integers(10, 32)),
        "chi_base": int(rng.integers(0, 1 << int(rng.integers(1, 33)))),
        "chi_share": int(rng.integers(0, 1 << int(rng.integers(1, 33)))),
        "code_least": -int(rng.integers(0, 1 << code_bits)) >> 1,
        "code_most": int(rng.integers(0, 1 << code_bits)) >> 1,
        # Changes of width go up to 1.5; steps from where any goes to the ends up to where none moves.
        "stretch_step": int(rng.integers(0, 1 << int(rng.integers(1, 17)))),
        "pair_passes": int(rng.integers(0, 8)),
        "pair_offset": int(rng.integers(0, 1 << int(rng.integers(1, 21)))),
        "exponent_pair": int(rng.integers(2, 22)),
    } | {f"exponent_{row}": min(31, max(0, shift + int(rng.integers(-2, 3)))) for row in config.weight_rows}
    if rng.random() < 0.3:
        for name in config.setting_names:
            low, high = setting_range(config, SIGNED_REGISTERS, name)
            settings[name] = int(rng.integers(low, high, endpoint=True)) if rng.random() < 0.5 else settings[name]
    ordered = np.array([settings[name] for name in config.setting_names], np.int64)
    return {"windows": windows, "weights": weights, "templates": templates, "settings": ordered}
