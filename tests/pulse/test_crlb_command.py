"""`niello pulse crlb`."""

import json
from xml.etree import ElementTree

import pytest
from typer.testing import CliRunner

from flows.cli import app
from flows.pulse.crlb import crlb
from sim.pulse.fisher import bound
from sim.pulse.setup import Setup


def test_crlb_prints_the_bound_and_draws_it(tmp_path):
    picture = tmp_path / "limit.svg"
    result = CliRunner().invoke(app, ["pulse", "crlb", "--plot", str(picture)])
    assert result.exit_code == 0
    found = json.loads(result.stdout.splitlines()[-1])
    limit = bound(Setup.parse({}))
    assert found["setup"] == "r0" and found["snr_db"] == 47.4
    assert found["time_ps"] == pytest.approx(limit.time_ps, abs=1e-3)
    assert found["energy_percent"] == pytest.approx(100 * limit.amplitude, abs=1e-4)
    assert found["baseline_known"]["energy_percent"] < found["energy_percent"]
    times = [row["time_ps"] for row in found["curve"]]
    assert times == sorted(times, reverse=True) and len(times) == 7
    assert ElementTree.parse(picture).getroot().tag.endswith("svg")


def test_crlb_of_a_file(tmp_path):
    file = tmp_path / "mine.yml"
    file.write_text("shape: biexponential\nstretch_spread: 0.05\n")
    found = crlb(str(file), 40.0, 12, None)
    assert found["snr_db"] == 40
    assert found["stretch_known"]["time_ps"] < found["time_ps"]


@pytest.mark.parametrize(
    ("text", "options", "message"),
    [
        ("order: 9", [], "FILE.order must be a whole number in 1..8, not 9"),
        ("- 3", [], "FILE: a set-up must be a map of field: value"),
        ("order: 2", ["--adc-bits", "99"], "FILE.adc_bits must be a whole number in 4..16, not 99"),
        ("order: 2", ["--plot", "/no/such/x.svg"], "/no/such/x.svg: no such folder"),
        (
            "shape: sampled\nwaveform: none.npy",
            [],
            "waveform: none.npy: [Errno 2] No such file or directory: 'none.npy'",
        ),
        ("tau_ns: 900000.0", [], "the records say nothing of the pulses' times"),
    ],
)
def test_crlb_says_what_is_wrong(text, options, message, tmp_path):
    file = tmp_path / "mine.yml"
    file.write_text(text)
    result = CliRunner().invoke(app, ["pulse", "crlb", str(file), *options])
    assert result.exit_code != 0
    assert str(result.exception).split(" (hint")[0] == message.replace("FILE", str(file))


def test_crlb_knows_its_set_ups():
    result = CliRunner().invoke(app, ["pulse", "crlb", "R0"])
    assert str(result.exception).split(" (hint")[0] == 'no set-up "R0"; did you mean "r0"?'
