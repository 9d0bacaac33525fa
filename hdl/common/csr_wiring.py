"""What every block does with its register bank: counters of events, and the interrupt."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from amaranth.hdl import Cat, Module, Signal, Value

from hdl.common.csr_bank import CSRBank


def count_events(m: Module, clear: Value, events: Iterable[tuple[Any, Value]]) -> None:
    """Counts the cycles of each event in the field `count` of a register; one of several bits is added. They wrap, and
    `clear` sets them to 0."""
    for register, event in events:
        count = Signal.like(register.count.next)
        m.d.comb += register.count.next.eq(count)
        with m.If(clear):
            m.d.sync += count.eq(0)
        with m.Elif(event):
            m.d.sync += count.eq(count + (1 if len(event) == 1 else event))


def interrupt(bank: CSRBank) -> Value:
    """Whether a bit of `status` is set that `irq_enable` has, too."""
    enabled = []
    for name in bank.irq_enable.signature.members:
        enabled.append(getattr(bank.status, name).value & getattr(bank.irq_enable, name).value)
    return Cat(enabled).any()
