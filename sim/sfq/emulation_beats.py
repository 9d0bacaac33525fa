"""Pulses as the traffic of `sfq.emulation`: a run is a packet in, and a packet out."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from hdl.sfq.config import EmulationConfig
from hdl.sfq.netlist import Stimulus
from sim.common.beats import Beats
from sim.sfq.event_model import Violation

Bits = npt.NDArray[np.uint8]
"""A bit an element."""


def pack(config: EmulationConfig, stimulus: Stimulus, until: int | None = None) -> Beats:
    """The packet of a run.

    Parameters
    ----------
    stimulus : ticks of the pulses by input wire
    until : the last tick that is looked at; None until nothing is on its way

    Raises
    ------
    ValueError
        If a time is no multiple of the step or does not fit `time_bits`.
    """
    inputs = config.plan.netlist.inputs
    pulses = [(time, inputs.index(wire)) for wire, times in stimulus.items() for time in times]
    kept = [(time, index) for time, index in pulses if until is None or time <= until]
    wrong = [time for time, _ in kept if time % config.step_ticks]
    if wrong:
        raise ValueError(f"times must be multiples of {config.step_ticks} ticks, not {min(wrong)}")
    highest = (1 << config.time_bits) - 1
    times = sorted({time // config.step_ticks for time, _ in kept})
    end = highest if until is None else until // config.step_ticks
    if max([*times, 0]) >= highest or end > highest:
        raise ValueError(f"times must be below {highest} steps, not {max([*times, end])}")
    row = {time: number for number, time in enumerate(times)}
    bits = np.zeros((len(times) + 1, config.stimulus_bits), np.uint8)
    bits[:, : config.time_bits] = _bits_of([*times, end], config.time_bits)
    for time, index in kept:
        bits[row[time // config.step_ticks], config.time_bits + index] = 1
    last = np.arange(len(bits)) == len(times)
    return Beats(np.packbits(bits, axis=1, bitorder="little"), last)


def unpack(config: EmulationConfig, beats: Beats) -> tuple[dict[str, list[int]], list[Violation]]:
    """The pulses at the outputs and the violations of one packet, in ticks and in the order of the event model.

    Raises
    ------
    ValueError
        If it is not one packet.
    """
    plan, last = config.plan, beats.last
    if last is None or not len(last) or np.flatnonzero(last).tolist() != [len(last) - 1]:
        raise ValueError("a run's captures must be one packet")
    bits = np.unpackbits(beats.data[:-1], axis=1, bitorder="little")
    time_bits, outputs, checks = config.time_bits, len(plan.netlist.outputs), len(plan.checks)
    times = [time * config.step_ticks for time in _numbers_of(bits[:, :time_bits])]
    pulsed, broken, order = np.split(bits[:, time_bits:], [outputs, outputs + checks], axis=1)
    pulses = {
        wire: [times[row] for row in np.flatnonzero(pulsed[:, index])]
        for index, wire in enumerate(plan.netlist.outputs)
    }
    violations: list[tuple[int, int, int, int, Violation]] = []
    owners = {instance.name: number for number, instance in enumerate(plan.netlist.instances)}
    low_of = np.cumsum([0, *(plan.cells[kind].order_bits for kind in plan.kind_of)])
    for row, check in np.argwhere(broken):
        instance, pin, rule = plan.checks[check]
        owner = owners[instance.name]
        kind = plan.cells[plan.kind_of[owner]]
        number = _numbers_of(order[row : row + 1, low_of[owner] : low_of[owner + 1]])[0]
        turn = kind.orders[number].index(pin)
        found = Violation(times[row], instance.name, instance.cell.name, pin, rule)
        violations.append((times[row], owner, turn, int(check), found))
    return pulses, [found for *_, found in sorted(violations, key=lambda one: one[:4])]


def _bits_of(numbers: Sequence[int], width: int) -> Bits:
    raw = b"".join(number.to_bytes(8, "little") for number in numbers)
    return np.unpackbits(np.frombuffer(raw, np.uint8).reshape(-1, 8), axis=1, bitorder="little")[:, :width]


def _numbers_of(bits: Bits) -> list[int]:
    """Numbers of rows of bits, the least significant first."""
    weights = [1 << place for place in range(bits.shape[1])]
    return [sum(weights[place] for place in np.flatnonzero(row)) for row in bits]
