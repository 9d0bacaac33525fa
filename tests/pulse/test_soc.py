"""`pulse.soc` in Verilator: the channel as it is by itself, and the processor beside it."""

from __future__ import annotations

import pytest

from hdl.pulse.soc import Soc
from hdl.pulse.soc_config import SocConfig

BUILDS = {
    "small": {
        "front": {"samples": 16, "pre": 4, "events": 4, "code_bits": 12},
        "filter": {"samples": 16, "taps": 11, "pre": 4},
        "histogram": {"bins": 64},
    }
}


@pytest.fixture(scope="module")
def block():
    def of(name):
        config = SocConfig.parse(BUILDS[name])
        return BUILDS[name], config, Soc(config)

    return of


@pytest.mark.parametrize("built", ["small"], indirect=True)
def test_soc_loses_no_event_to_its_processor(built, tmp_path):
    assert len(built.bench_tests("sim.pulse.soc_bench", tmp_path, ["a_hang_costs_no_event"])) == 1


@pytest.mark.deep
@pytest.mark.parametrize("built", ["small"], indirect=True)
def test_soc_bench_passes(built, tmp_path):
    assert len(built.bench_tests("sim.pulse.soc_bench", tmp_path)) == 5


@pytest.mark.deep
@pytest.mark.parametrize("built", ["small"], indirect=True)
def test_soc_is_a_channel(built, tmp_path):
    assert len(built.bench_tests("sim.pulse.channel_bench", tmp_path)) == 13
