"""FuseMax's formulas against its artifact's figures, traffic against plain counting, and `niello attention compare`."""

import json
import math
from pathlib import Path

import pytest
from typer.testing import CliRunner

from flows.cli import app
from flows.errors import BadInput
from hdl.attention.config import ArrayConfig
from sim.attention import fusemax
from sim.attention.io_model import better_schedule, buffer_elements, row_words, split_words, traffic_ratio
from sim.attention.masks import Mask
from sim.attention.problem import Problem
from sim.attention.quantise import LogitScale

PUBLISHED = json.loads((Path(__file__).with_name("data") / "fusemax.json").read_text())


@pytest.mark.parametrize("d", [64, 128])
def test_fusemax_is_its_artifact(d):
    table = PUBLISHED[f"d{d}"]
    for place, n in enumerate(PUBLISHED["n"]):
        for name, found in {
            "utilisation": fusemax.utilisation(n, d),
            "useful": fusemax.useful_utilisation(n, d),
            "flat": fusemax.useful_utilisation(n, d, "flat"),
        }.items():
            wanted = table.get(name, [None] * 5)[place]
            assert wanted is None or round(found, 3) == pytest.approx(wanted, abs=5.1e-4)


def test_fusemax_cycles_by_hand():
    assert fusemax.binding_cycles(1024, 64) == 154
    assert fusemax.architecture_cycles(1024, 64) == 458
    assert fusemax.cascade_cycles(1024, 64) == 1173
    assert fusemax.chunk(1 << 20, 64) == 1 << 15
    ratio = fusemax.words(1 << 20, 64) * fusemax.BUFFER_WORDS / (1 << 40) / 64**2
    assert ratio == PUBLISHED["words_times_m_over_n2d2_at_1m"]


def dense(n, subtiles=8):
    config = ArrayConfig.parse({"rows": 16, "lanes": 16, "dim": 64, "subtiles": subtiles})
    return config, Problem(1, 1, n, n, 64, Mask(), (LogitScale(1 << 15, 20),))


@pytest.mark.parametrize(("subtiles", "most"), [(8, 5.02), (16, 4.6), (64, 4.2)])
def test_traffic_ratio_of_long_sequences(subtiles, most):
    for n in (1 << 16, 1 << 18):
        config, problem = dense(n, subtiles)
        rows = 16 * subtiles
        assert buffer_elements(config, 64) == (2 * rows + 64) * 64
        wanted = (2 * n * 64 + 2 * n * 64 * (n // rows)) * (2 * rows + 64) * 64 / (n * 64) ** 2
        assert traffic_ratio(config, problem) == pytest.approx(wanted, rel=1e-12)
        assert 4 < wanted < most


def counted_split(n, d, b):
    """The d-split schedule, a tile at a time."""
    moved = 0
    for first in range(0, n, b):
        rows = min(b, n - first)
        for key in range(0, n, b):
            keys = min(b, n - key)
            moved += (rows + keys) * d  # columns of Q and K
            moved += keys * d  # of V
            moved += rows * d * (1 if key == 0 else 2)  # of O
    return moved


@pytest.mark.parametrize(("n", "d", "buffer"), [(60, 16, 96), (64, 32, 140), (33, 8, 12), (10, 4, 5)])
def test_split_schedule_is_what_counting_says(n, d, buffer):
    b = max(each for each in range(1, n + 1) if each * each + 4 * each <= buffer)
    assert split_words(n, d, buffer) == counted_split(n, d, b)


def test_small_buffers_split_d():
    n, d = 4096, 128
    assert better_schedule(n, d, d * d // 4)[0] == "split"
    assert better_schedule(n, d, 4 * d * d)[0] == "rows"
    for buffer in (d * d // 64, d * d // 16, d * d // 4):
        words = split_words(n, d, buffer)
        assert 5 < words * math.sqrt(buffer) / (n * n * d) < 6.5  # a matrix product's order
    assert row_words(n, d, 3 * d) == 0
    assert better_schedule(n, d, 3 * d)[0] == "split"
    with pytest.raises(ValueError, match=r"^a buffer of 4 elements holds neither a row of d = 128 nor a score$"):
        better_schedule(n, d, 4)


def called(*argv):
    done = CliRunner().invoke(app, ["attention", "compare", *map(str, argv)])
    if done.exit_code == 0:
        return json.loads(done.stdout.splitlines()[-1])
    raise done.exception


def test_compare_prints_both_and_draws(tmp_path):
    picture = tmp_path / "compare.svg"
    found = called("--most-keys", 65536, "--plot", picture)
    assert [row["n"] for row in found["rows"]] == [1024, 2048, 4096, 8192, 16384, 32768, 65536]
    for row in found["rows"]:
        assert row["fusemax_useful"] == pytest.approx(fusemax.useful_utilisation(row["n"], 64), abs=1e-5)
        assert 0.999 < row["ours_useful"] < 1
        assert row["ours_useful"] > row["fusemax_2d"]
        assert row["ours_passes_a_head"] == (row["n"] // 16) ** 2
    assert picture.read_text().startswith("<svg ")


def test_compare_refuses(tmp_path):
    for argv, message in {
        ("--most-keys", "1000"): "--most-keys must be in 1024..1048576, not 1000",
        ("--dim", "40"): "--dim must be a multiple of the array's 16 lanes in 32..64, not 40",
        ("--heads", "0"): "--heads must be in 1..65536, not 0",
        ("--plot", str(tmp_path / "none" / "x.svg")): "no such folder",
    }.items():
        with pytest.raises(BadInput) as error:
            called(*argv)
        assert message in str(error.value)
