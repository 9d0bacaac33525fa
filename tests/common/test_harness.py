from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest

from sim.common import verilate
from sim.common.beats import Beats
from sim.common.errors import BusError, HarnessError
from sim.common.harness import Harness, HarnessResult, build_harness
from sim.common.stimulus import last_flags, packet_lengths
from sim.common.verilator import BuildError

DESIGNS = Path(__file__).with_name("designs")
SLICE_PORTS = DESIGNS / "slice.ports.json"
WIDE_PORTS = DESIGNS / "wide.ports.json"
WITHDRAWS, CHANGES, STOPS, WAITS, REPEATS, TALKS_IN_RESET, IGNORES_VALID, ENDS = range(1, 9)
SWALLOWS, MUTE_BUS, EARLY_BUS, KEEPS_STATE, LOSES_LAST = range(9, 14)


@pytest.fixture(scope="session")
def slice_library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    build = tmp_path_factory.mktemp("slice") / "build"
    library = build_harness(DESIGNS / "slice.v", SLICE_PORTS, build)
    moved = build.rename(build.with_name("moved"))  # what the store of results does with every build
    return moved / library.name


@pytest.fixture(scope="session")
def wide_library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built in many units, as a large design is."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(verilate, "UNIT_BYTES", 8_000)
        build = tmp_path_factory.mktemp("wide")
        library = build_harness(DESIGNS / "wide.v", json.loads(WIDE_PORTS.read_text()), build)
    assert len(list(build.glob("*.o"))) > 3
    return library


@pytest.fixture
def harness(slice_library: Path) -> Harness:
    return Harness(slice_library, SLICE_PORTS)


def beats(seed: int, count: int) -> Beats:
    rng = np.random.default_rng(seed)
    lengths = packet_lengths(rng, count, 7)
    return Beats(rng.integers(256, size=(sum(lengths), 4), dtype=np.uint8), last_flags(lengths))


def negated(given: Beats) -> np.ndarray:
    return (-given.data.view("<u4").astype(np.int64) % 2**32).astype("<u4").view(np.uint8)


def run(harness: Harness, given: Beats, **options: object) -> HarnessResult:
    return harness.run({"a": given}, {"y": len(given)}, **options)  # type: ignore[arg-type]


@pytest.mark.parametrize(("stall_in", "stall_out"), [(0, 0), (0.25, 0.25), (0.9, 0), (0, 0.9)])
def test_harness_gives_what_the_design_computes(harness: Harness, stall_in: float, stall_out: float) -> None:
    given = beats(1, 500)
    result = run(harness, given, stall_in=stall_in, stall_out=stall_out, seed=7)
    np.testing.assert_array_equal(result.outputs["y"].data, negated(given))
    np.testing.assert_array_equal(result.outputs["y"].last, given.last)


def test_harness_at_full_speed_takes_one_beat_a_cycle(harness: Harness) -> None:
    given = beats(2, 100)
    result = run(harness, given, stall_in=0, stall_out=0, timestamps=True, drain_cycles=10)
    np.testing.assert_array_equal(result.stamps["a"], np.arange(len(given)))
    np.testing.assert_array_equal(result.stamps["y"], np.arange(len(given)) + 1)
    assert result.cycles == len(given) + 1
    assert result.total_cycles == len(given) + 1 + 11


def test_harness_stalls_the_share_of_cycles_asked_for(harness: Harness) -> None:
    given = beats(3, 10_000)
    for options, slack in (({"stall_in": 0.4, "stall_out": 0}, 0.03), ({"stall_in": 0, "stall_out": 0.4}, 0.03)):
        result = run(harness, given, **options)
        assert len(given) / result.cycles == pytest.approx(0.6, abs=slack)


def test_harness_stalls_by_role(harness: Harness) -> None:
    given = beats(3, 100)
    assert run(harness, given, stall_in={"a": 0.0}, stall_out={}).cycles == len(given) + 1
    assert run(harness, given, stall_in={"a": 0.5}, stall_out={}).cycles > len(given) * 1.5


def test_harness_repeats_a_run_by_its_seed(slice_library: Path) -> None:
    given = beats(4, 300)
    stamps = []
    for seed in (11, 11, 12):
        with Harness(slice_library, SLICE_PORTS) as harness:
            stamps.append(run(harness, given, seed=seed, timestamps=True).stamps)
    np.testing.assert_array_equal(stamps[0]["a"], stamps[1]["a"])
    np.testing.assert_array_equal(stamps[0]["y"], stamps[1]["y"])
    assert not np.array_equal(stamps[0]["a"], stamps[2]["a"])
    assert not np.array_equal(stamps[0]["y"], stamps[2]["y"])


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        (WITHDRAWS, r"m_axis_y withdrew TVALID before beat 9 was taken"),
        (CHANGES, r"m_axis_y changed beat 9 before it was taken"),
        (WAITS, r"m_axis_y waits for TREADY before it raises TVALID"),
        (REPEATS, r"m_axis_y offers a beat beyond the 40 expected"),
        (STOPS, r"no handshake for 500 cycles: s_axis_a took 20 of 40 beats, m_axis_y gave 20 of 40 beats"),
        (SWALLOWS, r"no handshake for 500 cycles: s_axis_a took 40 of 40 beats, m_axis_y gave 39 of 40 beats"),
        (ENDS, r"source0\.v:\d+: Verilog \$stop"),
    ],
)
def test_harness_names_the_fault(harness: Harness, fault: int, message: str) -> None:
    given = Beats(np.arange(160, dtype=np.uint8).reshape(40, 4), np.arange(40) % 4 == 3)
    harness.poke("fault", fault)
    with pytest.raises(HarnessError, match=rf"^niello_slice: {message}, in cycle \d+, seed 5$"):
        run(harness, given, stall_in=0.5, stall_out=0.9, max_idle_cycles=500, seed=5)
    harness.poke("fault", 0)
    harness.reset()
    np.testing.assert_array_equal(run(harness, given).outputs["y"].data, negated(given))


def test_harness_catches_a_beat_offered_in_reset(harness: Harness) -> None:
    harness.poke("fault", TALKS_IN_RESET)
    with pytest.raises(HarnessError, match=r"^m_axis_y drives TVALID during reset$"):
        harness.reset()


def test_harness_gives_noise_to_a_design_that_ignores_valid(harness: Harness) -> None:
    given = Beats(np.zeros((16, 4), np.uint8), np.ones(16, np.bool_))
    harness.poke("fault", IGNORES_VALID)
    result = harness.run({"a": given}, {"y": 17}, stall_in=0.9, stall_out=0, seed=2)
    assert result.outputs["y"].data[15:].any()


def test_harness_notices_a_lost_last(harness: Harness) -> None:
    harness.poke("fault", LOSES_LAST)
    last = run(harness, beats(1, 20)).outputs["y"].last
    assert last is not None
    assert not last.any()


def test_harness_resets_in_mid_flight_and_starts_again(harness: Harness) -> None:
    given = beats(5, 50)
    result = run(harness, given, stall_out=0.7, reset_at=37)
    np.testing.assert_array_equal(result.outputs["y"].data, negated(given))
    assert harness.read(4) == len(given)


def test_harness_sees_what_a_reset_left_behind(harness: Harness) -> None:
    harness.poke("fault", KEEPS_STATE)
    with pytest.raises(HarnessError, match=r"^m_axis_y drives TVALID during reset$"):
        run(harness, beats(5, 50), stall_in=0, stall_out=0.9, reset_at=37)


def test_harness_keeps_the_state_between_runs(harness: Harness) -> None:
    run(harness, beats(6, 10), registers={0: 0xCAFE})
    assert harness.read(0) == 0xCAFE
    first = harness.read(4)
    run(harness, beats(6, 10))
    assert harness.read(4) == 2 * first
    harness.reset()
    assert (harness.read(0), harness.read(4)) == (0, 0)


def test_harness_reads_and_writes_registers(harness: Harness) -> None:
    for value in (1, 0xFFFFFFFF, 0, 0x80000000):
        harness.write(0, value)
        assert harness.read(0) == value


def test_harness_reports_refused_register_accesses(harness: Harness) -> None:
    with pytest.raises(BusError, match=r"^read of 0x8: SLVERR$"):
        harness.read(8)
    with pytest.raises(BusError, match=r"^write to 0xc: DECERR$"):
        harness.write(12, 1)
    harness.write(0, 3)
    assert harness.read(0) == 3


def test_harness_reports_a_register_bus_that_does_not_answer(harness: Harness) -> None:
    harness.poke("fault", MUTE_BUS)
    with pytest.raises(BusError, match=r"^write to 0x0: no AWREADY for 1000 cycles$"):
        harness.write(0, 1)
    harness.poke("fault", 0)
    harness.reset()
    harness.write(0, 2)
    assert harness.read(0) == 2


def test_harness_reports_a_response_before_its_request(harness: Harness) -> None:
    harness.poke("fault", EARLY_BUS)
    with pytest.raises(BusError, match=r"^write to 0x0: BVALID before the request was taken$"):
        for _ in range(20):
            harness.write(0, 1)


def test_harness_drives_and_reads_signals(harness: Harness) -> None:
    value = 0xF_0123456789ABCDEF_13579BDF
    harness.poke("wide_in", value)
    assert harness.peek("wide_out") == value ^ (2**100 - 1)
    with pytest.raises(ValueError, match=r"^wide_in is 100 bits wide; 1267650600228229401496703205376 does not fit$"):
        harness.poke("wide_in", 2**100)
    with pytest.raises(ValueError, match=r"^wide_out is not an input$"):
        harness.poke("wide_out", 0)


def test_harness_drives_thousands_of_bits(wide_library: Path, slice_library: Path) -> None:
    rng = np.random.default_rng(8)
    count = 300
    wide = Beats(rng.integers(256, size=(count, 257), dtype=np.uint8), rng.random(count) < 0.3)
    narrow = Beats(rng.integers(256, size=(count, 3), dtype=np.uint8))
    # A second design with the same module name lives in the same process.
    with Harness(slice_library, SLICE_PORTS) as other, Harness(wide_library, WIDE_PORTS) as harness:
        result = harness.run({"wide": wide, "narrow": narrow}, {"joined": count, "parity": count}, seed=3)
        np.testing.assert_array_equal(run(other, beats(1, 9)).outputs["y"].data, negated(beats(1, 9)))
    expected = wide.data ^ np.tile(narrow.data, (1, 86))[:, :257]
    np.testing.assert_array_equal(result.outputs["joined"].data, expected)
    np.testing.assert_array_equal(result.outputs["joined"].last, wide.last)
    parity = np.unpackbits(wide.data, axis=1).sum(axis=1) % 2
    np.testing.assert_array_equal(result.outputs["parity"].data[:, 0], parity)
    assert result.outputs["parity"].last is None


def test_harness_with_an_input_left_out_hangs_and_says_so(wide_library: Path) -> None:
    narrow = Beats(np.zeros((2, 3), np.uint8))
    message = (
        r"^niello_slice: no handshake for 50 cycles: s_axis_wide took 0 of 0 beats, s_axis_narrow took 0 of 2 beats, "
        r"m_axis_joined gave 0 of 0 beats, m_axis_parity gave 0 of 0 beats, in cycle 51, seed 0$"
    )
    with Harness(wide_library, WIDE_PORTS) as harness, pytest.raises(HarnessError, match=message):
        harness.run({"narrow": narrow}, {}, max_idle_cycles=50)


@pytest.mark.parametrize(
    ("inputs", "expected", "message"),
    [
        ({"b": Beats(np.zeros((1, 4), np.uint8))}, {}, "there is no input b; known: a"),
        ({}, {"a": 1}, "there is no output a; known: y"),
        ({"a": Beats(np.zeros((1, 5), np.uint8))}, {}, "input a takes beats of 4 bytes, not 5"),
        ({"a": Beats(np.zeros((1, 4), np.uint8))}, {}, "input a needs TLAST"),
    ],
)
def test_harness_refuses_traffic_that_does_not_fit(
    harness: Harness, inputs: dict[str, Beats], expected: dict[str, int], message: str
) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        harness.run(inputs, expected)


def test_harness_refuses_a_stall_without_end(harness: Harness) -> None:
    with pytest.raises(ValueError, match=r"^a stall share must be at least 0 and below 1, not 1$"):
        run(harness, beats(1, 1), stall_in=1)


def test_harness_refuses_a_library_of_other_ports(slice_library: Path) -> None:
    with pytest.raises(ValueError, match=rf"^{re.escape(str(slice_library))} was not built from these ports$"):
        Harness(slice_library, WIDE_PORTS)


def test_build_is_the_same_wherever_it_lies(slice_library: Path, tmp_path: Path) -> None:
    again = build_harness(DESIGNS / "slice.v", SLICE_PORTS, tmp_path / "elsewhere" / "deeper")
    assert again.read_bytes() == slice_library.read_bytes()


def test_build_names_the_error_of_verilator(tmp_path: Path) -> None:
    source = tmp_path / "broken.v"
    source.write_text("module niello_slice(input clk);\n  wire a = missing;\nendmodule\n")
    with pytest.raises(BuildError) as caught:
        build_harness(source, SLICE_PORTS, tmp_path / "build")
    assert re.match(r"^verilator: %Error: source0\.v:2:12: Can't find definition of .*missing", str(caught.value))
    assert str(caught.value).endswith(f"; log: {tmp_path / 'build' / 'build.log'}")


def test_build_names_the_error_of_the_compiler(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    compiler = tmp_path / "c++"
    compiler.write_text("#!/bin/sh\necho 'model.cpp:1: error: no space left on device' >&2\nexit 1\n")
    compiler.chmod(0o755)
    monkeypatch.setenv("CXX", str(compiler))
    with pytest.raises(BuildError, match=r"^c\+\+: model\.cpp:1: error: no space left on device; log: .*\.log$"):
        build_harness(DESIGNS / "slice.v", SLICE_PORTS, tmp_path / "build")
    assert not (tmp_path / "build" / verilate.LIBRARY).exists()
    assert shutil.which("c++")
