"""What becomes of pulses on their way through channels, stage by stage: dead time, losses, rates.

Pulses come at random (Poisson); each stage holds one for as many cycles as the config says. Samples are not looked at,
so a second of data takes a moment. Knoll, Radiation Detection and Measurement, ch. 4, has dead time in closed form:
of a stage without a queue, n / (1 + n t) of n events a second are seen with t dead seconds each.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from hdl.pulse.channel_config import ChannelConfig

Floats = npt.NDArray[np.float64]

WINDOW_HALVES = 2
"""Windows that a filter has: one that it fits, one that comes in meanwhile."""


@dataclass(frozen=True)
class Stages:
    """A channel's stages, and the filter that it may share; in cycles of the clock, at one beat of samples a cycle.

    Attributes
    ----------
    over : a pulse is above the threshold so long, and cannot trigger again; one that comes meanwhile makes it longer
    hold_off : after a trigger there is no other
    complete : from a trigger to when its window can leave the ring, but for the inspection
    inspect : a window waits so long for another trigger, or until one comes
    ring : windows that it keeps
    read, between : a window leaves the ring; and before the channel's next one does
    turn : after any channel's window, before that of another
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
    turn: float = 0.0

    @classmethod
    def of(cls, config: ChannelConfig, *, over: float, hold_off: int, inspect: int, link: float = 0.0) -> Stages:
        """Of a config; `over`, `hold_off` and `inspect` in samples, `link` in cycles."""
        front, lanes, turn = config.front, config.front.lanes, float(config.channels > 1)
        return cls(
            over / lanes,
            hold_off / lanes,
            (front.samples - 1) / lanes + front.latency_cycles + turn,
            inspect / lanes,
            front.events,
            front.samples,
            front.window_cycles - front.samples,
            config.filter.latency_cycles,
            link,
            turn,
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


def follow(stages: Stages, times: Floats | Sequence[Floats], cycles: float) -> Outcome:
    """Pulses at these cycles, in order, through the stages; of each channel where there are several, and shares are
    their means."""
    pulses = [times] if isinstance(times, np.ndarray) else list(times)
    triggers = [_triggers(stages, each) for each in pulses]
    rings = [_Ring(stages, each) for each in triggers]
    filters = _Filter(stages, rings)
    channels = np.repeat(np.arange(len(rings)), [len(each) for each in triggers])
    all_triggers = np.concatenate(triggers)
    for place in np.argsort(all_triggers, kind="stable").tolist():
        filters.work(float(all_triggers[place]))
        rings[channels[place]].take(float(all_triggers[place]))
    filters.work(np.inf)
    shares = np.mean([ring.shares(cycles) for ring in rings], axis=0).tolist()
    lost, gone = sum(ring.lost for ring in rings), sum(len(ring.gone) for ring in rings)
    return Outcome(sum(map(len, pulses)), len(all_triggers), lost, gone, *shares)


class _Ring:
    """A channel's windows."""

    def __init__(self, stages: Stages, triggers: Floats):
        self._stages = stages
        self._triggers = triggers
        self._following = iter(np.append(triggers[1:], np.inf).tolist())
        self.waiting: deque[float] = deque()
        """When each window can be read."""
        self.gone: list[float] = []
        """When those that were read had left."""
        self._left = 0
        self._kept: list[float] = []
        self.lost = 0

    def take(self, trigger: float) -> None:
        """A trigger, when all that was read before it is known."""
        following = next(self._following)
        while self._left < len(self.gone) and self.gone[self._left] <= trigger:
            self._left += 1
        if len(self._kept) - self._left >= self._stages.ring:
            self.lost += 1
            return
        self._kept.append(trigger)
        self.waiting.append(trigger + max(self._stages.complete, min(self._stages.inspect, following - trigger)))

    def shares(self, cycles: float) -> list[float]:
        """Of cycles held off, with a full ring, and either."""
        held = [(trigger, trigger + self._stages.hold_off) for trigger in self._triggers.tolist()]
        # Full from the trigger that fills it until the window that was first then has left.
        size = self._stages.ring
        full = [(trigger, self.gone[place]) for place, trigger in enumerate(self._kept[size - 1 :])]
        full = [(trigger, end) for trigger, end in full if end > trigger]
        return [covered(spans, cycles) / cycles for spans in (held, full, held + full)]


class _Filter:
    """What reads the rings, in turn, and fits."""

    def __init__(self, stages: Stages, rings: Sequence[_Ring]):
        self._stages, self._rings = stages, rings
        self._last, self._free = 0, [-np.inf] * len(rings)
        self._read_ends, self._record_ends = -np.inf, [-np.inf] * WINDOW_HALVES

    def work(self, until: float) -> None:
        """Read and fit all windows whose turn begins before then."""
        stages, count = self._stages, len(self._rings)
        while True:
            ready = [
                max(ring.waiting[0], free) if ring.waiting else np.inf
                for ring, free in zip(self._rings, self._free, strict=True)
            ]
            turn_begins = max(min(ready), self._read_ends + stages.turn)
            if turn_begins >= until or turn_begins == np.inf:
                return
            turns = ((self._last + after) % count for after in range(1, count + 1))
            channel = self._last = next(each for each in turns if ready[each] <= turn_begins)
            self._read_ends = max(turn_begins, self._record_ends[0]) + stages.read
            self._free[channel] = self._read_ends + stages.between
            fitted = max(self._read_ends, self._record_ends[-1]) + stages.fit
            self._record_ends = [*self._record_ends[1:], max(fitted, self._record_ends[-1] + stages.link)]
            self._rings[channel].waiting.popleft()
            self._rings[channel].gone.append(self._read_ends)


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
