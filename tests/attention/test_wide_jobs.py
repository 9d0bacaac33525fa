"""Wide jobs, two at a time and two of four: lists against the paper, against other jobs, and what is refused."""

from itertools import pairwise

import numpy as np
import pytest

from hdl.attention.config import ArrayConfig
from hdl.attention.job_words import FIELDS
from sim.attention.array_model import numerics
from sim.attention.array_stimulus import random_case
from sim.attention.bad_jobs import bad_descriptor, wrong_values
from sim.attention.descriptors import possible, unpack_job, whole
from sim.attention.job_stimulus import inputs_of
from sim.attention.schedule import job_cost
from tests.attention.list_oracle import run_list

BOTH = {"rows": 4, "lanes": 4, "dim": 16, "subtiles": 4, "bus_bits": 32, "linear": True}
BOTH |= {"formats": ["int4", "int2"], "dual_issue": True, "sparse": True}
CONFIGS = {
    "both": ArrayConfig.parse(BOTH),
    "long": ArrayConfig.parse(BOTH | {"rows": 2, "dim": 32, "p_bits": 9}),
    "dual": ArrayConfig.parse(BOTH | {"lanes": 8, "dim": 48, "sparse": False, "linear": False, "formats": ["int4"]}),
    "sparse": ArrayConfig.parse(BOTH | {"dim": 24, "dual_issue": False, "formats": []}),
}
SMALL = CONFIGS["both"]
ATTENTION = dict.fromkeys(FIELDS, 0) | {"first": 1, "last": 1, "rows": 9, "chunks": 4, "tiles": 3, "keys": 21, "hi": 20}
ATTENTION |= {"a": 5, "h": 9, "q_stride": 16, "k_stride": 8, "v_stride": 8, "o_stride": 32, "dual": 1}
ATTENTION |= {"k_format": 1, "v_format": 1}
LAYER = dict.fromkeys(FIELDS, 0) | {"linear": 1, "first": 1, "last": 1, "rows": 9, "chunks": 4, "tiles": 3, "keys": 24}
LAYER |= {"a": 5, "h": 9, "q_stride": 16, "k_stride": 64, "o_stride": 48}
DUAL, SPARSE = {"dual": 1, "k_format": 1}, {"sparse": 1}


@pytest.mark.parametrize("name", CONFIGS)
def test_widths_of_the_model_are_the_config_s(name):
    config = CONFIGS[name]
    assert (numerics(config).denominator_bits, numerics(config).output_bits) == (config.l_bits, config.o_bits)


@pytest.mark.parametrize("name", CONFIGS)
@pytest.mark.parametrize("seed", range(8))
def test_lists_with_wide_jobs_are_the_paper(name, seed):
    case = random_case(np.random.default_rng(seed), CONFIGS[name], chains=3)
    memory = case.before.copy()
    status = run_list(CONFIGS[name], memory, case.jobs)
    np.testing.assert_array_equal(memory, case.after)
    assert status == case.status


def kind_of(job):
    what = "layer" if job["linear"] else "attention"
    return (f"dual {what}" if job["dual"] else f"sparse {what}" if job["sparse"] else what), job["k_format"]


def test_random_lists_mix_wide_jobs_with_others():
    seen, pairs = set(), set()
    for seed in range(240):
        jobs = random_case(np.random.default_rng(seed), SMALL, chains=3).jobs
        seen |= {(*kind_of(job), max(1, job["chunks"] // 4) if job["linear"] else 1) for job in jobs}
        pairs |= {(kind_of(a)[0], kind_of(b)[0], b["first"]) for a, b in pairwise(jobs)}
    parts = (1, 2, 3, 4)
    assert seen >= {("dual attention", 1, 1)} | {("attention", code, 1) for code in (0, 1)}
    assert seen >= {("dual layer", code, count) for code in (1, 2) for count in parts}
    assert seen >= {("sparse layer", code, count) for code in (0, 1, 2) for count in parts}
    kinds = ("attention", "dual attention", "layer", "dual layer", "sparse layer")
    assert pairs >= {(a, b, 1) for a in kinds for b in kinds}
    assert pairs >= {(a, b, 0) for a in kinds[:2] for b in kinds[:2]}, "jobs of the same rows"


def test_sparse_rows_have_any_places_and_noise_as_padding():
    """A part of 24 inputs has 3 bytes of places and, of weights of 2 bits, 3 of elements; a word has four."""
    config = ArrayConfig.parse(BOTH | {"dim": 24})
    equal, descending, padding = [], [], []
    for seed in range(60):
        case = random_case(np.random.default_rng(seed), config, chains=2)
        for job in case.jobs:
            if job["sparse"] and job["k_format"] == 2 and job["chunks"] >= 12:
                areas = [area for name, (area, _) in inputs_of(config, job).items() if name[0] == "k"]
                rows = np.concatenate([case.before[area.places()].reshape(-1, 8) for area in areas])
                assert sum(area.row_bytes for area in areas) == job["chunks"] // 6 * 8
                pairs = np.unpackbits(rows[:, :3], axis=1, bitorder="little").reshape(-1, 2, 2) @ [1, 2]
                equal.append((pairs[:, 0] == pairs[:, 1]).mean())
                descending.append((pairs[:, 0] > pairs[:, 1]).mean())
                padding.append((rows[:, [3, 7]] != 0).mean())
    assert len(equal) > 3
    assert 0.2 < np.mean(equal) < 0.3
    assert 0.3 < np.mean(descending) < 0.45
    assert np.mean(padding) > 0.9


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        (ATTENTION, {"sparse": 1}),
        (ATTENTION, {"sparse": 1, "dual": 0}),
        (ATTENTION, {"k_format": 0}),
        (ATTENTION, {"v_format": 0}),
        (ATTENTION, {"chunks": 2}),
        (ATTENTION, {"chunks": 3}),
        (LAYER | DUAL, {"sparse": 1}),
        (LAYER | DUAL, {"dual": 0}),  # half as many outputs
        (LAYER | DUAL, {"k_format": 0}),
        (LAYER | DUAL | {"k_format": 2}, {"chunks": 3}),
        (LAYER | DUAL, {"keys": 12}),
        (LAYER | DUAL | {"chunks": 8, "rows": 8}, {"chunks": 8, "rows": 9}),
        (LAYER | SPARSE, {"dual": 1}),
        (LAYER | SPARSE | {"k_format": 1}, {"dual": 1}),
        (LAYER | SPARSE | {"k_format": 2}, {"chunks": 2}),
        (LAYER | SPARSE, {"keys": 12}),
        (LAYER | SPARSE | {"o_format": 1}, {"o_format": 2}),  # outputs of a row in whole words: of a half tile
        (LAYER | SPARSE, {"v_format": 1}),
    ],
)
def test_impossible_wide_jobs_are_refused(right, wrong):
    assert possible(SMALL, right)
    assert not possible(SMALL, right | wrong)
    for name in ("dual_issue", "sparse"):
        built = SMALL.model_copy(update={name: False})
        assert possible(built, right) == (not right["dual" if name == "dual_issue" else "sparse"])


def test_parts_of_sparse_weights_need_no_whole_words():
    """Two parts of 24 weights of 2 bits are six bytes each, of 8-byte words; sparse ones are padded."""
    config = ArrayConfig.parse(BOTH | {"lanes": 8, "dim": 48, "bus_bits": 64})
    layer = LAYER | {"rows": 4, "tiles": 1, "chunks": 12, "k_format": 2, "o_stride": 64}
    assert possible(config, layer | {"keys": 16, "sparse": 1})
    assert not possible(config, layer | {"keys": 16, "dual": 1})
    assert not possible(config, layer | {"keys": 8})


def test_every_wrong_value_makes_a_bad_job():
    rng, seen = np.random.default_rng(3), set()
    for seed in range(40):
        for job in random_case(np.random.default_rng(seed), SMALL, chains=1).jobs:
            for name, values in wrong_values(SMALL, whole(job)).items():
                low = (1 << FIELDS[name].bits) - 1
                assert not any(possible(SMALL, job | {name: value & low}) for value in values), (name, values)
                seen |= {(kind_of(job)[0], name)} if name in ("dual", "sparse") else set()
            found = unpack_job(bad_descriptor(rng, SMALL, job))
            assert found is None or not possible(SMALL, found)
    layers = {(kind, name) for kind in ("layer", "dual layer", "sparse layer") for name in ("dual", "sparse")}
    assert seen >= layers | {("attention", "dual"), ("dual attention", "sparse")}


def test_cost_of_wide_jobs_by_hand():
    """Nine rows are three blocks of four; a memory word has four bytes; a tile has eight keys, or outputs."""
    found = job_cost(SMALL, ATTENTION)
    assert (found.passes, found.needed, found.mac_cycles) == (9, 9, 2 * 16 * 9)
    assert found.words_read == (9 * 16 + 2 * 21 * 8 + 64) // 4
    assert found.words_written == 9 * 32 // 4
    found = job_cost(SMALL, ATTENTION | {"hi": 14, "lo": 8})  # the second of three tiles alone
    assert (found.passes, found.needed) == (3, 3)
    found = job_cost(SMALL, LAYER | DUAL)
    assert (found.passes, found.mac_cycles) == (9, 16 * 9)
    assert found.words_read == (9 * 16 + 24 * 8 + 64) // 4
    found = job_cost(SMALL, LAYER | SPARSE | {"chunks": 8, "k_format": 2, "rows": 8, "o_format": 1})
    assert (found.passes, found.mac_cycles) == (2 * 2 * 3, 32 * 2 * 3)
    assert found.words_read == (8 * 32 + 24 * 2 * (4 + 4) + 64) // 4  # of a part a word of places, one of elements
    assert found.words_written == 8 * 24 // 4
