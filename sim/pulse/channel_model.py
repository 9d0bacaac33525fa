"""Golden model of `pulse.channel`, bit for bit: "A channel on paper" in hdl/pulse/README.md."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from hdl.pulse.channel_config import ChannelConfig
from hdl.pulse.config import FRACTION_BITS
from sim.pulse import filter_model, front_model
from sim.pulse.filter_model import Bank, saturated
from sim.pulse.front_model import Bools

RECORD = np.dtype(
    [("channel", "u1"), ("flags", "u1"), ("time", "<i8"), ("energy", "<i4"), ("shape", "<i2"), ("sequence", "u1")]
)
"""Time in 2^-16 samples, energy in 2^-8 codes, shape in 2^-15."""

LOST_BEFORE = 1 << 7
"""Flag of a record before which triggers were lost; the others are the front end's and the filter's."""


class Settings(NamedTuple):
    """What a channel is set to: its number, settings of the front end and of the filter, the filter's coefficients."""

    channel: int
    front: Mapping[str, int]
    filter: Mapping[str, int]
    bank: Bank


def records(
    config: ChannelConfig,
    settings: Settings,
    samples: npt.NDArray[np.int16],
    lost: Collection[int] = (),
    external: Bools | None = None,
    *,
    stopped: bool = False,
) -> npt.NDArray[np.void]:
    """`RECORD` (pulses,) of a stream of samples, int16 (samples,); all else as of the front end's model."""
    found = front_model.find(config.front, settings.front, samples, external)
    given = front_model.give(config.front, settings.front, found, lost, stopped=stopped)
    fits = filter_model.fit(config.filter, settings.filter, settings.bank, given.windows)
    events = given.events
    result = np.zeros(len(events), RECORD)
    result["channel"] = settings.channel
    result["time"] = ((events["time"] - config.front.pre) << FRACTION_BITS) + fits["time"]
    result["energy"] = saturated(fits["energy"].astype(np.int64), config.energy_bits)
    result["shape"] = fits["shape"]
    result["sequence"] = events["number"] & 0xFF
    number = events["number"].astype(np.int64)
    follows = (number == 0) | (np.diff(number, prepend=-1) == 1)
    result["flags"] = events["flags"] | fits["flags"] | np.where(follows, 0, LOST_BEFORE)
    return result


def record_cycles(config: ChannelConfig, settings: Mapping[str, int]) -> int:
    """From a record to the next one where windows wait, at most: those of a fit with the filter's `settings`."""
    passes, both = max(1, settings["passes"]), settings.get("pair_passes", 0)
    longer = config.filter.pair_cycles(passes, both, settings["exponent_template"]) if both else 0
    return config.filter.fit_cycles(passes) + longer
