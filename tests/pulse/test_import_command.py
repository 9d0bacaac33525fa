"""`niello pulse import`: a model's files into a network, its figures, and what is refused."""

import json
import sys

import numpy as np
import pytest
from typer.testing import CliRunner

from flows.cli import app
from flows.errors import BadInput
from flows.pulse.cli import pulse
from sim.pulse.cnn_model import run
from sim.pulse.cnn_network import Network


def layer(kind, name, **config):
    return {"class_name": kind, "config": {"name": name, **config}}


def sequential(*layers):
    given = layer("InputLayer", "input_layer", batch_shape=[None, 32, 1])
    return {"class_name": "Sequential", "config": {"name": "model", "layers": [given, *layers]}}


def conv(**config):
    return layer(
        "Conv1D", "conv", **({"filters": 4, "kernel_size": [5], "strides": [2], "activation": "relu"} | config)
    )


DENSE = (layer("Flatten", "flatten"), layer("Dense", "dense", units=2, activation="linear"))


@pytest.fixture
def files(tmp_path, monkeypatch):
    """A model, its weights and windows in the working folder; the weights as arrays, too."""
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(1)
    weights = {
        "model/conv/kernel": rng.normal(0, 0.5, (5, 1, 4)).astype(np.float32),
        "model/conv/bias": rng.normal(0, 0.1, 4).astype(np.float32),
        "model/dense/kernel": rng.normal(0, 0.2, (56, 2)).astype(np.float32),
        "model/dense/bias": rng.normal(0, 0.1, 2).astype(np.float32),
    }
    (tmp_path / "model.json").write_text(json.dumps(sequential(conv(), *DENSE)))
    np.savez(tmp_path / "w.npz", **weights)
    few = "{block: pulse.cnn, params: {samples: 32, weight_bits: 4, activation_bits: 10}, target: {board: ulx3s_85f}}"
    (tmp_path / "few.yml").write_text(few)
    np.save(tmp_path / "waves.npy", rng.integers(-8192, 8192, (200, 32)).astype(np.int16))
    return weights


def invoke(*words):
    given = ["model.json", "--weights", "w.npz", "--calibrate", "waves.npy", "-o", "net.npz", *map(str, words)]
    return CliRunner().invoke(pulse, ["import", *given])


def by_hand(weights, inputs):
    """The model, position by position."""
    kernel, rows = weights["model/conv/kernel"].astype(float), []
    for window in inputs:
        sums = [[(window[2 * x : 2 * x + 5] * kernel[:, 0, o]).sum() for o in range(4)] for x in range(14)]
        made = np.maximum(np.array(sums) + weights["model/conv/bias"], 0)
        rows.append(made.ravel() @ weights["model/dense/kernel"].astype(float) + weights["model/dense/bias"])
    return np.array(rows)


def test_import_writes_a_network_near_the_model(files, tmp_path):
    result = invoke("--input-scale", 8192, "--arrays", "in.npz")
    assert result.exit_code == 0, result.output
    told, network = json.loads(result.stdout.splitlines()[-1]), Network.load(tmp_path / "net.npz")
    assert (told["layers"], told["products"], told["windows"]) == (2, 14 * 20 + 112, 200)
    assert [one.name for one in network.layers] == ["conv", "dense"] and network.raw
    windows = np.load("waves.npy")
    wanted = by_hand(files, windows / 8192)
    got = run(network, windows).values[:, 0] * np.array(told["output_scale"])
    away, span = got - wanted, np.ptp(wanted)
    assert told["rms_difference"] == pytest.approx(np.sqrt((away**2).mean()) / span, rel=0.01)
    assert told["largest_difference"] == pytest.approx(np.abs(away).max() / span, rel=0.01)
    assert 0 < told["rms_difference"] < 2e-3
    ran = CliRunner().invoke(app, ["run", "pulse_cnn_r0", "in.npz", "-o", "out.npz", "--engine", "model"])
    assert ran.exit_code == 0, ran.output
    assert (np.load("out.npz")["values"] == run(network, windows).values).all()


def test_import_takes_windows_over_their_peak_and_gives_elements(files, tmp_path):
    result = invoke("--normalise", "--no-raw")
    assert result.exit_code == 0, result.output
    told, network = json.loads(result.stdout.splitlines()[-1]), Network.load(tmp_path / "net.npz")
    assert (told["input"], told["output"]) == ("normalised", "elements")
    assert len(set(told["output_scale"])) == 1 and not network.raw and network.input.normalise
    windows = np.load("waves.npy")
    wanted = by_hand(files, np.maximum(-1, windows / windows.max(axis=1, keepdims=True)))
    got = run(network, windows).values[:, 0] * told["output_scale"][0]
    assert np.abs(got - wanted).max() < 0.01 * np.ptp(wanted)


def nodes(*names):
    return [[[name, 0, 0, {}] for name in names]]


def test_import_reads_functional_models_of_keras_2(files):
    """`inbound_nodes` as lists; names of weights with `:0`."""
    given = layer("InputLayer", "x", batch_input_shape=[None, 32, 1]) | {"inbound_nodes": []}
    inner = [conv() | {"inbound_nodes": nodes("x")}, DENSE[0] | {"inbound_nodes": nodes("conv")}]
    config = {"layers": [DENSE[1] | {"inbound_nodes": nodes("flatten")}, *inner, given]}
    config |= {"input_layers": [["x", 0, 0]], "output_layers": [["dense", 0, 0]]}
    for entry in config["layers"]:
        entry["name"] = entry["config"]["name"]
    invoke("--input-scale", 8192)
    before = Network.load("net.npz")
    with open("model.json", "w") as file:
        json.dump({"class_name": "Functional", "config": config}, file)
    np.savez("w.npz", **{key.removeprefix("model/") + ":0": value for key, value in files.items()})
    result = invoke("--input-scale", 8192)
    assert result.exit_code == 0, result.output
    windows = np.load("waves.npy")
    assert (run(Network.load("net.npz"), windows).values == run(before, windows).values).all()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ([], "model.json: begins with no scaling, so that it is not known"),
        (["--input-scale", 0], "--input-scale must be above 0, not 0"),
        (["--input-scale", "nan"], "--input-scale must be above 0, not nan"),
        (["--input-scale", 2, "--normalise"], "--input-scale and --normalise exclude each other"),
        (
            ["--normalise", "--design", "few.yml"],
            "--design must have weights of 8 bits and activations of 8 or 16; few.yml has 4 and 10",
        ),
        (["--normalise", "--design", "pulse_r0"], "--design must be a design of pulse.cnn; pulse_r0 is none"),
        (["--normalise", "--design", "small.yml"], "small.yml: layer conv: its 56 elements find no room"),
        (["--normalise", "--design", "long.yml"], "waves.npy: must be int16 (windows, 64), not int16 (200, 32)"),
        (["--normalise", "--weights", "none.npz"], "none.npz: no such file"),
        (["--normalise", "--weights", "waves.npy"], "waves.npy: one bare array; a .npz file with named arrays"),
        (["--normalise", "--calibrate", "none.npy"], "none.npy: No such file"),
        (["--normalise", "--calibrate", "floats.npy"], "floats.npy: must be int16 (windows, 32), not float64 (5, 32)"),
        (["--normalise", "--calibrate", "empty.npy"], "empty.npy: must be int16 (windows, 32), not int16 (0, 32)"),
        (["--normalise", "-o", "none/net.npz"], "none/net.npz: no such folder"),
        (["--normalise", "-o", "w.npz"], "w.npz: is an input, too"),
    ],
)
def test_import_refuses_options_and_files(options, message, files, tmp_path):
    (tmp_path / "small.yml").write_text("block: pulse.cnn\nparams: {samples: 32, activations: 32}\n")
    (tmp_path / "long.yml").write_text("block: pulse.cnn\nparams: {samples: 64}\n")
    np.save("floats.npy", np.zeros((5, 32)))
    np.save("empty.npy", np.zeros((0, 32), np.int16))
    result = invoke(*options)
    assert isinstance(result.exception, BadInput), result.output
    assert str(result.exception).startswith(message)
    assert not (tmp_path / "net.npz").exists()


KINDS = "InputLayer, Rescaling, Conv1D, "


@pytest.mark.parametrize(
    ("model", "message"),
    [
        ("{", "model.json:1:2: not JSON"),
        ("[]", "model.json: model: must be what model.to_json() gives"),
        ('{"class_name": "Sequential"}', "model.json: model: must be what model.to_json() gives"),
        ({"class_name": "Sequential", "config": {"layers": [3]}}, "model.json: model: layers must be a list of maps"),
        (sequential(), "model.json: model: layers must be at least one that computes, not none"),
        (sequential(layer("Conv2D", "two")), f"model.json: layer two: Conv2D is not supported; what is: {KINDS}"),
        (sequential(conv(activation="gelu"), *DENSE), "model.json: layer conv: activation gelu is not supported"),
        (sequential(*DENSE[:1], layer("Activation", "end", activation="softmax")), "model.json: layer end: activation"),
        (sequential(conv(filters=5), *DENSE), "model.json: layer conv: model/conv/kernel must be numbers (5, 1, 5)"),
        (sequential(conv(filters="4"), *DENSE), "model.json: layer conv: filters must be a whole number above 0, not"),
        (sequential(conv(kernel_size=[40], padding="valid")), "model.json: layer conv: model/conv/kernel must be"),
        (sequential(conv(padding="reflect"), *DENSE), "model.json: layer conv: padding must be valid, same or causal"),
        (sequential(conv(data_format="channels_first")), "model.json: layer conv: data_format must be channels_last"),
        (
            sequential(layer("Dense", "other", units=2)),
            "model.json: layer other: other/kernel is missing in the weights",
        ),
        (
            sequential(layer("LeakyReLU", "leak", negative_slope=0.2)),
            "model.json: layer leak: a leaky ReLU's slope must",
        ),
        (
            sequential(layer("LeakyReLU", "leak", negative_slope="x")),
            "model.json: layer leak: a leaky ReLU's slope must",
        ),
        (sequential(layer("Rescaling", "by", scale="x", offset=0)), "model.json: layer by: scale and offset must be"),
        (sequential(layer("Reshape", "to", target_shape=[3, 5])), "model.json: layer to: to (3, 5) is not supported"),
        (sequential(layer("Sequential", "inner", layers=[])), "model.json: layer inner: a model within a model is not"),
        (sequential(layer("BatchNormalization", "bn", axis=1)), "model.json: layer bn: axis must be -1, the channels'"),
    ],
)
def test_import_refuses_models(model, message, files, tmp_path):
    (tmp_path / "model.json").write_text(model if isinstance(model, str) else json.dumps(model))
    result = invoke("--normalise")
    assert isinstance(result.exception, BadInput), result.output
    assert str(result.exception).startswith(message)
    assert "\n" not in str(result.exception)


def test_import_refuses_weights_that_are_not_finite(files):
    np.savez("w.npz", **(files | {"model/conv/bias": np.array([0, np.nan, 1, 2])}))
    result = invoke("--normalise")
    assert isinstance(result.exception, BadInput)
    assert str(result.exception) == "model.json: layer conv: model/conv/bias must be finite, and is not"


def test_import_needs_weights(files):
    result = CliRunner().invoke(pulse, ["import", "model.json", "--calibrate", "waves.npy", "-o", "net.npz"])
    assert isinstance(result.exception, BadInput) and str(result.exception).startswith("--weights must name")


def test_import_needs_windows_of_the_models_length(files, tmp_path):
    given = sequential(conv(), *DENSE)
    given["config"]["layers"][0]["config"]["batch_shape"] = [None, 16, 1]
    (tmp_path / "model.json").write_text(json.dumps(given))
    np.savez("w.npz", **(files | {"model/dense/kernel": np.zeros((24, 2))}))
    result = invoke("--normalise")
    assert isinstance(result.exception, BadInput)
    assert str(result.exception) == "pulse_cnn_r0 takes windows of 32 samples, model.json has 16 samples"


def test_import_says_which_extra_reads_onnx(files, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnx", None)  # as where it is not installed
    given = ["import", "model.onnx", "--calibrate", "waves.npy", "-o", "net.npz", "--normalise"]
    result = CliRunner().invoke(pulse, given)
    assert isinstance(result.exception, BadInput)
    assert str(result.exception) == "model.onnx: needs the extra qonnx (hint: make setup EXTRAS=qonnx)"


def test_import_for_activations_of_8_bits(files, tmp_path):
    (tmp_path / "narrow.yml").write_text("block: pulse.cnn\nparams: {samples: 32, activation_bits: 8}\n")
    result = invoke("--input-scale", 8192, "--design", "narrow.yml")
    assert result.exit_code == 0, result.output
    told, network = json.loads(result.stdout.splitlines()[-1]), Network.load(tmp_path / "net.npz")
    assert network.layers[0].output.zero == -128  # after the ReLU, 255 steps
    windows = np.load("waves.npy")
    got = run(network, windows).values[:, 0] * np.array(told["output_scale"])
    wanted = by_hand(files, windows / 8192)
    assert np.sqrt(((got - wanted) ** 2).mean()) < 0.01 * np.ptp(wanted)
