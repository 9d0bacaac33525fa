"""`pulse.histogram` as arrays in and out, for every engine: settings, then records, which come back; then the bins."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from hdl.pulse.histogram_config import HistogramConfig
from sim.common.beats import Beats, data_of
from sim.common.stimulus import integers
from sim.common.vectors import Arrays, ArraySpec, check_sizes
from sim.pulse.channel_model import RECORD
from sim.pulse.channel_vectors import RECORD_BYTES, parsed
from sim.pulse.histogram_model import COUNTERS, accepts, count
from sim.pulse.settings import check_settings, setting_range, setting_write, settings_of

INPUTS = {
    "records": ArraySpec("uint8", "(n, bytes)", "beats of the stream `record` of pulse.channel"),
    "settings": ArraySpec("int64", "(settings,)", "registers, in the order of the config's `setting_names`"),
}
OUTPUTS = {
    "records": ArraySpec("uint8", "(n, bytes)", "the same"),
    "bins": ArraySpec("uint32", "(bins,)", "records in each bin"),
    "counters": ArraySpec("uint32", "(counters,)", "records accepted, rejected, under the first bin, over the last"),
}


def check(config: HistogramConfig, arrays: Mapping[str, Any]) -> None:
    """Refuse arrays that are not `INPUTS` of this config, and settings that do not fit their registers.

    Raises
    ------
    ValueError
        With one line that names array, expected and received.
    """
    check_sizes(INPUTS, arrays, {"bytes": config.record_bits // 8, "settings": len(config.setting_names)})
    check_settings(config, config.signed_settings, arrays)


def model(config: HistogramConfig, arrays: Mapping[str, Any]) -> Arrays:
    """`OUTPUTS` by the golden model. Raises as `check`."""
    check(config, arrays)
    found = count(config, settings_of(config, arrays), fields(arrays["records"]))
    return {
        "records": arrays["records"].copy(),
        "bins": found.bins.astype(np.uint32),
        "counters": found.counters.astype(np.uint32),
    }


def fields(records: npt.NDArray[np.uint8]) -> npt.NDArray[np.void]:
    """Beats, uint8 (n, 16), as `RECORD` (n,)."""
    told, found = parsed(records), np.zeros(len(records), RECORD)
    for name in RECORD.names or ():
        found[name] = told[name]
    return found


def register_writes(config: HistogramConfig, arrays: Mapping[str, Any]) -> list[tuple[int, list[int]]]:
    """All bins to zero, then the settings, and the first bin to look at; records wait for it. Raises as `check`."""
    check(config, arrays)
    registers = config.registers
    assert registers is not None
    control, chosen = registers["control"], registers["bin"]
    settings = [setting_write(config, name, value) for name, value in settings_of(config, arrays).items()]
    return [(control.offset_bytes, [control["clear"].mask]), *settings, (chosen.offset_bytes, [0])]


def pack(config: HistogramConfig, arrays: Mapping[str, Any]) -> dict[str, Beats]:
    """Traffic of the stream `record`. Raises as `check`."""
    check(config, arrays)
    return {"record": Beats(np.ascontiguousarray(arrays["records"]))}


def expected_beats(config: HistogramConfig, arrays: Mapping[str, Any]) -> dict[str, int]:
    """Beats that the stream `counted` gives: as many as there are records."""
    return {"counted": len(arrays["records"])}


def unpack(config: HistogramConfig, arrays: Mapping[str, Any], outputs: Mapping[str, Beats]) -> Arrays:
    """The records out of the traffic of the stream `counted`. Raises as `data_of`."""
    return {"records": data_of(outputs, "counted", len(arrays["records"]), config.record_bits // 8)}


def register_reads(config: HistogramConfig, arrays: Mapping[str, Any]) -> list[tuple[int, int]]:
    """Counters, then every bin."""
    registers = config.registers
    assert registers is not None
    counters = [(registers[name].offset_bytes, 1) for name in COUNTERS]
    return [*counters, (registers["data"].offset_bytes, config.bins)]


def unpack_registers(config: HistogramConfig, arrays: Mapping[str, Any], words: list[list[int]]) -> Arrays:
    """The other `OUTPUTS`, out of what these reads gave."""
    *counters, bins = words
    return {"bins": np.array(bins, np.uint32), "counters": np.array(counters, np.uint32).reshape(-1)}


def operations(config: HistogramConfig, arrays: Mapping[str, Any]) -> int:
    """Of each record: a difference from the last, one from the first bin's edge, and an increment."""
    return 3 * len(arrays["records"])


def random_arrays(config: HistogramConfig, seed: int, items: int) -> Arrays:
    """`INPUTS` of `items` records for the seed: spectra that mostly fall into bins, or anything; few channels and
    flags, or all; times that go on, return, or jump.

    Raises
    ------
    ValueError
        If `items` is below 1.
    """
    if items < 1:
        raise ValueError(f"items must be at least 1, not {items}")
    rng = np.random.default_rng(seed)
    records = np.zeros(items, RECORD_BYTES)
    records["channel"] = rng.integers(0, 4, items) if rng.random() < 0.7 else integers(rng, 8, items, signed=False)
    records["flags"] = (
        rng.choice([0, 1, 3, 129], items) if rng.random() < 0.7 else integers(rng, 8, items, signed=False)
    )
    middle, width = int(rng.integers(-(1 << 22), 1 << 22)), 1 << int(rng.integers(0, 23))
    energy = np.clip(np.rint(rng.normal(middle, width, items)), -(1 << 23), (1 << 23) - 1).astype(np.int64)
    energy = np.where(rng.random(items) < 0.1, integers(rng, 24, items), energy)
    records["energy"] = energy[:, None] >> np.array([0, 8, 16]) & 0xFF
    records["shape"] = integers(rng, 16, items)
    since = rng.exponential(float(1 << int(rng.integers(17, 40))), items).astype(np.int64)
    since = np.where(rng.random(items) < 0.05, integers(rng, 60, items), since)
    records["time"] = np.cumsum(since, dtype=np.int64)  # it wraps
    records["sequence"] = np.arange(items) & 0xFF
    beats = records.view(np.uint8).reshape(items, -1)
    return {"records": beats, "settings": _random_settings(config, rng, beats)}


def _random_settings(
    config: HistogramConfig, rng: np.random.Generator, records: npt.NDArray[np.uint8]
) -> npt.NDArray[np.int64]:
    """Such that many records are accepted and fall into bins; each setting may be anything."""
    told = fields(records)
    source = int(rng.integers(0, 4))
    named = {0: told["energy"], 1: told["shape"], 2: told["time"] & 0xFFFF}
    values = named.get(source, np.diff(told["time"] >> 16, prepend=0)).astype(np.float64)
    low, high = np.quantile(values, [0.1, 0.9])
    bits = max(0, int(np.ceil(np.log2(max(1.0, (high - low) / config.bins)))))
    settings = {
        "run": 1,
        "source": source,
        "low": int(np.clip(low, -(1 << 31), (1 << 31) - 1)),
        "shift": min(31, bits),
        "flags_mask": int(rng.choice([0, 1, 2])),
        "flags_value": 0,
        "channel_mask": int(rng.choice([0, 1, 3])),
        "channel_value": 0,
    }
    if rng.random() < 0.5:
        settings["channel_value"] = settings["channel_mask"] & 1
    if rng.random() < 0.2:
        for name in config.setting_names:
            least, most = setting_range(config, config.signed_settings, name)
            if rng.random() < 0.4:
                settings[name] = int(rng.choice([least, most, int(rng.integers(least, most, endpoint=True))]))
    found = np.array([settings[name] for name in config.setting_names], np.int64)
    if settings["run"] and not accepts(settings, told).any():
        for name in ("flags_mask", "flags_value", "channel_mask", "channel_value"):
            found[config.setting_names.index(name)] = 0
    return found
