"""A channel of memory that multiplies: its controller, and the behavioural memory where it is inside."""

from __future__ import annotations

from amaranth.hdl import Cat, Module, Value
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from hdl.common.axi import AXI4LiteSignature, packet_stream
from hdl.common.csr_bank import CSRBank
from hdl.common.csr_wiring import interrupt
from hdl.common.stream import Fifo, RegisterSlice
from hdl.pim.channel_config import ChannelConfig, check_memory
from hdl.pim.channel_core import Core
from hdl.pim.channel_counters import count_program
from hdl.pim.channel_data import Answers, Window, device_data
from hdl.pim.commands import INSTRUCTION_BITS, Command
from hdl.pim.device import Device
from hdl.pim.device_control import connect_device
from hdl.pim.device_port import device_port

WITH_COMMAND = ("command", "bank", "bank_mask", "row", "col", "gb", "acc", "buf")


class Channel(wiring.Component):
    """Programs of 64-bit instructions to a memory's commands, in time; data beside them, a stream a lane and direction,
    so that their order depends on nothing but the program.

    What each instruction does, and when its commands are issued, is in the family's README. A command that takes data
    waits for it, one that is answered for room; nothing else depends on the streams.

    Latency: `config.latency_cycles`, from an instruction's handshake to its answer's first beat, where the channel is
    empty and the row open.

    Throughput: an instruction a cycle, a command a cycle, a beat a cycle on each stream.

    Parameters
    ----------
    config : ChannelConfig

    Members
    -------
    program : In(stream.Signature(64))
        Instructions; EOC ends a program.
    write, load : In(stream.Signature(column_bits))
        Of WR; and of WR_GB and WR_BIAS, in the order of the program.
    read, result : Out(packet_stream(column_bits))
        Of RD; and of RD_MAC.
    csr : In(AXI4LiteSignature(config.registers.address_bits))
        Registers of `channel.rdl`.
    irq : Out(1)
        High while an enabled status bit is set.
    command .. result_word : where `device` is false, the port of the device outside; see `device_port`. Its `result`
        is `result_word` here, its `buf` `row_buffer`
    """

    def __init__(self, config: ChannelConfig):
        if config.device:
            check_memory(config)
        self._config = config
        column = config.column_bits
        super().__init__(
            {
                "program": In(stream.Signature(INSTRUCTION_BITS)),
                "write": In(stream.Signature(column)),
                "load": In(stream.Signature(column)),
                "read": Out(packet_stream(column)),
                "result": Out(packet_stream(column)),
                "csr": In(AXI4LiteSignature(config.registers.address_bits)),
                "irq": Out(1),
                **({} if config.device else {_outside(name): one.flip() for name, one in device_port(config).items()}),
            }
        )

    def elaborate(self, platform):
        m = Module()
        config = self._config
        m.submodules.core = core = Core(config)
        m.submodules.registers = bank = CSRBank(config.registers)
        m.submodules.queue = queue = Fifo(INSTRUCTION_BITS, config.queue_depth + 1)
        m.submodules.next_instruction = following = RegisterSlice(INSTRUCTION_BITS)
        m.submodules.write_entry = write = RegisterSlice(config.column_bits)
        m.submodules.load_entry = load = RegisterSlice(config.column_bits)
        m.submodules.window = window = Window(config.column_bits, config.bias_beats)
        m.submodules.reads = reads = Answers(config.column_bits, config.column_bits, config.device_latency_cycles)
        m.submodules.results = results = Answers(config.result_bits, config.column_bits, config.device_latency_cycles)
        connect(m, flipped(self.csr), bank.bus)
        connect(m, flipped(self.program), queue.i)
        connect(m, queue.o, following.i)
        connect(m, following.o, core.program)
        connect(m, flipped(self.write), write.i)
        connect(m, flipped(self.load), load.i)
        connect(m, load.o, window.i)
        connect(m, reads.o, flipped(self.read))
        connect(m, results.o, flipped(self.result))

        issued = core.issued
        m.d.comb += [
            core.there.eq(Cat(write.o.valid, window.some, window.all)),
            core.room.eq(Cat(reads.room, results.room)),
            write.o.ready.eq(issued[Command.WR]),
            window.take_one.eq(issued[Command.WRGB]),
            window.take_all.eq(issued[Command.WRMAC]),
        ]
        data, bias = device_data(m, config, write.o.payload, window, issued[Command.WR])
        port = {name: getattr(core, name) for name in WITH_COMMAND} | {"data": data, "bias": bias}
        device = self._device(m, bank)
        for name, value in port.items():
            m.d.comb += device[name].eq(value)
        for answers, command, valid, answer in (
            (reads, Command.RD, "read_valid", "read_data"),
            (results, Command.RDMAC, "result_valid", "result"),
        ):
            m.d.comb += [
                answers.issues.eq(issued[command]),
                answers.asks.eq(core.command == command),
                answers.last.eq(core.last),
                answers.valid.eq(device[valid]),
                answers.answer.eq(device[answer]),
            ]
        count_program(m, config, bank, core)
        m.d.comb += self.irq.eq(interrupt(bank))
        return m

    def _device(self, m: Module, bank: CSRBank) -> dict[str, Value]:
        """The port of the device inside, or at the edge."""
        if not self._config.device:
            return {name: getattr(self, _outside(name)) for name in device_port(self._config)}
        m.submodules.device = device = Device(self._config)
        connect_device(m, bank, device)
        return {name: getattr(device, name) for name in device_port(self._config)}


def _outside(name: str) -> str:
    """A member of the device's port at the edge: `result` is a stream there, and `buf` a word of Verilog."""
    return {"result": "result_word", "buf": "row_buffer"}.get(name, name)
