"""Which command is issued in a cycle: candidates, the first of them that is ready, and why there is none."""

from __future__ import annotations

from dataclasses import dataclass
from functools import reduce
from operator import or_

from amaranth.hdl import Cat, Module, Mux, Signal, Value

from hdl.common.arithmetic import wire
from hdl.pim.channel_banks import Activations, PrechargeTimes
from hdl.pim.channel_config import ChannelConfig
from hdl.pim.channel_lanes import Lane
from hdl.pim.channel_rows import RowTracker
from hdl.pim.channel_scoreboard import Scoreboard, choose
from hdl.pim.commands import Command

C = Command

COLUMN_OF = {C.RD: "rd", C.WR: "wr", C.MACB: "mac_sbk", C.MAC: "mac_abk"}
REGISTER_OF = {C.WRGB: "wr_gb", C.WRMAC: "wr_bias", C.RDMAC: "rd_mac"}

Candidates = dict[Command, Value]
"""By command, whether it is wanted and ready; at most one is."""


@dataclass(frozen=True)
class Work:
    """What the lanes want in a cycle.

    Attributes
    ----------
    banks, registers : the lanes; one and the same where instructions go one by one
    rows : whether the bank lane's first entry is one of its own
    close, open : what that needs before its columns
    refreshes : whether the refresher is active
    there, room : which data is there (of WR, WRGB, WRMAC), and which answers have room (of RD, RDMAC)
    """

    banks: Lane
    registers: Lane
    rows: Value
    close: Value
    open: Value
    refreshes: Value
    there: Value
    room: Value


class Choice:
    """Chooses a cycle's command, and drives `issued`, `buffer` and `opener`.

    Parameters
    ----------
    issued : of each command, whether it is issued in this cycle
    buffer : the row buffer that it touches
    opener : whether it is the opener's

    Attributes
    ----------
    of_registers, columns : whether it is of the register lane, or a column command
    """

    def __init__(
        self,
        m: Module,
        config: ChannelConfig,
        work: Work,
        board: Scoreboard,
        rows: RowTracker,
        precharge: PrechargeTimes,
        activations: Activations,
        *,
        issued: dict[Command, Signal],
        buffer: Signal,
        opener: Signal,
    ):
        self._module, self._config, self._work, self._board, self._rows = m, config, work, board, rows
        self._issued, self._buffer, self._opener = issued, buffer, opener
        self._columns_next = wire(m, ~work.close & ~work.open, "columns_next")
        self._may_row = wire(m, work.rows & ~work.refreshes, "may_row")
        self._timed = self._in_time(activations)
        self._supply = dict(zip((C.WR, C.WRGB, C.WRMAC, C.RD, C.RDMAC), Cat(work.there, work.room), strict=True))
        supplied = {one: timed & self._supply.get(one, 1) for one, timed in self._timed.items()}
        self._choose(
            self._of_refresher(),
            self._of_rows(precharge, activations),
            self._of_opener(),
            {one: supplied[one] for one in REGISTER_OF},
            {one: supplied[one] for one in COLUMN_OF},
        )

    def _ready(self, command: Command, buffer: Value) -> Value:
        return choose(buffer, [self._board.ready(command, one) for one in range(self._config.row_buffers)])

    def _of_refresher(self) -> Candidates:
        active, any_open = self._work.refreshes, Cat(self._rows.any_open)
        return {
            C.PREA: active & any_open.any() & self._ready(C.PREA, ~any_open[0]),
            C.REF: active & ~any_open.any() & self._board.ready(C.REF),
        }

    def _of_rows(self, precharge: PrechargeTimes, activations: Activations) -> Candidates:
        """What the bank lane's entry needs before its columns."""
        work, entry, board = self._work, self._work.banks.entry, self._board
        may = self._may_row
        return {
            C.PRE: may & work.close & entry.single & board.ready(C.PRE) & precharge.ready,
            C.PREA: may & work.close & ~entry.single & self._ready(C.PREA, entry.buf),
            C.ACT: may & work.open & entry.single & board.ready(C.ACT) & activations.ready(C.ACT),
            C.ACTG: may & work.open & ~entry.single & self._ready(C.ACTG, entry.buf),
        }

    def _of_opener(self) -> Candidates:
        """What the next entry will need, of the other buffer, while the first needs no row command."""
        if not (self._config.row_buffers == 2 and self._config.overlap):
            return {}
        lane = self._work.banks
        entry, behind = lane.entry, lane.behind
        both = lane.waits & entry.mac_abk & behind.mac_abk & (entry.buf != behind.buf)
        opening = wire(self._module, self._may_row & self._columns_next & both, "opening")
        need = self._rows.need_of_all(behind, "behind")
        return {
            C.PREA: opening & need.close & self._ready(C.PREA, behind.buf),
            C.ACTG: opening & need.open & self._ready(C.ACTG, behind.buf),
        }

    def _in_time(self, activations: Activations) -> Candidates:
        """Register and column commands whose time has come, whether or not data and room are there."""
        m, entry, lane = self._module, self._work.banks.entry, self._work.registers
        found = {
            one: wire(m, lane.works & lane.entry[field] & self._board.ready(one), f"{field}_in_time")
            for one, field in REGISTER_OF.items()
        }
        may = self._may_row & self._columns_next
        for one, field in COLUMN_OF.items():
            ready = self._ready(one, entry.buf) & activations.ready(one)
            found[one] = wire(m, may & entry[field] & ready, f"{field}_in_time")
        return found

    def _choose(self, *candidates: Candidates) -> None:
        """The first that is ready goes, in this order; refresher excludes row work, the entry's row commands opener and
        columns."""
        m, config, issued, lane = self._module, self._config, self._issued, self._work.banks
        ready = [wire(m, Cat(by.values()).any(), f"ready_{place}") for place, by in enumerate(candidates)]
        refresher, row, opener = ready[:3]
        m.d.comb += self._opener.eq(opener)
        if config.overlap:
            register = wire(m, ready[3] & ~refresher & ~row & ~opener, "go_register")
            column = wire(m, ready[4] & ~opener & ~ready[3], "go_column")
        else:  # one instruction works at a time
            register, column = wire(m, ready[3] & ~refresher, "go_register"), ready[4]
        go = [refresher, row, opener, register, column]
        if config.timing.mode_switch_cycles:
            mode = Signal(name="register_mode")
            switch = wire(m, Mux(mode, row | column, register), "switches")
            m.d.comb += issued[C.TMOD].eq(switch)
            m.d.sync += mode.eq(mode ^ switch)
            go = [refresher, row & ~mode, opener, register & mode, column & ~mode]
        for one in Command:
            parts = [by[one] & may for by, may in zip(candidates, go, strict=True) if one in by]
            if parts:
                m.d.comb += issued[one].eq(reduce(or_, parts))
        if config.row_buffers == 2:
            of_lane = Mux(opener, lane.behind.buf, lane.entry.buf)
            m.d.comb += self._buffer.eq(Mux(self._work.refreshes, ~self._rows.any_open[0], of_lane))
        self.of_registers, self.columns = wire(m, go[3], "register_issued"), wire(m, go[4], "column_issued")

    def causes(self) -> dict[str, Value]:
        """Why a cycle has no command, the first that holds, by the names of the core's members; and `row_missed`, which
        is told of a column command."""
        m, work, lane = self._module, self._work, self._work.banks
        fresh, fresh_behind = Signal(name="just_opened"), Signal(name="opened_behind")
        with m.If(lane.load):
            m.d.sync += [fresh.eq(lane.waits & fresh_behind), fresh_behind.eq(0)]
        with m.Elif(self.columns):
            m.d.sync += fresh.eq(0)
        with m.Elif(self._issued[C.ACT] | self._issued[C.ACTG]):
            m.d.sync += [fresh_behind.eq(fresh_behind | self._opener), fresh.eq(fresh | ~self._opener)]

        def lacking(*commands: Command) -> Value:
            return Cat(self._timed[one] & ~self._supply[one] for one in commands).any()

        register_work = self._work.registers.works & self._work.registers.entry.registers
        holds = {
            "refreshing": work.refreshes,
            "needs_row": work.rows & (work.close | work.open | fresh),
            "lacks_data": lacking(C.WR, C.WRGB, C.WRMAC),
            "lacks_room": lacking(C.RD, C.RDMAC),
            "idle": ~work.rows & ~register_work,
        }
        found: dict[str, Value] = {"row_missed": self.columns & fresh}
        left: Value = wire(m, ~Cat(self._issued.values()).any(), "quiet")
        for name, cause in holds.items():
            found[name] = wire(m, left & cause, f"is_{name}")
            left = wire(m, left & ~cause, f"not_{name}")
        return found
