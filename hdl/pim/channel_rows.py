"""Which rows are open, and what an instruction therefore needs first."""

from __future__ import annotations

from dataclasses import dataclass

from amaranth.hdl import Module, Mux, Signal, Value
from amaranth.lib import data, memory
from amaranth.utils import bits_for

from hdl.common.arithmetic import wire
from hdl.pim.channel_config import ChannelConfig
from hdl.pim.channel_decode import bank_bits
from hdl.pim.channel_scoreboard import choose
from hdl.pim.commands import Command


@dataclass(frozen=True)
class Need:
    """What must come before an instruction's columns: PRE or PREA, then ACT or ACTGs; or only these; or nothing."""

    close: Value
    open: Value


class RowTracker:
    """The open rows: of each bank one in a LUT RAM, if it was opened by itself, and one for all banks of each buffer.

    Parameters
    ----------
    issued : of each command, whether it is issued in this cycle
    buffer : the row buffer that it touches
    bank, mask, row : what ACT and PRE touch; `row` of ACTG, too
    group : number of the group that an ACTG opens
    """

    def __init__(
        self,
        m: Module,
        config: ChannelConfig,
        *,
        issued: dict[Command, Value],
        buffer: Value,
        bank: Value,
        mask: Value,
        row: Value,
        group: Value,
    ):
        self._module = m
        row_bits, groups = bits_for(config.rows - 1), config.banks // config.group_banks
        self._rows = rows = memory.Memory(shape=row_bits, depth=1 << bank_bits(config), init=[])
        m.submodules.rows = rows
        write = rows.write_port()
        m.d.comb += [write.addr.eq(bank), write.data.eq(row), write.en.eq(issued[Command.ACT])]
        self._read = rows.read_port(domain="comb")

        one = wire(m, issued[Command.ACT] | issued[Command.PRE], "one_changes")
        opens = issued[Command.ACT] | issued[Command.ACTG]
        closes_all = [
            wire(m, issued[Command.PREA] & (buffer == of), f"closes_{of}") for of in range(config.row_buffers)
        ]
        opens_all = [wire(m, issued[Command.ACTG] & (buffer == of), f"opens_{of}") for of in range(config.row_buffers)]

        self._open, self._own = Signal(config.banks, name="open"), Signal(config.banks, name="own_row")
        for place in range(config.banks):
            in_group = opens_all[0] if groups == 1 else opens_all[0] & (group == place // config.group_banks)
            with m.If(closes_all[0] | in_group | one & mask[place]):
                m.d.sync += [self._open[place].eq(opens), self._own[place].eq(issued[Command.ACT])]

        self.any_open = [wire(m, self._open.any(), "any_open_0")]
        self._all_row: list[Signal] = []
        self._all_open: list[Signal] = []
        done = group == groups - 1
        self._begun = wire(m, group != 0, "begun")
        for of in range(config.row_buffers):
            all_row, all_open = Signal(row_bits, name=f"all_row_{of}"), Signal(name=f"all_open_{of}")
            with m.If(opens_all[of]):
                m.d.sync += [all_row.eq(row), all_open.eq(done)]
            with m.If(closes_all[of] | (one if of == 0 else 0)):
                m.d.sync += all_open.eq(0)
            self._all_row.append(all_row)
            self._all_open.append(all_open)
            if of:
                any_open = Signal(name=f"any_open_{of}")
                with m.If(opens_all[of] | closes_all[of]):
                    m.d.sync += any_open.eq(opens_all[of])
                self.any_open.append(any_open)
        self._closes_all = closes_all

    def need(self, entry: data.View, name: str) -> Need:
        """What an instruction needs that begins to work in the next cycle, where no row but by PREA changes in this."""
        m = self._module
        m.d.comb += self._read.addr.eq(entry.bank)
        own = wire(m, self._read.data == entry.row, f"{name}_has_own_row")
        same = [row == entry.row for row in self._all_row]
        is_open = wire(m, (entry.mask & self._open).any(), f"{name}_is_open")
        is_own = wire(m, (entry.mask & self._own).any(), f"{name}_is_own")
        hit_one = wire(m, is_open & Mux(is_own, own, same[0]), f"{name}_hits_one")
        all_need = self.need_of_all(entry, name)
        closed = wire(m, choose(entry.buf, list(self._closes_all)), f"{name}_is_closed_now")
        close = Mux(entry.single, is_open & ~hit_one, all_need.close)
        opens = Mux(entry.single, ~is_open, all_need.open)
        return Need(wire(m, close & ~closed, f"{name}_close"), wire(m, opens | closed, f"{name}_open"))

    def need_of_all(self, entry: data.View, name: str) -> Need:
        """The same of MAC_ABK alone, and no PREA in this cycle."""
        hits = [is_open & (row == entry.row) for is_open, row in zip(self._all_open, self._all_row, strict=True)]
        hit = wire(self._module, choose(entry.buf, hits), f"{name}_hits_all")
        # The groups of an activation that has begun belong to it.
        used = choose(entry.buf, list(self.any_open)) & ~self._begun
        return Need(~hit & used, ~hit & ~used)
