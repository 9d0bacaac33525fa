"""From currents and temperature to what `sfq.network` is loaded with: bias currents, spreads, program.

Inference, all of it ours: a global factor scales every bias current of synapses and neurons, thresholds stay; a spread
is normal and independent for each synapse; the gray zone of a synapse goes with the square root of temperature, as the
variance of Johnson noise goes with temperature itself (no quantum floor); a neuron's drop goes with its kick.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import erf, pi, sqrt

import numpy as np
from numpy.typing import NDArray

from hdl.sfq.network_config import Currents, StochasticConfig
from hdl.sfq.neuromorphic import LEAK_BITS, PASS_BITS, UNITS_PER_UA, neuron_fit, synapse_fit
from sim.sfq.network_model import LEAST, MOST, Program, first_states

FITTED_K = 4.2
"""Temperature of the fits."""

MOST_FIELD = (1 << LEAK_BITS) - 1

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Conditions:
    """What a network works under, beside its currents.

    Attributes
    ----------
    bias : factor on every bias current
    spread : standard deviation of each synapse's current, as a share of it
    temperature_k : None for the config's
    """

    bias: float = 1.0
    spread: float = 0.0
    temperature_k: float | None = None


NOMINAL = Conditions()


def gray_zone_ua(temperature_k: float) -> float:
    """Width of a synapse's transfer curve."""
    return synapse_fit().gray_zone_ua * sqrt(temperature_k / FITTED_K)


def pass_probability(current_ua: Floats, temperature_k: float) -> Floats:
    """The share of pulses that pass, any shape."""
    z = sqrt(pi) * (current_ua - synapse_fit().threshold_ua) / gray_zone_ua(temperature_k)
    return (1 + _erf(z)) / 2


def synapse_currents(currents: Currents) -> Floats:
    """Of all synapses, in the order of `Program.thresholds`, uA."""
    return np.concatenate([np.ravel(layer.synapses_ua) for layer in currents.layers]).astype(np.float64)


def program(
    config: StochasticConfig,
    currents: Currents,
    conditions: Conditions = NOMINAL,
    seeds: NDArray[np.integer] | int | None = None,
) -> Program:
    """What a network is loaded with; for each of several seeds, if they are an array.

    A seed stands for the noise, and for the chip: the spread of its synapses. Thresholds are rounded to nearest even,
    as are the neurons' numbers, which saturate.
    """
    seeds = np.asarray(config.seed if seeds is None else seeds)
    synapses = synapse_currents(currents) * conditions.bias
    if conditions.spread:
        draws = [np.random.default_rng([7, int(seed)]).standard_normal(len(synapses)) for seed in np.ravel(seeds)]
        synapses = synapses * (1 + conditions.spread * np.reshape(draws, (*seeds.shape, -1)))
    shares = pass_probability(synapses, conditions.temperature_k or config.temperature_k)
    thresholds = np.rint(shares * (1 << PASS_BITS)).astype(np.int64)
    rows = [
        (kick, kick * neuron_fit().drop_ua / neuron_fit().kick_ua, np.exp(-config.slot_ps / tau), bias)
        for kick, tau, layer in zip(config.kicks_ua, config.taus_ps, currents.layers, strict=True)
        for bias in layer.neurons_ua
    ]
    kicks, drops, leaks, biases = np.array(rows).T
    numbers = [np.minimum(np.rint(one * UNITS_PER_UA), MOST_FIELD) for one in (kicks, drops)]
    numbers.append(np.minimum(np.rint(leaks * (1 << LEAK_BITS)), MOST_FIELD))
    threshold = neuron_fit().threshold_ua - biases * conditions.bias
    numbers.append(np.clip(np.rint(threshold * UNITS_PER_UA), LEAST, MOST))
    neurons = np.stack(numbers, axis=-1).astype(np.int64)
    return Program(thresholds, neurons, first_states(seeds, config.synapses))


def _erf(z: Floats) -> Floats:
    """The error function, any shape."""
    flat = np.array([erf(one) for one in np.ravel(z)])
    return np.reshape(flat, np.shape(z))
