"""Config of `pulse.soc`: a detector's channel and a processor that sets it up. No gateware here."""

from __future__ import annotations

from hdl.pulse.channel_config import ChannelConfig
from hdl.soc.config import CORE_PACKAGES, ProcessorConfig


class SocConfig(ChannelConfig):
    """`pulse.soc`: `pulse.channel`, whose registers a processor and a host share."""

    processor: ProcessorConfig = ProcessorConfig()
    """The processor's core, memory and firmware."""

    @property
    def packages(self) -> tuple[str, ...]:
        """That of the core."""
        return (CORE_PACKAGES[self.processor.core],)
