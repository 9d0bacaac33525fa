"""What `niello formal` decides of an array: that its sums never overflow."""

from __future__ import annotations

from amaranth.hdl import Module
from amaranth.lib import wiring

from hdl.attention.config import ArrayConfig
from hdl.attention.lanes_proof import LanesProof
from hdl.attention.row_proof import RowProof


class ArrayProof(wiring.Component):
    """Products and their sums, and the sums over tiles, each by itself; all is decided within 12 cycles.

    Parameters
    ----------
    config : of what holds
    built : of the gateware, where it is another; a proof that then holds could not have failed
    """

    def __init__(self, config: ArrayConfig, built: ArrayConfig | None = None):
        self._parts = {"lanes": LanesProof(config, built), "row": RowProof(config, built)}
        super().__init__({name: wiring.In(part.signature.flip()) for name, part in self._parts.items()})

    def elaborate(self, platform):
        m = Module()
        for name, part in self._parts.items():
            m.submodules[name] = part
            wiring.connect(m, wiring.flipped(getattr(self, name)), part)
        return m
