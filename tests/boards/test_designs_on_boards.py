"""Designs behind their board's serial line, the board top in Verilator: the golden model's results."""

import numpy as np
import pytest

from flows import run
from flows.load import load_design
from flows.road import Route, results_or_error, travel

ITEMS = {"attn_4x4_d8": 6, "pulse_filter_r0": 20, "pulse_front_r0": 20, "pulse_r0": 10, "pulse_soc_r0": 10}


@pytest.mark.deep
@pytest.mark.parametrize("name", ITEMS)
def test_designs_on_boards_give_what_the_model_does(name, tmp_path, monkeypatch):
    monkeypatch.setenv("NIELLO_BUILD", str(tmp_path / "build"))
    design = load_design(name)
    route = Route.of(design)
    needed = run.needs(route, "board-sim")
    results = results_or_error(travel([route], lambda _: needed, plain=True))
    arrays = design.block.vectors_module().random_arrays(design.config, 1, ITEMS[name])
    expected, _ = run.execute(route, "model", results, arrays)
    got, _ = run.execute(route, "board-sim", results, arrays)
    for array, right in expected.items():
        np.testing.assert_array_equal(got[array], right)
