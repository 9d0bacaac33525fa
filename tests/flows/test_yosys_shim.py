"""The `yosys` command on top of pyosys, as a program and inside Amaranth."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from importlib import metadata
from pathlib import Path

import pytest

from flows.tools import SHIM, environment

INVERTER = "module inverter(input a, output b); assign b = ~a; endmodule\n"


def yosys(*argv: str, cwd: Path, stdin: str = "", **more: str) -> subprocess.CompletedProcess[str]:
    env = os.environ | environment() | more
    return subprocess.run([SHIM, *argv], cwd=cwd, env=env, input=stdin, capture_output=True, text=True, check=False)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "inverter.v"
    path.write_text(INVERTER)
    return path


def test_version_is_that_of_the_wheel(tmp_path):
    done = yosys("-V", cwd=tmp_path)
    assert done.returncode == 0
    assert re.fullmatch(rf"Yosys {re.escape(metadata.version('pyosys'))} \(pyosys\)\n", done.stdout)


def test_script_on_standard_input_writes_to_standard_output(tmp_path):
    script = f"read_verilog <<end\n{INVERTER}end\nwrite_verilog -noattr\n"
    done = yosys("-q", "-", cwd=tmp_path, stdin=script)
    assert (done.returncode, done.stderr) == (0, "")
    assert "= ~ a;" in done.stdout
    assert "Executing" not in done.stdout


def test_large_output_through_a_pipe_is_whole(tmp_path):
    wires = "".join(f"wire w{number}; assign w{number} = a;" for number in range(20_000))
    script = f"read_verilog <<end\nmodule wide(input a); {wires} endmodule\nend\nwrite_rtlil\n"
    done = yosys("-q", "-", cwd=tmp_path, stdin=script)
    assert done.stdout.count("connect \\w") == 20_000
    assert done.stdout.rstrip().endswith("end")


def test_files_scripts_commands_and_output_run_in_that_order(source):
    (source.parent / "prep.ys").write_text("prep -top inverter\n")
    argv = ("-o", "out.json", "-p", "stat", "-s", "prep.ys", "-l", "log.txt", "-QTq", source.name)
    done = yosys(*argv, cwd=source.parent)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    cells = json.loads((source.parent / "out.json").read_text())["modules"]["inverter"]["cells"]
    assert [cell["type"] for cell in cells.values()] == ["$not"]
    log = (source.parent / "log.txt").read_text()
    steps = [log.index(text) for text in ("Verilog-2005 frontend: inverter.v", "Printing statistics", "PREP pass")]
    assert steps == sorted(steps)


def test_messages_go_to_standard_output_unless_quiet(source):
    assert "Printing statistics" in yosys("-p", "stat", source.name, cwd=source.parent).stdout
    assert yosys("-q", "-p", "stat", source.name, cwd=source.parent).stdout == ""


def test_error_ends_with_yosys_own_line_and_code(source):
    done = yosys("-q", "-p", "hierarchy -check -top absent", source.name, cwd=source.parent)
    assert done.returncode == 1
    assert done.stderr == "ERROR: Module `absent' not found!\n"


def test_error_in_a_file_names_file_and_line(tmp_path):
    (tmp_path / "bad.v").write_text("module bad;\nendmodul\n")
    done = yosys("bad.v", cwd=tmp_path)
    assert done.returncode == 1
    assert re.match(r"bad\.v:\d+: ERROR: syntax error", done.stderr)


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (("-Z",), "ERROR: unknown option -Z\n"),
        (("-p",), "ERROR: option -p needs a value\n"),
        (("-s", "absent.ys"), "ERROR: cannot read script file absent.ys: No such file or directory\n"),
        (
            ("-o", "out.xyz"),
            "ERROR: no format is known for out.xyz; known: .v .sv .il .json .blif .edif .aig .smt2\n",
        ),
    ],
)
def test_bad_command_line_is_refused(tmp_path, argv, message):
    done = yosys(*argv, cwd=tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (1, "", message)


def test_folders_with_blanks_are_no_obstacle(tmp_path):
    folder = tmp_path / "a folder"
    folder.mkdir()
    (folder / "in.v").write_text(INVERTER)
    (folder / "go.ys").write_text("prep\n")
    argv = ("-q", "-l", "a folder/log", "-s", "a folder/go.ys", "-o", "a folder/out.il", "a folder/in.v")
    done = yosys(*argv, cwd=tmp_path, TMPDIR=str(folder))
    assert (done.returncode, done.stderr) == (0, "")
    assert "cell $not" in (folder / "out.il").read_text()
    assert sorted(path.name for path in folder.iterdir()) == ["go.ys", "in.v", "log", "out.il"]


def test_terminating_the_shim_ends_the_work_too(tmp_path):
    script = "exec -- sleep 60\n"
    env = os.environ | environment() | {"TMPDIR": str(tmp_path)}
    process = subprocess.Popen([SHIM, "-q", "-"], cwd=tmp_path, env=env, stdin=subprocess.PIPE, text=True)
    process.stdin.write(script)
    process.stdin.close()
    deadline = time.monotonic() + 20
    while not any(tmp_path.glob("yosys_*/log")):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=20) == 128 + signal.SIGTERM
    assert list(tmp_path.glob("yosys_*")) == []


def test_amaranth_writes_verilog_through_it():
    program = """
import os
from flows.tools import environment
os.environ.update(environment())
from amaranth.hdl import Module, Signal
from amaranth.back import verilog
m, a, b = Module(), Signal(4, name="a"), Signal(4, name="b")
m.d.comb += b.eq(a + 3)
print(verilog.convert(m, ports=[a, b], emit_src=False))
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "module top(" in done.stdout
    assert "4'h3" in done.stdout or "2'h3" in done.stdout
