"""What Yosys makes of `simd.mac` gives the results of the golden model, in every mode."""

from __future__ import annotations

import numpy as np
import pytest

from flows import run
from flows.load import load_design
from flows.road import Route, results_or_error, travel
from sim.simd import mac_vectors

DOTS = 1_000  # of a mode
SEEDS = 10  # each has its own length


@pytest.mark.deep
@pytest.mark.parametrize(
    ("name", "board"),
    [
        ("mac_quad_core", "icebreaker"),
        ("mac_full_core", "ulx3s_85f"),
        ("mac_quad_fpga_core", "ulx3s_85f"),
    ],
)
def test_mac_netlist_matches_the_model(name, board):
    route = Route.of(load_design(name), board)
    results = results_or_error(travel([route], lambda _: run.needs(route, "netlist"), plain=True))
    config = route.design.config
    for seed in range(SEEDS):
        arrays = mac_vectors.random_arrays(config, [7, seed], -(-DOTS * len(config.modes) // SEEDS))
        expected, _ = run.execute(route, "model", results, arrays)
        got, _ = run.execute(route, "netlist", results, arrays, stalls=0.2, seed=seed)
        for output, values in expected.items():
            np.testing.assert_array_equal(got[output], values)
