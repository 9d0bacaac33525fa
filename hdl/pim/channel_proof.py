"""A channel's scheduler with its inputs free, beside the properties that its commands must have."""

from __future__ import annotations

from amaranth import Module
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In

from hdl.pim.channel_config import ChannelConfig
from hdl.pim.channel_core import Core
from hdl.pim.channel_properties import ChannelProperties
from hdl.pim.commands import INSTRUCTION_BITS


class ChannelProof(wiring.Component):
    """What `niello formal` decides of a channel: any instructions, legal or not, data and room that come and go, and
    resets at any time never lead to a command that the memory may not have, nor to a refresh that comes late.

    Parameters
    ----------
    config : of the properties
    scheduler : of the scheduler, where it is another; a proof that then holds could not have failed
    """

    def __init__(self, config: ChannelConfig, scheduler: ChannelConfig | None = None) -> None:
        self.properties = ChannelProperties(config)
        self.core = Core(scheduler or config)
        super().__init__(
            {
                "program": In(stream.Signature(INSTRUCTION_BITS)),
                "hold": In(1),
                "there": In(len(self.core.there)),
                "room": In(len(self.core.room)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.core = core = self.core
        m.submodules.properties = properties = self.properties
        wiring.connect(m, wiring.flipped(self.program), core.program)
        for name in ("hold", "there", "room"):
            m.d.comb += getattr(core, name).eq(getattr(self, name))
        for name in ("command", "bank", "bank_mask", "row", "buf"):
            m.d.comb += getattr(properties, name).eq(getattr(core, name))
        return m
