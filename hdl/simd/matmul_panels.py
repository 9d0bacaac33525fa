"""How `simd.matmul` walks over a matrix: panels of a few rows, and the address of each row; nothing is multiplied."""

from __future__ import annotations

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

INDEX_BITS = 4
"""Of a row or column within the array."""


class Panels(wiring.Component):
    """Counts off rows (or columns) by as many as the array has.

    Members
    -------
    count : rows there are, at least 1
    restart : the first panel is next to come
    step : the panel after this one is next; not after the last
    last : this is the last panel
    last_index : of this panel's rows, counted from 0
    """

    def __init__(self, size: int, count_bits: int):
        self._size, self._count_bits = size, count_bits
        super().__init__(
            {
                "count": In(count_bits),
                "restart": In(1),
                "step": In(1),
                "last": Out(1),
                "last_index": Out(INDEX_BITS),
            }
        )

    def elaborate(self, platform):
        m = Module()
        left = Signal(self._count_bits, reset_less=True)  # from this panel on, without the first of its rows
        with m.If(self.restart):
            m.d.sync += left.eq(self.count - 1)
        with m.Elif(self.step):
            m.d.sync += left.eq(left - self._size)
        m.d.comb += [self.last.eq(left < self._size), self.last_index.eq(Mux(self.last, left, self._size - 1))]
        return m


class RowAddresses(wiring.Component):
    """Addresses of a panel's rows, and of the same rows in the next panel.

    Members
    -------
    start : of the matrix
    stride : from one row to the next
    offset : of what is asked for within a row; constant from `begin` to `close`
    restart : `start` is the first row of the first panel
    begin : to the panel's first row
    step : to the next row
    close : the row after the last one that `step` went beyond is the first of the next panel
    address : of the row; in the cycle after each of these
    """

    def __init__(self, address_bits: int, offset_bits: int):
        self._address_bits = address_bits
        address = {name: In(address_bits) for name in ("start", "stride")}
        pulses = {name: In(1) for name in ("restart", "begin", "step", "close")}
        super().__init__(address | pulses | {"offset": In(offset_bits), "address": Out(address_bits)})

    def elaborate(self, platform):
        m = Module()
        bits = self._address_bits
        base, address = Signal(bits, reset_less=True), Signal(bits, reset_less=True)
        # One adder for all: base + offset, address + stride, address - offset.
        left, right, total = Signal(bits), Signal(bits), Signal(bits)
        m.d.comb += [
            left.eq(Mux(self.begin, base, address)),
            right.eq(Mux(self.begin | self.close, self.offset, self.stride) ^ self.close.replicate(bits)),
            total.eq(left + right + self.close),
            self.address.eq(address),
        ]
        with m.If(self.begin | self.step):
            m.d.sync += address.eq(total)
        with m.If(self.restart):
            m.d.sync += base.eq(self.start)
        with m.Elif(self.close):
            m.d.sync += base.eq(total)
        return m
