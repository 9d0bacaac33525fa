"""Configs of the sfq family. No gateware here: models, flows and docs read this file too."""

from __future__ import annotations

import json
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import Field, model_validator

from hdl.common.block import BlockConfig
from hdl.common.config import ConfigError
from hdl.sfq.emulation_plan import EmulationPlan
from hdl.sfq.netlist import Netlist, parse_event_json

CONFIGS = Path(__file__).with_name("configs")


class EmulationConfig(BlockConfig):
    """`sfq.emulation`: a netlist of pulse logic at work, a step a clock."""

    netlist: str | dict[str, Any]
    """Event JSON: the name of a file beside the named designs, the path of another, or the document itself."""

    mode: Literal["skip", "tick"] = "skip"
    """A clock for each step in which pulses come, or for every step."""

    policy: Literal["flag", "drop", "randomise"] = "flag"
    """What becomes of a pulse that comes too soon: it is obeyed, or not, or a coin says it."""

    seed: int = Field(default=0, ge=0, le=0xFFFF)
    """Of the coins of `randomise`."""

    step_ticks: int = Field(default=1, ge=1, le=1 << 20)
    """Ticks of 0.1 ps in a step; all delays must be multiples of it, and times on the streams count steps."""

    slots: int = Field(default=16, ge=2, le=1 << 16)
    """Steps, besides one, whose pulses of one delay can be on their way; a power of 2. As many as the longest delay has
    steps are always enough."""

    time_bits: int = Field(default=32, ge=2, le=64)
    """Width of times on the streams, in steps."""

    def __hash__(self) -> int:
        return hash(self.model_dump_json())

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.slots & (self.slots - 1):
            raise ValueError(f"slots must be a power of 2, not {self.slots}")
        if self.time_bits <= self.plan.time_modulus_bits:
            least = self.plan.time_modulus_bits
            raise ValueError(f"time_bits must be above {least} for the delays of the netlist, not {self.time_bits}")
        return self

    @cached_property
    def document(self) -> dict[str, Any]:
        """The netlist's event JSON.

        Raises
        ------
        ConfigError
            If the file cannot be read.
        """
        if isinstance(self.netlist, dict):
            return self.netlist
        beside = CONFIGS / self.netlist
        path = beside if beside.is_file() else Path(self.netlist)
        try:
            found = json.loads(path.read_text())
        except (OSError, ValueError) as error:
            why = error.strerror if isinstance(error, OSError) else "not JSON"
            raise ConfigError(f"netlist {self.netlist}: {why}") from None
        return found if isinstance(found, dict) else {}

    @cached_property
    def plan(self) -> EmulationPlan:
        """What is emulated, in steps."""
        name = Path(self.netlist).stem if isinstance(self.netlist, str) else "netlist"
        netlist: Netlist = parse_event_json(self.document, name)[0]
        plan = EmulationPlan(netlist, self.step_ticks)
        if not netlist.inputs:
            raise ConfigError("netlist has no input")
        if not netlist.outputs:
            raise ConfigError("netlist has no output")
        return plan

    @property
    def identity(self) -> dict[str, Any]:
        """The fields, with what is in the netlist's file instead of its name."""
        return self.model_dump(mode="json") | {"netlist": self.document}

    @property
    def stimulus_bits(self) -> int:
        """Of a beat: time, then a bit for each input, filled up to whole bytes."""
        return whole_bytes(self.time_bits + len(self.plan.netlist.inputs))

    @property
    def captured_bits(self) -> int:
        """A bit for each output, a bit for each check, the orders of the instances."""
        return len(self.plan.netlist.outputs) + len(self.plan.checks) + self.plan.order_bits

    @property
    def capture_bits(self) -> int:
        """Of a beat: time, and what is captured; filled up to whole bytes."""
        return whole_bytes(self.time_bits + self.captured_bits)

    @property
    def latency_cycles(self) -> int:
        """From the cycle that takes the only beat of an empty run to the first that offers its end: two buffers, the
        choice, the step, the output slice."""
        return 5

    @property
    def multipliers(self) -> int:
        """None."""
        return 0

    @property
    def register_source(self) -> tuple[Path, dict[str, int]]:
        """The register file and its parameters."""
        netlist = self.plan.netlist
        sizes = {"CELLS": len(netlist.instances), "INPUTS": len(netlist.inputs), "OUTPUTS": len(netlist.outputs)}
        return Path(__file__).with_name("emulation.rdl"), sizes | {"CHECKS": len(self.plan.checks)}


def whole_bytes(bits: int) -> int:
    """That many bits, filled up to whole bytes."""
    return -(-bits // 8) * 8
