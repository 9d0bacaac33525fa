"""Cores of the extra `cores` in the processor: the bench of Sentinel's, with as many cycles more as they are slower."""

from __future__ import annotations

import re

import pytest

from hdl.common.config import ConfigError
from hdl.soc.config import ProcessorConfig
from hdl.soc.processor import Processor

CORES = ("vexriscv", "picorv32", "serv")
WITHOUT_INTERRUPTS = (
    "the_processor_says_what_it_is", "words_are_kept/stall=0", "words_are_kept/stall=0.5",
    "faults_are_told_and_change_nothing", "damaged_requests_do_nothing", "the_watchdog_ends_a_hang",
    "reset_in_mid_flight_leaves_no_trace",
)  # fmt: skip


@pytest.fixture(scope="module")
def block():
    def of(name):
        params = {"core": name}
        config = ProcessorConfig.parse(params)
        return params, config, Processor(config, 12)

    return of


def test_a_core_that_is_not_installed_is_refused(monkeypatch):
    monkeypatch.setattr("hdl.soc.config.find_spec", lambda name: None if "serv" in name else name)
    message = "params: core serv needs the package pythondata-cpu-serv: make setup EXTRAS=cores"
    with pytest.raises(ConfigError, match=f"^{re.escape(message)}$"):
        ProcessorConfig.parse({"core": "serv"})
    with pytest.raises(ConfigError, match="core must be one of"):
        ProcessorConfig.parse({"core": "z80"})


@pytest.mark.parametrize("built", CORES, indirect=True)
def test_core_lives(built, tmp_path):
    names = ["the_processor_says_what_it_is"]
    assert len(built.bench_tests("sim.soc.processor_bench", tmp_path, names)) == 1


@pytest.mark.deep
@pytest.mark.parametrize("built", CORES, indirect=True)
def test_core_passes_the_processors_bench(built, tmp_path):
    """All of it, but that PicoRV32 takes no interrupts."""
    tests = WITHOUT_INTERRUPTS if built.config.core == "picorv32" else None
    assert len(built.bench_tests("sim.soc.processor_bench", tmp_path, tests)) == (7 if tests else 10)
