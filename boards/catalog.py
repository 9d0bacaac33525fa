"""The boards that bitstreams are built for."""

from __future__ import annotations

from boards import colorlight_5a75b, icebreaker, orangecrab, tang_nano_9k, ulx3s
from boards.board import Board
from hdl.common.config import ConfigError, did_you_mean

__all__ = ["BOARDS", "Board", "get_board"]

BOARDS: dict[str, Board] = {
    module.BOARD.name: module.BOARD for module in (icebreaker, ulx3s, orangecrab, colorlight_5a75b, tang_nano_9k)
}


def get_board(name: str) -> Board:
    """The board of that name.

    Raises
    ------
    ConfigError
        If there is none; the message names the nearest.
    """
    if name not in BOARDS:
        raise ConfigError(f'"{name}" is not a board{did_you_mean(name, list(BOARDS))}')
    return BOARDS[name]
