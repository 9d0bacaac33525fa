"""Switching activity of a Verilated design: how often nets toggle, instance by instance, from Verilator's SAIF files.

    library = build_harness(verilog, ports, build_dir, extra_args=["--trace-saif"])
    with Harness(library, ports) as harness:
        with recorded(harness, folder) as activity:
            harness.run(...)
    activity.instances["core/lanes"].toggles

A net is looked at once a cycle, before the rising edge, when all has settled: glitches are not counted, nor the clock.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from sim.common.harness import Harness

_NET = re.compile(r"\((\S+) \(T0 \d+\) \(T1 \d+\) .*\(TC (\d+)\)\)")
_DURATION = re.compile(r"\(DURATION (\d+)\)")


@dataclass(frozen=True)
class InstanceActivity:
    """Of an instance's own nets, its ports among them and those of instances inside it not: how often each toggled, bit
    by bit."""

    nets: dict[str, int]

    @property
    def bits(self) -> int:
        """Net bits."""
        return len(self.nets)

    @property
    def toggles(self) -> int:
        """Of all of them."""
        return sum(self.nets.values())


@dataclass
class Activity:
    """What was recorded; filled when the recording ends.

    Attributes
    ----------
    cycles : clock cycles
    instances : by path below the top module, names with slashes between; "" is the top itself
    """

    cycles: int = 0
    instances: dict[str, InstanceActivity] = field(default_factory=dict)


@contextlib.contextmanager
def recorded(harness: Harness, folder: Path) -> Iterator[Activity]:
    """Counts toggles from the state that the design is in to that in which it is left; SAIF files go into `folder`."""
    first, saif = folder / "first.saif", folder / "activity.saif"
    activity = Activity()
    for path in (first, saif):
        harness.record(path)
    yield activity
    harness.record(None)
    # Verilator takes every net for 0 before its first state, and counts those that are not as toggles.
    _, start = read_saif(first)
    activity.cycles, counted = read_saif(saif)
    for instance, nets in counted.items():
        own = {net: count - start[instance][net] for net, count in nets.items()}
        activity.instances[instance] = InstanceActivity(own)


def read_saif(path: Path) -> tuple[int, dict[str, dict[str, int]]]:
    """Duration, and toggles of every net bit by instance, of a SAIF file as Verilator lays it out: a net a line.

    The first two levels, Verilator's model and the top module, are left out of the instances' paths.
    """
    duration, inside = 0, []
    found: dict[str, dict[str, int]] = {}
    for line in path.read_text().splitlines():
        text = line.strip()
        if text.startswith("(INSTANCE "):
            inside.append(text.removeprefix("(INSTANCE "))
            nets = found.setdefault("/".join(inside[2:]), {}) if len(inside) > 1 else {}
        elif text == "(NET":
            inside.append("")
        elif text == ")":
            if inside:
                inside.pop()
        elif net := _NET.fullmatch(text):
            nets[net[1]] = int(net[2])
        elif length := _DURATION.fullmatch(text):
            duration = int(length[1])
    return duration, found
