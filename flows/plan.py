"""A board's build plan as amaranth.build writes it: files, and the commands that turn them into a bitstream."""

from __future__ import annotations

import json
from pathlib import Path

_DROPPED = {"-q": 0, "--quiet": 0, "-l": 1, "--log": 1, "--svf": 1}
"""Options that we leave out, with how many values they take: logs are ours, and nothing here reads SVF."""

_RENAMED = {"nextpnr-gowin": "nextpnr-himbaechel-gowin"}
"""Tools that amaranth 0.5 knows by the name they had."""


def commands(plan_dir: Path) -> list[list[str]]:
    """The plan's commands in order (synthesis, place and route, packing), each an argv with the tool's name first."""
    (file,) = plan_dir.glob("build_*.json")
    return [_adapted(argv) for argv in json.loads(file.read_text())["commands"]]


def _adapted(argv: list[str]) -> list[str]:
    tool, *rest = argv
    adapted = [_RENAMED.get(tool, tool)]
    while rest:
        option = rest.pop(0)
        if option in _DROPPED:
            del rest[: _DROPPED[option]]
        elif tool == "nextpnr-gowin" and option in ("--family", "--cst"):
            adapted += ["--vopt", f"{option[2:]}={rest.pop(0)}"]
        else:
            adapted.append(option)
    return adapted
