"""Which rows of the device are open, and what a command may not do with them."""

from __future__ import annotations

from functools import reduce
from operator import or_

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hdl.common.arithmetic import wire
from hdl.pim.channel_config import ChannelConfig
from hdl.pim.commands import COLUMN_COMMANDS, Command
from hdl.pim.device_bank import address_bits, column_address_bits
from hdl.pim.device_port import device_port
from hdl.pim.violations import Violation

MASKED = (Command.MAC, Command.WRMAC, Command.RDMAC)
ALL_BANKS = (Command.PREA, Command.REF)
BUFFERED = (Command.ACTG, Command.PREA, Command.MAC)
"""Commands on the row buffer `buf`; all others are on buffer 0."""


class OpenRows(wiring.Component):
    """The open row of each bank in each row buffer.

    Members
    -------
    command, bank, ... : as at the device's port
    obeyed : the command is carried out at the end of this cycle
    touched : banks that it works on
    buffer : and their row buffer
    violation : what is wrong with it, or 0
    address : of the column in each bank, `address_bits` each
    """

    def __init__(self, config: ChannelConfig):
        self._config = config
        port = device_port(config)
        inputs = {name: port[name] for name in ("command", "bank", "bank_mask", "row", "col", "gb", "acc", "buf")}
        super().__init__(
            {
                **inputs,
                "obeyed": In(1),
                "touched": Out(config.banks),
                "buffer": Out(1),
                "violation": Out(4),
                "address": Out(config.banks * address_bits(config)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        config = self._config
        # A group that does not begin where groups begin touches none, and so is refused.
        single = [wire(m, self.bank == index, f"names_{index}") for index in range(config.banks)]
        group = [single[index - index % config.group_banks] for index in range(config.banks)]
        with m.Switch(self.command):
            with m.Case(*MASKED):
                m.d.comb += self.touched.eq(self.bank_mask)
            with m.Case(*ALL_BANKS):
                m.d.comb += self.touched.eq((1 << config.banks) - 1)
            with m.Case(Command.ACTG):
                m.d.comb += self.touched.eq(Cat(group))
            with m.Default():
                m.d.comb += self.touched.eq(Cat(single))
        second = self.buf if config.row_buffers == 2 else Const(0, 1)
        m.d.comb += self.buffer.eq(second & one_of(self.command, BUFFERED))

        opened, rows = [], []
        for buffer in range(config.row_buffers):
            is_open, row = self._buffer(m, buffer)
            opened.append(is_open)
            rows.append(row)
        is_open = opened[0] if config.row_buffers == 1 else wire(m, Mux(self.buffer, opened[1], opened[0]), "is_open")
        column = self.col[: column_address_bits(config)]
        for index in range(config.banks):
            row = rows[0][index] if config.row_buffers == 1 else Mux(self.buffer, rows[1][index], rows[0][index])
            place = self.address.word_select(index, address_bits(config))
            m.d.comb += place.eq(Cat(column, row))

        activates = one_of(self.command, (Command.ACT, Command.ACTG))
        with m.If(self._unknown(m)):
            m.d.comb += self.violation.eq(Violation.UNKNOWN)
        with m.Elif(one_of(self.command, COLUMN_COMMANDS) & (self.touched & ~is_open).any()):
            m.d.comb += self.violation.eq(Violation.NOT_OPEN)
        with m.Elif(activates & (self.touched & is_open).any()):
            m.d.comb += self.violation.eq(Violation.ALREADY_OPEN)
        with m.Elif((self.command == Command.REF) & reduce(or_, opened).any()):
            m.d.comb += self.violation.eq(Violation.REFRESH_OPEN)
        return m

    def _buffer(self, m: Module, buffer: int) -> tuple[Signal, list[Signal]]:
        """Which banks have a row open in it, and which row."""
        config = self._config
        is_open = Signal(config.banks, name=f"open_{buffer}")
        here = self.obeyed & (self.buffer == buffer)
        opens = wire(m, here & one_of(self.command, (Command.ACT, Command.ACTG)), f"opens_{buffer}")
        closes = wire(m, here & one_of(self.command, (Command.PRE, Command.PREA)), f"closes_{buffer}")
        set_, cleared = (self.touched & one.replicate(config.banks) for one in (opens, closes))
        m.d.sync += is_open.eq((is_open | set_) & ~cleared)
        rows = []
        for index in range(config.banks):
            row = Signal((config.rows - 1).bit_length(), name=f"row_{buffer}_{index}", reset_less=True)
            with m.If(opens & self.touched[index]):
                m.d.sync += row.eq(self.row)
            rows.append(row)
        return is_open, rows

    def _unknown(self, m: Module) -> Value:
        """Whether it names what there is not."""
        config = self._config
        named = one_of(self.command, (Command.ACT, Command.PRE, Command.RD, Command.WR, Command.MACB, Command.ACTG))
        column = one_of(self.command, (*COLUMN_COMMANDS, Command.WRGB))
        found = [self.command > max(Command), (named | one_of(self.command, MASKED)) & ~self.touched.any()]
        if config.columns < 1 << len(self.col):
            found.append(column & (self.col >= config.columns))
        if config.rows < 1 << len(self.row):
            found.append(one_of(self.command, (Command.ACT, Command.ACTG)) & (self.row >= config.rows))
        for count, bit, users in (
            (config.gb_banks, self.gb, (Command.MAC, Command.MACB, Command.WRGB)),
            (config.accumulators, self.acc, (Command.MAC, Command.MACB, Command.WRMAC, Command.RDMAC)),
            (config.row_buffers, self.buf, BUFFERED),
        ):
            if count == 1:
                found.append(bit & one_of(self.command, users))
        return wire(m, Cat(found).any(), "unknown")


def one_of(command: Value, commands) -> Value:
    """Whether it is one of these."""
    return reduce(or_, [command == one for one in sorted(commands)])
