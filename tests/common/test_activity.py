"""Toggles as Verilator counts them, against those of the beats that went in."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from sim.common.activity import read_saif, recorded
from sim.common.beats import Beats
from sim.common.errors import HarnessError
from sim.common.harness import Harness, build_harness

DESIGNS = Path(__file__).with_name("designs")
PORTS = DESIGNS / "slice.ports.json"


@pytest.fixture(scope="module")
def traced(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("traced")
    return build_harness(DESIGNS / "slice.v", PORTS, folder, optimise="-O0", extra_args=["--trace-saif"])


def test_activity_counts_what_goes_in(traced: Path, tmp_path: Path) -> None:
    """Of every bit of a port, from the last beat before the recording on; a recording after another starts anew."""
    data = np.random.default_rng(1).integers(256, size=(101, 4), dtype=np.uint8)
    bits = np.unpackbits(data, axis=1, bitorder="little").astype(int)
    with Harness(traced, PORTS) as harness:
        for count in (100, 40):
            given = Beats(data[: count + 1], np.zeros(count + 1, np.bool_))
            harness.run({"a": Beats(data[:1], np.zeros(1, np.bool_))}, {"y": 1}, stall_in=0, stall_out=0)
            harness.poke("s_axis_a_tdata", int.from_bytes(data[0].tobytes(), "little"))
            harness.peek("s_axis_a_tdata")
            with recorded(harness, tmp_path) as activity:
                harness.run({"a": given}, {"y": count + 1}, stall_in=0, stall_out=0, drain_cycles=0)
            nets = activity.instances[""].nets
            within = np.abs(np.diff(bits[: count + 1], axis=0)).sum(axis=0)
            last = [nets[f"s_axis_a_tdata\\[{bit}\\]"] for bit in range(32)]
            # Behind the last beat the harness gives noise: a bit more or none.
            assert all(extra in (0, 1) for extra in np.array(last) - within)
            assert nets["clk"] == 0
            assert nets["s_axis_a_tvalid"] == 2
            assert count + 1 <= activity.cycles <= count + 4


def test_activity_of_a_design_at_rest_is_nothing(traced: Path, tmp_path: Path) -> None:
    """Nets that are 1 do not count as toggles, though Verilator has them so."""
    with Harness(traced, PORTS) as harness:
        with recorded(harness, tmp_path) as activity:
            harness.step(10)
        assert activity.cycles == 10
        assert all(instance.toggles == 0 for instance in activity.instances.values())
        assert sum(sum(nets.values()) for nets in read_saif(tmp_path / "first.saif")[1].values()) > 0


def test_activity_needs_a_library_built_for_it(tmp_path: Path) -> None:
    library = build_harness(DESIGNS / "slice.v", PORTS, tmp_path)
    expected = pytest.raises(HarnessError, match="niello_slice: the library was built without --trace-saif")
    with Harness(library, PORTS) as harness, expected:
        harness.record(tmp_path / "activity.saif")
