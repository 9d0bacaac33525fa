"""The clock of a whole array on an ECP5."""

from __future__ import annotations

from typing import Any

from bench.ecp5 import routed_design


def route() -> dict[str, Any]:
    """Cells, and the median clock of three seeds, out of context, on an LFE5U-85F of speed grade 6."""
    return routed_design("attn_8x16_d64", 110, "at least 100")
