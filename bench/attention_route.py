"""The clock of a whole array on an ECP5."""

from __future__ import annotations

import tempfile
from pathlib import Path
from statistics import median
from typing import Any

from bench.common import made, say
from bench.ecp5 import LFE5U_85F, routed, synthesised

DESIGN = "attn_8x16_d64"
AIM_MHZ = 110
SEEDS = (1, 2, 3)


def route() -> dict[str, Any]:
    """Cells, and the median clock of three seeds, out of context, on an LFE5U-85F of speed grade 6."""
    design, (rtl,) = made(DESIGN, "elaborate")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        found = synthesised(rtl[f"{design.name}.v"].read_text(), design.top, folder)
        clocks = [routed(folder, LFE5U_85F, AIM_MHZ, seed) for seed in SEEDS]
    say(f"{DESIGN}: clock", median(clocks), "MHz", "at least 100")
    return {**found, "fmax_mhz": median(clocks), "fmax_seeds_mhz": clocks}
