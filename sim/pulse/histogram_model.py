"""Golden model of `pulse.histogram`, bit for bit: "A histogram on paper" in hdl/pulse/README.md."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from hdl.pulse.config import FRACTION_BITS
from hdl.pulse.histogram_config import SOURCES, HistogramConfig

COUNTERS = ("accepted", "rejected", "under", "over")


class Counts(NamedTuple):
    """What was counted.

    Attributes
    ----------
    bins : int64 (bins,)
        Saturated counts.
    counters : int64 (4,)
        Records, in the order of `COUNTERS`, modulo 2^32.
    full : bool
        Whether a record fell into a bin that was full.
    """

    bins: npt.NDArray[np.int64]
    counters: npt.NDArray[np.int64]
    full: bool


def count(config: HistogramConfig, settings: Mapping[str, int], records: npt.NDArray[np.void]) -> Counts:
    """A histogram of records, `sim.pulse.channel_model.RECORD` (n,), that come after a reset, in this order."""
    accepted = accepts(settings, records)
    values = values_of(SOURCES[settings["source"]], records[accepted])
    places = (values - settings["low"]) >> settings["shift"]
    under, over = places < 0, places >= config.bins
    fallen = np.bincount(places[~under & ~over], minlength=config.bins)
    most = (1 << config.count_bits) - 1
    counters = np.array([accepted.sum(), (~accepted).sum(), under.sum(), over.sum()], np.int64)
    return Counts(np.minimum(fallen, most), counters & 0xFFFF_FFFF, bool((fallen > most).any()))


def accepts(settings: Mapping[str, int], records: npt.NDArray[np.void]) -> npt.NDArray[np.bool_]:
    """Which records are counted."""
    if not settings["run"]:
        return np.zeros(len(records), np.bool_)
    flags = (records["flags"] & settings["flags_mask"]) == settings["flags_value"]
    channel = (records["channel"] & settings["channel_mask"]) == settings["channel_value"]
    both: npt.NDArray[np.bool_] = flags & channel
    return both


def values_of(source: str, records: npt.NDArray[np.void]) -> npt.NDArray[np.int64]:
    """What accepted records are counted by: energy in 2^-8 codes, shape as the filter says it, fraction of the time in
    2^-16 samples, or the interval in samples since the record before; of the first one 2^31 - 1."""
    match source:
        case "energy" | "shape":
            return records[source].astype(np.int64)
        case "fraction":
            return records["time"] & ((1 << FRACTION_BITS) - 1)
        case _:
            most = (1 << HistogramConfig.value_bits - 1) - 1
            since = np.clip(np.diff(records["time"] >> FRACTION_BITS), -most - 1, most)
            return np.concatenate([[most], since])[: len(records)]
