"""The longest path of a routed design, out of the JSON that nextpnr's `--report` writes."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

KINDS = {"routing": "routing", "clk-to-q": "clocked", "setup": "clocked"}
"""nextpnr's kinds of delay, as the report sums them up; all others are `logic`."""


@dataclass(frozen=True)
class Segment:
    """A part of a path: kind (`routing`, `logic`, or `clocked`: clock to output and set-up), delay in ns, and end."""

    kind: str
    delay_ns: float
    cell: str
    port: str
    net: str


@dataclass(frozen=True)
class CriticalPath:
    """The slowest path of one clock, from clocked cell to clocked cell: flip-flops, memories, multipliers.

    `logic_levels` counts the cells between the two.
    """

    clock: str
    start: str
    end: str
    segments: tuple[Segment, ...]

    @property
    def delay_ns(self) -> float:
        return sum(segment.delay_ns for segment in self.segments)

    @property
    def logic_levels(self) -> int:
        return sum(segment.kind == "logic" for segment in self.segments)

    def share(self, kind: str) -> float:
        """The part of the delay that is of this kind, ns."""
        return sum(segment.delay_ns for segment in self.segments if segment.kind == kind)


def read(report: Path) -> CriticalPath | None:
    """The slowest path within one clock; None where the report has none."""
    content: dict[str, Any] = json.loads(report.read_text())
    paths = [
        _path(path)
        for path in content.get("critical_paths", [])
        if path["from"] == path["to"] and path["path"] and not path["from"].startswith("<")
    ]
    return max(paths, key=lambda path: path.delay_ns, default=None)


def _path(path: dict[str, Any]) -> CriticalPath:
    segments = tuple(
        Segment(
            KINDS.get(part["type"], "logic"), part["delay"], part["to"]["cell"], part["to"]["port"], part.get("net", "")
        )
        for part in path["path"]
    )
    return CriticalPath(path["from"].split(" ", 1)[-1], path["path"][0]["from"]["cell"], segments[-1].cell, segments)
