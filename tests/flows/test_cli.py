"""The command as a user calls it: one line of JSON, exit codes, one-line errors, no traceback."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from flows.load import named_designs

NIELLO = Path(sys.executable).with_name("niello")


def niello(*arguments, cwd=None, **environment):
    """Exit code, the JSON of the last line of standard output, and the lines of standard error."""
    import os

    done = subprocess.run(
        [str(NIELLO), *map(str, arguments)],
        capture_output=True,
        text=True,
        cwd=cwd,
        env={**os.environ, **environment},
        check=False,
    )
    lines = done.stdout.splitlines()
    assert len(lines) == 1, f"not one line on standard output: {done.stdout!r}\n{done.stderr}"
    assert "Traceback" not in done.stderr
    return done.returncode, json.loads(lines[0]), done.stderr.splitlines()


def refused(*arguments, **environment):
    """The one line of a refusal, which is the JSON's `error`, too."""
    code, result, lines = niello(*arguments, **environment)
    assert (code, result["exit"], len(lines)) == (2, 2, 1), lines
    assert lines[0] == f"niello: {result['error']}"
    return result["error"]


def test_cli_list_names_the_designs():
    code, result, _ = niello("list")
    assert code == 0
    assert {"dot_int8x4", "dot_int8x16", "dot_int8x32"} <= {design["name"] for design in result["designs"]}


def test_cli_describe_says_all_that_a_caller_needs():
    code, result, _ = niello("describe", "dot_int8x16")
    assert code == 0
    ports = {port["name"]: (port["direction"], port["width"]) for port in result["ports"]}
    assert ports["s_axis_a_tdata"] == ("input", 128)
    assert ports["s_axis_b_tlast"] == ("input", 1)
    assert ports["m_axis_y_tdata"] == ("output", 32)
    assert ports["m_axis_y_tready"] == ("input", 1)
    assert ports["s_axil_rdata"] == ("output", 32)
    assert ports["irq"] == ("output", 1)
    assert result["arrays"]["inputs"]["a"] == {
        "dtype": "int8",
        "shape": "(n, length)",
        "meaning": "first operand, one vector a row",
    }
    assert result["params"]["lanes"] == 16
    assert [register["name"] for register in result["registers"]][:3] == ["identity", "shape", "status"]


def test_cli_boards_says_what_fits():
    code, result, _ = niello("boards")
    assert code == 0
    boards = {board["name"]: board for board in result["boards"]}
    assert set(boards) == {"icebreaker", "ulx3s_85f", "orangecrab_85f", "colorlight_5a75b", "tang_nano_9k"}
    dots = [name for name in boards["icebreaker"]["fits"] if name.startswith("dot")]
    assert dots == ["dot_int8x4"]
    assert "dot_int8x32" in boards["ulx3s_85f"]["fits"]


def test_cli_rtl_writes_the_four_files(tmp_path):
    code, result, _ = niello("rtl", "dot_int8x4", "-o", tmp_path / "out", NIELLO_BUILD=str(tmp_path / "build"))
    assert code == 0
    names = ["dot_int8x4.v", "dot_int8x4.ports.json", "dot_int8x4.h", "dot_int8x4.core"]
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == sorted(names)
    assert result["designs"] == {"dot_int8x4": [str(tmp_path / "out" / name) for name in names]}
    ports = json.loads((tmp_path / "out" / "dot_int8x4.ports.json").read_text())
    assert (ports["top"], ports["clock"], ports["reset"]) == ("niello_dot_int8x4", "clk", "rst")
    assert len(ports["config_sha256"]) == 64
    verilog = (tmp_path / "out" / "dot_int8x4.v").read_text()
    modules = [line.split("(")[0].split()[1] for line in verilog.splitlines() if line.startswith("module ")]
    assert modules[0] == "niello_dot_int8x4" or "niello_dot_int8x4" in modules
    assert all(name == "niello_dot_int8x4" or name.startswith("niello_dot_int8x4__") for name in modules)
    for port in ports["ports"]:
        assert port["name"] in verilog


def test_cli_run_model_gives_the_sums(tmp_path):
    a = np.array([[1, 2, 3], [-128, 127, 0]], np.int8)
    b = np.array([[4, 5, 6], [-128, -128, 7]], np.int8)
    np.savez(tmp_path / "in.npz", a=a, b=b)
    code, result, _ = niello("run", "dot_int8x4", tmp_path / "in.npz", "-o", tmp_path / "out.npz", "--engine", "model")
    assert code == 0
    assert (result["design"], result["engine"], result["items"]) == ("dot_int8x4", "model", 2)
    y = np.load(tmp_path / "out.npz")["y"]
    assert y.dtype == np.int32
    assert y.tolist() == [32, 128]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["lisst"], "No such command 'lisst'. Did you mean 'list', 'lint'? (hint: --help explains)"),
        (["describe"], "Missing argument 'DESIGN'. (hint: --help explains)"),
        (["describe", "dot_int8x61"], 'no design "dot_int8x61"; did you mean "dot_int8x16"?'),
        (
            ["synth", "dot_int8x4", "--board", "icebraker"],
            '--board: "icebraker" is not a board; did you mean "icebreaker"?',
        ),
        (
            ["bitstream", "dot_int8x4", "--from", "symth"],
            '--from must be one of elaborate, lint, simulate, synth, pnr, pack, report, not "symth"; '
            'did you mean "synth"?',
        ),
        (["lint", "dot_int8x4", "--from", "pack"], "--from pack lies after the last stage, lint"),
        (["run", "dot_int8x4", "none.npz"], "none.npz: no such file"),
        (
            ["run", "dot_int8x4", "none.npz", "--engine", "modle"],
            '--engine must be one of model, rtl, netlist, board-sim, board, not "modle"; did you mean "model"?',
        ),
        (["run", "dot_int8x4", "none.npz", "--stalls", "1.5"], "--stalls must be in 0..0.95, not 1.5"),
    ],
)
def test_cli_refuses_in_one_line(arguments, message):
    assert refused(*arguments) == message


def test_cli_design_too_large_for_the_board_is_refused_before_synthesis(tmp_path):
    build = tmp_path / "build"
    message = refused("bitstream", "dot_int8x16", "--board", "icebreaker", NIELLO_BUILD=str(build))
    assert message.startswith("dot_int8x16 needs 16 DSP blocks (icebreaker has 8) (hint: it fits ulx3s_85f, ")
    assert not list(build.rglob("step.json"))


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"a": np.zeros((1, 2), np.int8)}, "b is missing; it must be int8 (n, length)"),
        (
            {"a": np.zeros((1, 2), np.float32), "b": np.zeros((1, 2), np.int8)},
            "a must be int8 (n, length), not float32 (1, 2)",
        ),
        (
            {"a": np.zeros((1, 2), np.int8), "b": np.zeros((1, 3), np.int8)},
            "b must be int8 (n, length) with length = 2 as in a, not int8 (1, 3)",
        ),
        (
            {"a": np.zeros((1, 2), np.int8), "B": np.zeros((1, 2), np.int8)},
            'B is not an array of this block; did you mean "b"?',
        ),
    ],
)
def test_cli_run_refuses_wrong_arrays(tmp_path, arrays, message):
    path = tmp_path / "in.npz"
    np.savez(path, **arrays)
    assert refused("run", "dot_int8x4", path) == f"{path}: {message}"


def test_cli_run_refuses_what_is_no_npz(tmp_path):
    text, bare = tmp_path / "text.npz", tmp_path / "bare.npy"
    text.write_text("hello")
    np.save(bare, np.zeros(3))
    assert refused("run", "dot_int8x4", text).startswith(f"{text}: not a readable .npz file")
    assert refused("run", "dot_int8x4", bare) == (
        f"{bare}: one bare array; a .npz file with named arrays is needed (hint: numpy.savez)"
    )
    (tmp_path / "cut.npz").write_bytes(b"PK\x03\x04 cut off")
    assert refused("run", "dot_int8x4", tmp_path / "cut.npz").startswith(
        f"{tmp_path}/cut.npz: not a readable .npz file"
    )


def test_cli_run_out_in_a_missing_folder_is_refused(tmp_path):
    np.savez(tmp_path / "in.npz", a=np.ones((1, 2), np.int8), b=np.ones((1, 2), np.int8))
    missing = tmp_path / "none" / "out.npz"
    assert refused("run", "dot_int8x4", tmp_path / "in.npz", "-o", missing) == f"{missing}: no such folder"
    given = tmp_path / "in.npz"
    assert refused("run", "dot_int8x4", given, "-o", given) == f"{given}: is an input, too"
    assert refused("run", "dot_int8x4", given, "-o", tmp_path) == f"{tmp_path}: a folder, not a file"
    assert niello("run", "dot_int8x4", given, "-o", "/dev/null")[0] == 0
    assert not Path("/dev/null").is_file()


def test_cli_names_with_control_characters_stay_one_line(tmp_path):
    assert refused("describe", "a\nb\x1b[31m") == ('no design "a\\nb\\x1b[31m"; known: ' + ", ".join(named_designs()))


@pytest.mark.parametrize("redirection", [">&-", "2>&-", ">/dev/full", "| head -c 0"])
def test_cli_closed_or_full_outputs_give_no_traceback(redirection):
    done = subprocess.run(
        ["bash", "-c", f"{NIELLO} describe nosuch {redirection}"], capture_output=True, text=True, check=False
    )
    assert "Traceback" not in done.stderr
    assert "Exception ignored" not in done.stderr


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("[" * 5000, "nested too deeply for a design"),
        ("block: 2020-99-99\n", "a value that YAML cannot read (month must be in 1..12)"),
        ("block: !!int foo\n", "a value that YAML cannot read (invalid literal for int() with base 10: 'foo')"),
    ],
)
def test_cli_values_that_yaml_cannot_read_are_bad_input(tmp_path, text, why):
    path = tmp_path / "odd.yml"
    path.write_text(text)
    assert refused("describe", path) == f"{path}: {why}"


def test_cli_clean_leaves_a_folder_of_other_things_alone(tmp_path):
    (tmp_path / "thesis.tex").write_text("years of work")
    assert refused("clean", NIELLO_BUILD=str(tmp_path)).endswith("holds more than results of ours; remove it by hand")
    assert (tmp_path / "thesis.tex").exists()


def test_cli_board_engine_without_a_board_fails_in_one_line(tmp_path):
    np.savez(tmp_path / "in.npz", a=np.ones((1, 2), np.int8), b=np.ones((1, 2), np.int8))
    path = tmp_path / "in.npz"
    assert refused("run", "dot_int8x4", path, "--engine", "board").startswith("--engine board needs --port (hint: ")
    code, result, lines = niello("run", "dot_int8x4", path, "--engine", "board", "--port", tmp_path / "ttyNONE")
    assert code == 1
    assert str(tmp_path / "ttyNONE") in result["error"]
    assert lines[-1] == f"niello: {result['error']}"


def test_cli_clean_of_an_unknown_design_is_refused(tmp_path):
    assert refused("clean", "nothing", NIELLO_BUILD=str(tmp_path)) == 'nothing is built of "nothing"'


def test_cli_unwritable_build_folder_is_one_line(tmp_path):
    (tmp_path / "build").write_text("a file where the folder should be")
    code, result, lines = niello("rtl", "dot_int8x4", NIELLO_BUILD=str(tmp_path / "build"))
    assert code == 1
    assert str(tmp_path / "build") in result["error"]
    assert lines[-1] == f"niello: {result['error']}"


def test_cli_help_explains_every_command():
    done = subprocess.run([str(NIELLO), "--help"], capture_output=True, text=True, check=True)
    verbs = "list describe rtl lint sim synth bitstream program run report boards doctor clean demo"
    for verb in verbs.split():
        assert verb in done.stdout
        page = subprocess.run([str(NIELLO), verb, "--help"], capture_output=True, text=True, check=True).stdout
        assert len(page.splitlines()) > 5
