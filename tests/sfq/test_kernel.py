"""The compiled kernel against the event model: runs alike to the last pulse and violation, in one trial and in many."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from random import Random

import numpy as np
import pytest

from hdl.sfq.cell_files import load_library
from hdl.sfq.cells import Cell, Reaction
from hdl.sfq.netlist import Instance, Netlist, parse_event_json
from sim.common.verilator import BuildError
from sim.sfq import event_model
from sim.sfq.event_model import POLICIES, NeverAtRest
from sim.sfq.kernel import build_kernel
from sim.sfq.random_netlist import random_cell, random_netlist, random_pulses
from sim.sfq.sorters import bitonic_sorter
from sim.sfq.spread import Spread
from sim.sfq.trials import ModelSimulator

DATA = Path(__file__).with_name("data")


def test_kernel_is_compiled_once_and_errors_are_the_compilers(tmp_path, monkeypatch):
    """The second time there is no compiler, and none is needed."""
    compiler = tmp_path / "compiler"
    compiler.write_text('#!/bin/sh\nfor out; do [ "$last" = -o ] && echo made > "$out"; last="$out"; done\n')
    compiler.chmod(0o755)
    monkeypatch.setenv("CXX", str(compiler))
    library = build_kernel(tmp_path / "build")
    compiler.write_text("#!/bin/sh\necho 'kernel.cpp:1: error: no'\nexit 1\n")
    assert build_kernel(tmp_path / "build") == library and library.read_text() == "made\n"
    with pytest.raises(BuildError, match=r"^c\+\+: kernel\.cpp:1: error: no; log: .*build\.log$"):
        build_kernel(tmp_path / "another")
    monkeypatch.setenv("CXX", "no-such-compiler")
    with pytest.raises(BuildError, match=r"^c\+\+: cannot be started: No such file or directory; log: "):
        build_kernel(tmp_path / "build")


def tangle(rng, cells, *, loops):
    """Cells of all sizes, so quick that pulses often come together, and too soon; some pins stay open."""
    kinds = [random_cell(rng, f"R{n}", inputs=4, outputs=3, states=4, longest_ticks=8) for n in range(1 + cells // 4)]
    return random_netlist(rng, kinds, cells, cyclic=loops, open_share=0.1)


def compare(kernel, seeds, *, loops):
    """Runs of random netlists under all policies, in both engines; how many violations there were."""
    violations = 0
    for seed in seeds:
        rng = np.random.default_rng(seed)
        netlist = tangle(rng, int(rng.integers(1, 31)), loops=loops)
        stimulus = random_pulses(rng, netlist.inputs, int(rng.integers(150)), spacing_ticks=int(rng.choice([2, 8, 40])))
        until = int(rng.integers(151)) if loops else (None, 50)[rng.integers(2)]
        with kernel.load(netlist) as simulator:
            for policy in POLICIES:
                right = event_model.run(netlist, stimulus, policy=policy, seed=seed, until=until)
                assert simulator.run(stimulus, policy=policy, seed=seed, until=until) == right, (seed, policy)
                violations += len(right.violations)
    return violations


@pytest.mark.parametrize("loops", [False, True])
def test_kernel_runs_random_netlists_as_the_model(kernel, loops):
    assert compare(kernel, range(60), loops=loops) > 1000


@pytest.mark.deep
@pytest.mark.parametrize("loops", [False, True])
def test_kernel_runs_many_random_netlists_as_the_model(kernel, loops):
    assert compare(kernel, range(1000, 6000), loops=loops) > 100_000


@pytest.mark.parametrize("name", ["min_max", "full_adder_sync"])
def test_kernel_runs_recorded_netlists(kernel, name):
    netlist, stimulus = parse_event_json(json.loads((DATA / f"{name}.json").read_text()))
    assert kernel.load(netlist).run(stimulus) == event_model.run(netlist, stimulus)


@pytest.mark.parametrize("width", [2, 8, 16])
def test_bitonic_sorter_sorts_in_the_kernel(kernel, width):
    netlist, random = bitonic_sorter(width), Random(width)
    times = [40 * place for place in range(width)]
    for _ in range(5):
        random.shuffle(times)
        result = kernel.load(netlist).run({wire: [time] for wire, time in zip(netlist.inputs, times, strict=True)})
        out = [result.pulses[wire] for wire in netlist.outputs]
        assert [len(pulses) for pulses in out] == [1] * width and sorted(out) == out


def ring():
    """A merger and a splitter in a loop, and a JTL that feeds itself: pulses go round and round."""
    cells = load_library("pylse")
    feeder = Cell("FEEDER", ("a", "b"), ("q",), {"0": {pin: Reaction("0", {"q": 7}) for pin in "ab"}})
    instances = (
        Instance("m", cells["M"], {"a": "in", "b": "back", "q": "middle"}),
        Instance("s", cells["S"], {"a": "middle", "l": "out", "r": "back"}),
        Instance("f", feeder, {"a": "out", "b": "again", "q": "again"}),
    )
    return Netlist("ring", instances, ("in",), ("again",))


@pytest.mark.parametrize(("inputs", "outputs"), [(1, 5), (2, 5), (1, 9)])
def test_cell_of_many_outputs_runs(kernel, inputs, outputs):
    """It is not taken for one of the sizes that have code of their own."""
    ins, outs = "ab"[:inputs], "pqrstuvwx"[:outputs]
    table = {"0": {pin: Reaction("0", {out: 3 + n for n, out in enumerate(outs)}) for pin in ins}}
    cell = Cell("FAN", (*ins,), (*outs,), table)
    instance = Instance("u", cell, {pin: pin for pin in cell.inputs + cell.outputs})
    netlist = Netlist("fan", (instance,), cell.inputs, cell.outputs)
    stimulus = {pin: [5, 40 + n] for n, pin in enumerate(ins)}
    assert kernel.load(netlist).run(stimulus) == event_model.run(netlist, stimulus)


def test_kernel_runs_loops_that_feed_loops(kernel):
    for until in (0, 1000):
        right = event_model.run(ring(), {"in": [0, 60]}, until=until)
        assert kernel.load(ring()).run({"in": [0, 60]}, until=until) == right
    assert len(right.violations) > 0


def test_kernel_gives_up_where_the_model_does(kernel, monkeypatch):
    """A chain of 10 pulses through 10 cells is 100 deliveries: one more is too many; a loop never ends."""
    jtl = load_library("pylse")["JTL"]
    instances = tuple(Instance(f"u{n}", jtl, {"a": f"w{n}", "q": f"w{n + 1}"}) for n in range(10))
    chain = Netlist("chain", instances, ("w0",), ("w10",))
    monkeypatch.setattr("sim.sfq.event_model.MOST_DELIVERIES", 100)
    ten = {"w0": list(range(0, 1000, 100))}
    assert kernel.load(chain).run(ten) == event_model.run(chain, ten)
    for netlist, stimulus in ((chain, {"w0": [*ten["w0"], 5000]}), (ring(), {"in": [0]})):
        for run in (kernel.load(netlist).run, lambda given, netlist=netlist: event_model.run(netlist, given)):
            with pytest.raises(NeverAtRest, match=f"^{netlist.name} is not at rest after 100 pulses$"):
                run(stimulus)
        with pytest.raises(NeverAtRest):
            kernel.load(netlist).trials(stimulus, Spread(), np.ones(len(netlist.instances)), {}, count=3)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"policy": "ignore"}, "policy must be one of flag, drop, randomise, not ignore"),
        ({"seed": 1 << 16}, "seed must be in 0..65535, not 65536"),
    ],
)
def test_kernel_refuses_a_bad_option(kernel, options, message):
    with pytest.raises(ValueError, match=f"^{message}$"):
        kernel.load(ring()).run({"in": [0]}, **options)


def test_netlist_of_nothing_runs(kernel):
    netlist = Netlist("nothing", (), ("in",), ("in",))
    assert kernel.load(netlist).run({"in": [3, 9]}) == event_model.run(netlist, {"in": [3, 9]})


SPREADS = {
    "none": Spread(),
    "instances": Spread(sigma=0.3),
    "fixed windows": Spread(sigma=0.3, windows=False),
    "trials": Spread(global_sigma=0.3),
    "pulses": Spread(jitter=2.5),
    "all": Spread(sigma=0.2, global_sigma=0.1, jitter=1.5),
}


@pytest.mark.parametrize("spread", SPREADS.values(), ids=SPREADS)
@pytest.mark.parametrize("loops", [False, True])
def test_trials_are_those_of_the_model(kernel, spread, loops):
    """Every arrival, count and violation of each trial, for random netlists under all policies."""
    differing = 0
    for seed in range(9):
        rng = np.random.default_rng(seed)
        netlist = tangle(rng, int(rng.integers(8, 17)), loops=loops)
        stimulus = random_pulses(rng, netlist.inputs, 15, spacing_ticks=8)
        options = {"policy": POLICIES[seed % 3], "coins": seed, "until": 60 if loops else None}
        scales, own = np.linspace(0.8, 1.2, len(netlist.instances)), replace(spread, seed=seed * 7919)
        # On all wires, as many pulses are expected as there are in the first trial.
        model, wires = ModelSimulator(netlist), netlist.wires
        first = model.trials(stimulus, own, scales, dict.fromkeys(wires, 0), first=5, **options).pulses[0]
        expected = dict(zip(wires, first.tolist(), strict=True))
        right = model.trials(stimulus, own, scales, expected, first=5, count=3, **options)
        assert right.arrivals[0].min() >= 0
        found = kernel.load(netlist).trials(stimulus, own, scales, expected, first=5, count=3, threads=2, **options)
        for name, values in vars(right).items():
            assert np.array_equal(getattr(found, name), values), (seed, name)
        seen = np.concatenate([right.arrivals, right.pulses], axis=1)
        differing += len(np.unique(seen, axis=0)) > 1
    assert differing > 5 or spread == Spread()


def test_trials_are_the_same_for_any_number_of_threads(kernel):
    netlist = bitonic_sorter(8)
    stimulus = {wire: [100 * place, 100 * place + 50] for place, wire in enumerate(netlist.inputs)}
    expected = dict.fromkeys(netlist.outputs, 2)
    scales = np.ones(len(netlist.instances))
    simulator, spread = kernel.load(netlist), Spread(0.1, 0.05, 3.0, seed=1 << 63)
    whole = simulator.trials(stimulus, spread, scales, expected, count=100, threads=1)
    shared = simulator.trials(stimulus, spread, scales, expected, count=100, threads=5)
    parts = [simulator.trials(stimulus, spread, scales, expected, first=at, count=50) for at in (0, 50)]
    for name in ("arrivals", "pulses", "violations"):
        assert np.array_equal(getattr(whole, name), getattr(shared, name))
        assert np.array_equal(getattr(whole, name), np.concatenate([getattr(part, name) for part in parts]))
    assert np.array_equal(whole.broken, shared.broken) and whole.broken.sum() > 0
    assert whole.deliveries == shared.deliveries == sum(part.deliveries for part in parts)
