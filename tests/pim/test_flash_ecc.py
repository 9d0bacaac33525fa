"""`pim.flash_ecc`: the model against what it promises, and both directions in Verilator against the model."""

from __future__ import annotations

import re

import numpy as np
import pytest

from hdl.common.config import ConfigError
from hdl.pim.flash_ecc import FlashEcc
from hdl.pim.flash_ecc_config import FlashEccConfig
from sim.common.harness import HarnessError
from sim.pim import flash_ecc_vectors
from sim.pim.flash_ecc_model import decode, encode, protected_of, threshold_of
from sim.pim.flash_ecc_vectors import damaged

PAPER = FlashEccConfig(direction="decode", page_bytes=16384)
SMALL = FlashEccConfig(direction="decode", page_bytes=256)
BUILDS = {(direction, page): None for direction in ("decode", "encode") for page in (256, 1024)}


def some_page(config, seed, spread=20):
    values = np.random.default_rng(seed).normal(0, spread, config.page_bytes)
    return np.clip(np.rint(values), -128, 127).astype(np.int8)


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"direction": "decode"}, "params.page_bytes is missing; it must be a whole number in 256..16384"),
        ({"direction": "decode", "page_bytes": 300}, "params: page_bytes must be a power of 2, not 300"),
        ({"direction": "both", "page_bytes": 256},
         "params.direction must be one of decode, encode, not 'both' (a string)"),
    ],
)  # fmt: skip
def test_flash_ecc_config_refuses(params, message):
    with pytest.raises(ConfigError, match=f"^{re.escape(message)}$"):
        FlashEccConfig.parse(params)


def test_flash_ecc_vectors_refuse_other_pages():
    arrays = {"page": np.zeros((1, 256), np.int8), "code": np.zeros((1, 9), np.uint8)}
    with pytest.raises(ValueError, match=r"^code must have 14 bytes a page, not 9$"):
        flash_ecc_vectors.check(SMALL, arrays)


def test_flash_ecc_of_a_16_kb_page_is_the_papers():
    """163 weights, 14 bits of address and 5 of Hamming each; the paper's 722 bytes hold them and the threshold."""
    assert (PAPER.protected, PAPER.address_bits, PAPER.check_bits, PAPER.entry_bits) == (163, 14, 5, 35)
    assert PAPER.code_bytes == 721


def test_flash_ecc_protects_the_largest_weights():
    for seed, spread in ((1, 3), (2, 20), (3, 200)):
        page = some_page(PAPER, seed, spread)
        chosen = protected_of(PAPER, page)
        rest = np.delete(np.abs(page.astype(int)), chosen)
        assert len(set(chosen.tolist())) == 163
        assert rest.max() <= np.abs(page.astype(int))[chosen].min()
        assert rest.max() <= threshold_of(PAPER, page)


@pytest.mark.parametrize("config", [SMALL, PAPER], ids=["small", "paper"])
def test_flash_ecc_without_errors_changes_nothing(config):
    for seed, spread in ((1, 3), (2, 20), (3, 200)):
        page = some_page(config, seed, spread)
        found = decode(config, encode(config, page), page)
        np.testing.assert_array_equal(found.weights, page)
        assert (found.corrected, found.dropped, found.repaired, found.zeroed) == (0, 0, 0, 0)


def test_flash_ecc_corrects_any_one_wrong_bit_of_the_code():
    page = some_page(SMALL, 5)
    code = encode(SMALL, page)
    for bit in range(8 * SMALL.threshold_copies + SMALL.protected * SMALL.entry_bits):
        wrong = code.copy()
        wrong[bit // 8] ^= 1 << bit % 8
        found = decode(SMALL, wrong, page)
        np.testing.assert_array_equal(found.weights, page)
        assert (found.dropped, found.repaired, found.zeroed) == (0, 0, 0)


def test_flash_ecc_repairs_any_protected_weight():
    page = some_page(SMALL, 6)
    code = encode(SMALL, page)
    for address in protected_of(SMALL, page).tolist():
        wrong = page.copy()
        wrong[address] ^= 0x55
        found = decode(SMALL, code, wrong)
        np.testing.assert_array_equal(found.weights, page)
        assert found.repaired == 1


def test_flash_ecc_leaves_no_false_outlier():
    page = some_page(PAPER, 7)
    wrong = damaged(np.random.default_rng(1), page.view(np.uint8), 1e-3).view(np.int8)
    found = decode(PAPER, encode(PAPER, page), wrong)
    chosen = protected_of(PAPER, page)
    np.testing.assert_array_equal(found.weights[chosen], page[chosen])
    rest = np.delete(np.abs(found.weights.astype(int)), chosen)
    assert rest.max() <= threshold_of(PAPER, page)
    assert found.zeroed > 0
    assert np.square(found.weights - page.astype(int)).sum() < np.square(wrong.astype(int) - page).sum() / 3


@pytest.fixture(scope="module")
def block():
    def of(key):
        params = dict(zip(["direction", "page_bytes"], key, strict=True))
        config = FlashEccConfig.parse(params)
        return params, config, FlashEcc(config)

    return of


@pytest.mark.deep
@pytest.mark.parametrize(("stall_in", "stall_out"), [(0.0, 0.0), (0.4, 0.4), (0.7, 0.1), (0.1, 0.7)])
@pytest.mark.parametrize("built", BUILDS, indirect=True, ids=str)
def test_flash_ecc_matches_the_model(built, stall_in, stall_out):
    """10,000 weights and more of pages of all kinds, with errors of many rates."""
    pages = 10_000 // built.config.page_bytes + 16
    arrays = flash_ecc_vectors.random_arrays(built.config, 5, pages)
    result = built.harness().run(
        flash_ecc_vectors.pack(built.config, arrays),
        flash_ecc_vectors.expected_beats(built.config, arrays),
        stall_in=stall_in,
        stall_out=stall_out,
        seed=3,
        max_idle_cycles=20_000,
    )
    got = flash_ecc_vectors.unpack(built.config, arrays, result.outputs)
    np.testing.assert_array_equal(got["q"], flash_ecc_vectors.model(built.config, arrays)["q"])
    np.testing.assert_array_equal(result.outputs["q"].last, flash_ecc_vectors.last_of(built.config, pages))


@pytest.mark.deep
@pytest.mark.parametrize("built", [("decode", 256), ("encode", 256)], indirect=True, ids=str)
def test_flash_ecc_bench_passes(built, tmp_path):
    assert len(built.bench_tests("sim.pim.flash_ecc_bench", tmp_path)) == 7


@pytest.mark.deep
@pytest.mark.parametrize("built", [("decode", 256), ("encode", 256)], indirect=True, ids=str)
def test_flash_ecc_mutants_are_caught(built, tmp_path):
    arrays = flash_ecc_vectors.random_arrays(built.config, 5, 40)
    want = flash_ecc_vectors.model(built.config, arrays)["q"].reshape(-1)
    mutant = built.mutant("core__core", "^", "|", tmp_path)
    with pytest.raises((HarnessError, AssertionError)):
        got = mutant.run(flash_ecc_vectors.pack(built.config, arrays), {"q": len(want)}).outputs["q"]
        np.testing.assert_array_equal(got.data[:, 0], want)
