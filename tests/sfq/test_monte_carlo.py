"""Monte Carlo against figures worked out by hand or from theory: yields, arrivals, order, margins; never by a timer."""

from __future__ import annotations

import math
from statistics import NormalDist

import numpy as np
import pytest

from hdl.sfq.cell_files import load_library
from hdl.sfq.cells import Cell, Reaction
from hdl.sfq.netlist import Instance, Netlist
from sim.sfq.bias import delay_scale
from sim.sfq.margins import BISECTIONS, GRID, SWEEPS, margin
from sim.sfq.monte_carlo import MOST_AT_ONCE, Experiment, Point, binned
from sim.sfq.sorters import bitonic_sorter
from sim.sfq.spread import Spread
from sim.sfq.trials import ModelSimulator

TRIALS = 20_000
DELAY = 1000


def jtls(count, delay=DELAY):
    """Cells in a row that only wait."""
    cell = Cell("WAIT", ("a",), ("q",), {"0": {"a": Reaction("0", {"q": delay})}})
    instances = tuple(Instance(f"u{n}", cell, {"a": f"w{n}", "q": f"w{n + 1}"}) for n in range(count))
    return Netlist("row", instances, ("w0",), (f"w{count}",))


def race(gap):
    """Two pulses, `gap` ticks apart, through a cell each."""
    cell = Cell("WAIT", ("a",), ("q",), {"0": {"a": Reaction("0", {"q": DELAY})}})
    instances = tuple(Instance(f"u{n}", cell, {"a": f"in{n}", "q": f"out{n}"}) for n in range(2))
    netlist = Netlist("race", instances, ("in0", "in1"), ("out0", "out1"))
    return netlist, {"in0": [0], "in1": [gap]}


@pytest.mark.parametrize(
    ("spread", "variance"),
    [
        (Spread(sigma=0.05), 4 * 50**2),  # of each cell, independent
        (Spread(global_sigma=0.05), (4 * 50) ** 2),  # of all together
        (Spread(jitter=30), 4 * 30**2),
        (Spread(sigma=0.04, jitter=30), 4 * (40**2 + 30**2)),
    ],
)
def test_arrivals_spread_as_sums_of_delays_do(kernel, spread, variance):
    """Of a row of four cells: mean and deviation at 4 sigma of their own."""
    outcome = Experiment(kernel.load(jtls(4)), {"w0": [7]}).outcome(Point(spread), TRIALS)
    (arrivals,) = outcome.arrivals.values()
    (pulse,), std = arrivals.pulses, math.sqrt(variance)
    assert (arrivals.expected, arrivals.wrong, outcome.passing) == ([4 * DELAY + 7], 0, 1.0)
    assert abs(pulse.mean - 4 * DELAY - 7) < 4 * std / math.sqrt(TRIALS)
    assert abs(pulse.std / std - 1) < 4 / math.sqrt(2 * TRIALS)
    late = arrivals.histogram
    assert sum(late.values()) == TRIALS == outcome.trials == outcome.deliveries / 4
    assert (min(late), max(late)) == (pulse.least - 4 * DELAY - 7, pulse.most - 4 * DELAY - 7)
    assert sum(count for ticks, count in late.items() if ticks < 0) / TRIALS == pytest.approx(0.5, abs=0.02)


def test_jitter_is_drawn_anew_for_every_pulse_and_a_cells_factor_is_not(kernel):
    stimulus = {"w0": [0, 100_000]}
    for spread, together in ((Spread(sigma=0.05), True), (Spread(jitter=50), False)):
        simulator = kernel.load(jtls(1))
        arrivals = simulator.trials(stimulus, spread, np.ones(1), {"w1": 2}, count=1000).arrivals
        assert (np.diff(arrivals, axis=1) == 100_000).all() == together


@pytest.mark.parametrize("ordered", [True, False])
def test_order_is_lost_as_often_as_theory_says(kernel, ordered):
    """Two pulses 50 ticks apart, each with a deviation of 40: they swap where a normal number is below -50/(40·√2)."""
    netlist, stimulus = race(50)
    outcome = Experiment(kernel.load(netlist), stimulus, ordered=ordered).outcome(Point(Spread(jitter=40)), TRIALS)
    # Within a tick both orders pass: half a tick moves the bound.
    swapped = NormalDist().cdf(-50.5 / (40 * math.sqrt(2))) if ordered else 0
    assert outcome.passing == pytest.approx(1 - swapped, abs=4 * math.sqrt(0.25 / TRIALS))
    assert outcome.disordered == TRIALS - outcome.passed
    assert (outcome.disordered > 0) == ordered and outcome.violating == 0


def test_pulses_of_one_tick_may_come_in_any_order(kernel):
    netlist, stimulus = race(0)
    assert Experiment(kernel.load(netlist), stimulus, ordered=True).outcome(Point(Spread(jitter=40)), 500).passing == 1


def test_recorded_outputs_may_be_expected_instead_of_nominal_ones(kernel):
    netlist, stimulus = race(500)
    simulator, point = kernel.load(netlist), Point(Spread(jitter=1))
    for expected, passed, wrong in (
        ({"out0": [0], "out1": [1]}, 100, 0),
        ({"out0": [1], "out1": [0]}, 0, 0),
        ({"out0": [0, 5], "out1": [1]}, 0, 100),
        ({}, 100, 0),
    ):
        outcome = Experiment(simulator, stimulus, expected=expected, ordered=True).outcome(point, 100)
        assert (outcome.passed, sum(one.wrong for one in outcome.arrivals.values())) == (passed, wrong)


@pytest.mark.parametrize("scaled", [True, False])
def test_violations_are_counted_where_they_are(kernel, scaled):
    """DRO's clock, 2.3 ps after its data through a delay of 30 to 70 ps: it is late enough where that grew by less."""
    cells = load_library("pylse")
    wait = Cell("WAIT", ("a",), ("q",), {"0": {"a": Reaction("0", {"q": 500})}})
    instances = (
        Instance("wait", wait, {"a": "in", "q": "data"}),
        Instance("dro", cells["DRO"], {"a": "data", "clk": "clk", "q": "q"}),
    )
    netlist = Netlist("late", instances, ("in", "clk"), ("q",))
    stimulus, point = {"in": [0], "clk": [560]}, Point(Spread(sigma=0.1, windows=scaled))
    outcome = Experiment(kernel.load(netlist), stimulus).outcome(point, TRIALS)
    assert set(outcome.broken) == {("dro", "clk", "prior_input")}
    # The data comes 37 to 60 ticks late or less: violated; later still: after the clock, so that no pulse goes out.
    normal = NormalDist(500, 50 if not scaled else math.hypot(50, 2.3))
    violated, missed = normal.cdf(560.5) - normal.cdf(537.5), 1 - normal.cdf(560.5)
    error = 4 * math.sqrt(0.25 / TRIALS)
    assert outcome.broken["dro", "clk", "prior_input"] / TRIALS == pytest.approx(violated, abs=error)
    assert outcome.violating / TRIALS == pytest.approx(violated, abs=error)
    assert outcome.arrivals["q"].wrong / TRIALS == pytest.approx(missed, abs=error)
    assert outcome.passing == pytest.approx(1 - violated - missed, abs=error)


def test_both_engines_give_the_same_outcome(kernel, monkeypatch):
    """Also where the trials do not fit into one batch."""
    netlist = bitonic_sorter(4)
    stimulus = {wire: [place * 60, place * 60 + 300] for place, wire in enumerate(netlist.inputs)}
    point, outcomes = Point(Spread(0.1, 0.05, 8.0, seed=9), scale=1.1, period=0.9, bias=0.95), []
    for simulator, at_once in ((kernel.load(netlist), MOST_AT_ONCE), (ModelSimulator(netlist), 40)):
        monkeypatch.setattr("sim.sfq.monte_carlo.MOST_AT_ONCE", at_once)
        outcomes.append(Experiment(simulator, stimulus, ordered=True, threads=2).outcome(point, 60))
    assert outcomes[0] == outcomes[1]
    assert 0 < outcomes[0].passed < 60 and outcomes[0].broken and outcomes[0].disordered


@pytest.mark.parametrize(
    ("at", "arrival"),
    [({"scale": 1.5}, 500 + 1500), ({"period": 1.5}, 750 + 1000), ({"bias": 0.7}, 500 + 1308), ({}, 1500)],
)
def test_point_moves_delays_or_inputs(kernel, at, arrival):
    """At a bias of 0.7 a JTL takes 7.14 ps in place of 5.46 ps: 1.308 times as long."""
    outcome = Experiment(kernel.load(jtls(1)), {"w0": [500]}).outcome(Point(**at), 1)
    assert outcome.arrivals["w1"].pulses[0].mean == arrival


def test_delay_follows_bias():
    cells = load_library("rsfqlib")
    assert delay_scale(cells["DFF"], 0.7) == pytest.approx(11.22 / 7.80)
    assert delay_scale(cells["AND2"], 1.25) == pytest.approx((6.64 + 6.15) / 2 / 7.80)
    assert delay_scale(cells["SPLIT"], 1.3) == pytest.approx(4.39 / 5.46)
    assert {delay_scale(cell, 1.0) for cell in cells.values()} == {1.0}
    with pytest.raises(ValueError, match=r"^bias must be in 0\.7\.\.1\.3, not 0\.69$"):
        delay_scale(cells["JTL"], 0.69)


def test_margin_ends_where_the_circuit_fails(kernel):
    """A splitter is busy for 4.3 ps, and pulses come 5 ps apart: delays, and windows, may grow by 50/43, inputs come
    closer by as much; nothing fails in the other direction, where the sweep ends. There is no spread: 1 trial will do.
    """
    splitter = load_library("pylse")["S"]
    instances = (Instance("s", splitter, {"a": "in", "l": "l", "r": "r"}),)
    experiment = Experiment(kernel.load(Netlist("s", instances, ("in",), ("l", "r"))), {"in": [0, 50]})
    step = (1.5 - 0.5) / GRID / 2**BISECTIONS
    found = {
        name: margin(experiment, SWEEPS[name], Point(), 1.0, 1, least=0.5, most=1.5) for name in ("scale", "period")
    }
    # Windows are whole ticks: 50 is reached up to 50.5 / 43, and 43 from 42.5 / 50 on.
    scale, period = found["scale"], found["period"]
    assert (scale.low, scale.low_is_end, scale.high_is_end) == (0.5, True, False)
    assert 50.5 / 43 - step <= scale.high <= 50.5 / 43
    assert (period.high, period.low_is_end, period.high_is_end) == (1.5, False, True)
    assert 42.5 / 50 <= period.low <= 42.5 / 50 + step
    assert [*scale.curve] == sorted(scale.curve) and set(scale.curve.values()) == {0.0, 1.0}


def test_margin_is_none_where_the_nominal_value_fails(kernel):
    netlist, stimulus = race(500)
    experiment = Experiment(kernel.load(netlist), stimulus, expected={"out0": []})
    found = margin(experiment, SWEEPS["sigma"], Point(), 0.5, 1, least=0, most=0.25)
    assert (found.low, found.high) == (None, None)


def test_margin_of_spread_is_where_theory_says(kernel):
    """Two pulses 50 ticks apart keep their order in 99 % of the trials up to a jitter of 50.5/(√2·2.326) ticks."""
    netlist, stimulus = race(50)
    experiment = Experiment(kernel.load(netlist), stimulus, ordered=True)
    found = margin(experiment, SWEEPS["jitter"], Point(), 0.99, TRIALS, least=0, most=4)
    assert found.low == 0
    assert found.high == pytest.approx(50.5 / 10 / (math.sqrt(2) * NormalDist().inv_cdf(0.99)), rel=0.03)


def test_histogram_is_binned():
    assert binned({}) == (0, 1, [])
    assert binned({-3: 2, 0: 5}) == (-3, 1, [2, 0, 0, 5])
    assert binned({0: 1, 79: 2, 80: 4}) == (0, 3, [1] + [0] * 25 + [6])
