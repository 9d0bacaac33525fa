"""`niello attention run`: arrays in files, figures, and what is refused in which words."""

import json

import numpy as np
import pytest
from typer.testing import CliRunner

from flows.cli import app
from flows.errors import BadInput
from sim.attention.datasets import SHAPES, queries_keys_values

RNG = np.random.default_rng(4)


def called(*argv):
    done = CliRunner().invoke(app, ["attention", "run", *map(str, argv)])
    if done.exit_code == 0:
        return json.loads(done.stdout.splitlines()[-1])
    raise done.exception


@pytest.fixture
def files(tmp_path):
    """A function from arrays to the options that name their files; what is not given is of two heads of 20 x 32."""

    def of(**arrays):
        argv = ["-o", tmp_path / "o.npy"]
        for name in "qkv":
            array = arrays.get(name, np.random.default_rng(1).standard_normal((2, 20, 32)).astype(np.float32))
            np.save(tmp_path / f"{name}.npy", array)
            argv += [f"--{name}", tmp_path / f"{name}.npy"]
        return argv

    return of


def plain_attention(q, k, v, scale, valid=None):
    scores = np.einsum("hqd,hkd->hqk", q, np.repeat(k, len(q) // len(k), axis=0)) * scale
    weights = np.exp(scores - scores.max(axis=2, keepdims=True)) * (1 if valid is None else valid)
    return (weights / weights.sum(axis=2, keepdims=True)) @ np.repeat(v, len(q) // len(k), axis=0)


@pytest.mark.parametrize("p_bits", [8, 9])
@pytest.mark.parametrize("shape", SHAPES)
def test_errors_are_what_they_should_be(files, tmp_path, shape, p_bits):
    q, k, v = (each[None].astype(np.float32) for each in queries_keys_values(shape, 128, 1024, 64, seed=1))
    seen = tmp_path / "seen.npz"
    found = called(*files(q=q, k=k, v=v), "--p-bits", p_bits, "--save-quantised", seen)
    o = np.load(tmp_path / "o.npy")
    assert (o.dtype, o.shape) == (np.float32, q.shape)
    saved = np.load(seen)
    wanted = plain_attention(saved["q"], saved["k"], saved["v"], 1 / 8)
    error = np.linalg.norm(o - wanted) / np.linalg.norm(wanted)
    assert found["rel_l2_quantised"] == pytest.approx(error, rel=1e-3)
    assert error < {8: 1e-2, 9: 6e-3}[p_bits]
    wanted = plain_attention(q.astype(float), k.astype(float), v.astype(float), 1 / 8)
    assert found["rel_l2_float"] == pytest.approx(np.linalg.norm(o - wanted) / np.linalg.norm(wanted), rel=1e-3)
    assert found["rel_l2_float"] > error
    assert found["first_tile"] == (shape == "sink")
    assert found["status"] == []
    assert np.abs(saved["k"] - k).max() <= np.abs(k).max() / 254 * 1.0001


def test_figures_of_a_dense_run(files):
    q, k, v = (RNG.standard_normal((16, 64, 64)).astype(np.float32) for _ in range(3))
    found = called(*files(q=q, k=k, v=v), "--design", "attn_16x16_d64")
    assert found["useful_macs"] == 2 * 16 * 64 * 64 * 64
    assert found["mac_cycles"] == found["useful_macs"] // 256
    assert found["jobs"] == 16
    # Words of 8 bytes: Q, K, V, the outputs' two bytes, and a descriptor a head.
    assert found["words"] == 16 * (3 * 64 * 64 + 2 * 64 * 64 + 64) // 8
    assert found["measured"] is False


def test_heads_that_share_keys_and_masks(files, tmp_path):
    q = RNG.standard_normal((4, 9, 32)).astype(np.float32)
    k, v = (RNG.standard_normal((2, 30, 32)).astype(np.float32) for _ in range(2))
    query, key = np.meshgrid(np.arange(9) + 21, np.arange(30), indexing="ij")
    for mask, valid in {
        "dense": key >= 0,
        "causal": key <= query,
        "lambda:2+5": (key <= query) & ((key < 2) | (query - key < 5)),
    }.items():
        found = called(*files(q=q, k=k, v=v), "--mask", mask, "--scale", 0.25, "--p-bits", 9)
        wanted = plain_attention(q.astype(float), k.astype(float), v.astype(float), 0.25, valid)
        assert np.linalg.norm(np.load(tmp_path / "o.npy") - wanted) / np.linalg.norm(wanted) < 0.03
        assert found["useful_macs"] == 2 * 32 * 4 * valid.sum()


def test_four_bits_of_keys_and_values(files, tmp_path):
    seen = tmp_path / "seen.npz"
    found = called(*files(), "--kv", "int4", "--save-quantised", seen)
    saved = np.load(seen)
    for name, most in {"q": 127, "k": 7, "v": 7}.items():
        steps = saved[name][0] / (np.abs(saved[name][0]).max() / most)
        np.testing.assert_allclose(steps, np.rint(steps), atol=1e-9)
    assert found["rel_l2_quantised"] < 0.02 < found["rel_l2_float"]
    assert found["fraction_bits"] == 12


def test_four_bits_are_two_at_a_time_where_they_can_be(files, tmp_path):
    """Tiles of 32 keys take as many cycles as those of 16."""
    rng, found = np.random.default_rng(6), {}
    q, k, v = (rng.standard_normal((2, count, 64)).astype(np.float32) for count in (20, 96, 96))
    for kv in ("int8", "int4"):
        argv = [
            *files(q=q, k=k, v=v),
            "--kv",
            kv,
            "--design",
            "attn_16x16_wide",
            "--save-quantised",
            tmp_path / "seen.npz",
        ]
        found[kv] = called(*argv)
        seen = np.load(tmp_path / "seen.npz")
        wanted = plain_attention(seen["q"], seen["k"], seen["v"], 1 / 8)
        assert np.linalg.norm(np.load(tmp_path / "o.npy") - wanted) / np.linalg.norm(wanted) < 2e-2
    assert {kv: each["mac_cycles"] for kv, each in found.items()} == {
        "int8": 2 * 2 * 6 * 2 * 64,  # heads, blocks of 16 rows, tiles, passes
        "int4": 2 * 2 * 3 * 2 * 64,
    }
    assert found["int4"]["cycles"] < 0.7 * found["int8"]["cycles"]
    assert found["int4"]["mac_utilisation"] < 20 / 32
    called(*argv, "--first-tile", 32)
    with pytest.raises(BadInput, match=r"^--first-tile must be auto or 0\.\.32, not 33$"):
        called(*argv, "--first-tile", 33)
    with pytest.raises(BadInput, match=r"^--first-tile must be auto or 0\.\.16, not 17$"):
        called(*argv, "--kv", "int8", "--first-tile", 17)


FLOAT_ERRORS = {"int8": 0.02, "mxint8": 0.02, "mxfp6": 0.1, "nvfp4": 0.2, "mxfp4": 0.3, "mxint4": 0.3, "bfp12": 0.35}


@pytest.mark.parametrize("kv", FLOAT_ERRORS)
def test_every_format_of_keys_and_values(files, tmp_path, kv):
    rng = np.random.default_rng(8)
    q, k, v = (rng.standard_normal((2, 200, 64)).astype(np.float32) for _ in range(3))
    seen = tmp_path / "seen.npz"
    found = called(*files(q=q, k=k, v=v), "--kv", kv, "--p-bits", 9, "--save-quantised", seen)
    saved = np.load(seen)
    wanted = plain_attention(saved["q"], saved["k"], saved["v"], 1 / 8)
    o = np.load(tmp_path / "o.npy")
    assert found["rel_l2_quantised"] == pytest.approx(np.linalg.norm(o - wanted) / np.linalg.norm(wanted), rel=1e-3)
    assert found["rel_l2_quantised"] < 0.01
    assert found["rel_l2_float"] < FLOAT_ERRORS[kv]
    assert found["status"] == []
    assert found["fraction_bits"] == (8 if kv == "int8" else 2)


@pytest.mark.parametrize("kv", ["mxint4", "mxfp4"])
def test_channels_of_like_size_in_a_block_help(files, tmp_path, kv):
    """Every other channel of the keys is eight times the others, and weighs as much in the scores."""
    rng = np.random.default_rng(9)
    q, k, v = (rng.standard_normal((2, 100, 64)) for _ in range(3))
    k[..., ::2] *= 8
    q[..., ::2] /= 8
    argv = [*files(q=q, k=k, v=v), "--kv", kv, "--save-quantised", tmp_path / "seen.npz"]
    plain, found = called(*argv), called(*argv, "--rearrange")
    assert (plain["rearranged"], found["rearranged"]) == (False, True)
    assert found["rel_l2_float"] < 0.6 * plain["rel_l2_float"]
    assert found["rel_l2_quantised"] < 0.02
    saved = np.load(tmp_path / "seen.npz")
    assert np.abs(saved["q"] - q).max() <= np.abs(q).max() / 254 * 1.0001  # channels are where they were
    assert np.abs(saved["k"] - k)[..., ::2].mean() > 4 * np.abs(saved["k"] - k)[..., 1::2].mean()


def test_a_format_that_a_design_cannot_have_is_told(files):
    for design, kv, said in [
        ("attn_16x32_d64", "nvfp4", "--kv: lanes must divide the 16 elements of a block of nvfp4"),
        ("attn_4x4_d8", "mxfp4", "--kv: dim must be at least 32, a block of mxfp4, not 8"),
        ("attn_16x16_d64", "int2", '--kv: no format "int2"; did you mean "int'),
        ("attn_16x16_d64", "bfp12", "d must be a multiple of 64, a block of bfp12, not 32"),
    ]:
        with pytest.raises(BadInput) as error:
            called(*files(), "--design", design, "--kv", kv)
        assert said in str(error.value)


NAN = np.full((2, 20, 32), np.nan, np.float32)


@pytest.mark.parametrize(
    ("arrays", "argv", "message"),
    [
        ({"q": NAN}, (), "q.npy: 1280 of 1280 numbers are NaN or infinite (hint: attention needs finite numbers)"),
        ({"v": NAN[:, :1] + np.inf}, (), "v.npy: 64 of 64 numbers are NaN or infinite (hint: attention needs finite"),
        ({"q": np.zeros((2, 20, 32), np.int8)}, (), "q.npy: must be float32 (heads, queries, d), not int8 (2, 20, 32)"),
        ({"k": np.zeros((20, 32))}, (), "k.npy: must be float32 (kv_heads, keys, d), not float64 (20, 32)"),
        ({"q": np.zeros((2, 0, 32))}, (), "q.npy: queries must be at least 1, not 0"),
        ({"k": np.zeros((2, 0, 32))}, (), "k.npy: keys must be at least 1, not 0"),
        ({"v": np.zeros((2, 21, 32))}, (), "v.npy: must have the shape of K, (2, 20, 32), not (2, 21, 32)"),
        ({"q": np.zeros((2, 20, 64))}, (), "k.npy: must have d = 64 as Q has, not 32"),
        ({"q": np.zeros((3, 20, 32))}, (), "q.npy: heads must be a multiple of kv_heads = 2, not 3"),
        ({name: np.zeros((1, 4, 40)) for name in "qkv"}, (), "d must be a multiple of the array's 16 lanes in 32..64"),
        ({name: np.zeros((1, 4, 16)) for name in "qkv"}, (), "lanes in 32..64, not 16 (hint: another --design"),
        ({}, ("--mask", "lambda:3"), '--mask must be dense, causal or lambda:S+W (lambda:4+1020), not "lambda:3"'),
        ({}, ("--mask", "lambda:3+0"), "--mask: the window W of lambda:S+W must be at least 1, not 0"),
        ({}, ("--kv", "int5"), '--kv: no format "int5"; did you mean "int'),
        ({}, ("--engine", "paper"), "--engine must be one of model, rtl, not paper"),
        ({}, ("--scale", "0"), "--scale must be above 0 and finite, not 0.0"),
        ({}, ("--scale", "1e9"), "the scale of a score must be in 0..22.18, not "),
        ({}, ("--p-bits", "7"), "--p-bits must be 8 or 9, not 7"),
        ({}, ("--fraction-bits", "17"), "--fraction-bits must be in 0..16, not 17"),
        ({}, ("--first-tile", "17"), "--first-tile must be auto or 0..16, not 17"),
        ({}, ("--design", "dot_int8x16"), "must be a design of attention.array; dot_int8x16 is one of simd.dot"),
    ],
)
def test_wrong_input_is_told(files, arrays, argv, message):
    with pytest.raises(BadInput) as error:
        called(*files(**arrays), *argv)
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_a_file_that_is_none_is_told(files, tmp_path):
    argv = files()
    (tmp_path / "k.npy").write_text("no numbers")
    with pytest.raises(BadInput, match=r"k\.npy: no \.npy file: "):
        called(*argv)
    (tmp_path / "k.npy").unlink()
    with pytest.raises(BadInput, match=r"k\.npy: No such file or directory"):
        called(*argv)


def test_a_scale_that_underflows_is_told(files):
    """Every logit is 0 then, and the mean of the values comes out."""
    found = called(*files(), "--scale", "1e-12")
    assert found["status"] == ["scale_underflow"]


def test_rows_without_keys_are_zero(files, tmp_path):
    found = called(*files(k=np.ones((2, 5, 32)), v=np.ones((2, 5, 32))), "--mask", "causal")
    o = np.load(tmp_path / "o.npy")
    assert found["status"] == ["empty_row"]
    assert not o[:, :15].any()
    assert o[:, 15:].all()
