"""What a run of a pulse netlist is asked for."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TypedDict, cast

from flows.errors import BadInput
from flows.paths import shown
from flows.sfq.netlists import read_netlist
from hdl.common.config import ConfigError
from hdl.sfq.cells import ticks
from hdl.sfq.netlist import Netlist, Stimulus
from sim.sfq.event_model import POLICIES, NeverAtRest, Policy

MOST_SEED = 0xFFFF


class Rules(TypedDict):
    """What the engines take: what becomes of violating pulses, the seed of its coins, the last tick."""

    policy: Policy
    seed: int
    until: int | None


@dataclass(frozen=True)
class Conditions:
    """What a run is asked for beside its netlist: options of the command line, as the user wrote them."""

    policy: str = "flag"
    seed: int = 0
    until_ps: float | None = None
    library: str | None = None
    inputs: Path | None = None

    def rules(self) -> Rules:
        """As the engines take them.

        Raises
        ------
        BadInput
            If one is wrong.
        """
        if self.policy not in POLICIES:
            raise BadInput(f"--policy must be one of {', '.join(POLICIES)}, not {self.policy}")
        if not 0 <= self.seed <= MOST_SEED:
            raise BadInput(f"--seed must be in 0..{MOST_SEED}, not {self.seed}")
        try:
            until = None if self.until_ps is None else ticks(self.until_ps, "--until")
        except ConfigError as error:
            raise BadInput(str(error)) from None
        if until is not None and until < 0:
            raise BadInput(f"--until must be at least 0, not {self.until_ps:g}")
        return {"policy": cast("Policy", self.policy), "seed": self.seed, "until": until}

    def read(self, path: Path) -> tuple[Netlist, Stimulus]:
        """The netlist in a file, and its input pulses.

        Raises
        ------
        BadInput
            Naming the file and what is wrong in it.
        """
        return read_netlist(path, self.library, self.inputs)


def not_at_rest(path: Path, error: NeverAtRest) -> BadInput:
    """What the user reads where a netlist goes on for ever."""
    return BadInput(f"{shown(path)}: {error}", hint="--until PS stops it at a time")
