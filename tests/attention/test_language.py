"""The array's language model: gradients, lists of jobs against plain numpy, perplexities, and the command."""

import json

import numpy as np
import pytest
from typer.testing import CliRunner

from flows.cli import app
from flows.errors import BadInput
from flows.load import load_design
from sim.attention.array_model import numerics
from sim.attention.language import CONTEXT, LAYERS, WIDTH, weights_file
from sim.attention.language_lists import ListLayers, ModelDevice
from sim.attention.language_model import MIXES, LanguageModel, float_perplexity, load, stored
from sim.attention.language_plain import PlainLayers
from sim.attention.language_scales import two_bit
from sim.attention.language_train import Pass, initial
from sim.common.language import CHARACTERS, bigram_perplexity, known_and_unknown

DESIGN = "attn_16x16_lm"


def called(*argv):
    done = CliRunner().invoke(app, ["attention", "generate", *map(str, argv)])
    if done.exit_code == 0:
        return json.loads(done.stdout.splitlines()[-1])
    raise done.exception


def two_ways(mix):
    """The model by lists of jobs, and in plain numpy."""
    config, weights = load_design(DESIGN).config, load(mix)
    layers = ListLayers(config, weights, ModelDevice(config)), PlainLayers(weights, numerics(config))
    return [LanguageModel(weights, each) for each in layers]


def test_gradients_of_the_training_are_slopes_of_its_loss():
    random = np.random.default_rng(3)
    weights = {name: value.astype(np.float64) for name, value in initial(random).items()}
    inputs, targets = random.integers(0, len(CHARACTERS), (2, 2, 12))
    gradients = Pass(weights, inputs, targets).backward()
    for name, value in weights.items():
        way = random.normal(size=value.shape)
        ends = [Pass(weights | {name: value + side * way}, inputs, targets).loss for side in (1e-7, -1e-7)]
        slope = (ends[0] - ends[1]) / 2e-7
        assert slope == pytest.approx(float((gradients[name] * way).sum()), rel=1e-4, abs=1e-7), name


def test_weights_of_two_bits_are_the_nearest_ones():
    weight = np.random.default_rng(1).normal(size=(9, 7))
    integers, scale = two_bit(weight)
    every = np.abs(weight[..., None] - np.arange(-2, 2) * scale)
    assert np.array_equal(integers, every.argmin(-1) - 2)


@pytest.mark.parametrize("mix", MIXES)
def test_lists_of_jobs_give_the_logits_of_plain_numpy(mix):
    lists, plain = two_ways(mix)
    random = np.random.default_rng(2)
    for count in (1, 37, 1, 1, CONTEXT - 41, 1):
        tokens = random.integers(0, len(CHARACTERS), count)
        assert np.array_equal(lists.step(tokens, count), plain.step(tokens, count))
    with pytest.raises(ValueError, match=r"tokens must be 1..0 after 128, not 1"):
        lists.step(tokens)


def test_a_text_does_not_depend_on_how_its_tokens_come():
    _, plain = two_ways("int8")
    tokens = known_and_unknown()[1][:20]
    at_once = plain.step(tokens, 20)
    plain.forget()
    assert np.array_equal(at_once, np.concatenate([plain.step(tokens[place : place + 1]) for place in range(20)]))


@pytest.mark.deep
def test_perplexities_are_below_a_bigrams():
    known, unknown = known_and_unknown()
    held_out, bigram = (stored("int8")[name] for name in ("held_out", "bigram_perplexity"))
    assert np.array_equal(held_out, unknown[: len(held_out)])
    assert float(bigram) == pytest.approx(bigram_perplexity(known, held_out))
    in_floats = float_perplexity(held_out)
    found = {mix: two_ways(mix)[1].perplexity(held_out) for mix in MIXES}
    assert in_floats < 0.7 * bigram
    assert found["int8"] < 1.05 * in_floats
    assert found["w2a8kv4"] < 0.8 * bigram


def test_stored_weights_are_small_and_of_their_formats():
    assert sum(weights_file(mix).stat().st_size for mix in MIXES) < 400_000
    matrices = load("w2a8kv4").matrices
    for layer in range(LAYERS):
        assert set(np.unique(matrices[f"{layer}.down"].integers)) <= set(range(-2, 2))
    assert matrices["0.up"].integers.shape == (4 * WIDTH, WIDTH) and matrices["head"].bits == 8


@pytest.mark.parametrize("mix", [pytest.param("int8", marks=pytest.mark.deep), "w2a8kv4"])
def test_the_command_writes_what_plain_numpy_writes(mix):
    found = called("--mix", mix, "--prompt", "The value of ", "--tokens", 64)
    assert found["text"] == two_ways(mix)[1].write("The value of ", 64)
    assert (found["engine"], found["tokens"], found["design"]) == ("model", 64, DESIGN)
    assert found["perplexity"] < found["bigram_perplexity"] and found["float_perplexity"] < found["bigram_perplexity"]


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (("--engine", "fpga"), "--engine must be one of model, rtl, not fpga"),
        (("--mix", "w2a8kv"), '--mix: no mix "w2a8kv"; did you mean "w2a8kv4"?'),
        (("--prompt", ""), "--prompt must have at least one character"),
        (("--prompt", "é"), "--prompt must be of printable ASCII and line feeds, not 'é' (a string)"),
        (("--prompt", "a" * 129), "--prompt must have at most 128 characters, not 129"),
        (("--tokens", "126"), "--tokens must be in 1..125 after this prompt, not 126"),
        (("--design", "dot_int8x16"), "--design must be a design of attention.array; dot_int8x16 is one of simd.dot"),
        (
            ("--design", "attn_16x16_d64"),
            "--design attn_16x16_d64: the language model needs an array with linear layers (linear: true)",
        ),
    ],
)
def test_what_cannot_be_written_is_refused(argv, message):
    with pytest.raises(BadInput) as refused:
        called(*argv)
    assert str(refused.value) == message


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"formats": ("int4",)}, "needs an array with the formats int2"),
        ({"dim": 128}, "and dim in 32, 64; not 16 lanes and dim = 128"),
        ({"subtiles": 2}, "needs subtiles of 4 or more and bus_bits of at most 64, not 2 and 64"),
    ],
)
def test_arrays_that_cannot_do_the_layers_are_refused(change, message):
    config = load_design(DESIGN).config
    config = type(config).parse(config.model_dump() | change, at="")
    with pytest.raises(ValueError, match=message):
        ListLayers(config, load("w2a8kv4"), ModelDevice(config))


@pytest.mark.deep
@pytest.mark.parametrize("mix", MIXES)
def test_the_gateware_writes_what_the_golden_model_writes(mix):
    found = called("--mix", mix, "--prompt", "The value of ", "--tokens", 64, "--engine", "rtl")
    assert found["text"] == two_ways(mix)[1].write("The value of ", 64)
    assert (found["model"], found["lists"]) == ("equal", 64 * (2 * LAYERS + 1))
    assert found["cycles"] > 0
