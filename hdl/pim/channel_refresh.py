"""When to refresh: what is due, what may wait, and what must not."""

from __future__ import annotations

from amaranth.hdl import Const, Module, Mux, Signal, Value

from hdl.common.arithmetic import wire
from hdl.pim.channel_ages import periodic
from hdl.pim.channel_config import ChannelConfig


class Refresher:
    """Counts refreshes that fall due, less those done, and says when the channel must close its rows and refresh.

    Parameters
    ----------
    boundary : whether the bank lane is empty, or its instruction needs to open a row and has not begun to
    asked : whether REFRESH works
    done : whether REF is issued in this cycle

    Attributes
    ----------
    active : whether PREA and REF come before all else
    ahead : whether as many are done ahead as may be
    fills : whether REF would make it so
    """

    def __init__(self, m: Module, config: ChannelConfig, *, boundary: Value, asked: Value, done: Value):
        self.active: Value = Const(0)
        self.ahead: Value = Const(0)
        self.fills: Value = Const(0)
        if not config.refresh:
            return
        tick = periodic(m, config.timing.tREFI_cycles, "refresh")
        # Refreshes owed, plus 15, so that one bit says whether there are; and those that fell due since the last.
        owed, since = Signal(5, init=15, name="owed"), Signal(4, name="since")
        with m.If(tick != done):
            m.d.sync += owed.eq(Mux(tick, owed + 1, owed - 1))
        with m.If(done):
            m.d.sync += since.eq(tick)
        with m.Elif(tick):
            m.d.sync += since.eq(since + 1)
        some = owed[4]
        # Of those owed or due since the last the eighth comes now; REF in this cycle would come before it.
        deadline = wire(m, tick & ((owed == 22) | since[:3].all()), "deadline")
        self.ahead = wire(m, ~owed[3] & ~owed[4], "refreshed_ahead")
        self.fills = wire(m, owed[3] & ~owed[:3].any(), "last_ahead")
        working = Signal(name="refreshing")
        self.active = wire(m, working | some & boundary | asked & ~self.ahead, "refresh_active")
        m.d.sync += working.eq((self.active | deadline) & ~done)
