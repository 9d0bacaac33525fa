"""What the commands of a channel must never break, as assertions for a proof.

Written from the profile's times, not from the compiled rules that the scheduler's counters are made of: every bank's
row buffer has its own clocks, which run from its last commands, as in a memory.
"""

from __future__ import annotations

from collections.abc import Iterable

from amaranth import Module, Signal, Value
from amaranth.hdl import Assert
from amaranth.lib import wiring
from amaranth.lib.wiring import In

from hdl.pim.channel_config import ChannelConfig
from hdl.pim.commands import Command
from hdl.pim.device_port import BANK_BITS, COMMAND_BITS, ROW_BITS


class Ages:
    """Cycles since something last happened, as counters that stop where nobody asks any more."""

    def __init__(self, m: Module) -> None:
        self.m = m
        self.longest: dict[str, int] = {}
        self.counters: dict[str, Signal] = {}

    def event(self, name: str, happens: Value, longest: int, *, at_reset: bool = False) -> None:
        """`happens` starts the count of `name`, which is asked up to `longest` cycles. Reset counts as such an event,
        or as if it were as long ago as anybody asks."""
        self.longest[name] = longest
        init = 0 if at_reset else longest
        self.counters[name] = age = Signal(range(longest + 1), init=init, name=f"age_{name}")
        with self.m.If(happens):
            self.m.d.sync += age.eq(min(1, longest))
        with self.m.Elif(age != longest):
            self.m.d.sync += age.eq(age + 1)

    def at_least(self, name: str, cycles: int) -> Value:
        """Whether `name` is `cycles` ago or longer."""
        assert cycles <= self.longest[name], (name, cycles)
        return self.counters[name] >= cycles


class ChannelProperties(wiring.Component):
    """Watches the commands that a channel sends, and asserts that each is legal; and that no refresh is late.

    command, bank, bank_mask, row, buf : of the device's port
    """

    def __init__(self, config: ChannelConfig) -> None:
        self.config = config
        super().__init__(
            {
                "command": In(COMMAND_BITS),
                "bank": In(BANK_BITS),
                "bank_mask": In(config.banks),
                "row": In(ROW_BITS),
                "buf": In(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        self.ages = Ages(m)
        places = [(bank, buffer) for bank in range(self.config.banks) for buffer in range(self.config.row_buffers)]
        self._follow_channel(m)
        for bank, buffer in places:
            self._follow_place(m, bank, buffer)
        self._rows(m, places)
        self._columns(m)
        if self.config.faw_cycles and not self.config.single_shot:
            self._four_activations(m)
        if self.config.refresh:
            self._deadline(m)
        if self.config.timing.mode_switch_cycles:
            self._mode(m)
        return m

    def _is(self, *commands: Command) -> Value:
        found = self.command == commands[0]
        for one in commands[1:]:
            found |= self.command == one
        return found

    def _hits(self, bank: int, buffer: int, commands: Iterable[Command]) -> Value:
        """Whether one of these commands now concerns this bank's row buffer."""
        count = self.config.group_banks
        found = Value.cast(0)
        for one in commands:
            if one in (Command.MAC,):
                here = self.bank_mask[bank] & (self.buf == buffer)
            elif one == Command.ACTG:
                here = (self.bank == bank - bank % count) & (self.buf == buffer)
            elif one == Command.PREA:
                here = self.buf == buffer
            elif one == Command.REF:
                here = Value.cast(1)
            else:
                here = (self.bank == bank) & (buffer == 0)
            found |= (self.command == one) & here
        return found

    def _follow_channel(self, m: Module) -> None:
        p = self.config.timing
        turn = max(p.tCL_cycles, p.tCLREG_cycles) + p.tBL_cycles + 3 + p.tWPRE_cycles
        longest = max(
            turn, p.tCCD_cycles, self._written(Command.WR) + p.tWTR_cycles, self._written(Command.WRMAC) + p.tWTR_cycles
        )
        longest = max(longest, self._written(Command.WRGB) + p.tWTRS_cycles)
        for one in (Command.RD, Command.WR, Command.MAC, Command.WRGB, Command.WRMAC, Command.RDMAC):
            happens = self._is(Command.MAC, Command.MACB) if one == Command.MAC else self._is(one)
            self.ages.event(one.name, happens, longest)
        self.ages.event("ACT", self._is(Command.ACT, Command.ACTG), p.tRRD_cycles)
        self.ages.event("REF", self._is(Command.REF), p.tRFC_cycles)
        self.ages.event("TMOD", self._is(Command.TMOD), p.mode_switch_cycles)

    def _follow_place(self, m: Module, bank: int, buffer: int) -> None:
        p, at = self.config.timing, f"{bank}_{buffer}"
        rcd = max(p.tRCDMAC_cycles, p.tRCDRD_cycles, p.tRCDWR_cycles)
        self.ages.event(f"act_{at}", self._hits(bank, buffer, [Command.ACT, Command.ACTG]), max(p.tRC_cycles, rcd))
        self.ages.event(f"pre_{at}", self._hits(bank, buffer, [Command.PRE, Command.PREA]), p.tRP_cycles)
        self.ages.event(f"read_{at}", self._hits(bank, buffer, [Command.RD, Command.MACB, Command.MAC]), p.tRTP_cycles)
        self.ages.event(f"write_{at}", self._hits(bank, buffer, [Command.WR]), self._written(Command.WR) + p.tWR_cycles)

    def _written(self, command: Command) -> int:
        """From a command that writes to the end of its data."""
        p = self.config.timing
        latency = {Command.WR: p.tCWL_cycles, Command.WRGB: p.tCWLGB_cycles, Command.WRMAC: p.tCWLREG_cycles}[command]
        return latency + p.tBL_cycles

    def _rows(self, m: Module, places: list[tuple[int, int]]) -> None:
        p = self.config.timing
        refresh = self._is(Command.REF)
        for bank, buffer in places:
            at = f"{bank}_{buffer}"
            is_open = Signal(name=f"open_{at}")
            activate = self._hits(bank, buffer, [Command.ACT, Command.ACTG])
            close = self._hits(bank, buffer, [Command.PRE, Command.PREA])
            with m.If(activate):
                m.d.sync += is_open.eq(1)
            with m.Elif(close):
                m.d.sync += is_open.eq(0)
            self._never(m, (activate | refresh) & is_open, "activated or refreshed while open")
            self._after(m, activate | refresh, f"pre_{at}", p.tRP_cycles)
            self._after(m, activate | refresh, f"act_{at}", p.tRC_cycles)
            self._after(m, close & is_open, f"act_{at}", p.tRAS_cycles)
            self._after(m, close & is_open, f"read_{at}", p.tRTP_cycles)
            self._after(m, close & is_open, f"write_{at}", self._written(Command.WR) + p.tWR_cycles)
            for command, cycles in (
                (Command.RD, p.tRCDRD_cycles),
                (Command.WR, p.tRCDWR_cycles),
                (Command.MACB, p.tRCDMAC_cycles),
                (Command.MAC, p.tRCDMAC_cycles),
            ):
                column = self._hits(bank, buffer, [command])
                self._never(m, column & ~is_open, f"{command.name} of a closed row")
                self._after(m, column, f"act_{at}", cycles)
        self._after(m, self._is(Command.ACT, Command.ACTG), "ACT", p.tRRD_cycles)
        self._after(m, self._is(Command.ACT, Command.ACTG, Command.REF), "REF", p.tRFC_cycles)

    def _columns(self, m: Module) -> None:
        p, C = self.config.timing, Command
        reads, writes = (C.RD, C.RDMAC), (C.WR, C.WRGB, C.WRMAC)
        macs = self._is(C.MAC, C.MACB)
        for one in reads:
            self._after(m, self._is(*reads), one.name, max(p.tBL_cycles, p.tCCD_cycles))
            first_data = p.tCL_cycles if one == C.RD else p.tCLREG_cycles
            for other in writes:
                turn = first_data + p.tBL_cycles + 3 - (self._written(other) - p.tBL_cycles) + p.tWPRE_cycles
                self._after(m, self._is(other), one.name, turn)
        for one in writes:
            self._after(m, self._is(*writes), one.name, max(p.tBL_cycles, p.tCCD_cycles))
            recovery = p.tWTRS_cycles if one == C.WRGB else p.tWTR_cycles
            self._after(m, self._is(*reads), one.name, self._written(one) + recovery)
        self._after(m, macs, C.WR.name, self._written(C.WR) + p.tWTR_cycles)
        self._after(m, macs | self._is(C.RD), C.MAC.name, p.tCCD_cycles)
        self._after(m, macs, C.RD.name, p.tCCD_cycles)
        if not self.config.overlap:
            self._after(m, macs, C.RDMAC.name, p.tCCD_cycles)
            self._after(m, self._is(C.RDMAC), C.MAC.name, p.tCCD_cycles)

    def _four_activations(self, m: Module) -> None:
        window, group = self.config.faw_cycles, self.config.group_banks
        ages = [Signal(range(window + 1), init=window, name=f"activation_{place}") for place in range(4)]
        for age in ages:
            with m.If(age != window):
                m.d.sync += age.eq(age + 1)
        for command, count in ((Command.ACT, 1), (Command.ACTG, group)):
            with m.If(self.command == command):
                for place in range(4):
                    older = ages[place - count] if place >= count else None
                    at_end = Value.cast(1) if older is None else older + (older != window)
                    m.d.sync += ages[place].eq(at_end)
                self._never(m, ages[4 - count] < window, f"{command.name} inside tFAW")

    def _deadline(self, m: Module) -> None:
        longest = 9 * self.config.timing.tREFI_cycles
        self.ages.event("refresh", self._is(Command.REF), longest + 1, at_reset=True)
        m.d.comb += Assert(~self.ages.at_least("refresh", longest + 1), "no refresh for nine intervals")

    def _mode(self, m: Module) -> None:
        registers = self._is(Command.WRGB, Command.WRMAC, Command.RDMAC)
        free = self._is(Command.NOP, Command.TMOD, Command.REF, Command.PREA)
        register_mode = Signal()
        with m.If(self._is(Command.TMOD)):
            m.d.sync += register_mode.eq(~register_mode)
        self._never(m, registers & ~register_mode, "a register command in bank mode")
        self._never(m, ~registers & ~free & register_mode, "a bank command in register mode")
        self._after(m, self.command != Command.NOP, "TMOD", self.config.timing.mode_switch_cycles)

    def _after(self, m: Module, happens: Value, name: str, cycles: int) -> None:
        if cycles > 1:
            m.d.comb += Assert(~happens | self.ages.at_least(name, cycles), f"{cycles} cycles after {name}")

    def _never(self, m: Module, happens: Value, what: str) -> None:
        m.d.comb += Assert(~happens, what)
