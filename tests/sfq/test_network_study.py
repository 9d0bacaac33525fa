"""Margins, accuracies, ranges and tasks of stochastic networks."""

from __future__ import annotations

import re

import numpy as np
import pytest

from hdl.common.config import ConfigError
from hdl.sfq.network_config import StochasticConfig, load_currents
from sim.sfq.network_program import Conditions
from sim.sfq.network_study import Point, edge, qualities
from sim.sfq.network_tasks import DIGITS, dual_rail, task
from sim.simd.datasets import load

GOOD = {"layers": [4, 2, 1], "lanes": 2, "task": "xor", "slot_ps": 60.0, "window_slots": 256}


def test_study_margin_is_of_the_worst_examples():
    counts = np.array([[[1], [9], [7], [3]], [[0], [4], [6], [5]]])
    assert qualities(counts, np.array([0, 1, 1, 0]), 10).tolist() == pytest.approx([0.4, -0.1])


def test_study_accuracy_gives_ties_to_the_lowest_class():
    counts = np.array([[[2, 2, 1], [0, 3, 3], [0, 0, 1], [5, 4, 3]]])
    assert qualities(counts, np.array([0, 2, 2, 1]), 10).tolist() == [0.5]


@pytest.mark.parametrize("limit", [0.0, 0.123, 0.77, 1.0])
def test_study_edge_is_found_from_inside(limit):
    found = edge(lambda value: value <= limit, 0.0, 1.0, 1e-4)
    assert limit - 1e-4 <= found <= limit
    assert edge(lambda value: value > 2, 0.0, 1.0, 1e-4) == 0.0
    assert edge(lambda value: value >= -limit, 0.0, -1.0, 1e-4) == pytest.approx(-limit, abs=1e-4)


def test_study_point_varies_one_axis():
    point = Point(Conditions(bias=0.9, spread=0.1), 64)
    assert point.at("slots", 16.0) == Point(Conditions(bias=0.9, spread=0.1), 16)
    assert point.at("temperature_k", 2.0) == Point(Conditions(0.9, 0.1, 2.0), 64)


def test_tasks_are_dual_rail():
    assert dual_rail(np.array([[0.0, 1.0], [0.25, 0.5]])).tolist() == [[0, 1, 1, 0], [0.25, 0.75, 0.5, 0.5]]
    xor = task("xor").test
    for (a, not_a, b, not_b), label in zip(xor.rates.tolist(), xor.labels.tolist(), strict=True):
        assert (not_a, not_b) == (1 - a, 1 - b)
        assert label == (a != b)
    assert len(xor.labels) == 4


@pytest.mark.deep
def test_tasks_digits_are_those_of_the_data_set():
    data = load("digits").test
    found = task("digits").test
    wanted = [one for one in zip(data.features, data.labels, strict=True) if one[1] in DIGITS]
    assert [DIGITS[label] for label in found.labels] == [label for _, label in wanted]
    assert (found.rates[:, ::2] == [features >= 0.5 for features, _ in wanted]).all()
    assert (found.rates[:, 1::2] == 1 - found.rates[:, ::2]).all()


def test_tasks_pulses_come_at_their_rates():
    pulses = task("xor").test.pulses(50)
    assert (pulses.mean(axis=1) == task("xor").test.rates).all()
    half = type(task("xor").test)(np.full((1, 3), 0.5), np.zeros(1, int)).pulses(2000, 1)
    assert np.abs(half.mean(axis=1) - 0.5).max() < 5 * 0.5 / np.sqrt(2000)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"layers": [4]}, "params.layers must be a list, not [4] (a list)"),
        ({"layers": [4, 0]}, "params: a layer must have 1..256 rails or neurons, not 0"),
        ({"layers": [4, 257]}, "params: a layer must have 1..256 rails or neurons, not 257"),
        ({"lanes": 17}, "params.lanes must be a whole number in 1..16, not 17"),
        ({"count_bits": 12}, "params.count_bits must be one of 8, 16, 24, 32, not 12"),
        ({"task": "xnor"}, "params.task must be one of xor, digits, not 'xnor' (a string)"),
        ({"slot_ps": 0.0}, "params.slot_ps must be a number above 0 and at most 100000, not 0.0"),
        ({"kick_ua": [5.0]}, "params: kick_ua must have 2 numbers, one a layer, not 1"),
        ({"tau_ps": [5.0, 0.0]}, "params: tau_ps must be above 0 and at most 100000, not 0.0"),
        ({"tau_ps": [200000.0, 5.0]}, "params: tau_ps must be above 0 and at most 100000, not 200000.0"),
        ({"seeds": 1}, 'params.seeds is not a field; did you mean "seed"?'),
    ],
)
def test_network_config_refuses_in_one_line(changed, message):
    with pytest.raises(ConfigError, match=f"^{re.escape(message)}$"):
        StochasticConfig.parse(GOOD | changed)


def test_network_config_derives_rows_and_cycles():
    config = StochasticConfig.parse(GOOD | {"layers": [70, 9, 5], "lanes": 4})
    assert config.groups == [3, 2]
    assert config.rows == 3 * 70 + 2 * 9
    assert config.units == 20
    assert (config.synapses, config.neurons, config.slot_words) == (675, 14, 3)
    assert config.slot_cycles == 2 + 3 * (70 + 4 + 5) + 2 * (9 + 4 + 5)


def test_network_currents_must_fit_the_layers():
    config = StochasticConfig.parse(GOOD | {"layers": [4, 3, 1]})
    message = (
        "params.layers must be that of xor_currents.json, [(2, 4), (1, 2)] neurons and inputs, not [(3, 4), (1, 3)]"
    )
    with pytest.raises(ConfigError, match=f"^{re.escape(message)}$"):
        load_currents(config)
