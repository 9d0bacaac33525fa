"""The device on its own: commands and answers as streams, registers on AXI4-Lite."""

from __future__ import annotations

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from hdl.common.arithmetic import wire
from hdl.common.axi import AXI4LiteSignature
from hdl.common.csr_bank import CSRBank
from hdl.common.stream import Fifo
from hdl.pim.channel_config import check_memory
from hdl.pim.commands import Command
from hdl.pim.device import Device
from hdl.pim.device_config import HEADER_BITS, HEADER_FIELDS, DeviceConfig
from hdl.pim.device_control import connect_device


class DeviceBlock(wiring.Component):
    """A beat is a command: a header of `HEADER_FIELDS`, above it a column, or biases. Each RD and RDMAC gives a beat.

    Time goes on whether beats come or not; a beat of NOP is a cycle without a command. While answers wait, so many that
    those under way would find no room, nothing is taken.

    Latency: `config.latency_cycles`. Throughput: a command a cycle.

    Parameters
    ----------
    config : DeviceConfig

    Members
    -------
    command : In(stream.Signature(HEADER_BITS + config.data_bits))
    answer : Out(stream.Signature(config.answer_bits))
    csr : In(AXI4LiteSignature(config.registers.address_bits))
        Registers of `device.rdl`.
    """

    def __init__(self, config: DeviceConfig):
        check_memory(config)
        self._config = config
        super().__init__(
            {
                "command": In(stream.Signature(HEADER_BITS + config.data_bits)),
                "answer": Out(stream.Signature(config.answer_bits)),
                "csr": In(AXI4LiteSignature(config.registers.address_bits)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        config = self._config
        m.submodules.device = device = Device(config)
        m.submodules.registers = bank = CSRBank(config.registers)
        m.submodules.answers = answers = Fifo(config.answer_bits, 2 * config.device_latency_cycles + 3)
        connect(m, flipped(self.csr), bank.bus)
        connect(m, answers.o, flipped(self.answer))
        connect_device(m, bank, device)

        take = wire(m, self.command.valid & self.command.ready, "take")
        low = 0
        for name, bits in HEADER_FIELDS.items():
            member = getattr(device, name)
            member_value = self.command.payload[low : low + bits]
            m.d.comb += member.eq(Mux(take, member_value, Command.NOP) if name == "command" else member_value)
            low += bits
        data = self.command.payload[HEADER_BITS:]
        m.d.comb += [device.data.eq(data), device.bias.eq(data)]

        # Whatever is under way when the queue is half full fits into the other half.
        half_full = Signal()
        m.d.sync += half_full.eq(answers.level > config.device_latency_cycles)
        m.d.comb += [
            self.command.ready.eq(~half_full),
            answers.i.valid.eq(device.read_valid | device.result_valid),
            answers.i.payload.eq(Mux(device.read_valid, device.read_data, device.result)),
        ]
        return m
