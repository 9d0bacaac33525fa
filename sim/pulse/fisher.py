"""The Cramer-Rao bound: how well a pulse's time and amplitude can be known from a record, whatever the method.

A record is A s(t - t0) + b + n with noise of covariance C. Fisher's information is J = G' C^-1 G + P: G has the
derivatives by what is not known, P the inverse variances of what is known beforehand. No unbiased estimate has a
smaller variance than diag(J^-1). What the noise's dependence on the signal (jitter) tells by itself is left out. (Kay,
Estimation Theory, ch. 3; arXiv 2105.14687 for detectors.)
"""

from __future__ import annotations

from itertools import product
from typing import NamedTuple

import numpy as np

from sim.pulse.noise import covariance
from sim.pulse.setup import Setup
from sim.pulse.shapes import Floats

PHASES, AMPLITUDES, STRETCHES, DELAYS = 32, 8, 4, 8
"""Points at which a bound is averaged over what spreads."""

MOST_CONDITION = 1e14
"""Of a matrix of which float64 makes an inverse: records whose information is worse say nothing of a pulse."""


class Bound(NamedTuple):
    """Root of the mean variance over a set-up's spreads.

    Attributes
    ----------
    time_ps : float
        Of the onset; infinite where records say nothing of it.
    amplitude : float
        Relative to each pulse's own amplitude.
    """

    time_ps: float
    amplitude: float


def bound(setup: Setup, *, baseline_known: bool = False, stretch_known: bool = False) -> Bound:
    """The bound of a set-up, averaged over its onsets, amplitudes, stretches and pile-up.

    Parameters
    ----------
    baseline_known : bool
        Not fitted.
    stretch_known : bool
        Of each pulse. Else it is fitted where it spreads, and known beforehand as well as its spread says.
    """
    singles = _mean(setup, baseline_known, stretch_known, None)
    if not setup.pile_up_share:
        return _of(singles)
    delays = _uniform(setup.pile_up_least_ns, setup.pile_up_most_ns, DELAYS)
    share = setup.pile_up_share
    doubles = [weight * _mean(setup, baseline_known, stretch_known, delay) for delay, weight in delays]
    return _of((1 - share) * singles + share * np.sum(doubles, axis=0))


def information(
    setup: Setup,
    onset: float,
    pulses: list[tuple[float, float, float]],
    *,
    baseline_known: bool,
    stretch_known: bool,
) -> Floats:
    """J of one record: of t (ns) and A of each pulse, of its stretch where it spreads and is not known, at last of b.

    Parameters
    ----------
    onset : float
        Of the first, in samples.
    pulses : list of (delay_ns, amplitude, stretch)
        `delay_ns` after the first one's onset.
    """
    places = np.arange(setup.samples, dtype=np.float64)
    columns, priors, slope = [], [], np.zeros(setup.samples)
    for delay_ns, amplitude, stretch in pulses:
        since = ((places - onset) * setup.sample_ns - delay_ns) / (1 + stretch)
        value, of_time = setup.pulse.value(since), setup.pulse.slope(since) / (1 + stretch)
        columns += [-amplitude * of_time, value]
        priors += [0.0, 0.0]
        slope += amplitude * of_time
        if setup.stretch_spread and not stretch_known:
            columns.append(-amplitude * since * of_time)
            priors.append(3 / setup.stretch_spread**2)  # of a uniform spread
    if not baseline_known:
        columns.append(np.ones(setup.samples))
        priors.append(0.0)
    noise = covariance(setup) + np.diag((slope * setup.jitter_ps * 1e-3) ** 2)
    derivatives = np.stack(columns, axis=1)
    return np.asarray(derivatives.T @ np.linalg.solve(noise, derivatives) + np.diag(priors))


def _mean(setup: Setup, baseline_known: bool, stretch_known: bool, delay_ns: float | None) -> Floats:
    """Mean variances of t (ns^2) and of A, relative, over what spreads, of records with a second pulse or without."""
    spread = setup.onset_spread_samples
    # Over phases of the sampling the bound is periodic, and has a kink where a pulse's slope has a jump: plain points.
    phases = PHASES if spread else 1
    onsets = [(spread * (2 * (place + 0.5) / phases - 1), 1 / phases) for place in range(phases)]
    amplitudes = _uniform(setup.amplitude_least, 1, AMPLITUDES)
    stretches = _uniform(-setup.stretch_spread, setup.stretch_spread, STRETCHES)
    seconds: list[tuple[list[tuple[float, float, float]], float]] = [([], 1.0)]
    if delay_ns is not None:
        seconds = [([(delay_ns, each, 0.0)], weight) for each, weight in amplitudes]
    total = np.zeros(2)
    for (onset, p), (amplitude, q), (stretch, r), (second, s) in product(onsets, amplitudes, stretches, seconds):
        pulses = [(0.0, amplitude, stretch), *second]
        known = {"baseline_known": baseline_known, "stretch_known": stretch_known}
        found = information(setup, setup.pre_samples + onset, pulses, **known)
        if np.linalg.cond(found) > MOST_CONDITION:
            return np.full(2, np.inf)
        variances = np.diag(np.linalg.inv(found))
        total += p * q * r * s * np.array([variances[0], variances[1] / amplitude**2])
    return total


def _of(variances: Floats) -> Bound:
    return Bound(float(np.sqrt(variances[0])) * 1e3, float(np.sqrt(variances[1])))


def _uniform(first: float, last: float, count: int) -> list[tuple[float, float]]:
    """Points and weights of a mean over a range (Gauss and Legendre); one point where there is no spread."""
    if first == last:
        return [(first, 1.0)]
    points, weights = np.polynomial.legendre.leggauss(count)
    places = first + (last - first) * (points + 1) / 2
    return [(float(place), float(weight) / 2) for place, weight in zip(places, weights, strict=True)]
