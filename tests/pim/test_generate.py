"""`niello pim generate`: a text, and what is refused."""

import json

import numpy as np
import pytest
from typer.testing import CliRunner

from flows.cli import app, main
from flows.load import load_design
from sim.common.language import CHARACTERS, encoded
from sim.pim.tiny_gpt import PlainProducts, TinyGpt, load
from sim.pim.vector_model import VectorUnit
from sim.pim.vector_programs import VectorHost


def test_text_at_temperature_0_is_the_likeliest():
    done = CliRunner().invoke(app, ["pim", "generate", "--prompt", "If", "--tokens", "4", "--temperature", "0"])
    found = json.loads(done.stdout.splitlines()[-1])
    config = load_design("pim_tiny_gpt").config
    gpt = TinyGpt(load(), PlainProducts(config.channel), VectorHost(VectorUnit(config.vector)))
    for number in encoded("If"):
        logits = gpt.step(int(number))
    text = ""
    for _ in range(4):
        text += CHARACTERS[int(np.argmax(logits))]
        logits = gpt.step(int(encoded(text[-1])[0]))
    assert (found["text"], found["tokens"], found["engine"]) == (text, 4, "model")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--engine", "rtll"], '--engine must be one of model, rtl, not "rtll"; did you mean "rtl"?'),
        (["--prompt", ""], "--prompt must have at least one character"),
        (["--prompt", "é"], "--prompt must be of printable ASCII and line feeds, not 'é' (a string)"),
        (["--prompt", "a" * 129], "--prompt must have at most 128 characters, not 129"),
        (["--tokens", "126"], "--tokens must be in 1..125 after this prompt, not 126"),
        (["--temperature", "-1"], "--temperature must be in 0..10, not -1.0"),
        (["--seed", "-1"], "--seed must be in 0..18446744073709551615, not -1"),
    ],
)
def test_what_cannot_be_written_is_refused(arguments, message, monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["niello", "pim", "generate", *arguments])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2
    assert json.loads(capsys.readouterr().out.splitlines()[-1])["error"] == message
