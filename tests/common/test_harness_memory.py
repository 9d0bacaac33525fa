"""The memory that the bulk harness puts behind an AXI4 port."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sim.common.errors import HarnessError
from sim.common.harness import Harness, Memory, build_harness

DESIGN = Path(__file__).with_name("designs") / "copier.v"
NARROW, FIXED, UNALIGNED, LAST = range(1, 5)
WORD_BYTES = 8


def copier_ports() -> dict[str, Any]:
    """`ports.json` of the copier, read off its Verilog."""
    ports = []
    for direction, high, name in re.findall(r"(input|output)(?: reg)?(?: \[(\d+):0\])? (\w+)", DESIGN.read_text()):
        bus = name.startswith("m_axi_")
        interface, role = ("axi4", "mem") if bus else ("signal", name)
        width = int(high or 0) + 1
        ports.append({"name": name, "direction": direction, "width": width, "interface": interface, "role": role})
    return {"top": "copier", "clock": "clk", "reset": "rst", "ports": ports}


@pytest.fixture(scope="session")
def copier_library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_harness(DESIGN, copier_ports(), tmp_path_factory.mktemp("copier"))


@pytest.fixture
def copier(copier_library: Path) -> Harness:
    return Harness(copier_library, copier_ports())


def noise(size: int) -> np.ndarray:
    return np.random.default_rng(size).integers(256, size=size, dtype=np.uint8)


def copy(copier: Harness, source: int, target: int, words: int, *, fault: int = 0) -> int:
    """Starts a copy; the cycles that it took."""
    values = {"source": source, "target": target, "length": words - 1, "fault": fault}
    for name, value in values.items():
        copier.poke(name, value)
    copier.poke("start", 1)
    copier.step()
    copier.poke("start", 0)
    return copier.wait("done", 10_000)


@pytest.mark.parametrize("stall", [0.0, 0.3, 0.9])
def test_harness_memory_is_read_and_written_in_place(copier: Harness, stall: float) -> None:
    image = noise(1024)
    expected = image.copy()
    copier.attach(Memory(image, base=0x1000, stall=stall, seed=3))
    for source, target, words in ((0, 512, 16), (64, 8, 1), (520, 1024 - 24, 3)):
        copy(copier, 0x1000 + source, 0x1000 + target, words)
        moved = expected[source : source + words * WORD_BYTES].copy()
        kept = expected[target + 12 : target + 16].copy()  # the upper half of word 1 has no strobes
        expected[target : target + len(moved)] = moved
        if words > 1:
            expected[target + 12 : target + 16] = kept
        np.testing.assert_array_equal(image, expected)
        assert copier.peek("response") == 0
    traffic = copier.memory_traffic()
    assert (traffic.read_beats, traffic.written_beats, traffic.refused_beats) == (20, 20, 0)


def test_harness_memory_keeps_its_latency_and_bandwidth(copier: Harness) -> None:
    image = noise(1024)
    cycles = {}
    for latency, bandwidth in ((0, 2.0), (30, 2.0), (0, 0.25)):
        copier.attach(Memory(image, latency_cycles=latency, bandwidth=bandwidth))
        copier.step(8)  # what bandwidth there is has been saved up
        cycles[latency, bandwidth] = copy(copier, 0, 512, 16)
    assert cycles[30, 2.0] - cycles[0, 2.0] == 2 * 30  # of the read and of the acknowledgement
    beats, saved = 2 * 16, 2
    assert cycles[0, 0.25] >= (beats - saved) / 0.25


@pytest.mark.parametrize(("source", "target"), [(1024, 0), (0, 1024), (0, 1016), (0xFFFF_F000, 0)])
def test_harness_memory_refuses_what_lies_outside(copier: Harness, source: int, target: int) -> None:
    image = noise(1024)
    copier.attach(Memory(image))
    copy(copier, source, target, 2)
    assert copier.peek("response") == 2
    assert copier.memory_traffic().refused_beats >= 1
    copier.reset()
    before = image.copy()
    copy(copier, 0, 512, 1)
    assert copier.peek("response") == 0
    np.testing.assert_array_equal(image[512:520], before[:8])


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        (NARROW, "AR: a narrow burst"),
        (FIXED, "AW: a burst that is not incrementing"),
        (UNALIGNED, "AR: an unaligned address"),
        (LAST, "W: WLAST is not in the last beat"),
    ],
)
def test_harness_memory_says_which_rule_a_burst_breaks(copier: Harness, fault: int, message: str) -> None:
    copier.attach(Memory(noise(1024)))
    with pytest.raises(HarnessError, match=f"^copier: {message}$"):
        copy(copier, 0, 512, 2, fault=fault)


def test_harness_memory_knows_page_boundaries(copier: Harness) -> None:
    copier.attach(Memory(noise(8192)))
    copy(copier, 4096 - 16, 0, 2)
    with pytest.raises(HarnessError, match="^copier: AR: a burst over a 4 KiB boundary$"):
        copy(copier, 4096 - 16, 0, 3)


def test_harness_memory_wait_ends(copier: Harness) -> None:
    with pytest.raises(HarnessError, match="^copier: done stayed low for 50 cycles without a beat$"):
        copier.wait("done", 50)


def test_harness_memory_wants_bytes_and_a_port(copier: Harness) -> None:
    with pytest.raises(ValueError, match="^no memory is attached$"):
        copier.memory_traffic()
    with pytest.raises(ValueError, match="must be contiguous, writeable uint8$"):
        copier.attach(Memory(np.zeros(8, np.uint16)))  # type: ignore[arg-type]
