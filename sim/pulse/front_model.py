"""Golden model of `pulse.front`, bit for bit: "The front end on paper" in hdl/pulse/README.md.

`find` says what there is in a stream of samples, `give` what comes out of it once it is known which triggers found the
ring full; that depends on the clock, not on samples, and `surely_kept` says which ones cannot have.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from hdl.pulse.front_config import FRAME_SAMPLES, GROUP_SAMPLES, LEAST_HOLD_OFF, SOURCES, FrontConfig
from sim.pulse.filter_model import PILE_UP, SATURATED, Ints, rs, saturated

Bools = npt.NDArray[np.bool_]

EVENT = np.dtype([("time", "<i8"), ("flags", "u1"), ("number", "<u4"), ("baseline", "<i4")])
"""Of a window: number of its trigger sample, flags, number of the trigger, baseline in 2^-8 codes."""

UNSETTLED = 1 << 3
"""Flag of an event whose frame has no baseline yet; the filter's `PILE_UP` and `SATURATED` are the others."""

PERIOD_STEP = 4
"""Samples, of which a period is a multiple."""

FRAME_GROUPS = FRAME_SAMPLES // GROUP_SAMPLES
BASELINE_DELAY_FRAMES = 2
LEAST_EXPONENT = 2
NO_GROUP = -(1 << 40)
"""Of a trigger, before there is one."""

COUNTERS = ("triggers", "windows", "lost", "pile_ups", "saturated", "live", "dead")


class Found(NamedTuple):
    """What there is in a stream, whatever is lost of it.

    Attributes
    ----------
    signal : int64 (samples,)
        v.
    outside : bool (samples,)
        Samples that are saturated.
    baseline, settled : int64 (frames,), bool (frames,)
        Of each frame that has begun.
    triggers : int64 (triggers,)
        Their samples.
    """

    signal: Ints
    outside: Bools
    baseline: Ints
    settled: Bools
    triggers: Ints


class Given(NamedTuple):
    """What comes out.

    Attributes
    ----------
    events : `EVENT` (windows,)
    windows : int16 (windows, samples)
    counters : dict
        The registers of `COUNTERS` when all that can go out was taken. `live` and `dead` are those of a ring that was
        never full: one that was has so many samples more that are dead, not live.
    """

    events: npt.NDArray[np.void]
    windows: npt.NDArray[np.int16]
    counters: dict[str, int]


def find(
    config: FrontConfig,
    settings: Mapping[str, int],
    samples: npt.NDArray[np.int16],
    external: Bools | None = None,
) -> Found:
    """Triggers and baselines.

    Parameters
    ----------
    settings : mapping
        Those of `FrontConfig.setting_names`; `run` is 1 for all samples, whatever it says.
    samples : int16 (samples,)
        From the first one that counts.
    external : bool (samples,)
        The input of that name; all 0 if left out.
    """
    codes = _codes(config, samples)
    outside = (codes <= settings["code_least"]) | (codes >= settings["code_most"])
    signal = _signal(settings, codes)
    compared = _compared(settings, signal)
    rising = np.zeros(len(codes), np.bool_)
    if settings["external_on"] and external is not None:
        rising = external & ~np.concatenate([[False], external[:-1]])
    if period := settings["period"] // PERIOD_STEP * PERIOD_STEP:
        rising[FRAME_SAMPLES::period] = True
    level = SOURCES[settings["source"]] == "level"
    follower, discriminator = _Follower(settings, signal), _Discriminator(settings)
    frames = -(-len(codes) // FRAME_SAMPLES)
    baseline, settled = np.zeros(frames, np.int64), np.zeros(frames, np.bool_)
    triggers: list[int] = []
    for frame in range(frames):
        baseline[frame], settled[frame] = follower.of_frame(frame)
        new: list[int] = []
        if frame:
            span = slice(frame * FRAME_SAMPLES, (frame + 1) * FRAME_SAMPLES)
            below = rs(baseline[frame], config.baseline_fraction_bits) if level else 0
            new = discriminator.triggers(compared[span] - below, rising[span], span.start)
        follower.follow(frame, np.array(new, np.int64))
        triggers += new
    return Found(signal, outside, baseline, settled, np.array(triggers, np.int64))


def give(
    config: FrontConfig,
    settings: Mapping[str, int],
    found: Found,
    lost: Collection[int] = (),
    *,
    stopped: bool = False,
) -> Given:
    """Events and windows, and the counters then.

    Parameters
    ----------
    lost : collection of int
        Numbers of the triggers that found the ring full.
    stopped : bool
        `run` was set to 0 after the last sample; else it goes on, and what is not complete is still in the ring.
    """
    times, inspect = found.triggers, settings["inspect"]
    count = len(times)
    near = np.diff(times) <= inspect
    after_another, before_another = np.concatenate([[False], near])[:count], np.concatenate([near, [False]])[:count]
    kept = np.ones(count, np.bool_)
    kept[list(lost)] = False
    whole = times + config.samples - 1 < len(found.signal)
    inspected = _inspected(settings, times) < len(found.signal)
    out = kept & whole & (inspected | stopped)

    first = times[out] - config.pre
    frame = times[out] // FRAME_SAMPLES
    baseline = found.baseline[frame]
    taken = found.signal[first[:, None] + np.arange(config.samples)]
    outside = np.concatenate([[0], np.cumsum(found.outside)])
    events = np.zeros(len(first), EVENT)
    events["time"], events["number"], events["baseline"] = times[out], np.flatnonzero(out), baseline
    events["flags"] = (
        PILE_UP * (after_another | before_another)[out]
        | SATURATED * (outside[first + config.samples] > outside[first])
        | UNSETTLED * ~found.settled[frame]
    )
    windows = saturated(taken - rs(baseline, config.baseline_fraction_bits)[:, None], config.sample_bits)

    live = _live(settings, times, len(found.signal))
    counters = {
        "triggers": count,
        "windows": len(first),
        "lost": int((~kept).sum()) + (int((kept & ~whole).sum()) if stopped else 0),
        "pile_ups": int(after_another.sum()),
        "saturated": int(found.outside.sum()),
        "live": live,
        "dead": len(found.signal) - live,
    }
    return Given(events, windows.astype(np.int16), counters)


def surely_kept(
    config: FrontConfig, settings: Mapping[str, int], triggers: Ints, window_cycles: int, beat_cycles: int = 1
) -> Bools:
    """Which triggers cannot find the ring full.

    A window waits for its last sample, the inspection and the window before, and then a latency at most; it is gone
    when all its codes are.

    Parameters
    ----------
    window_cycles : in which a window and its event are taken, at most
    beat_cycles : from a beat of samples to the next, on an average
    """
    gone = np.zeros(len(triggers), np.int64)
    if len(triggers):
        complete = np.maximum(triggers + config.samples - 1, _inspected(settings, triggers))
        pace = window_cycles + config.latency_cycles
        turns = pace * np.arange(1, len(triggers) + 1)
        gone = np.maximum.accumulate(complete * beat_cycles // config.lanes + pace - turns) + turns
    kept = np.ones(len(triggers), np.bool_)
    kept[config.events :] = gone[: -config.events] < triggers[config.events :] * beat_cycles // config.lanes
    return kept


def _codes(config: FrontConfig, samples: npt.NDArray[np.int16]) -> Ints:
    """The lowest bits of each lane."""
    spare = 64 - config.code_bits
    return (samples.astype(np.int64) << spare) >> spare


def _signal(settings: Mapping[str, int], codes: Ints) -> Ints:
    """v: polarity, offset and pole-zero."""
    u = saturated((-codes if settings["invert"] else codes) + settings["offset"], FrontConfig.sample_bits)
    before = np.concatenate([[0], u[:-1]])
    return saturated(u - rs(settings["pole"] * before, 16), FrontConfig.sample_bits)


def _compared(settings: Mapping[str, int], signal: Ints) -> Ints:
    """d, but for the level's baseline."""
    if SOURCES[settings["source"]] in ("none", "level"):
        return signal
    rise, flat = max(1, settings["rise"]), settings["flat"]
    sums = np.concatenate([np.zeros(2 * rise + flat, np.int64), np.cumsum(signal)])
    moving = sums[rise:] - sums[:-rise]
    return np.asarray(moving[rise + flat :] - moving[: len(signal)])


class _Discriminator:
    """Candidates and triggers, frame by frame."""

    def __init__(self, settings: Mapping[str, int]):
        self._source = SOURCES[settings["source"]]
        self._threshold, self._hysteresis = settings["threshold"], settings["hysteresis"]
        self._hold_off = _hold_off(settings)
        self._armed = False
        self._free = 0  # the first sample at which there may be a trigger

    def triggers(self, d: Ints, rising: Bools, start: int) -> list[int]:
        """Triggers of the samples from `start` on, candidates of the external input with them."""
        candidates = rising if self._source == "none" else rising | self._candidates(d)
        found = []
        for sample in (np.flatnonzero(candidates) + start).tolist():
            if sample >= self._free:
                found.append(sample)
                self._free = sample + self._hold_off + 1
        return found

    def _candidates(self, d: Ints) -> Bools:
        """Samples that fire while a is 1. One that both sets and fires turns a round: a 1 is a candidate's and becomes
        0, a 0 becomes 1."""
        if self._source == "zero_crossing":
            sets, fires = d >= self._threshold, d <= 0
        else:
            sets, fires = d < self._threshold - self._hysteresis, d >= self._threshold
        both, one = sets & fires, sets ^ fires
        last = np.maximum.accumulate(np.where(one, np.arange(len(d)), -1))
        turns = np.cumsum(both)
        since: Ints = turns - np.where(last < 0, 0, turns[last])
        armed = np.where(last < 0, self._armed, sets[last]) ^ (since % 2 == 1)
        before = np.concatenate([[self._armed], armed[:-1]])
        self._armed = bool(armed[-1])
        return before & fires


class _Follower:
    """The baseline, frame by frame."""

    def __init__(self, settings: Mapping[str, int], signal: Ints):
        self._on = bool(settings["baseline_on"])
        self._exponent = max(LEAST_EXPONENT, settings["baseline_exponent"])
        self._before, self._after = settings["gate_before"], settings["gate_after"]
        whole = len(signal) // GROUP_SAMPLES
        self._sums = signal[: whole * GROUP_SAMPLES].reshape(whole, GROUP_SAMPLES).sum(axis=1)
        self._last_trigger = NO_GROUP
        self._groups, self._sum = 0, 0
        self._means: list[tuple[int, bool]] = []  # the last one complete with each frame

    def of_frame(self, frame: int) -> tuple[int, bool]:
        """Its baseline, and whether there is one."""
        if not self._on:
            return 0, True
        return self._means[frame - BASELINE_DELAY_FRAMES] if frame >= BASELINE_DELAY_FRAMES else (0, False)

    def follow(self, frame: int, triggers: Ints) -> None:
        """Add a frame's quiet groups, those first whose turn comes in it."""
        mean = self._means[-1] if self._means else (0, False)
        if self._on and frame:
            turns = np.arange(frame * FRAME_GROUPS, min((frame + 1) * FRAME_GROUPS, len(self._sums)))
            last = np.full(FRAME_GROUPS, self._last_trigger)
            last[triggers // GROUP_SAMPLES - frame * FRAME_GROUPS] = triggers // GROUP_SAMPLES
            last = np.maximum.accumulate(last)
            self._last_trigger = int(last[-1])
            groups = turns - self._before
            mean = self._add(self._sums[groups[last[: len(turns)] < groups - self._after]], mean)
        self._means.append(mean)

    def _add(self, sums: Ints, mean: tuple[int, bool]) -> tuple[int, bool]:
        """The last mean once these groups are added."""
        of_mean = 1 << (self._exponent - LEAST_EXPONENT)  # groups
        running = self._sum + np.cumsum(sums)
        ends = np.arange(of_mean - self._groups - 1, len(sums), of_mean)
        self._groups = (self._groups + len(sums)) % of_mean
        if len(sums):
            self._sum = int(running[-1])
        if len(ends):
            done = running[ends]
            total = done[-1] - (done[-2] if len(done) > 1 else 0)
            self._sum -= int(done[-1])
            mean = int(rs(total << FrontConfig.baseline_fraction_bits, self._exponent)), True
        return mean


def _hold_off(settings: Mapping[str, int]) -> int:
    """h."""
    return max(LEAST_HOLD_OFF, settings["hold_off"])


def _inspected(settings: Mapping[str, int], times: Ints) -> Ints:
    """The sample with which each trigger's pile-ups are known."""
    another = np.append(times[1:], np.iinfo(np.int64).max)[: len(times)]
    return np.asarray(np.minimum(times + settings["inspect"], another))


def _live(settings: Mapping[str, int], times: Ints, samples: int) -> int:
    """Samples at which a candidate would be a trigger."""
    blocked = np.minimum(_hold_off(settings), samples - 1 - times)
    return max(0, samples - FRAME_SAMPLES) - int(blocked.sum())
