"""Emulated netlists against the event model: pulse for pulse, violation for violation, and clock for clock."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from hdl.common.config import ConfigError
from hdl.sfq.config import EmulationConfig
from sim.sfq.sorters import bitonic_sorter, min_max
from tests.sfq.emulated import EDGES, Emulated, event_times, few, modelled, some_pulses, together

DATA = Path(__file__).with_name("data")


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """A few cells in both modes: `skip` with a coin, `tick` with dropped pulses."""
    netlists = few()
    document = together(netlists)
    params = {
        "skip": {"netlist": document, "mode": "skip", "policy": "randomise", "seed": 77, "slots": 128},
        "tick": {"netlist": document, "mode": "tick", "policy": "drop", "slots": 128},
    }
    emulated = Emulated(params, tmp_path_factory.mktemp("small"))
    return emulated, netlists


@pytest.mark.parametrize("name", ["skip", "tick"])
def test_emulation_equals_the_model(small, name):
    emulated, netlists = small
    rng = np.random.default_rng(4)
    violations = 0
    for number in range(len(netlists)):
        for spacing in (15, 80, 1000):
            stimulus = some_pulses(rng, netlists, number, 120, spacing)
            # Loops are cut off, the others rest by themselves.
            until = 40 * spacing if number == 2 else None
            result, right = modelled(emulated.configs[name], stimulus, until)
            pulses, violated, cycles = emulated.run(name, stimulus, until)
            assert pulses == right and violated == result.violations
            assert result.deliveries > 60
            violations += len(violated)
            if name == "skip":
                assert cycles == event_times(result) + EDGES
    assert violations > 100


def test_stalled_streams_only_pause_the_emulation(small):
    emulated, netlists = small
    stimulus = some_pulses(np.random.default_rng(5), netlists, 1, 100, 60)
    result, right = modelled(emulated.configs["skip"], stimulus)
    for seed in range(5):
        pulses, violated, _ = emulated.run("skip", stimulus, stall=0.6, seed=seed, reset_at=20 * seed + 3)
        assert pulses == right and violated == result.violations


def test_registers_tell_the_first_violation_and_count_the_steps(small):
    emulated, netlists = small
    config = emulated.configs["skip"]
    stimulus = some_pulses(np.random.default_rng(8), netlists, 0, 60, 15)
    result, _ = modelled(config, stimulus)
    emulated.harness.reset()
    assert emulated.read("skip", "size") == {"cells": 10, "checks": len(config.plan.checks)}
    emulated.write("skip", "irq_enable", violation=1)
    emulated.run("skip", stimulus)
    status = emulated.read("skip", "status")
    assert status == {"violation": 1, "slot_overflow": 0, "time_overflow": 0, "time_order": 0, "busy": 0}
    assert emulated.harness.peek("skip_irq") == 1
    instance, pin, rule = config.plan.checks[emulated.read("skip", "first_check")["check"]]
    first = result.violations[0]
    assert (instance.name, pin, rule) == (first.instance, first.pin, first.rule)
    assert emulated.read("skip", "first_time_low")["time"] == first.time
    assert emulated.read("skip", "steps")["count"] == event_times(result)
    emulated.write("skip", "status", violation=1)
    assert emulated.read("skip", "status")["violation"] == 0 and emulated.harness.peek("skip_irq") == 0


def test_clear_forgets_a_run_that_was_halted(small):
    emulated, netlists = small
    stimulus = some_pulses(np.random.default_rng(9), netlists, 0, 60, 50)
    result, right = modelled(emulated.configs["skip"], stimulus)
    emulated.harness.reset()
    emulated.write("skip", "control", run=0)
    emulated.harness.step(50)
    assert emulated.read("skip", "steps")["count"] == 0
    emulated.write("skip", "control", run=1, clear=1)
    pulses, violated, _ = emulated.run("skip", stimulus)
    assert pulses == right and violated == result.violations


@pytest.mark.parametrize(("name", "netlist"), [("bitonic8", bitonic_sorter(8)), ("min_max", min_max())])
def test_sorters_of_named_designs_are_those_that_are_generated(name, netlist):
    assert EmulationConfig.parse({"netlist": f"{name}.json"}).plan.netlist == netlist


JTL = {
    "library": "pylse",
    "inputs": {"in": []},
    "netlist": [{"inst": "u", "cell": "JTL", "pins": {"a": "in", "q": "out"}}],
}


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"slots": 24}, "params: slots must be a power of 2, not 24"),
        ({"slots": 1}, "params.slots must be a whole number in 2..65536, not 1"),
        ({"time_bits": 6}, "params: time_bits must be above 8 for the delays of the netlist, not 6"),
        ({"mode": "jump"}, "params.mode must be one of skip, tick, not 'jump' (a string)"),
        ({"step_ticks": 10}, "params: cell JTL, state idle, pulse at a: the delay of q must be a multiple of 1 ps"),
        ({"netlist": "none.json"}, "params: netlist none.json: No such file or directory"),
        ({"netlist": {}}, 'params: a netlist must be a map with a list "netlist"'),
        ({"netlist": JTL | {"inputs": {}, "netlist": []}}, "params: netlist has no input"),
    ],
)
def test_bad_config_is_refused(changed, message):
    with pytest.raises(ConfigError, match=f"^{re.escape(message)}$"):
        EmulationConfig.parse({"netlist": JTL} | changed)
