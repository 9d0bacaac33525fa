"""Linear layers, and lists in which jobs read what earlier ones wrote: the model against Python's integers."""

import numpy as np
import pytest

from hdl.attention.config import ArrayConfig
from hdl.attention.job_words import FIELDS, pack_job
from sim.attention.array_model import Array
from sim.attention.array_stimulus import random_case
from sim.attention.bad_jobs import bad_descriptor, wrong_values
from sim.attention.descriptors import possible, unpack_job, whole
from sim.attention.linear_model import linear
from sim.attention.schedule import job_cost
from tests.attention.list_oracle import run_list

SMALL = ArrayConfig.parse(
    {"rows": 2, "lanes": 4, "dim": 16, "subtiles": 4, "bus_bits": 32, "linear": True, "formats": ["int4", "int2"]}
)
WIDE = ArrayConfig.parse(
    {"rows": 4, "lanes": 8, "dim": 32, "subtiles": 2, "bus_bits": 32, "linear": True, "formats": ["int2"], "p_bits": 9}
)


@pytest.mark.parametrize("config", [SMALL, WIDE], ids=["small", "wide"])
@pytest.mark.parametrize("seed", range(10))
def test_mixed_lists_are_the_paper(config, seed):
    case = random_case(np.random.default_rng(seed), config, chains=3)
    memory = case.before.copy()
    status = run_list(config, memory, case.jobs)
    np.testing.assert_array_equal(memory, case.after)
    assert status == case.status


def test_large_sums_are_numpy_s():
    rng = np.random.default_rng(2)
    x, w = (rng.integers(-128, 128, (count, 4096)).astype(np.int8) for count in (5, 7))
    sums = x.astype(np.int64) @ w.astype(np.int64).T
    y, clipped = linear(x, w, 1, 1, bits=32)
    assert (y == (sums + 1) >> 1).all()
    assert not clipped.any()
    y, clipped = linear(x, w, 0xFFFF, 31, bits=8, relu=True)
    exact = np.maximum((sums * 0xFFFF + (1 << 30)) >> 31, 0)
    assert (y == np.minimum(exact, 127)).all()
    assert (clipped == (exact > 127)).all()


def test_rounding_and_clipping_by_hand():
    def of(values, **options):
        y, clipped = linear(np.array(values)[:, None], np.ones((1, 1)), **options)
        return y[:, 0].tolist(), clipped[:, 0].tolist()

    assert of([-3, -1, 1, 3], multiplier=1, shift=1, bits=8)[0] == [-1, 0, 1, 2]  # halves go up
    assert of([-129, -128, 127, 128], multiplier=2, shift=1, bits=8) == ([-128, -128, 127, 127], [1, 0, 0, 1])
    assert of([-129, -8, 7, 8], multiplier=2, shift=1, bits=4, relu=True) == ([0, 0, 7, 7], [0, 0, 0, 1])


def test_random_lists_reach_everything():
    seen = set()
    for seed in range(80):
        case = random_case(np.random.default_rng(seed), SMALL)
        places = {}
        for job in case.jobs:
            kind = "linear" if job["linear"] else "attention"
            seen |= {(kind, "o_format", job["o_format"]), (kind, "k_format", job["k_format"])}
            seen |= {(kind, "parts", max(1, job["chunks"] // 4)), (kind, "after", job["after"])}
            seen |= {(kind, name) for name in "qkv" if job[f"{name}_address"] in places}
            reads = [job[f"{name}_address"] for name in ("qk" if job["linear"] else "qkv")]
            assert job["after"] or not places.keys() & set(reads)
            if job["last"]:
                places[job["o_address"]] = job
    # Outputs of 4 bits need 8 lanes for a memory word.
    assert seen >= {(kind, "o_format", code) for kind in ("linear", "attention") for code in (0, 1)}
    assert seen >= {("linear", "k_format", code) for code in (0, 1, 2)}
    assert seen >= {("linear", "parts", count) for count in (1, 2, 3, 4)}
    assert seen >= {("linear", "q"), ("attention", "q"), ("attention", "k"), ("attention", "v")}
    assert seen >= {(kind, "after", flag) for kind in ("linear", "attention") for flag in (0, 1)}


LAYER = dict.fromkeys(FIELDS, 0) | {"linear": 1, "first": 1, "last": 1, "rows": 8, "chunks": 4, "tiles": 3, "keys": 12}
LAYER |= {"a": 5, "h": 9, "q_address": 64, "q_stride": 16, "k_address": 256, "k_stride": 16, "o_stride": 32}


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ({"chunks": 2}, {"chunks": 5}),  # more than D: whole parts
        ({"chunks": 12, "rows": 2}, {"chunks": 12, "rows": 3}),  # three parts: a block
        ({"chunks": 16, "rows": 2}, {"chunks": 20, "rows": 2}),  # five parts, and room for four
        ({"chunks": 8, "rows": 4}, {"chunks": 8, "rows": 5}),
        ({"k_format": 1}, {"k_format": 3}),
        ({"k_format": 2}, {"k_format": 8}),
        ({"o_format": 1}, {"o_format": 2}),  # two bytes a tile
        ({"o_format": 0}, {"o_format": 3}),
        ({"tiles": 2, "keys": 8}, {"tiles": 2}),
        ({"relu": 1, "after": 1}, {"first": 0}),
        ({}, {"last": 0}),
        ({}, {"key": 1}),
        ({}, {"fraction": 8}),
        ({}, {"step": 1}),
        ({}, {"sink": 1}),
        ({}, {"lo": -1}),
        ({}, {"hi": 11}),
        ({}, {"v_address": 64}),
        ({}, {"v_stride": 16}),
        ({}, {"v_format": 1}),
        ({}, {"k_exponent": 1}),
        ({}, {"v_exponent": 1}),
        ({}, {"h": 0}),
        ({}, {"q_stride": 18}),
    ],
)
def test_impossible_layers_are_refused(right, wrong):
    assert possible(SMALL, LAYER | right)
    assert not possible(SMALL, LAYER | wrong)
    assert not possible(SMALL.model_copy(update={"linear": False}), LAYER | right)


def test_parts_of_packed_weights_are_whole_words():
    """Two parts of 24 elements of 2 bits are six bytes each, and a memory word has eight."""
    config = ArrayConfig.parse(
        {"rows": 4, "lanes": 8, "dim": 24, "subtiles": 4, "bus_bits": 64, "linear": True, "formats": ["int4", "int2"]}
    )
    layer = LAYER | {"rows": 4, "tiles": 1, "keys": 8, "o_stride": 64, "o_format": 1}
    assert possible(config, layer | {"chunks": 3, "k_format": 2})
    assert possible(config, layer | {"chunks": 6})
    assert not possible(config, layer | {"chunks": 6, "k_format": 1})
    assert not possible(config, layer | {"chunks": 6, "k_format": 2})


def test_bad_layers_are_left_out():
    rng = np.random.default_rng(3)
    for seed in range(30):
        plain = random_case(np.random.default_rng(seed), SMALL, chains=1)
        for job in plain.jobs:
            for name, values in wrong_values(SMALL, whole(job)).items():
                low = (1 << FIELDS[name].bits) - 1
                assert not any(possible(SMALL, job | {name: value & low}) for value in values), (name, values)
            found = unpack_job(bad_descriptor(rng, SMALL, job))
            assert found is None or not possible(SMALL, found)


def test_cost_of_layers_by_hand():
    found = job_cost(SMALL, LAYER)  # 8 rows are four blocks; a word has four bytes
    assert (found.jobs, found.passes, found.needed, found.mac_cycles) == (1, 12, 12, 16 * 3 * 4)
    assert found.words_read == (8 * 16 + 12 * 16 + 64) // 4
    assert found.words_written == 8 * 12 * 2 // 4
    found = job_cost(SMALL, LAYER | {"chunks": 12, "rows": 1, "k_format": 2, "o_format": 1})
    assert (found.passes, found.mac_cycles) == (9, 48 * 3)
    assert found.words_read == (48 + 12 * 12 + 64) // 4
    assert found.words_written == 12 // 4


def test_what_is_beyond_the_window_is_zero_and_not_written():
    memory = np.full(1024, 1, np.uint8)
    job = LAYER | {"rows": 2, "chunks": 2, "tiles": 1, "keys": 4, "a": 2, "h": 1, "q_address": 64, "k_address": 128}
    job |= {"o_address": 256, "k_stride": 8, "q_stride": 8, "o_stride": 8}
    memory[:64] = np.frombuffer(pack_job(job), np.uint8)
    assert Array(SMALL, memory, window=264).run(0, 1) == {"done", "outside"}
    assert memory[256:272].view("<i2").tolist() == [8] * 4 + [257] * 4
    memory[:64] = np.frombuffer(pack_job(job), np.uint8)
    assert Array(SMALL, memory, window=144).run(0, 1) == {"done", "outside"}  # two outputs have weights
