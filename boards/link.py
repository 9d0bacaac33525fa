"""The board top's own registers: what the gateware and the host driver both need to know of them."""

from __future__ import annotations

from pathlib import Path

from hdl.common.registers import RegisterMap, load_registers

LINK_BASE = 0x4000_0000
"""Where they begin on the host's bus."""


def link_registers() -> RegisterMap:
    """The registers of `link.rdl`."""
    return load_registers(Path(__file__).with_name("link.rdl"))
