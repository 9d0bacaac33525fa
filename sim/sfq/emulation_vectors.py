"""`sfq.emulation` as arrays in and arrays out, for every engine: the pulses of one run, and what came of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from hdl.sfq.config import EmulationConfig
from hdl.sfq.netlist import Stimulus
from sim.common.beats import Beats
from sim.common.vectors import Arrays, ArraySpec, check_arrays
from sim.sfq import emulation_beats
from sim.sfq.event_model import Violation, run

INPUTS = {
    "pulse_time": ArraySpec("int64", "(n,)", "ticks of the pulses at the inputs"),
    "pulse_input": ArraySpec("int64", "(n,)", "which input each is at: its index in the netlist's inputs"),
    "until": ArraySpec("int64", "(one,)", "the last tick that is looked at; -1: until nothing is on its way"),
}
OUTPUTS = {
    "time": ArraySpec("int64", "(p,)", "ticks of the pulses at the outputs, increasing at each output"),
    "output": ArraySpec("int64", "(p,)", "which output each is at: its index in the netlist's outputs, ascending"),
    "violation_time": ArraySpec("int64", "(v,)", "ticks of the violations, in the order of the event model"),
    "violation_check": ArraySpec("int64", "(v,)", "which check each failed: its bit in a capture beat"),
}

REST_TICKS = 2000
"""Between the last pulse of a random run and its end."""


def check(config: EmulationConfig, arrays: Mapping[str, Any]) -> None:
    """Refuse arrays that are not `INPUTS`.

    Raises
    ------
    ValueError
        With one line that names array, expected and received.
    """
    sizes = check_arrays(INPUTS, arrays)
    if sizes["one"] != 1:
        raise ValueError(f"until must be int64 (1,), not int64 ({sizes['one']},)")
    times, inputs, until = (arrays[name] for name in INPUTS)
    highest = ((1 << config.time_bits) - 1) * config.step_ticks
    for name, values, least, most in (
        ("pulse_time", times, 0, highest - 1),
        ("pulse_input", inputs, 0, len(config.plan.netlist.inputs) - 1),
        ("until", until, -1, highest - 1),
    ):
        wrong = values[(values < least) | (values > most)]
        if len(wrong):
            raise ValueError(f"{name} must be in {least}..{most}, not {wrong[0]}")
    if (times % config.step_ticks).any():
        raise ValueError(f"pulse_time must be multiples of {config.step_ticks}")
    if len(np.unique(np.stack([times, inputs]), axis=1).T) != len(times):
        raise ValueError("pulse_time must not name two pulses at one time and input")


def model(config: EmulationConfig, arrays: Mapping[str, Any]) -> Arrays:
    """`OUTPUTS` by the event model. Raises as `check`, and as the model does."""
    check(config, arrays)
    netlist = config.plan.netlist
    found = run(netlist, _stimulus(config, arrays), policy=config.policy, seed=config.seed, until=_until(arrays))
    return _outputs(config, found.pulses, found.violations)


def pack(config: EmulationConfig, arrays: Mapping[str, Any]) -> dict[str, Beats]:
    """Traffic of the stream `stimulus`: one packet. Raises as `check`."""
    check(config, arrays)
    return {"stimulus": emulation_beats.pack(config, _stimulus(config, arrays), _until(arrays))}


def expected_beats(config: EmulationConfig, arrays: Mapping[str, Any]) -> dict[str, int]:
    """Beats the stream `capture` gives: one for each time at which anything is captured, and the end."""
    found = model(config, arrays)
    return {"capture": len({*found["time"].tolist(), *found["violation_time"].tolist()}) + 1}


def unpack(config: EmulationConfig, arrays: Mapping[str, Any], outputs: Mapping[str, Beats]) -> Arrays:
    """`OUTPUTS` out of the traffic of the stream `capture`.

    Raises
    ------
    ValueError
        If it is not one packet.
    """
    return _outputs(config, *emulation_beats.unpack(config, outputs["capture"]))


def operations(config: EmulationConfig, arrays: Mapping[str, Any]) -> int:
    """Pulses given."""
    return len(arrays["pulse_time"])


def random_arrays(config: EmulationConfig, seed: int, items: int) -> Arrays:
    """`INPUTS` with so many pulses for the seed, some of which come too soon, some together.

    One pulse alone is after the end of its run, so that its latency is that of the emulation, not of the netlist.

    Raises
    ------
    ValueError
        If `items` is below 1.
    """
    if items < 1:
        raise ValueError(f"items must be at least 1, not {items}")
    rng = np.random.default_rng(seed)
    inputs = len(config.plan.netlist.inputs)
    # Three times as many places as pulses, spread over twelve times as many steps.
    places = np.sort(rng.choice(3 * items, items, replace=False))
    steps = 1 + 12 * places // inputs
    until = 0 if items == 1 else (int(steps[-1]) * config.step_ticks + REST_TICKS)
    return {
        "pulse_time": steps * config.step_ticks,
        "pulse_input": (places % inputs).astype(np.int64),
        "until": np.array([until], np.int64),
    }


def _until(arrays: Mapping[str, Any]) -> int | None:
    until = int(arrays["until"][0])
    return None if until < 0 else until


def _stimulus(config: EmulationConfig, arrays: Mapping[str, Any]) -> Stimulus:
    found: dict[str, list[int]] = {wire: [] for wire in config.plan.netlist.inputs}
    for time, index in sorted(zip(arrays["pulse_time"].tolist(), arrays["pulse_input"].tolist(), strict=True)):
        found[config.plan.netlist.inputs[index]].append(time)
    return found


def _outputs(config: EmulationConfig, pulses: Mapping[str, list[int]], violations: list[Violation]) -> Arrays:
    plan = config.plan
    bit_of = {(one.name, pin, rule): bit for bit, (one, pin, rule) in enumerate(plan.checks)}
    rows = [(time, index) for index, wire in enumerate(plan.netlist.outputs) for time in pulses[wire]]
    broken = [(one.time, bit_of[one.instance, one.pin, one.rule]) for one in violations]
    (time, output), (violation_time, violation_check) = (
        np.array(found, np.int64).reshape(-1, 2).T for found in (rows, broken)
    )
    return {
        "time": time,
        "output": output,
        "violation_time": violation_time,
        "violation_check": violation_check,
    }
