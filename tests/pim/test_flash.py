"""`pim.flash` in Verilator: the cocotb bench, and commands in bulk against the golden model."""

from __future__ import annotations

import numpy as np
import pytest

from hdl.pim.flash import Flash
from hdl.pim.flash_config import FlashConfig
from sim.common.harness import HarnessError
from sim.pim import flash_model, flash_vectors

STALLS = [(0.0, 0.0), (0.4, 0.4), (0.7, 0.1), (0.1, 0.7)]
SMALL = {"dies": 2, "planes": 2, "blocks": 2, "block_pages": 4, "page_bytes": 32, "columns": 8,
         "read_cycles": 60, "program_cycles": 90, "erase_cycles": 200}  # fmt: skip
DESIGNS = {
    "small": SMALL,
    "single": SMALL | {"dies": 1, "planes": 1, "blocks": 1, "block_pages": 2, "read_cycles": 41},
    "fast": SMALL
    | {"dies": 3, "planes": 1, "blocks": 3, "columns": 4, "read_cycles": 40, "program_cycles": 40, "erase_cycles": 20},
    "wide": SMALL | {"dies": 4, "page_bytes": 256, "columns": 256, "read_cycles": 264, "program_cycles": 500},
}


@pytest.fixture(scope="module")
def block():
    def of(name):
        config = FlashConfig.parse(DESIGNS[name])
        return DESIGNS[name], config, Flash(config)

    return of


@pytest.mark.deep
@pytest.mark.parametrize(("stall_in", "stall_out"), STALLS)
@pytest.mark.parametrize("built", DESIGNS, indirect=True)
def test_flash_matches_the_model(built, stall_in, stall_out):
    rng = np.random.default_rng(4)
    commands = flash_vectors.random_commands(built.config, rng, 2500)
    data = flash_vectors.random_data(built.config, rng, commands)
    want = flash_model.run(built.config, commands, data)
    q = np.concatenate(want.packets)
    harness = built.harness()
    options = {"stall_in": stall_in, "stall_out": stall_out, "seed": 3}
    result = harness.run(flash_vectors.packed(commands, data), {"q": len(q)}, **options)
    np.testing.assert_array_equal(result.outputs["q"].data[:, 0], q)
    np.testing.assert_array_equal(np.flatnonzero(result.outputs["q"].last), np.cumsum(list(map(len, want.packets))) - 1)
    registers = built.config.registers
    assert harness.read(registers["commands"].offset_bytes) == want.done.sum()
    assert registers["status"].decode(harness.read(registers["status"].offset_bytes))["bad_command"] == 1
    assert not want.done.all()


@pytest.mark.deep
@pytest.mark.parametrize("built", DESIGNS, indirect=True)
def test_flash_takes_the_cycles_of_the_model(built):
    harness = built.harness()
    for seed in range(60):
        harness.reset()
        rng = np.random.default_rng(seed)
        commands = flash_vectors.random_commands(built.config, rng, 1 + seed)
        commands.append(flash_model.Command(1, 0, 0))
        data = flash_vectors.random_data(built.config, rng, commands)
        want = flash_model.run(built.config, commands, data)
        traffic = flash_vectors.packed(commands, data)
        result = harness.run(traffic, {"q": sum(map(len, want.packets))}, stall_in=0, stall_out=0, timestamps=True)
        last, first = result.stamps["q"][-1], result.stamps["command"][0]
        assert last - first == flash_model.cycles(built.config, commands, want.done)


@pytest.mark.deep
@pytest.mark.parametrize("built", ["small", "fast"], indirect=True)
def test_flash_bench_passes(built, tmp_path):
    assert len(built.bench_tests("sim.pim.flash_bench", tmp_path)) == 17


@pytest.mark.deep
@pytest.mark.parametrize("built", ["small"], indirect=True)
@pytest.mark.parametrize(("module", "operator", "other"), [("channel", "==", "!="), ("flashplane", "&", "|")])
def test_flash_mutants_are_caught(built, module, operator, other, tmp_path):
    rng = np.random.default_rng(4)
    commands = flash_vectors.random_commands(built.config, rng, 300)
    data = flash_vectors.random_data(built.config, rng, commands)
    q = np.concatenate(flash_model.run(built.config, commands, data).packets)
    mutant = built.mutant(module, operator, other, tmp_path)
    with pytest.raises((HarnessError, AssertionError)):
        got = mutant.run(flash_vectors.packed(commands, data), {"q": len(q)}).outputs["q"]
        np.testing.assert_array_equal(got.data[:, 0], q)
