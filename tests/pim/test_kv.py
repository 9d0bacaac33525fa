"""`pim.kv` in Verilator against the golden model: alone, in bulk, and with `pim.flash` behind it."""

from __future__ import annotations

import numpy as np
import pytest

from hdl.pim.flash_config import COMMAND_CYCLES, FlashOp
from hdl.pim.kv import Kv
from hdl.pim.kv_config import KvConfig, KvOp
from hdl.pim.kv_on_flash import KvOnFlash
from sim.common.harness import HarnessError
from sim.pim import kv_model, kv_vectors
from sim.pim.kv_model import KvCommand

STALLS = [(0.0, 0.0), (0.4, 0.4), (0.7, 0.1), (0.1, 0.7)]
SMALL = {"heads": 3, "head_dim": 8, "max_tokens": 64, "r_max": 4, "k_max": 8, "page_bytes": 32, "page_channels": 2,
         "planes": 2, "blocks": 8, "block_pages": 4}  # fmt: skip
DESIGNS = {
    "small": SMALL,
    "single": SMALL
    | {"heads": 1, "page_channels": 1, "r_max": 8, "k_max": 1, "planes": 1, "blocks": 4, "block_pages": 16,
       "max_tokens": 32},
    "whole": SMALL
    | {"heads": 2, "head_dim": 16, "page_channels": 4, "max_tokens": 32, "r_max": 1, "k_max": 32, "planes": 8,
       "blocks": 2},
    "one_page": SMALL
    | {"page_channels": 8, "page_bytes": 64, "planes": 4, "blocks": 3, "block_pages": 2, "r_max": 8,
       "max_tokens": 128, "k_max": 11},
}  # fmt: skip
DEEP = pytest.mark.deep


@pytest.fixture(scope="module")
def block():
    def of(name):
        """A design of the table, with flash if its name says so."""
        params = DESIGNS[name.removesuffix(" on flash")]
        config = KvConfig.parse(params)
        on_flash = name.endswith(" on flash")
        return params, config, KvOnFlash(config, kv_vectors.flash_of(config)) if on_flash else Kv(config)

    return of


def case(config, seed, count):
    """Random commands and data, and what the model makes of them."""
    rng = np.random.default_rng(seed)
    commands = kv_vectors.random_commands(config, rng, count, queries=0.45)
    data = kv_vectors.random_data(config, rng, commands)
    return commands, data, kv_model.run(config, commands, data)


def check_alone(config, harness, commands, data, want, **options):
    """Outputs and what flash is told, one for one."""
    expected = {"y": len(want.outputs) * config.head_dim, "flash_command": len(want.flash),
                "flash_data": len(want.flash_data)}  # fmt: skip
    traffic = kv_vectors.packed(commands, data) | {"flash_q": kv_vectors.answers(config, want)}
    result = harness.run(traffic, expected, **options)
    y = result.outputs["y"]
    np.testing.assert_array_equal(y.data.view("<i2").reshape(-1, config.head_dim), want.outputs)
    np.testing.assert_array_equal(np.flatnonzero(y.last) % config.head_dim, config.head_dim - 1)
    words = [kv_vectors.flash_vectors.word_of(one) for one in want.flash]
    np.testing.assert_array_equal(result.outputs["flash_command"].data.view("<u8")[:, 0], words)
    np.testing.assert_array_equal(result.outputs["flash_data"].data[:, 0], want.flash_data)
    return result


def check_registers(config, harness, commands, want):
    """Status bits and counters."""
    registers = config.registers

    def read(name):
        return harness.read(registers[name].offset_bytes)

    status = registers["status"].decode(read("status"))
    assert {name for name, value in status.items() if value} == want.refusals
    done = [one for one, fine in zip(commands, want.done, strict=True) if fine]
    operations = [one.op for one in want.flash]
    counts = [read(name) for name in ("tokens", "queries", "programmed_pages", "read_pages", "read_bytes")]
    assert counts == [
        sum(one.op == KvOp.APPEND for one in done),
        len(want.outputs),
        operations.count(FlashOp.PROGRAM),
        operations.count(FlashOp.READ_SLICE),
        sum(one.count for one in want.flash if one.op == FlashOp.READ_SLICE),
    ]


@pytest.mark.parametrize(("stall_in", "stall_out"), STALLS)
@pytest.mark.parametrize("built", [pytest.param(name, marks=DEEP) for name in DESIGNS], indirect=True)
def test_kv_matches_the_model(built, stall_in, stall_out):
    harness = built.harness()
    queries = 0
    for seed in range(2):
        harness.reset()
        commands, data, want = case(built.config, seed, 800)
        check_alone(built.config, harness, commands, data, want, stall_in=stall_in, stall_out=stall_out, seed=seed)
        check_registers(built.config, harness, commands, want)
        queries += len(want.outputs)
        assert {FlashOp.PROGRAM, FlashOp.ERASE, FlashOp.READ_SLICE} <= {one.op for one in want.flash}
    assert queries > 640  # 16 times that are more than 10,000


@DEEP
@pytest.mark.parametrize("built", DESIGNS, indirect=True)
def test_kv_answers_in_the_cycles_of_the_formula(built):
    """From the last byte of a query to the first output, over heads of all lengths."""
    config, harness = built.config, built.harness()
    for seed in range(40):
        harness.reset()
        rng = np.random.default_rng(seed)
        most = min(config.max_tokens, config.slots * config.group_tokens)
        commands = [KvCommand(KvOp.APPEND)] * (1 + seed * (most - 1) // 39)
        commands.append(kv_vectors.random_query(config, rng, 0))
        data = kv_vectors.random_data(config, rng, commands)
        want = kv_model.run(config, commands, data)
        (reading,), query = want.readings, len(data) - config.head_dim
        tokens = kv_vectors.packed(commands[:-1], data[:query])
        programmed = len(want.flash) - sum(reading.pages)
        harness.run(tokens, {"flash_command": programmed, "flash_data": len(want.flash_data)}, seed=seed)
        traffic = kv_vectors.packed(commands[-1:], data[query:]) | {"flash_q": kv_vectors.answers(config, want)}
        expected = {"y": config.head_dim, "flash_command": sum(reading.pages)}
        result = harness.run(traffic, expected, stall_in=0, stall_out=0, timestamps=True)
        chosen = len(want.attentions[0].tokens)
        token_bytes = sum(reading.bytes[1:]) + 2 * config.head_dim * reading.in_buffer
        formula = config.query_cycles(commands[-1].r, reading.tokens, chosen, token_bytes, reading.bytes[0])
        assert int(result.stamps["y"][0] - result.stamps["data"][-1]) == formula


@DEEP
@pytest.mark.parametrize("built", ["small", "one_page"], indirect=True)
def test_kv_reset_in_mid_flight_leaves_no_trace(built):
    """Given twice, with a reset in some cycle of the first time."""
    harness = built.harness()
    for seed in range(60):
        commands, data, want = case(built.config, 100 + seed, 70)
        cycle = int(np.random.default_rng(seed).integers(1, 8000))
        check_alone(built.config, harness, commands, data, want, seed=seed, reset_at=cycle)
        check_registers(built.config, harness, commands, want)
        harness.reset()


@DEEP
@pytest.mark.parametrize("built", ["small on flash", "one_page on flash"], indirect=True)
def test_kv_works_on_flash(built):
    """Both in gateware: outputs, and the cycles that the bus of flash carries."""
    config, harness = built.config, built.harness()
    flash = kv_vectors.flash_of(config).registers
    for seed, (stall_in, stall_out) in enumerate(STALLS):
        harness.reset()
        commands, data, want = case(config, 200 + seed, 500)
        beats = len(want.outputs) * config.head_dim
        result = harness.run(kv_vectors.packed(commands, data), {"y": beats}, stall_in=stall_in, stall_out=stall_out,
                             seed=seed, max_idle_cycles=100_000)  # fmt: skip
        outputs = result.outputs["y"].data.view("<i2").reshape(-1, config.head_dim)
        np.testing.assert_array_equal(outputs, want.outputs)
        harness.step(20_000)  # what comes after the last query
        check_registers(config, harness, commands, want)
        given = sum(one.count for one in want.flash if one.op == FlashOp.READ_SLICE)
        carried = COMMAND_CYCLES * len(want.flash) + len(want.flash_data) + given
        assert harness.read(flash["bus_cycles"].offset_bytes, "flash_csr") == carried
        assert harness.read(flash["commands"].offset_bytes, "flash_csr") == len(want.flash)
        assert harness.read(flash["status"].offset_bytes, "flash_csr") == 0


def test_kv_on_flash_refuses_another_geometry():
    config = KvConfig.parse(SMALL)
    flash = kv_vectors.flash_of(KvConfig.parse(SMALL | {"blocks": 16}))
    with pytest.raises(ValueError, match="^flash must have blocks 8, as the cache has, not 16$"):
        KvOnFlash(config, flash)


@DEEP
@pytest.mark.parametrize("built", ["small"], indirect=True)
def test_kv_bench_passes(built, tmp_path):
    assert len(built.bench_tests("sim.pim.kv_bench", tmp_path)) == 16


@DEEP
@pytest.mark.parametrize("built", ["small"], indirect=True)
@pytest.mark.parametrize(
    ("module", "operator", "other"),
    [
        ("select", ">", ">="),
        ("reader", "==", "!="),
        ("walker", "==", "!="),
        ("sum", "&", "|"),
        ("weights", ">", "<"),
        ("mean", ">=", ">"),
        ("store", "<", "<="),
        ("sequence", "|", "&"),
    ],
)
def test_kv_mutants_are_caught(built, module, operator, other, tmp_path):
    commands, data, want = case(built.config, 0, 400)
    mutant = built.mutant(module, operator, other, tmp_path)
    with pytest.raises((HarnessError, AssertionError)):
        check_alone(built.config, mutant, commands, data, want)
        check_registers(built.config, mutant, commands, want)
