"""`niello pulse train`."""

import json

import numpy as np
import pytest
from typer.testing import CliRunner

from flows.cli import app
from flows.errors import BadInput
from hdl.pulse.cnn_config import CnnConfig
from sim.pulse import cnn_vectors
from sim.pulse.cnn_network import Network
from sim.pulse.fisher import bound
from sim.pulse.setup import Setup


def invoke(*words):
    return CliRunner().invoke(app, ["pulse", "train", *map(str, words)])


def test_train_writes_a_network_and_windows_for_it(tmp_path):
    out, arrays = tmp_path / "net.npz", tmp_path / "in.npz"
    result = invoke("-o", out, "--steps", 30, "--records", 1000, "--arrays", arrays)
    assert result.exit_code == 0, result.output
    told, network = json.loads(result.stdout.splitlines()[-1]), Network.load(out)
    assert told["layers"] == len(network.layers) == 4 and told["steps"] == 30
    limit = bound(Setup.parse({}))
    assert told["time_over_bound"] == pytest.approx(told["time_ps"] / limit.time_ps, abs=1e-3)
    assert 1 < told["time_over_bound"] < 100
    given = dict(np.load(arrays))
    assert given["windows"].shape == (10_000, 32)
    config = CnnConfig.parse({"samples": 32})
    small = given | {"windows": given["windows"][:50]}
    values = cnn_vectors.model(config, small)["values"]
    assert values.shape == (50, 1, 2) and len(np.unique(values)) > 20


def test_train_takes_the_bits_of_the_design(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "fewer.yml").write_text(
        "block: pulse.cnn\nparams: {samples: 32, weight_bits: 4, activation_bits: 10}\n"
    )
    result = invoke("-o", "net.npz", "--design", "fewer.yml", "--steps", 20, "--records", 500)
    assert result.exit_code == 0, result.output
    told, network = json.loads(result.stdout.splitlines()[-1]), Network.load(tmp_path / "net.npz")
    assert (told["weight_bits"], told["activation_bits"]) == (4, network.activation_bits) == (4, 10)
    assert all(layer.weights.min() >= -8 and layer.weights.max() <= 7 for layer in network.layers)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--steps", 0], "--steps must be in 1..1000000, not 0"),
        (["--records", 5], "--records must be in 100..1000000, not 5"),
        (["--seed", -1], "--seed must be in 0..4611686018427387903, not -1"),
        (["--form", "rnn"], "--form must be one of cnn, mlp, not rnn"),
        (["--design", "pulse_r0"], "--design must be a design of pulse.cnn; pulse_r0 is none"),
        (["--design", "small.yml"], "small.yml: layer layer1: with it weight_words must be at least 24, and are 16"),
        (["long.yml"], "pulse_cnn_r0 takes windows of 32 samples, long.yml has 64"),
    ],
)
def test_train_refuses(options, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "small.yml").write_text("block: pulse.cnn\nparams: {samples: 32, weight_words: 16}\n")
    (tmp_path / "long.yml").write_text("samples: 64\n")
    result = invoke("-o", "net.npz", *options)
    assert isinstance(result.exception, BadInput) and str(result.exception).startswith(message)
    assert not (tmp_path / "net.npz").exists()
