"""Before any tool runs: what a design needs against what a board has."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from boards.board import Board
from flows.errors import BadInput
from hdl.common.block import BlockConfig

HOST_LINK_PINS = 2
CLOCK_PINS = 1


@dataclass(frozen=True)
class Needs:
    """What a design takes of a device, as far as its config tells.

    Attributes
    ----------
    dsp : multipliers, each a DSP block
    memories_bits : size of every memory that becomes block RAM; a block holds no two of them
    pins : of the device, the clock's included
    """

    dsp: int = 0
    memories_bits: tuple[int, ...] = ()
    pins: int = HOST_LINK_PINS + CLOCK_PINS

    def bram(self, block_bits: int) -> int:
        """Block RAMs of that size."""
        return sum(-(-bits // block_bits) for bits in self.memories_bits)


def needs_of(config: BlockConfig, link_memories_bits: Iterable[int] = ()) -> Needs:
    """What a block on a board takes: its multipliers, its memories if its config names them, the host link's pins.

    `link_memories_bits`: the host link's memories, once the board top is there to say them.
    """
    memories_bits = (*getattr(config, "memories_bits", ()), *link_memories_bits)
    return Needs(dsp=config.multipliers, memories_bits=memories_bits)


def shortages(needs: Needs, board: Board) -> list[tuple[str, int, int]]:
    """(resource, needed, available) for each that the board has too little of."""
    has = board.resources
    wanted = [
        ("DSP blocks", needs.dsp, has.dsp),
        ("block RAMs", needs.bram(has.bram_bits), has.bram),
        ("pins", needs.pins, has.io),
    ]
    return [(resource, needed, available) for resource, needed, available in wanted if needed > available]


def fits(needs: Needs, board: Board) -> bool:
    """Whether the board has enough of everything that is known before synthesis."""
    return not shortages(needs, board)


def check(design_name: str, needs: Needs, board: Board, boards: Mapping[str, Board] | Iterable[Board]) -> None:
    """Refuses a design that cannot fit a board.

    Raises
    ------
    BadInput
        One line: resource, needed, available; the hint says which of `boards` would do, and how small the design
        must be for this one.
    """
    short = shortages(needs, board)
    if not short:
        return
    others = boards.values() if isinstance(boards, Mapping) else boards
    fitting = [other.name for other in others if fits(needs, other)]
    lacks = " and ".join(f"{needed} {resource} ({board.name} has {available})" for resource, needed, available in short)
    hint = f"it fits {', '.join(fitting)}" if fitting else "it fits no board of the catalog"
    resource, _, available = short[0]
    smaller = f"make it small enough for {available} {resource} with its params"
    raise BadInput(f"{design_name} needs {lacks}", hint=f"{hint}; or {smaller}")
