"""Weights of which two of each four are kept: pruned, in memory, and back; and layers of them."""

import numpy as np
import pytest

from hdl.attention.config import ArrayConfig
from hdl.attention.formats import FORMATS
from hdl.attention.job_words import FIELDS, pack_job
from sim.attention.array_model import Array
from sim.attention.kv_formats import pack_bits
from sim.attention.sparse_weights import expand, pack_sparse, prune, read_sparse, sparse_row_bytes
from tests.attention.list_oracle import sparse_row

CONFIG = ArrayConfig.parse(
    {"rows": 4, "lanes": 4, "dim": 16, "subtiles": 4, "bus_bits": 32, "linear": True}
    | {"formats": ["int4", "int2"], "dual_issue": True, "sparse": True}
)
PLAIN = ("int8", "int4", "int2")


def integers(rng, fmt, shape):
    most = 1 << (fmt.bits - 1)
    return rng.integers(-most, most, shape)


def kept_of_four(four):
    """Places of the two largest magnitudes; of equals the first."""
    first = max(range(4), key=lambda place: (abs(four[place]), -place))
    second = max((place for place in range(4) if place != first), key=lambda place: (abs(four[place]), -place))
    return sorted([first, second])


@pytest.mark.parametrize("numbers", ["integers", "floats"])
def test_the_two_largest_of_four_are_kept(numbers):
    rng = np.random.default_rng(1)
    weights = rng.integers(-3, 4, (50, 24)) if numbers == "integers" else rng.standard_normal((50, 24))
    places, kept = prune(weights)
    assert places.shape == kept.shape == (50, 12)
    for row, found, values in zip(weights.tolist(), places.tolist(), kept.tolist(), strict=True):
        wanted = [kept_of_four(row[start : start + 4]) for start in range(0, 24, 4)]
        assert found == [place for two in wanted for place in two]
        assert values == [row[4 * group + place] for group, two in enumerate(wanted) for place in two]


def test_pruning_by_hand():
    weights = np.array([[0, 0, 0, 0, 5, -5, 5, 5, -128, 127, 0, -128, 1, 0, 2, -2]], np.int8)
    places, kept = prune(weights)
    assert places.tolist() == [[0, 1, 0, 1, 0, 3, 2, 3]]
    assert kept.tolist() == [[0, 0, 5, -5, -128, -128, 2, -2]]


def test_equal_places_add_up():
    dense = expand(np.array([[1, 1, 3, 0], [2, 0, 2, 2]]), np.array([[5, -7, 1, 2], [3, 4, -8, -8]]))
    assert dense.tolist() == [[0, -2, 0, 0, 2, 0, 0, 1], [4, 0, 3, 0, 0, 0, -16, 0]]


@pytest.mark.parametrize("name", PLAIN)
@pytest.mark.parametrize(("inputs", "part", "word"), [(16, 16, 4), (48, 24, 4), (192, 64, 16), (24, 24, 8)])
def test_rows_are_what_python_reads_and_come_back(name, inputs, part, word):
    fmt, rng = FORMATS[name], np.random.default_rng(inputs)
    places = rng.integers(0, 4, (20, inputs // 2))
    kept = integers(rng, fmt, places.shape)
    rows = pack_sparse(fmt, places, kept, part, word)
    assert rows.shape == (20, sparse_row_bytes(fmt, inputs, part, word))
    found = read_sparse(fmt, rows, part, word)
    for row, weights in zip(rows.tolist(), found.tolist(), strict=True):
        assert weights == sparse_row(row, fmt.code, inputs, part, word)
    np.testing.assert_array_equal(found, expand(places, kept))


def test_a_row_by_hand():
    """Eight inputs keep four: places 0, 1, 2, 3 are a byte, from the lowest bits on; a word has four bytes."""
    row = pack_sparse(FORMATS["int4"], np.array([[0, 1, 2, 3]]), np.array([[1, -2, 3, -4]]), 8, 4)
    assert row.tolist() == [[0b11100100, 0, 0, 0, 0xE1, 0xC3, 0, 0]]


def layer(rng, weights, rows, inputs, outputs, fmt, **fields):
    """Outputs of a layer with its weights as they lie in memory, on the golden model of the array."""
    x = rng.integers(-128, 128, (rows, inputs)).astype(np.int8)
    at = np.cumsum([64, x.size, weights.size, rows * outputs * 2]).tolist()
    job = dict.fromkeys(FIELDS, 0) | {"linear": 1, "first": 1, "last": 1, "rows": rows, "chunks": inputs // 4}
    job |= {"keys": outputs, "a": 40000, "h": 20, "k_format": fmt.code, "q_address": at[0], "q_stride": inputs}
    job |= {"k_address": at[1], "k_stride": weights.shape[1], "o_address": at[2], "o_stride": 2 * outputs} | fields
    memory = np.zeros(at[3], np.uint8)
    memory[: at[2]] = np.concatenate(
        [np.frombuffer(pack_job(job), np.uint8), x.view(np.uint8).ravel(), weights.ravel()]
    )
    status = Array(CONFIG, memory).run(0, 1)
    return memory[at[2] :].view("<i2"), status - {"output_saturated"}


@pytest.mark.parametrize("name", PLAIN)
@pytest.mark.parametrize(("rows", "inputs"), [(13, 16), (5, 32), (4, 64)])
def test_a_sparse_layer_is_the_dense_one_of_its_weights(name, rows, inputs):
    fmt, rng = FORMATS[name], np.random.default_rng(rows)
    places, kept = prune(integers(rng, fmt, (24, inputs)))
    sparse = layer(
        *(np.random.default_rng(5), pack_sparse(fmt, places, kept, 16, 4), rows, inputs, 24, fmt), tiles=3, sparse=1
    )
    dense = layer(np.random.default_rng(5), pack_bits(expand(places, kept), fmt.bits), rows, inputs, 24, fmt, tiles=6)
    assert sparse[1] == dense[1] == {"done"}
    np.testing.assert_array_equal(sparse[0], dense[0])
    assert len(set(dense[0].tolist())) > 20


@pytest.mark.parametrize("name", ["int4", "int2"])
@pytest.mark.parametrize(("rows", "inputs"), [(13, 16), (5, 32), (4, 64)])
def test_a_layer_two_at_a_time_is_the_ordinary_one(name, rows, inputs):
    fmt = FORMATS[name]
    weights = pack_bits(integers(np.random.default_rng(rows), fmt, (24, inputs)), fmt.bits)
    dual = layer(np.random.default_rng(5), weights, rows, inputs, 24, fmt, tiles=3, dual=1)
    plain = layer(np.random.default_rng(5), weights, rows, inputs, 24, fmt, tiles=6)
    assert dual[1] == plain[1] == {"done"}
    np.testing.assert_array_equal(dual[0], plain[0])
    assert len(set(plain[0].tolist())) > 20
