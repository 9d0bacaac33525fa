"""Asynchronous serial line, 8 data bits, no parity, 1 stop bit, least significant bit first, idle high."""

from __future__ import annotations

from amaranth.hdl import Cat, Const, Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.cdc import FFSynchronizer
from amaranth.lib.wiring import In, Out

SMALLEST_DIVISOR = 4
LARGEST_ERROR = 0.02


def uart_divisor(clock_hz: float, baud: int) -> int:
    """Clock cycles a bit, rounded to nearest.

    Raises
    ------
    ValueError
        If a bit has fewer than 4 cycles, or the rounded bit rate is more than 2 % off: ten bits at that error,
        met by the same error at the other end, would be sampled outside the last bit.
    """
    if baud <= 0 or clock_hz <= 0:
        raise ValueError(f"clock and baud rate must be above 0, not {clock_hz:g} Hz and {baud} baud")
    divisor = round(clock_hz / baud)
    if divisor < SMALLEST_DIVISOR:
        fastest = int(clock_hz / SMALLEST_DIVISOR)
        raise ValueError(f"{baud} baud is too fast for a clock of {clock_hz:g} Hz; at most {fastest}")
    error = clock_hz / divisor / baud - 1
    if abs(error) > LARGEST_ERROR:
        nearest = round(clock_hz / divisor)
        raise ValueError(
            f"{baud} baud is {abs(error):.1%} off at a clock of {clock_hz:g} Hz (2 % at most); nearest: {nearest} baud"
        )
    return divisor


class UartReceiver(wiring.Component):
    """Bytes from a serial line.

    The line is synchronised by two flip-flops. A bit is sampled in its middle, to within half a cycle and the two
    ends' clock mismatch. A byte is offered from the middle of its stop bit on.

    Members
    -------
    rx : In(1)
        The line, asynchronous.
    o : Out(stream.Signature(8))
        Received bytes. The line cannot wait: a byte that comes while the last one was not yet taken is lost.
    framing_error : Out(1)
        For one cycle, when a byte's stop bit was low. The byte is dropped, and the line must go high before the next.
    overrun : Out(1)
        For one cycle, when a byte was lost because `o` was still full.
    """

    def __init__(self, clock_hz: float, baud: int):
        self.divisor = uart_divisor(clock_hz, baud)
        super().__init__(
            {"rx": In(1), "o": Out(stream.Signature(8)), "framing_error": Out(1), "overrun": Out(1)},
        )

    def elaborate(self, platform):
        m = Module()
        line = Signal(init=1)
        m.submodules.synchroniser = FFSynchronizer(self.rx, line, init=1)

        timer = Signal(range(self.divisor))
        index = Signal(range(10))  # 0 the start bit, 1..8 data, 9 the stop bit
        shift = Signal(8)
        with m.If(self.o.ready):
            m.d.sync += self.o.valid.eq(0)
        m.d.sync += timer.eq(timer - 1)
        with m.FSM():
            with m.State("IDLE"):
                # The edge fell up to one cycle before `line` shows it: this puts the samples around the middle.
                m.d.sync += [timer.eq((self.divisor - 3) // 2), index.eq(0)]
                with m.If(~line):
                    m.next = "BITS"
            with m.State("BITS"), m.If(timer == 0):
                m.d.sync += [timer.eq(self.divisor - 1), index.eq(index + 1)]
                with m.If(index == 9):
                    m.next = "IDLE"
                    with m.If(~line):
                        m.d.comb += self.framing_error.eq(1)
                        m.next = "BREAK"
                    with m.Elif(self.o.valid & ~self.o.ready):
                        m.d.comb += self.overrun.eq(1)
                    with m.Else():
                        m.d.sync += [self.o.payload.eq(shift), self.o.valid.eq(1)]
                with m.Elif((index == 0) & line):  # a spike, no start bit
                    m.next = "IDLE"
                with m.Else():
                    m.d.sync += shift.eq(Cat(shift[1:], line))
            with m.State("BREAK"), m.If(line):
                m.next = "IDLE"
        return m


class UartTransmitter(wiring.Component):
    """Bytes to a serial line: ten bit times and one clock cycle a byte.

    Members
    -------
    i : In(stream.Signature(8))
        Bytes to send; taken when the line is idle.
    tx : Out(1)
        The line, from a flip-flop.
    """

    def __init__(self, clock_hz: float, baud: int):
        self.divisor = uart_divisor(clock_hz, baud)
        super().__init__({"i": In(stream.Signature(8)), "tx": Out(1, init=1)})

    def elaborate(self, platform):
        m = Module()
        timer = Signal(range(self.divisor))
        left = Signal(range(11))
        shift = Signal(9, init=-1)
        m.d.comb += [self.tx.eq(shift[0]), self.i.ready.eq(left == 0)]
        with m.If(left == 0):
            m.d.sync += timer.eq(self.divisor - 1)
            with m.If(self.i.valid):
                m.d.sync += [shift.eq(Cat(Const(0, 1), self.i.payload)), left.eq(10)]
        with m.Elif(timer == 0):
            m.d.sync += [timer.eq(self.divisor - 1), left.eq(left - 1), shift.eq(Cat(shift[1:], Const(1, 1)))]
        with m.Else():
            m.d.sync += timer.eq(timer - 1)
        return m
