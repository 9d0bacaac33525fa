"""Settings of the FPGAs' phase-locked loops, from the limits in their data sheets. Frequencies in Hz, exact fractions.

Lattice FPGA-DS-02012 (ECP5), FPGA-DS-02008 and FPGA-TN-02052 (iCE40 UltraPlus), Gowin DS117 and UG286 (GW1NR, C6/I5).
Of the settings with the least error, the one that comes first by the order named in each function.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import TypeVar

from hdl.common.config import ConfigError

LARGEST_ERROR = Fraction(1, 100)
"""Of the wanted frequency: a request that no setting comes closer to is refused."""


@dataclass(frozen=True)
class Ecp5Pll:
    """EHXPLLL: the feedback goes through output CLKOP, the clock comes from CLKOS.

    VCO = input / input_divider * feedback_divider; output = VCO / output_divider.
    """

    input_divider: int
    feedback_divider: int
    output_divider: int
    input_hz: int

    @property
    def vco_hz(self) -> Fraction:
        return Fraction(self.input_hz * self.feedback_divider, self.input_divider)

    @property
    def output_hz(self) -> Fraction:
        return self.vco_hz / self.output_divider


@dataclass(frozen=True)
class Ice40Pll:
    """SB_PLL40 with simple feedback: VCO = input / (divr + 1) * (divf + 1); output = VCO / 2^divq."""

    divr: int
    divf: int
    divq: int
    filter_range: int
    input_hz: int

    @property
    def vco_hz(self) -> Fraction:
        return Fraction(self.input_hz * (self.divf + 1), self.divr + 1)

    @property
    def output_hz(self) -> Fraction:
        return self.vco_hz / (1 << self.divq)


@dataclass(frozen=True)
class GowinPll:
    """rPLL: output = input / (idiv_sel + 1) * (fbdiv_sel + 1); VCO = output * odiv_sel."""

    idiv_sel: int
    fbdiv_sel: int
    odiv_sel: int
    input_hz: int

    @property
    def vco_hz(self) -> Fraction:
        return self.output_hz * self.odiv_sel

    @property
    def output_hz(self) -> Fraction:
        return Fraction(self.input_hz * (self.fbdiv_sel + 1), self.idiv_sel + 1)


Pll = Ecp5Pll | Ice40Pll | GowinPll
P = TypeVar("P", Ecp5Pll, Ice40Pll, GowinPll)

_MHZ = 1_000_000
_GOWIN_ODIV = (2, 4, 8, 16, 32, 48, 64, 80, 96, 112, 128)


def pll(family: str, input_hz: int, output_hz: int) -> Pll:
    """The setting of a family's PLL that comes nearest to a clock.

    Raises
    ------
    ConfigError
        If the input or output is outside the data sheet's range, or nothing comes within 1 %.
    """
    if family == "ecp5":
        return ecp5_pll(input_hz, output_hz)
    return ice40_pll(input_hz, output_hz) if family == "ice40" else gowin_pll(input_hz, output_hz)


def ecp5_pll(input_hz: int, output_hz: int) -> Ecp5Pll:
    """Input and phase detector 10..400 MHz, VCO 400..800 MHz, output 3.125..400 MHz, dividers 1..128.

    First: the VCO nearest to 600 MHz, then the least division of the input. Raises `ConfigError`, see `pll`.
    """
    _check("ECP5", input_hz, output_hz, (10 * _MHZ, 400 * _MHZ), (3_125_000, 400 * _MHZ))
    found = []
    for input_divider in range(1, 129):
        if not 10 * _MHZ * input_divider <= input_hz <= 400 * _MHZ * input_divider:
            continue
        for feedback_divider in range(1, 129):
            vco_hz = Fraction(input_hz * feedback_divider, input_divider)
            if 400 * _MHZ <= vco_hz <= 800 * _MHZ:
                output_divider = min(max(round(vco_hz / output_hz), 1), 128)
                found.append(Ecp5Pll(input_divider, feedback_divider, output_divider, input_hz))
    found = [p for p in found if 3_125_000 <= p.output_hz <= 400 * _MHZ]
    best = min(found, key=lambda p: (abs(p.output_hz - output_hz), abs(p.vco_hz - 600 * _MHZ), p.input_divider))
    return _near(best, output_hz)


def ice40_pll(input_hz: int, output_hz: int) -> Ice40Pll:
    """Input and phase detector 10..133 MHz, VCO 533..1066 MHz, output 16..275 MHz.

    First: the least division of the input, then the slowest VCO. Raises `ConfigError`, see `pll`.
    """
    _check("iCE40", input_hz, output_hz, (10 * _MHZ, 133 * _MHZ), (16 * _MHZ, 275 * _MHZ))
    found = []
    for divr in range(16):
        detector_hz = Fraction(input_hz, divr + 1)
        if not 10 * _MHZ <= detector_hz <= 133 * _MHZ:
            continue
        bounds = (17, 26, 44, 66, 101)
        filter_range = 1 + sum(detector_hz >= bound * _MHZ for bound in bounds)
        for divf in range(128):
            if 533 * _MHZ <= detector_hz * (divf + 1) <= 1066 * _MHZ:
                found += [Ice40Pll(divr, divf, divq, filter_range, input_hz) for divq in range(1, 7)]
    found = [p for p in found if 16 * _MHZ <= p.output_hz <= 275 * _MHZ]
    return _near(min(found, key=lambda p: abs(p.output_hz - output_hz)), output_hz)


def gowin_pll(input_hz: int, output_hz: int) -> GowinPll:
    """Input and phase detector 3..400 MHz, VCO 400..1200 MHz, output 3.125..600 MHz, dividers 1..64.

    First: the least division of the input, then the slowest VCO. Raises `ConfigError`, see `pll`.
    """
    _check("GW1NR", input_hz, output_hz, (3 * _MHZ, 400 * _MHZ), (3_125_000, 600 * _MHZ))
    found = []
    for idiv in range(64):
        if not 3 * _MHZ * (idiv + 1) <= input_hz <= 400 * _MHZ * (idiv + 1):
            continue
        for fbdiv in range(64):
            settings = [GowinPll(idiv, fbdiv, odiv, input_hz) for odiv in _GOWIN_ODIV]
            found += [p for p in settings if 400 * _MHZ <= p.vco_hz <= 1200 * _MHZ][:1]
    found = [p for p in found if 3_125_000 <= p.output_hz <= 600 * _MHZ]
    return _near(min(found, key=lambda p: abs(p.output_hz - output_hz)), output_hz)


def _check(device: str, input_hz: int, output_hz: int, inputs: tuple[int, int], outputs: tuple[int, int]) -> None:
    for what, value, (low, high) in (("input", input_hz, inputs), ("output", output_hz, outputs)):
        if not low <= value <= high:
            raise ConfigError(
                f"a PLL of {device} takes an {what} clock of {low / _MHZ:g}..{high / _MHZ:g} MHz, not {value / _MHZ:g}"
            )


def _near(found: P, output_hz: int) -> P:
    if abs(found.output_hz - output_hz) > LARGEST_ERROR * output_hz:
        raise ConfigError(
            f"no PLL setting makes {output_hz / _MHZ:g} MHz from {found.input_hz / _MHZ:g} MHz; "
            f"nearest: {float(found.output_hz) / _MHZ:.6g} MHz"
        )
    return found
