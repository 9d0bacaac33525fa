"""`niello pim run` and `niello pim profile`."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from flows.cli import app
from flows.pim.engine import load_kernel

DATA = Path(__file__).with_name("data")


def called(*argv):
    done = CliRunner().invoke(app, ["pim", *map(str, argv)])
    return done, json.loads(done.stdout.splitlines()[-1]) if done.exit_code == 0 else None


def test_a_trace_runs_and_is_legal(tmp_path):
    picture = tmp_path / "run.svg"
    _, found = called("run", DATA / "gemv_768x768.trace", "--profile", "aim", "--plot", picture)
    assert (found["cycles"], found["checker"], found["refreshes"]) == (1620, "legal", 0)
    # 6 rows of 48 columns of MACs, each 2 cycles.
    assert found["commands"] == {"ACTG": 6, "PREA": 5, "MAC": 288, "WRGB": 48, "WRMAC": 6, "RDMAC": 6, "TMOD": 13}
    assert found["row_hit_rate"] == round(282 / 288, 6)
    assert found["utilisation"] == round(576 / 1620, 6)
    # Without a command, from cycle 1 to that of EOC, which is the last but one.
    assert sum(found["stall_cycles"].values()) == 1619 - sum(found["commands"].values())
    assert picture.read_text().startswith("<svg ")


@pytest.mark.parametrize("refresh", ["on", "off"])
def test_runs_are_the_same_without_a_compiler(refresh, monkeypatch):
    """The kernel's, and the golden model's in its place."""
    argv = ("run", DATA / "gemv_768x768.trace", "--refresh", refresh)
    assert load_kernel()
    _, compiled = called(*argv)
    monkeypatch.setenv("CXX", "/none/g++")
    assert load_kernel() is None
    assert called(*argv)[1] == compiled


def test_refresh_is_the_profiles_or_the_users(tmp_path):
    trace = tmp_path / "long.trace"
    trace.write_text("".join(f"AiM MAC_ABK 64 0xff {row}\n" for row in range(100)) + "AiM ISR_EOC\n")
    # 226 cycles a row: one tREFI of 13,650 falls in.
    figures = {refresh: called("run", trace, *refresh)[1] for refresh in ((), ("--refresh", "on"))}
    assert [one["refreshes"] for one in figures.values()] == [0, 1]
    assert [one["cycles"] for one in figures.values()] == [99 * 226 + 182 + 3, 99 * 226 + 182 + 3 + 910]


@pytest.mark.deep
@pytest.mark.parametrize("options", [("aim", "off"), ("aim", "on"), ("pimgpt", "on"), ("lpddr4", "on")], ids="-".join)
def test_engines_tell_the_same(options, tmp_path):
    """All figures, those of two traces; the gateware's are its own: cycles, commands, row hits, stalls by cause."""
    rows = tmp_path / "rows.trace"
    tile = "AiM WR_BIAS 0 0xff\nAiM MAC_ABK {count} 0xff {row}\nAiM MAC_ABK {count} 0xff {row}\nAiM RD_MAC 0 0xff\n"
    rows.write_text("".join(tile.format(count=1 + 7 * row % 64, row=row) for row in range(100)) + "AiM ISR_EOC\n")
    for trace in (DATA / "gemv_768x768.trace", rows):
        found = {}
        for engine in ("model", "rtl"):
            argv = ("run", trace, "--profile", options[0], "--refresh", options[1], "--engine", engine)
            done, found[engine] = called(*argv)
            assert done.exit_code == 0, done.exception
            assert found[engine].pop("engine") == engine
        assert found["rtl"] == found["model"]
        assert (found["rtl"]["refreshes"] > 0) == (options[1] == "on" and trace == rows)
        assert sum(found["rtl"]["stall_cycles"].values()) > 0


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (("--engine", "paper"), "--engine must be one of"),
        (("--refresh", "maybe"), "--refresh must be on or off, not maybe"),
        (("--profile", "aimm"), 'aimm is no profile; did you mean "aim"?'),
        (("--profile", "none.yml"), "none.yml: no such file"),
        (("--plot", "none/run.svg"), "none/run.svg: no such folder"),
    ],
)
def test_wrong_options_are_told(argv, message):
    done, _ = called("run", DATA / "mac_2x64.trace", *argv)
    assert message in str(done.exception)


def test_wrong_files_are_told(tmp_path, monkeypatch):
    trace = tmp_path / "wrong.trace"
    trace.write_text("AiM RD_MAC 0 0xff\nAiM RD_MACK 0 0xff\n")
    done, _ = called("run", trace)
    assert str(done.exception).endswith("wrong.trace: line 2: 'RD_MACK' is no operation; did you mean \"RD_MAC\"?")
    trace.write_bytes(b"\xef\xbb\xbf# from an editor\r\n\r\nAiM MAC_ABK 1 1 1\r\nAiM WR_GB 1 -1 1\r\n")
    done, _ = called("run", trace)
    assert str(done.exception).endswith("wrong.trace: line 4: register must be in 0..4294967295, not -1")
    trace.write_bytes(b"AiM\0\xff\xfe")
    done, _ = called("run", trace)
    assert str(done.exception).endswith("wrong.trace: not UTF-8 text (byte 4)")
    with monkeypatch.context() as less:
        less.setattr("flows.pim.run.MOST_COMMANDS", 100)
        done, _ = called("run", DATA / "mac_2x64.trace")
    assert "must ask for at most 100 commands, not 129 (hint: run it in parts" in str(done.exception)
    profile = tmp_path / "wrong.yml"
    profile.write_text("base: aim\ntRP_ns: 30\n")
    done, _ = called("run", DATA / "mac_2x64.trace", "--profile", profile)
    assert str(done.exception).endswith("wrong.yml: profile.tRC must be at least tRAS + tRP, 114 cycles, not 89")


def test_a_profile_is_shown_with_its_rules():
    done, found = called("profile", "pimgpt", "--act-group", "4")
    assert (found["tRP_cycles"], found["act_group"], found["refresh"]) == (12, 4, True)
    rule = {"level": "buffer", "previous": "ACTG", "next": "MAC", "cycles": 12, "rule": "tRCD"}
    assert rule in found["rules"]
    assert "a fifth (groups of 4)" in done.stderr
