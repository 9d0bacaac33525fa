"""Times that differ from bank to bank: when its row may be closed, and what an activation binds."""

from __future__ import annotations

from functools import reduce
from operator import or_

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value
from amaranth.lib import memory

from hdl.common.arithmetic import wire
from hdl.pim.channel_ages import Ages
from hdl.pim.channel_config import ChannelConfig
from hdl.pim.channel_decode import bank_bits
from hdl.pim.commands import Command


class PrechargeTimes:
    """From which cycle on each bank may be closed, as ACT, RD, WR and MACB on it leave it.

    Times lie in a LUT RAM, modulo four epochs; one counts if it was written in this epoch or the one before, so none
    comes alive again when time goes round. That of the working instruction's bank is in a register.

    Parameters
    ----------
    bank, mask : the working instruction's bank
    ahead_bank, ahead_mask, load : the next one's, and whether it begins to work at the end of this cycle, and is one of
        a single bank
    doing : by command, whether it is what the working instruction needs now
    issued : of each command, whether it is issued in this cycle
    """

    def __init__(
        self,
        m: Module,
        config: ChannelConfig,
        *,
        bank: Value,
        mask: Value,
        ahead_bank: Value,
        ahead_mask: Value,
        load: Value,
        doing: dict[Command, Value],
        issued: dict[Command, Value],
    ):
        found = {
            rule.previous: rule.cycles for rule in config.rules if rule.level == "bank" and rule.next == Command.PRE
        }
        self.ready: Value = Const(1)
        if not found:
            return
        epoch_bits = max(found.values()).bit_length()
        bits = epoch_bits + 2
        now = Signal(bits, name="now")
        m.d.sync += now.eq(now + 1)
        epoch_ends = wire(m, now[:epoch_bits].all(), "epoch_ends")

        # A time of c cycles is kept as now + c - 1: the cycle before the first that may have the PRE.
        then = {}
        for cycles in set(found.values()):
            then[cycles] = Signal(bits, init=cycles - 1, name=f"now_and_{cycles - 1}")
            m.d.sync += then[cycles].eq(then[cycles] + 1)
        until = wire(m, reduce(or_, [Mux(doing[one], then[cycles], 0) for one, cycles in found.items()]), "pre_until")
        held, held_bank, ready = Signal(bits, name="held_until"), Signal.like(bank), Signal(init=1, name="pre_ready")
        m.submodules.pre_times = times = memory.Memory(shape=bits, depth=1 << bank_bits(config), init=[])
        write, read = times.write_port(), times.read_port(domain="comb")

        # Of two commands on a bank the later time counts.
        is_later = ready | (held - until)[bits - 1]
        touch = wire(m, Cat(issued[one] for one in found).any(), "touches_bank")
        store = wire(m, touch & is_later, "stores_time")
        m.d.comb += [write.addr.eq(bank), write.data.eq(until), write.en.eq(store), read.addr.eq(ahead_bank)]

        this_epoch, epoch_before = Signal(config.banks), Signal(config.banks)
        with m.If(epoch_ends):
            m.d.sync += [epoch_before.eq(this_epoch | mask & store.replicate(config.banks)), this_epoch.eq(0)]
        with m.Elif(store):
            m.d.sync += this_epoch.eq(this_epoch | mask)
        known = wire(m, ((this_epoch | epoch_before) & ahead_mask).any(), "time_known")

        m.d.sync += ready.eq(ready | (now == held))
        with m.If(store):
            m.d.sync += [held.eq(until), ready.eq(0)]
        changes = wire(m, load & (ahead_bank != held_bank), "bank_changes")
        with m.If(changes):
            m.d.sync += [held_bank.eq(ahead_bank), held.eq(read.data)]
            m.d.sync += ready.eq(~known | ~(now - read.data)[bits - 1])
        self.ready = ready


class Activations:
    """What the last activations of buffer 0 bind on their banks: tRCD and tRC.

    Only the last few can: an instruction uses what it opened before the next is opened, so older ones are as old as
    the longest of these times. How many follows from the profile; mostly it is one.

    Parameters
    ----------
    activation : the name of any activation of buffer 0, and whether one is issued in this cycle
    all_banks : whether it opens all banks, or a group of all
    bank : the working instruction's; `next_bank`: of the cycle after
    """

    def __init__(
        self,
        m: Module,
        config: ChannelConfig,
        ages: Ages,
        *,
        activation: tuple[str, Value],
        all_banks: Value,
        bank: Value,
        next_bank: Value,
    ):
        self._ages = ages
        t = config.timing
        columns = {Command.RD: t.tRCDRD_cycles, Command.WR: t.tRCDWR_cycles, Command.MACB: t.tRCDMAC_cycles}
        apart = min(columns.values()) + 1
        self._times = columns | ({Command.ACT: t.tRC_cycles} if t.tRC_cycles > t.tRAS_cycles + t.tRP_cycles else {})
        longest = max(*columns.values(), *(cycles - t.tRP_cycles for cycles in [self._times.get(Command.ACT, 0)]))
        count = min(max(1, -(-longest // apart) - 1), config.banks)
        name, event = activation
        turn = Signal(count, init=1, name="activation_turn")
        if count > 1:
            with m.If(event):
                m.d.sync += turn.eq(turn.rotate_left(1))
        self._slots = []
        for place in range(count):
            of_all, opened = Signal(name=f"opened_all_{place}"), Signal(len(bank), name=f"opened_{place}")
            concerns = Signal(name=f"concerns_{place}")
            mine = wire(m, event & turn[place], f"activation_{place}")
            m.d.sync += concerns.eq(of_all | (opened == next_bank))
            with m.If(mine):
                m.d.sync += [of_all.eq(all_banks), opened.eq(bank), concerns.eq(1)]
            # The one slot has the age that others ask for, too.
            self._slots.append((name if count == 1 else f"{name}_{place}", mine, concerns))

    def ready(self, command: Command) -> Value:
        """Whether the bank's activation is long enough ago."""
        cycles = self._times.get(command, 0)
        if cycles < 2:
            return Const(1)
        flags = [~concerns | self._ages.at_least(name, event, cycles).reached for name, event, concerns in self._slots]
        return Cat(flags).all()
