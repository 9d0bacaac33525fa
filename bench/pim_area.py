"""Area and clock of the channel's scheduler, command generator, scoreboard and row tracker together, on ECP5.

.venv/bin/python bench/pim.py area
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from statistics import median
from typing import Any

from amaranth.hdl import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, connect, flipped

from bench.common import say
from bench.ecp5 import LFE5U_25F, routed, synthesised
from flows.verilog import emit
from hdl.pim.channel_config import ChannelConfig
from hdl.pim.channel_core import CAUSES, Core

CONFIGS: dict[str, dict[str, Any]] = {
    "aim": {"profile": "aim"},
    "pimgpt": {"profile": "pimgpt"},
    "aim, refresh": {"profile": "aim", "refresh": True},
    "pimgpt, staggered, overlap, two rows": {
        "profile": "pimgpt",
        "act_group": 4,
        "overlap": True,
        "gb_banks": 2,
        "accumulators": 2,
        "row_buffers": 2,
    },
}
BOUNDED = ("aim", "pimgpt")
SEEDS = (1, 2, 3)
AIM_MHZ = 110


class Measured(wiring.Component):
    """The scheduler without what only the performance counters look at."""

    def __init__(self, config: ChannelConfig):
        self._core = Core(config)
        super().__init__({name: one for name, one in self._core.signature.members.items() if name not in CAUSES})

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        m.submodules.core = core = self._core
        for name, member in self.signature.members.items():
            if not member.is_port:
                connect(m, flipped(getattr(self, name)), getattr(core, name))
            elif member.flow == In:
                m.d.comb += getattr(core, name).eq(getattr(self, name))
            else:
                m.d.comb += getattr(self, name).eq(getattr(core, name))
        return m


def area() -> dict[str, Any]:
    """LUT4_total = LUT4 + 2 CCU2C + 4 a LUT RAM, and the routed clock of an LFE5U-25F-6, the median of three seeds."""
    figures = {}
    for name, params in CONFIGS.items():
        config = ChannelConfig.parse(params | {"device": False})
        with tempfile.TemporaryDirectory() as folder:
            figures[name] = found = _measure(config, Path(folder))
        bounded = name in BOUNDED
        say(f"scheduler, {name}: LUT4_total", found["lut4_total"], "", "at most 600" if bounded else "none")
        say(f"scheduler, {name}: clock", found["fmax_mhz"], "MHz", "at least 100" if bounded else "none")
    return figures


def _measure(config: ChannelConfig, folder: Path) -> dict[str, Any]:
    cells = synthesised(emit(Measured(config), "scheduler"), "scheduler", folder)
    clocks = [routed(folder, LFE5U_25F, AIM_MHZ, seed) for seed in SEEDS]
    return {"lut4_total": cells["lut"], **cells, "fmax_mhz": median(clocks), "fmax_seeds_mhz": clocks}
