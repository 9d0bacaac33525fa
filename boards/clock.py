"""The clock that a board makes for a design, from its oscillator and a PLL. No gateware here."""

from __future__ import annotations

from typing import TYPE_CHECKING

from boards.pll import Pll, pll

if TYPE_CHECKING:
    from boards.board import Board


def board_pll(board: Board, clock_hz: float) -> Pll | None:
    """The PLL setting that makes `clock_hz` from the board's oscillator; None where they are the same.

    Raises
    ------
    ConfigError
        If the board's PLL cannot come within 1 %.
    """
    wanted_hz = round(clock_hz)
    return None if wanted_hz == board.oscillator_hz else pll(board.family, board.oscillator_hz, wanted_hz)


def actual_clock_hz(board: Board, clock_hz: float) -> int:
    """The clock that a board really makes when asked for `clock_hz`, in Hz, rounded to nearest."""
    setting = board_pll(board, clock_hz)
    return board.oscillator_hz if setting is None else round(setting.output_hz)
