"""A detector's channel with a processor beside it."""

from __future__ import annotations

from amaranth.hdl import Module
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from hdl.common.axi_arbiter import AxiArbiter
from hdl.pulse.channel import Channel, channel_members
from hdl.pulse.soc_config import SocConfig
from hdl.soc.processor import Processor


class Soc(wiring.Component):
    """`pulse.channel`, whose registers a processor and a host share. No sample and no record comes by the processor.

    Latency, throughput: the channel's.

    Parameters
    ----------
    config : SocConfig

    Members
    -------
    samples, external, record, irq : the channel's
    console_in : In(stream.Signature(8)), console_out : Out(stream.Signature(8))
        Bytes to and from the processor's firmware.
    csr : In(AXI4LiteSignature(config.registers.address_bits))
        The channel's registers, which the processor has at its port `io`, too.
    """

    def __init__(self, config: SocConfig):
        self._config = config
        console = {"console_in": In(stream.Signature(8)), "console_out": Out(stream.Signature(8))}
        super().__init__(channel_members(config) | console)

    def elaborate(self, platform):
        m = Module()
        config = self._config
        m.submodules.detector = detector = Channel(config)
        m.submodules.processor = processor = Processor(config.processor, config.registers.address_bits)
        m.submodules.arbiter = arbiter = AxiArbiter(config.registers.address_bits)
        connect(m, flipped(self.csr), arbiter.first)
        connect(m, processor.io, arbiter.second)
        connect(m, arbiter.bus, detector.csr)
        connect(m, flipped(self.samples), detector.samples)
        connect(m, detector.record, flipped(self.record))
        connect(m, flipped(self.console_in), processor.console_in)
        connect(m, processor.console_out, flipped(self.console_out))
        m.d.comb += [detector.external.eq(self.external), self.irq.eq(detector.irq), processor.io_irq.eq(detector.irq)]
        return m
