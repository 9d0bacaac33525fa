"""What a channel counts: cycles of programs, commands, row hits, and why there were none."""

from __future__ import annotations

from amaranth.hdl import Const, Module, Signal, Value

from hdl.common.arithmetic import register, wire
from hdl.common.csr_bank import CSRBank
from hdl.common.csr_wiring import count_events
from hdl.pim.channel_config import ChannelConfig
from hdl.pim.channel_core import Core
from hdl.pim.commands import COLUMN_COMMANDS, Command


def count_program(m: Module, config: ChannelConfig, bank: CSRBank, core: Core) -> None:
    """Joins a core to the registers that tell of its programs.

    A program's cycle 1 is that in which its first instruction works, or is skipped, or could work; its end is the
    larger of the cycle after EOC's and what its commands take until they are done.
    """
    t = config.timing
    latency = {
        Command.WR: t.tCWL_cycles + t.tBL_cycles,
        Command.WRGB: t.tCWLGB_cycles + t.tBL_cycles,
        Command.WRMAC: t.tCWLREG_cycles + t.tBL_cycles,
        Command.RD: t.tCL_cycles + t.tBL_cycles,
        Command.RDMAC: t.tCLREG_cycles + t.tBL_cycles,
        Command.MAC: 1,
        Command.MACB: 1,
    }
    begun, ended = Signal(name="begun"), Signal(name="told_end")
    over = wire(m, core.ended & ~core.hold, "over")
    with m.If(over):
        m.d.sync += [begun.eq(core.taken), ended.eq(0)]
    with m.Else():
        m.d.sync += [begun.eq(begun | core.taken), ended.eq(core.ended)]
    # Cycles that what was begun still takes after this one.
    left = Signal(range(max(latency.values()) + 1), name="left")
    with m.If(left != 0):
        m.d.sync += left.eq(left - 1)
    for command, cycles in latency.items():
        with m.If(core.issued[command] & (left <= cycles)):
            m.d.sync += left.eq(cycles)
    m.d.comb += core.hold.eq(left > 1)
    number = Signal(32, name="program_cycle")
    with m.If(begun):
        m.d.sync += number.eq(number + 1)
    with m.If(over):
        m.d.sync += number.eq(0)
    m.d.comb += [
        bank.program_cycles.cycles.we.eq(over),
        bank.program_cycles.cycles.next.eq(number + 2),
        bank.status.ended.set.eq(over),
        bank.status.busy.next.eq(begun),
    ]

    index = Signal(32, name="instruction")
    with m.If(over):
        m.d.sync += index.eq(core.taken)
    with m.Elif(core.taken):
        m.d.sync += index.eq(index + 1)
    m.d.comb += [
        bank.status.illegal.set.eq(core.illegal),
        bank.illegal_instruction.index.we.eq(core.illegal & ~bank.status.illegal.value),
        bank.illegal_instruction.index.next.eq(index),
    ]

    within = wire(m, begun & ~ended, "within")
    quiet = wire(m, within & ~core.issued.any(), "quiet")
    causes: dict[str, Value] = {
        "refresh": core.refreshing,
        "row": core.needs_row,
        "input": core.lacks_data,
        "output": core.lacks_room,
        "idle": core.idle,
    }
    causes["timing"] = quiet & ~wire(m, sum(causes.values(), Const(0)), "cause").any()
    kinds = [one for one in Command if one != Command.NOP]
    # Between programs refreshes go on.
    events = [(getattr(bank, f"issued_{one.name.lower()}"), within & core.issued[one]) for one in kinds]
    events += [(getattr(bank, f"stalls_{name}"), within & cause) for name, cause in causes.items()]
    columns = core.issued & sum(1 << one for one in COLUMN_COMMANDS)
    events += [(bank.row_hits, columns.any() & ~core.row_missed), (bank.cycles, within)]
    # Counters are long; what they count is in registers.
    events = [
        (counter, register(m, wire(m, event, f"event_{place}"), f"counts_{place}"))
        for place, (counter, event) in enumerate(events)
    ]
    count_events(m, bank.control.clear_counters.value, events)
