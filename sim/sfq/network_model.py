"""Golden model of `sfq.network`: the counts of its output neurons, bit for bit, without a clock.

Synapses are those of `hdl/sfq/neuromorphic.py`: a generator that moves on with each pulse that comes. Neurons are its
neurons at one time a slot: I becomes `(I leak + 2^15) >> 16`, plus a kick for every pulse of the slot; where that is
above the threshold, which is the fitted one less the bias, the neuron fires once and I loses `drop`. Currents saturate
at 16 bits, signed.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hdl.sfq.network_config import StochasticConfig
from hdl.sfq.neuromorphic import CURRENT_BITS, LEAK_BITS, PASS_BITS, STATE_BITS, WARM_UP
from sim.sfq.synapse_model import advance

LEAST, MOST = -(1 << CURRENT_BITS - 1), (1 << CURRENT_BITS - 1) - 1
KICK, DROP, LEAK, THRESHOLD = range(4)
"""Columns of the neurons' numbers."""


@dataclass(frozen=True)
class Program:
    """What a network is loaded with, for one run or for many beside each other.

    Attributes
    ----------
    thresholds : int64, (..., synapses), 0..65536
        Layer by layer, neuron by neuron, input by input.
    neurons : int64, (..., neurons, 4)
        Kick, drop and leak, 0..65535, and threshold, -32768..32767; layer by layer.
    states : uint32, (..., synapses)
        Of the synapses' generators, not 0.
    """

    thresholds: NDArray[np.int64]
    neurons: NDArray[np.int64]
    states: NDArray[np.uint32]


def first_states(seeds: NDArray[np.integer], synapses: int) -> NDArray[np.uint32]:
    """What the generators of networks begin with: seeds (...) -> (..., synapses)."""
    index = np.arange(synapses, dtype=np.uint64)
    mixed = np.asarray(seeds, np.uint64)[..., None] * np.uint64(0x9E3779B9) + index * np.uint64(0x85EBCA6B)
    state = ((mixed + np.uint64(1)) % np.uint64(1 << STATE_BITS)).astype(np.uint32)
    state[state == 0] = 1
    for _ in range(WARM_UP):
        state = advance(state)
    return state


def run(
    config: StochasticConfig, program: Program, pulses: NDArray[np.uint8]
) -> tuple[NDArray[np.int64], NDArray[np.uint32]]:
    """Pulses of the output neurons in each window, and the generators' states at the end.

    Parameters
    ----------
    pulses : uint8, (..., windows, slots, rails), 0 or 1
        All windows of a run follow one another; the axes before are runs, those of `program` or broadcast with them.

    Returns
    -------
    counts : int64, (..., windows, outputs)
        At most `2 ** config.count_bits - 1`.
    states : uint32, (..., synapses)
    """
    layers = _layers(config, program)
    runs = np.broadcast_shapes(pulses.shape[:-3], program.thresholds.shape[:-1], program.states.shape[:-1])
    windows, slots = pulses.shape[-3:-1]
    states = [np.broadcast_to(part, (*runs, *part.shape[-2:])).copy() for _, _, part in layers]
    counts = np.zeros((*runs, windows, config.outputs), np.int64)
    for window in range(windows):
        loops = [np.zeros((*runs, neurons), np.int64) for neurons, _ in config.shapes]
        for slot in range(slots):
            rails = np.broadcast_to(pulses[..., window, slot, :], (*runs, config.rails)).astype(bool)
            for number, (thresholds, neurons, _) in enumerate(layers):
                passes = _transmit(thresholds, states[number], rails)
                rails, loops[number] = fire(neurons, loops[number], passes)
            counts[..., window, :] += rails
    most = (1 << config.count_bits) - 1
    return np.minimum(counts, most), np.concatenate([part.reshape(*runs, -1) for part in states], axis=-1)


def fire(
    neurons: NDArray[np.int64], current: NDArray[np.int64], passes: NDArray[np.int64]
) -> tuple[NDArray[np.bool_], NDArray[np.int64]]:
    """Which neurons fire in a slot, and their loop currents after it: (..., neurons, 4), (..., neurons) twice."""
    left = current * neurons[..., LEAK] + (1 << LEAK_BITS - 1) >> LEAK_BITS
    left = np.clip(left + passes * neurons[..., KICK], LEAST, MOST)
    fires = left > neurons[..., THRESHOLD]
    return fires, np.clip(left - fires * neurons[..., DROP], LEAST, MOST)


def _transmit(thresholds: NDArray[np.int64], states: NDArray[np.uint32], rails: NDArray[np.bool_]) -> NDArray[np.int64]:
    """How many pulses come to each neuron: thresholds and states (..., neurons, inputs), rails (..., inputs).

    The states move on in place.
    """
    moved = advance(states)
    comes = np.broadcast_to(rails[..., None, :], states.shape)
    np.copyto(states, moved, where=comes)
    passed = comes & (moved >> np.uint32(STATE_BITS - PASS_BITS) < thresholds)
    return np.asarray(passed.sum(axis=-1, dtype=np.int64))


def _layers(
    config: StochasticConfig, program: Program
) -> list[tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.uint32]]]:
    """Thresholds (..., neurons, inputs), neurons (..., neurons, 4) and states (..., neurons, inputs) of each layer."""
    found, synapse, neuron = [], 0, 0
    for neurons, inputs in config.shapes:
        part = slice(synapse, synapse + neurons * inputs)
        thresholds = program.thresholds[..., part].reshape(*program.thresholds.shape[:-1], neurons, inputs)
        states = program.states[..., part].reshape(*program.states.shape[:-1], neurons, inputs)
        found.append((thresholds, program.neurons[..., neuron : neuron + neurons, :], states))
        synapse, neuron = part.stop, neuron + neurons
    return found
