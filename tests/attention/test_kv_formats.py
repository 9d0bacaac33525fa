"""Keys and values in every format: rows of bytes, exact integers, and jobs against Python's integers."""

import ml_dtypes
import numpy as np
import pytest

from hdl.attention.config import ArrayConfig
from hdl.attention.formats import FORMATS
from sim.attention.array_stimulus import random_case
from sim.attention.kv_formats import read_rows, row_bytes
from sim.attention.schedule import job_cost
from tests.attention import list_oracle
from tests.attention.list_oracle import run_list

ALL = [name for name in FORMATS if name not in ("int8", "int2")]
CONFIG = ArrayConfig.parse({"rows": 2, "lanes": 16, "dim": 64, "subtiles": 2, "bus_bits": 64, "formats": ALL})
NARROW = ArrayConfig.parse(
    {"rows": 2, "lanes": 4, "dim": 64, "subtiles": 2, "bus_bits": 32, "p_bits": 9, "formats": ALL, "linear": True}
)


@pytest.mark.parametrize("config", [CONFIG, NARROW], ids=["16 lanes", "4 lanes"])
@pytest.mark.parametrize("seed", range(12))
def test_lists_with_formats_are_the_paper(config, seed):
    case = random_case(np.random.default_rng(seed), config, chains=2)
    memory = case.before.copy()
    status = run_list(config, memory, case.jobs)
    np.testing.assert_array_equal(memory, case.after)
    assert status == case.status


def test_random_lists_reach_every_format():
    seen = set()
    for seed in range(60):
        case = random_case(np.random.default_rng(seed), CONFIG)
        seen |= {(name, job[f"{name}_format"]) for job in case.jobs for name in "kv"}
        seen |= {("clipped", "exponent_clipped" in case.status)}
    wanted = {(name, FORMATS[fmt].code) for name in "kv" for fmt in ["int8", *ALL]}
    assert seen >= wanted | {("clipped", False), ("clipped", True)}


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("word", [4, 8, 16])
def test_rows_are_what_python_reads(name, word):
    fmt, rng = FORMATS[name], np.random.default_rng(len(name))
    for dim in (64, 128):
        size = row_bytes(fmt, dim, word)
        assert size == list_oracle.row_bytes(fmt.code, dim, word)
        rows = rng.integers(0, 256, (20, size)).astype(np.uint8)
        found = read_rows(fmt, rows, dim, word)
        for row, integers, exponents in zip(rows.tolist(), found.integers, found.exponents, strict=True):
            e, xs = list_oracle.decoded(row, fmt.code, dim, word)
            assert integers.tolist() == e
            assert exponents.tolist() == xs[:: fmt.block] if fmt.block else exponents.size == 0
        assert -256 <= found.integers.min() <= found.integers.max() <= 255


def test_every_scale_of_nvfp4_is_e4m3():
    """Element 1.0 with any scale but the two codes of NaN means the scale, whose sign is ignored."""
    rows = np.zeros((256, 16), np.uint8)
    rows[:, 0], rows[:, 8] = np.arange(256), 2
    found = read_rows(FORMATS["nvfp4"], rows, 16, 8)
    values = found.integers[:, 0] * 2.0 ** (found.exponents[:, 0] - 11)
    wanted = np.abs(np.arange(256).astype(np.uint8).view(ml_dtypes.float8_e4m3fn).astype(np.float64))
    right = np.isfinite(wanted)
    assert right.sum() == 254
    assert (values == wanted)[right].all()


def test_words_by_hand():
    """64 elements and 100 keys of a job: rows of words of 8 bytes, scales in words of their own."""
    job = {"rows": 2, "chunks": 4, "tiles": 7, "key": 0, "keys": 100, "first": 1, "last": 1, "step": 0, "sink": 0}
    job |= {"lo": 0, "hi": 99}
    words = {"int8": 8, "int4": 4, "mxint8": 9, "mxint4": 5, "mxfp4": 5, "nvfp4": 5, "mxfp6": 7, "bfp12": 5}
    for name, count in words.items():
        found = job_cost(CONFIG, job | {"k_format": FORMATS[name].code})
        assert found.words_read == 2 * 8 + 100 * (count + 8) + 8
        assert found.words_written == 2 * 16
