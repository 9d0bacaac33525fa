"""`sfq.network` as arrays in and arrays out, for every engine: a program, then windows of pulses; counts come back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hdl.sfq.network_config import StochasticConfig
from hdl.sfq.network_packets import Packet
from hdl.sfq.neuromorphic import PASS_BITS, STATE_BITS
from sim.common.beats import Beats, data_of
from sim.common.stimulus import last_flags
from sim.common.vectors import Arrays, ArraySpec, check_sizes
from sim.sfq.network_model import DROP, KICK, LEAK, LEAST, MOST, THRESHOLD, Program, first_states, run
from sim.sfq.synapse_model import advance

INPUTS = {
    "pulses": ArraySpec("uint8", "(windows, slots, rails)", "a pulse or none: 1 or 0"),
    "thresholds": ArraySpec("uint32", "(synapses,)", "0..65536; layer by layer, neuron by neuron, input by input"),
    "neurons": ArraySpec("int32", "(neurons, 4)", "kick, drop, leak, threshold; layer by layer"),
    "states": ArraySpec("uint32", "(synapses,)", "first states of the synapses' generators, not 0"),
}
OUTPUTS = {"counts": ArraySpec("uint32", "(windows, outputs)", "pulses of the output neurons in each window")}

NEVER = MOST
"""Threshold of the neurons that fill up a group: no current is above it."""


def arrays_of(program: Program, pulses: NDArray[np.uint8]) -> Arrays:
    """`INPUTS` of a program of one run."""
    return {
        "pulses": pulses,
        "thresholds": program.thresholds.astype(np.uint32),
        "neurons": program.neurons.astype(np.int32),
        "states": program.states,
    }


def program_of(arrays: Mapping[str, Any]) -> Program:
    """The program among `INPUTS`."""
    return Program(arrays["thresholds"].astype(np.int64), arrays["neurons"].astype(np.int64), arrays["states"])


def check(config: StochasticConfig, arrays: Mapping[str, Any]) -> None:
    """Refuse arrays that are not `INPUTS` of this config.

    Raises
    ------
    ValueError
        With one line that names array, expected and received.
    """
    known = {"rails": config.rails, "synapses": config.synapses, "neurons": config.neurons, "4": 4}
    check_sizes(INPUTS, arrays, known)
    fields = dict(zip(("kick", "drop", "leak", "threshold"), arrays["neurons"].T, strict=True))
    ranges = {
        "pulses": (arrays["pulses"], 0, 1),
        "thresholds": (arrays["thresholds"], 0, 1 << PASS_BITS),
        "states": (arrays["states"], 1, 0xFFFFFFFF),
        **{f"neurons, {name},": (fields[name], 0, 0xFFFF) for name in ("kick", "drop", "leak")},
        "neurons, threshold,": (fields["threshold"], LEAST, MOST),
    }
    for name, (values, low, high) in ranges.items():
        if values.min() < low or values.max() > high:
            wrong = values[(values < low) | (values > high)][0]
            raise ValueError(f"{name} must be in {low}..{high}, not {wrong}")


def model(config: StochasticConfig, arrays: Mapping[str, Any]) -> Arrays:
    """`OUTPUTS` by the golden model. Raises as `check`."""
    check(config, arrays)
    counts, _ = run(config, program_of(arrays), arrays["pulses"])
    return {"counts": counts.astype(np.uint32)}


def pack(config: StochasticConfig, arrays: Mapping[str, Any]) -> dict[str, Beats]:
    """Traffic of the stream `x`: a packet of synapses, one of neurons, and one a window. Raises as `check`."""
    check(config, arrays)
    windows = [window_packet(config, window) for window in arrays["pulses"]]
    return {"x": beats_of(pack_program(config, arrays) + windows)}


def pack_program(config: StochasticConfig, arrays: Mapping[str, Any]) -> list[NDArray[np.uint32]]:
    """The packets of synapses and of neurons."""
    return [synapse_packet(config, arrays["thresholds"], arrays["states"]), neuron_packet(config, arrays["neurons"])]


def beats_of(packets: list[NDArray[np.uint32]]) -> Beats:
    """Packets of words as traffic of the stream `x`."""
    words = np.concatenate(packets).astype("<u4")
    return Beats(words.view(np.uint8).reshape(-1, 4), last_flags([len(packet) for packet in packets]))


def synapse_packet(
    config: StochasticConfig, thresholds: NDArray[np.uint32], states: NDArray[np.uint32]
) -> NDArray[np.uint32]:
    """Thresholds and states in the order of the rows; what fills up a group passes nothing."""
    parts, start = [], 0
    for groups, (neurons, inputs) in zip(config.groups, config.shapes, strict=True):
        words = np.zeros((groups * config.lanes, inputs, 2), np.uint32)
        part = slice(start, start + neurons * inputs)
        words[:neurons, :, 0] = thresholds[part].reshape(neurons, inputs)
        words[:neurons, :, 1] = states[part].reshape(neurons, inputs)
        parts.append(words.reshape(groups, config.lanes, inputs, 2).swapaxes(1, 2).ravel())
        start = part.stop
    return np.concatenate([np.array([Packet.SYNAPSES], np.uint32), *parts])


def neuron_packet(config: StochasticConfig, neurons: NDArray[np.int32]) -> NDArray[np.uint32]:
    """Two words a neuron; what fills up a group never fires."""
    parts, start = [], 0
    for groups, (count, _) in zip(config.groups, config.shapes, strict=True):
        rows = np.zeros((groups * config.lanes, 4), np.int64)
        rows[:, THRESHOLD] = NEVER
        rows[:count] = neurons[start : start + count]
        halves = (rows & 0xFFFF).astype(np.uint32)
        low, high = halves[:, [KICK, LEAK]], halves[:, [DROP, THRESHOLD]]
        parts.append((low | high << np.uint32(16)).ravel())
        start += count
    return np.concatenate([np.array([Packet.NEURONS], np.uint32), *parts])


def window_packet(config: StochasticConfig, pulses: NDArray[np.uint8]) -> NDArray[np.uint32]:
    """A window's slots, (slots, rails), a bit a rail."""
    bits = np.zeros((len(pulses), config.slot_words * config.word_bits), np.uint8)
    bits[:, : config.rails] = pulses
    words = np.packbits(bits, axis=1, bitorder="little").view("<u4").ravel()
    return np.concatenate([np.array([Packet.WINDOW], np.uint32), words.astype(np.uint32)])


def expected_beats(config: StochasticConfig, arrays: Mapping[str, Any]) -> dict[str, int]:
    """Beats that the stream `y` gives: one a window."""
    return {"y": len(arrays["pulses"])}


def unpack(config: StochasticConfig, arrays: Mapping[str, Any], outputs: Mapping[str, Beats]) -> Arrays:
    """`OUTPUTS` out of the traffic of the stream `y`. Raises as `data_of`."""
    size = config.count_bits // 8
    data = data_of(outputs, "y", len(arrays["pulses"]), config.outputs * size).reshape(-1, config.outputs, size)
    wide = np.zeros((*data.shape[:2], 4), np.uint8)
    wide[..., :size] = data
    return {"counts": wide.view("<u4")[..., 0].astype(np.uint32)}


def operations(config: StochasticConfig, arrays: Mapping[str, Any]) -> int:
    """Useful operations: one for each synapse in each slot."""
    windows, slots, _ = arrays["pulses"].shape
    return int(windows * slots * config.synapses)


def random_arrays(config: StochasticConfig, seed: int, items: int) -> Arrays:
    """`INPUTS` of `items` windows of 1 to 12 slots, of a random program.

    A quarter of the synapses has a threshold at an end of its range, another one that which its generator draws first.
    Neurons fire now and then; a quarter has extreme numbers, and another no memory and a threshold of whole kicks.

    Raises
    ------
    ValueError
        If `items` is below 1.
    """
    if items < 1:
        raise ValueError(f"items must be at least 1, not {items}")
    rng = np.random.default_rng(seed)
    slots = int(rng.integers(1, 13))
    rates = rng.choice([0.0, 0.2, 0.5, 1.0], (items, 1, config.rails))
    states = first_states(np.array(rng.integers(1 << 16)), config.synapses)
    kind = rng.integers(4, size=config.synapses)
    thresholds = np.select(
        [kind == 0, kind == 1],
        [rng.choice([0, 1, 1 << PASS_BITS], config.synapses), advance(states) >> np.uint32(STATE_BITS - PASS_BITS)],
        rng.integers(0, (1 << PASS_BITS) + 1, config.synapses),
    ).astype(np.int64)
    inputs = np.concatenate([np.full(neurons, inputs) for neurons, inputs in config.shapes])
    kicks = rng.integers(200, 1200, config.neurons) // np.sqrt(inputs).astype(int)
    neurons = np.stack(
        [
            kicks,
            rng.integers(0, 2 * kicks + 1),
            rng.integers(0, 1 << 16, config.neurons),
            kicks * inputs * rng.random(config.neurons),
        ],
        axis=1,
    ).astype(np.int64)
    kind = rng.integers(4, size=config.neurons)
    neurons[kind == 1, LEAK] = 0
    neurons[kind == 1, THRESHOLD] = (kicks * rng.integers(0, inputs + 1))[kind == 1]
    wild = kind == 0
    neurons[wild, :3] = rng.choice([0, 1, 0x7FFF, 0x8000, 0xFFFF], (wild.sum(), 3))
    neurons[wild, THRESHOLD] = rng.choice([LEAST, LEAST + 1, -1, 0, 1, MOST - 1, MOST], wild.sum())
    neurons[:, THRESHOLD] = np.clip(neurons[:, THRESHOLD], LEAST, MOST)
    pulses = (rng.random((items, slots, config.rails)) < rates).astype(np.uint8)
    return arrays_of(Program(thresholds, neurons, states), pulses)
