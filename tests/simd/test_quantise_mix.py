"""Formats under a budget: costs, the search against plain loops, and what tuning must not make worse."""

import itertools
import re

import numpy as np
import pytest

from sim.simd import datasets, mlp
from sim.simd.quantise import FORMATS, pick, roundings
from sim.simd.quantise_mix import (
    SHORTLIST,
    bits_per_weight,
    cheapest,
    choose,
    cost,
    foretold,
    measure,
    study,
    tune,
)

BITS = {"fp4": 4, "p4_1": 4, "int4": 4, "p8_0": 8, "int8": 8, "e4m3": 8, "e5m2": 8, "p16_1": 16}


def network_of(sizes):
    return mlp.initial(sizes, 0)


def random_costs(seed, layers, modes=FORMATS):
    rng = np.random.default_rng(seed)
    return tuple({mode: float(rng.exponential()) for mode in modes} for _ in range(layers))


def plain_bits(sizes, mix):
    """Bits of all weights, and how many weights."""
    counts = [rows * columns for rows, columns in itertools.pairwise(sizes)]
    return sum(count * BITS[mode] for count, mode in zip(counts, mix, strict=True)), sum(counts)


def test_mix_bits_are_weighted_by_the_layers_sizes():
    network = network_of((64, 32, 10))
    assert bits_per_weight(network, ("int4", "p16_1")) == (2048 * 4 + 320 * 16) / 2368
    for mode, bits in BITS.items():
        assert bits_per_weight(network, (mode, mode)) == bits


@pytest.mark.parametrize("name", datasets.NAMES)
def test_mix_costs_are_never_negative_and_nothing_costs_nothing(name):
    of = study(name)
    data, network, calibration, costs = of.data, of.network, of.calibration, of.costs
    assert [tuple(layer) for layer in costs] == [FORMATS] * 3
    assert min(min(layer.values()) for layer in costs) > -1e-12
    assert cost(network, [None] * 3, data.validation.features) == 0
    for layer in costs:
        assert layer["p16_1"] < layer["int4"]
    alone = [None, calibration[1]["fp4"], None]
    scores = [mlp.scores(network, data.validation.features, how) for how in (None, roundings(alone))]
    assert costs[1]["fp4"] == mlp.divergence(*scores)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("budget", [4, 4.2, 5, 6.5, 8, 11, 16])
def test_mix_search_finds_what_plain_loops_find(seed, budget):
    sizes = (12, 9, 5, 3)
    costs = random_costs(seed, 3)
    fitting = [
        mix
        for mix in itertools.product(FORMATS, repeat=3)
        if plain_bits(sizes, mix)[0] <= budget * plain_bits(sizes, mix)[1]
    ]
    totals = sorted(sum(layer[mode] for layer, mode in zip(costs, mix, strict=True)) for mix in fitting)
    got = cheapest(network_of(sizes), costs, budget, 5)
    assert len(set(got)) == len(got) == 5
    assert set(got) <= set(fitting)
    np.testing.assert_allclose([foretold(costs, mix) for mix in got], totals[:5], rtol=1e-12)


def test_mix_search_takes_fewer_bits_of_equals_and_all_there_are():
    costs = ({"int8": 0.5, "int4": 0.5},) * 2
    assert cheapest(network_of((4, 3, 2)), costs, 8, 9) == [
        ("int4", "int4"),
        ("int4", "int8"),
        ("int8", "int4"),
        ("int8", "int8"),
    ]


@pytest.mark.parametrize("name", datasets.NAMES)
def test_mix_larger_budget_never_foretells_more(name):
    network, costs = study(name).network, study(name).costs
    budgets = np.arange(4, 16.25, 0.25)
    mixes = [cheapest(network, costs, budget)[0] for budget in budgets]
    assert all(bits_per_weight(network, mix) <= budget for mix, budget in zip(mixes, budgets, strict=True))
    losses = [foretold(costs, mix) for mix in mixes]
    assert losses == sorted(losses, reverse=True)


def test_mix_search_refuses_budgets_below_all_formats_and_too_many_mixes():
    network = network_of((6, 5, 4))
    message = "budget must be at least 4 bits per weight, not 3.9"
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        cheapest(network, random_costs(0, 2), 3.9)
    message = "budget must be at least 8 bits per weight, not 7"
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        cheapest(network, random_costs(0, 2, ["int8", "p16_1"]), 7)
    message = "there must be at most 1048576 mixes of formats to try, not 2097152: offer fewer formats"
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        cheapest(network_of((2,) * 8), random_costs(0, 7), 8)


@pytest.mark.parametrize("name", datasets.NAMES)
@pytest.mark.parametrize("budget", [4, 5, 8])
def test_mix_choice_fits_the_budget_and_costs_least_of_its_shortlist(name, budget):
    of = study(name)
    network, calibration, costs, x = of.network, of.calibration, of.costs, of.data.validation.features
    mix = choose(of, budget)
    shortlist = cheapest(network, costs, budget, SHORTLIST)
    assert mix in shortlist
    assert bits_per_weight(network, mix) <= budget
    assert cost(network, pick(calibration, mix), x) == min(
        cost(network, pick(calibration, one), x) for one in shortlist
    )


@pytest.mark.parametrize("mix", [("int4",) * 3, ("p4_1",) * 3, ("fp4", "int8", "p8_0")], ids="-".join)
def test_mix_tuning_never_raises_the_quantised_validation_loss(mix):
    of = study("breast_cancer")
    rounding, data = roundings(pick(of.calibration, mix)), of.data
    losses = [
        mlp.loss(mlp.scores(one, data.validation.features, rounding), data.validation.labels)
        for one in (of.network, tune(of, mix))
    ]
    assert losses[1] <= losses[0]


@pytest.mark.deep
def test_mix_tuning_repairs_what_coarse_rounding_broke():
    """Posits of 4 bits: the worst of the formats for the digits, and by far more than chance."""
    of = study("digits")
    mix = ("p4_1",) * 3
    rounding, data = roundings(pick(of.calibration, mix)), of.data
    losses = [
        mlp.loss(mlp.scores(one, data.test.features, rounding), data.test.labels) for one in (of.network, tune(of, mix))
    ]
    assert losses[1] < 0.9 * losses[0]


@pytest.mark.deep
def test_mix_row_holds_the_accuracies_on_the_test_set():
    of = study("digits")
    network, data = of.network, of.data
    mix = choose(of, 8)
    row = measure(of, mix)
    assert (row.mix, row.bits_per_weight) == (mix, bits_per_weight(network, mix))
    rounding = roundings(pick(of.calibration, mix))
    x, labels = data.test.features, data.test.labels
    assert row.float_accuracy == np.mean(mlp.scores(network, x).argmax(axis=1) == labels)
    assert row.post_training_accuracy == np.mean(mlp.scores(network, x, rounding).argmax(axis=1) == labels)
    tuned = tune(of, mix)
    assert row.aware_accuracy == np.mean(mlp.scores(tuned, x, rounding).argmax(axis=1) == labels)
    assert min(row.post_training_accuracy, row.aware_accuracy) > row.float_accuracy - 0.02
