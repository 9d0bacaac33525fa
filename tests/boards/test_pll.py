"""PLL settings, against the data sheets' ranges and the calculators that come with the open tools."""

from __future__ import annotations

import re
from fractions import Fraction

import pytest

from boards.catalog import BOARDS
from boards.clock import actual_clock_hz, board_pll
from boards.pll import ecp5_pll, gowin_pll, ice40_pll, pll
from flows.tools import run_tool
from hdl.common.config import ConfigError

MHZ = 1_000_000
TARGETS_MHZ = (20.25, 33, 48, 60, 75.5, 100, 133.333, 150, 200)


def calculator(tmp_path, *argv: str) -> str:
    """What a calculator prints."""
    run_tool(argv, cwd=tmp_path, log=tmp_path / "log")
    return (tmp_path / "log").read_text()


def number(pattern: str, text: str) -> float:
    return float(re.search(pattern, text)[1])


@pytest.mark.parametrize("input_mhz", [25, 48])
@pytest.mark.parametrize("output_mhz", TARGETS_MHZ)
def test_ecp5_comes_as_near_as_its_calculator(tmp_path, input_mhz, output_mhz):
    found = ecp5_pll(input_mhz * MHZ, round(output_mhz * MHZ))
    assert 10 * MHZ <= Fraction(found.input_hz, found.input_divider) <= 400 * MHZ
    assert 400 * MHZ <= found.vco_hz <= 800 * MHZ
    assert all(1 <= divider <= 128 for divider in (found.feedback_divider, found.output_divider))
    assert found.output_hz == Fraction(
        found.input_hz * found.feedback_divider, found.input_divider * found.output_divider
    )
    text = calculator(tmp_path, "ecppll", "-i", str(input_mhz), "-o", str(output_mhz), "--highres")
    other_hz = number(r"clkout1 frequency: ([\d.]+)", text) * MHZ
    detector_mhz = input_mhz / number(r"Refclk divisor: (\d+)", text)
    error_hz = abs(float(found.output_hz) - output_mhz * MHZ)
    other_error_hz = abs(other_hz - output_mhz * MHZ)
    # The calculator also uses phase detectors slower than the data sheet allows, and may then come nearer.
    if detector_mhz >= 10:
        assert error_hz <= other_error_hz + 1000  # it prints six digits
    assert error_hz <= 0.01 * output_mhz * MHZ


@pytest.mark.parametrize("input_mhz", [12, 48, 100])
@pytest.mark.parametrize("output_mhz", TARGETS_MHZ)
def test_ice40_agrees_with_its_calculator(tmp_path, input_mhz, output_mhz):
    found = ice40_pll(input_mhz * MHZ, round(output_mhz * MHZ))
    text = calculator(tmp_path, "icepll", "-i", str(input_mhz), "-o", str(output_mhz))
    achieved_mhz = number(r"F_PLLOUT:\s+([\d.]+) MHz \(achieved\)", text)
    assert float(found.output_hz) / MHZ == pytest.approx(achieved_mhz, abs=0.001)
    # Where several settings are equally near, rounding decides which the calculator takes.
    if found.divr == number(r"DIVR:\s+(\d+)", text):
        assert found.divf == number(r"DIVF:\s+(\d+)", text)
        assert found.divq == number(r"DIVQ:\s+(\d+)", text)
        assert found.filter_range == number(r"FILTER_RANGE:\s+(\d+)", text)
    assert 533 * MHZ <= found.vco_hz <= 1066 * MHZ
    assert 10 * MHZ * (found.divr + 1) <= input_mhz * MHZ


@pytest.mark.parametrize("output_mhz", TARGETS_MHZ)
def test_gowin_stays_in_the_data_sheets_ranges_and_is_near(output_mhz):
    found = gowin_pll(27 * MHZ, round(output_mhz * MHZ))
    assert 400 * MHZ <= found.output_hz * found.odiv_sel <= 1200 * MHZ
    assert Fraction(27 * MHZ, found.idiv_sel + 1) >= 3 * MHZ
    assert found.idiv_sel in range(64)
    assert found.fbdiv_sel in range(64)
    assert found.output_hz == Fraction(27 * MHZ * (found.fbdiv_sel + 1), found.idiv_sel + 1)
    assert abs(found.output_hz - round(output_mhz * MHZ)) <= output_mhz * MHZ / 100


def test_pll_settings_of_known_clocks():
    found = ecp5_pll(25 * MHZ, 60 * MHZ)
    assert (found.input_divider, found.feedback_divider, found.output_divider) == (1, 24, 10)
    assert (found.vco_hz, found.output_hz) == (600 * MHZ, 60 * MHZ)
    found = ice40_pll(12 * MHZ, 24 * MHZ)
    assert (found.divr, found.divf, found.divq, found.filter_range) == (0, 63, 5, 1)
    assert (found.vco_hz, found.output_hz) == (768 * MHZ, 24 * MHZ)


@pytest.mark.parametrize(
    ("family", "input_hz", "output_hz", "message"),
    [
        ("ecp5", 25 * MHZ, 3 * MHZ, "a PLL of ECP5 takes an output clock of 3.125..400 MHz, not 3"),
        ("ecp5", 5 * MHZ, 50 * MHZ, "a PLL of ECP5 takes an input clock of 10..400 MHz, not 5"),
        ("ice40", 12 * MHZ, 15 * MHZ, "a PLL of iCE40 takes an output clock of 16..275 MHz, not 15"),
        ("gowin", 27 * MHZ, 601 * MHZ, "a PLL of GW1NR takes an output clock of 3.125..600 MHz, not 601"),
        ("ice40", 12 * MHZ, 266_800_000, "no PLL setting makes 266.8 MHz from 12 MHz; nearest: 264 MHz"),
        ("ecp5", 8 * MHZ, 50 * MHZ, "a PLL of ECP5 takes an input clock of 10..400 MHz, not 8"),
    ],
)
def test_clock_that_cannot_be_made_is_refused(family, input_hz, output_hz, message):
    with pytest.raises(ConfigError, match=f"^{re.escape(message)}$"):
        pll(family, input_hz, output_hz)


def test_boards_own_oscillator_needs_no_pll():
    board = BOARDS["ulx3s_85f"]
    assert board_pll(board, 25e6) is None
    assert actual_clock_hz(board, 25e6) == 25 * MHZ
    assert actual_clock_hz(board, 60e6) == 60 * MHZ
    assert actual_clock_hz(BOARDS["icebreaker"], 33.3e6) == 33 * MHZ
