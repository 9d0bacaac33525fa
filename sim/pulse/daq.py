"""What becomes of pulses on their way through a channel, stage by stage: dead time, losses, rates.

Pulses come at random (Poisson); each stage holds one for as many cycles as the config says. Samples are not looked at,
so a second of data takes a moment. Knoll, Radiation Detection and Measurement, ch. 4, has dead time in closed form:
of a stage without a queue, n / (1 + n t) of n events a second are seen with t dead seconds each.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from hdl.pulse.channel_config import ChannelConfig

Floats = npt.NDArray[np.float64]

WINDOW_HALVES = 2
"""Windows that a filter has: one that it fits, one that comes in meanwhile."""


@dataclass(frozen=True)
class Stages:
    """A channel's stages, all in cycles of its clock; at one beat of samples a cycle.

    Attributes
    ----------
    over : a pulse is above the threshold so long, and cannot trigger again; one that comes meanwhile makes it longer
    hold_off : after a trigger there is no other
    complete : from a trigger to when its window can leave the ring, but for the inspection
    inspect : a window waits so long for another trigger, or until one comes
    ring : windows that it keeps
    read, between : a window leaves the ring; and before the next one does
    fit : from a window's last code to its record
    link : a record to the host; 0 is a host that is always ready
    """

    over: float
    hold_off: float
    complete: float
    inspect: float
    ring: int
    read: float
    between: float
    fit: float
    link: float = 0.0

    @classmethod
    def of(cls, config: ChannelConfig, *, over: float, hold_off: int, inspect: int, link: float = 0.0) -> Stages:
        """Of a config; `over`, `hold_off` and `inspect` in samples, `link` in cycles."""
        front, lanes = config.front, config.front.lanes
        return cls(
            over / lanes,
            hold_off / lanes,
            (front.samples - 1) / lanes + front.latency_cycles,
            inspect / lanes,
            front.events,
            front.samples,
            front.window_cycles - front.samples,
            config.filter.latency_cycles,
            link,
        )


@dataclass(frozen=True)
class Outcome:
    """Counts of events, and shares of all cycles.

    Attributes
    ----------
    pulses, triggers, lost, records : lost are triggers that found the ring full
    held_off, full : shares of cycles after a trigger, and with a full ring
    dead : the share in either
    """

    pulses: int
    triggers: int
    lost: int
    records: int
    held_off: float
    full: float
    dead: float


def follow(stages: Stages, times: Floats, cycles: float) -> Outcome:
    """Pulses at these cycles, in order, through the stages."""
    triggers = _triggers(stages, times)
    kept: list[float] = []  # of windows in the ring and after: when they have left it
    full: list[tuple[float, float]] = []
    left = taken = 0
    read_ends, record_ends = -np.inf, [-np.inf] * WINDOW_HALVES
    lost = 0
    after = np.append(triggers[1:], np.inf)
    for trigger, following in zip(triggers.tolist(), after.tolist(), strict=True):
        while left < len(kept) and kept[left] <= trigger:
            left += 1
        if len(kept) - left >= stages.ring:
            lost += 1
            continue
        ready = trigger + max(stages.complete, min(stages.inspect, following - trigger))
        begins = max(ready, read_ends + stages.between, record_ends[0])
        read_ends = begins + stages.read
        fitted = max(read_ends, record_ends[-1]) + stages.fit
        record_ends = [*record_ends[1:], max(fitted, record_ends[-1] + stages.link)]
        kept.append(read_ends)
        taken += 1
        if len(kept) - left >= stages.ring:
            full.append((trigger, kept[len(kept) - stages.ring]))
    held = [(trigger, trigger + stages.hold_off) for trigger in triggers.tolist()]
    shares = [covered(spans, cycles) / cycles for spans in (held, full, held + full)]
    return Outcome(len(times), len(triggers), lost, taken, *shares)


def random_times(rate: float, cycles: float, seed: int) -> Floats:
    """Pulses at random, `rate` of them a cycle on an average."""
    rng = np.random.default_rng(seed)
    return np.sort(rng.uniform(0, cycles, rng.poisson(rate * cycles)))


def _triggers(stages: Stages, times: Floats) -> Floats:
    """Pulses that trigger: the signal was below the threshold, and the last trigger is long enough ago."""
    fires = np.diff(times, prepend=-np.inf) > stages.over
    triggers, last = [], -np.inf
    for time in times[fires].tolist():
        if time - last > stages.hold_off:
            triggers.append(time)
            last = time
    return np.array(triggers)


def covered(spans: list[tuple[float, float]], most: float) -> float:
    """Length of what is in any of the spans, and below `most`."""
    length, end = 0.0, 0.0
    for begin, after in sorted(spans):
        length += max(0.0, min(after, most) - max(begin, end))
        end = max(end, min(after, most))
    return length
