"""The scheduler of a channel: from instructions to commands in time."""

from __future__ import annotations

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from hdl.common.arithmetic import wire
from hdl.pim.channel_ages import Ages
from hdl.pim.channel_banks import Activations, PrechargeTimes
from hdl.pim.channel_choice import Choice, Work
from hdl.pim.channel_config import ChannelConfig
from hdl.pim.channel_decode import decode, entry_layout
from hdl.pim.channel_lanes import Lane, conflict
from hdl.pim.channel_refresh import Refresher
from hdl.pim.channel_rows import Need, RowTracker
from hdl.pim.channel_scoreboard import Scoreboard
from hdl.pim.commands import INSTRUCTION_BITS, Command
from hdl.pim.device_port import BANK_BITS, COLUMN_BITS, COMMAND_BITS, ROW_BITS

C = Command

CAUSES = ("idle", "refreshing", "needs_row", "lacks_data", "lacks_room", "row_missed")
"""What only those who count look at."""

EVENTS = ("illegal", "taken", "ended", *CAUSES)
"""What a cycle tells those who count."""


class Core(wiring.Component):
    """Instructions to commands: dispatcher, lanes, row tracker, scoreboard, refresher.

    All that a cycle's choice needs lies in registers: whether the time has come for each kind of command, and what the
    working instruction needs, which is looked up while the one before it still works.

    Parameters
    ----------
    config : ChannelConfig

    Members
    -------
    program : In(stream.Signature(64))
    hold : In(1)
        While high no EOC ends.
    there : In(3)
        Whether the next beat is there: of WR, WRGB, WRMAC.
    room : In(2)
        Whether there is room for the answer: of RD, RDMAC.
    issued : Out(14)
        A bit a command: issued in this cycle. The port has it in the next.
    command, bank, bank_mask, row, col, gb, acc, buf : Out
        As `hdl.pim.device_port` has them, with those fields that the command does not use as they come.
    last : Out(1)
        The command is its instruction's last, and the instruction has `last`.
    illegal, taken, ended : Out(1)
        The dispatcher skips an illegal instruction; it takes any, to work or to be skipped; EOC ends.
    idle, refreshing, needs_row, lacks_data, lacks_room : Out(1)
        Why a cycle without a command has none.
    row_missed : Out(1)
        A column command is issued, the first since its instruction's activation.
    """

    def __init__(self, config: ChannelConfig):
        self._config = config
        super().__init__(
            {
                "program": In(stream.Signature(INSTRUCTION_BITS)),
                "hold": In(1),
                "there": In(3),
                "room": In(2),
                "issued": Out(len(Command)),
                "command": Out(COMMAND_BITS),
                "bank": Out(BANK_BITS),
                "bank_mask": Out(config.banks),
                "row": Out(ROW_BITS),
                "col": Out(COLUMN_BITS),
                "gb": Out(1),
                "acc": Out(1),
                "buf": Out(1),
                "last": Out(1),
                **{name: Out(1) for name in EVENTS},
            }
        )

    def elaborate(self, platform):
        m = Module()
        config = self._config
        issued = {one: self.issued[one] for one in Command}
        given, there = self._fetch(m)

        # One lane where instructions go one by one: it serves all kinds.
        layout = entry_layout(config)
        depth = config.lane_depth if config.overlap else 1
        banks = Lane(m, layout, "bank", depth, given)
        registers = Lane(m, layout, "register", depth, given) if config.overlap else banks
        control = Lane(m, layout, "control", 1, given) if config.overlap else banks
        entry, behind = banks.entry, banks.behind
        works = wire(m, banks.works & entry.banks, "row_work")

        # What the bank lane's first entry needs; it must not be closed by a refresh once it has begun to open.
        close, opens = Signal(name="needs_close"), Signal(name="needs_open")
        groups = config.banks // config.group_banks
        group = Signal(range(max(2, groups)), name="group")
        boundary = wire(m, ~works | (close | opens) & (group == 0), "boundary")
        asked = control.works & control.entry.refresh
        refresher = Refresher(m, config, boundary=boundary, asked=asked, done=issued[C.REF])

        buffer, go_opener = Signal(name="buffer"), Signal(name="go_opener")
        row = wire(m, Mux(go_opener, behind.row, entry.row), "row")
        rows = RowTracker(
            m, config, issued=issued, buffer=buffer, bank=entry.bank, mask=entry.mask, row=row, group=group
        )
        ages = Ages(m)
        first = wire(m, group == 0, "first_group")
        board = Scoreboard(m, config, ages, issued, buffer, first)
        self._dispatch(m, given, there, banks, registers, control, board.ready(C.TMOD), refresher)
        need = rows.need(banks.ahead, "ahead")
        load = banks.load
        column_work = wire(m, ~close & ~opens, "column_work")
        precharge = PrechargeTimes(
            m,
            config,
            bank=entry.bank,
            mask=entry.mask,
            ahead_bank=banks.ahead.bank,
            ahead_mask=banks.ahead.mask,
            load=load & banks.ahead.single,
            doing={
                C.ACT: opens,
                C.RD: column_work & entry.rd,
                C.WR: column_work & entry.wr,
                C.MACB: column_work & entry.mac_sbk,
            },
            issued=issued,
        )
        activations = Activations(
            m,
            config,
            ages,
            activation=board.named({(C.ACT, 0), (C.ACTG, 0)}),
            all_banks=issued[C.ACTG],
            bank=entry.bank,
            next_bank=wire(m, Mux(load, banks.ahead.bank, entry.bank), "next_bank"),
        )

        work = Work(banks, registers, works, close, opens, refresher.active, self.there, self.room)
        choice = Choice(
            m, config, work, board, rows, precharge, activations, issued=issued, buffer=buffer, opener=go_opener
        )
        columns, of_registers = choice.columns, choice.of_registers

        self._follow(m, need, load, close, opens, group, entry, buffer)
        if config.overlap:
            m.d.comb += [
                banks.leaves.eq(self._count_commands(m, banks, columns)),
                registers.leaves.eq(self._count_commands(m, registers, of_registers)),
                control.leaves.eq(self._count_commands(m, control, issued[C.REF]) & asked | self._control_ends),
            ]
        else:
            counted = columns | of_registers | issued[C.REF] & asked
            m.d.comb += banks.leaves.eq(self._count_commands(m, banks, counted) | self._control_ends)
        self._push(m, banks, registers, control)
        ages.elaborate()

        for name, cause in choice.causes().items():
            m.d.comb += getattr(self, name).eq(cause)
        self._drive_port(m, entry, registers.entry, of_registers, row, buffer, group)
        return m

    def _follow(
        self,
        m: Module,
        need: Need,
        load: Value,
        close: Signal,
        opens: Signal,
        group: Signal,
        entry: data.View,
        buffer: Value,
    ) -> None:
        """What the bank lane's first entry needs in the next cycle, and how far an activation has come."""
        config, issued = self._config, self.issued
        groups = config.banks // config.group_banks
        here = wire(m, buffer == entry.buf if config.row_buffers == 2 else Const(1), "on_entry_s_buffer")
        with m.If(load):
            m.d.sync += [close.eq(need.close), opens.eq(need.open)]
        with m.Elif(issued[C.PRE] | issued[C.PREA] & here):
            m.d.sync += [close.eq(0), opens.eq(1)]
        with m.Elif(issued[C.ACT] | issued[C.ACTG] & here & (group == groups - 1)):
            m.d.sync += opens.eq(0)
        if groups > 1:
            with m.If(issued[C.PREA]):
                m.d.sync += group.eq(0)
            with m.Elif(issued[C.ACTG]):
                m.d.sync += group.eq(group + 1)

    def _fetch(self, m: Module) -> tuple[data.View, Signal]:
        """The decoded instruction that the dispatcher looks at, and whether there is one."""
        given, there = Signal(entry_layout(self._config), name="given", reset_less=True), Signal(name="given_there")
        self._take = Signal(name="take")
        m.d.comb += self.program.ready.eq(~there | self._take)
        with m.If(self.program.ready):
            m.d.sync += there.eq(self.program.valid)
            for name, value in decode(m, self._config, self.program.payload).items():
                m.d.sync += given[name].eq(value)
        return given, there

    def _dispatch(
        self,
        m: Module,
        given: data.View,
        there: Value,
        banks: Lane,
        registers: Lane,
        control: Lane,
        answered: Value,
        refresher: Refresher,
    ) -> None:
        """At most one instruction to its lane, to begin to work in the next cycle."""
        one = control.entry
        controls = wire(m, control.works & (one.eoc | one.refresh), "control_works")
        wanted = wire(m, there & (~controls | control.leaves), "may_take")
        skip = wire(m, wanted & given.skip, "skip")
        if self._config.overlap:
            legal = wire(m, wanted & ~given.skip, "may_push")
            pushes = {"control": legal & (given.eoc | given.refresh) & banks.empty & registers.empty}
            for name, kind, lane, other in (
                ("bank", given.banks, banks, registers),
                ("register", given.registers, registers, banks),
            ):
                conflicts = Cat(is_in & conflict(given, one) for is_in, one in other.unfinished()).any()
                pushes[name] = legal & kind & lane.room & ~conflicts
            take = skip | Cat(pushes.values()).any()
        else:  # `leaves` comes late
            pushes = {"bank": there & ~given.skip & banks.free}
            take = there & (wire(m, ~banks.works | given.skip & ~controls, "takes_anyway") | banks.leaves)
        self._pushes = {name: wire(m, push, f"push_{name}") for name, push in pushes.items()}
        m.d.comb += [self._take.eq(take), self.taken.eq(take), self.illegal.eq(skip & given.illegal)]
        # EOC ends when the last answer is there. REFRESH ends with its last refresh, or when enough are ahead.
        m.d.comb += self.ended.eq(control.works & one.eoc & answered)
        enough = control.works & one.refresh & (refresher.ahead | self.issued[C.REF] & refresher.fills)
        self._control_ends = wire(m, self.ended & ~self.hold | enough, "control_ends")

    def _push(self, m: Module, banks: Lane, registers: Lane, control: Lane) -> None:
        banks.push(self._pushes["bank"])
        if registers is not banks:
            registers.push(self._pushes["register"])
            control.push(self._pushes["control"])

    def _count_commands(self, m: Module, lane: Lane, issued: Value) -> Value:
        """Goes on to the next column; whether that was the entry's last command."""
        entry = lane.entry
        with m.If(issued):
            m.d.sync += [
                entry.col.eq(entry.col + 1),
                entry.left.eq(entry.left - 1),
                entry.final.eq(entry.left == 2),
            ]
        return issued & entry.final

    def _drive_port(
        self,
        m: Module,
        entry: data.View,
        other: data.View,
        of_registers: Value,
        row: Value,
        buffer: Value,
        group: Value,
    ) -> None:
        """The command, in a register."""
        shift = self._config.group_banks.bit_length() - 1
        code = Cat(Cat(self.issued[one] for one in Command if one >> bit & 1).any() for bit in range(COMMAND_BITS))
        m.d.sync += [
            self.command.eq(code),
            self.bank.eq(Mux(self.issued[C.ACTG], group << shift, entry.bank)),
            self.row.eq(row),
            self.buf.eq(buffer),
        ]
        if other is entry:
            of_registers = Const(0)
        for name, port in (("mask", self.bank_mask), ("col", self.col), ("gb", self.gb), ("acc", self.acc)):
            m.d.sync += port.eq(Mux(of_registers, other[name], entry[name]))
        final = Mux(of_registers, other.last & other.final, entry.last & entry.final)
        m.d.sync += self.last.eq(final)
