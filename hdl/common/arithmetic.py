"""Column arithmetic: sums of many bits of many weights, and multipliers out of them.

Synthesis tools add sums of products one by one; these are compressed all together, by Dadda's rule (L. Dadda, "Some
schemes for parallel multipliers", 1965), to two rows that one carry-propagate adder takes. Negative weights follow
Baugh and Wooley (1973): a bit x of weight -2**k is ~x of weight 2**k, and a constant -2**k.
"""

from __future__ import annotations

from collections.abc import Sequence

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value


def wire(m: Module, value: Value, name: str) -> Signal:
    """A signal that carries `value`. An expression is written out anew wherever it is used; a signal is not."""
    value = Value.cast(value)
    carrier = Signal(value.shape(), name=name)
    m.d.comb += carrier.eq(value)
    return carrier


def register(m: Module, value: Value, name: str) -> Signal:
    """`value` a cycle later; not reset, as data need not be."""
    value = Value.cast(value)
    held = Signal(value.shape(), name=name, reset_less=True)
    m.d.sync += held.eq(value)
    return held


def delayed(m: Module, value: Value, cycles: int, name: str, *, reset_less: bool = False) -> Value:
    """The value of so many cycles ago; 0 after a reset unless `reset_less`."""
    value = wire(m, value, f"{name}_0") if cycles == 0 else Value.cast(value)
    for cycle in range(cycles):
        held = Signal.like(value, name=f"{name}_{cycle + 1}", reset_less=reset_less)
        m.d.sync += held.eq(value)
        value = held
    return value


def saturated(value: Value, bits: int) -> Value:
    """A two's complement number clamped to fewer bits."""
    least = Cat((~value[-1]).replicate(bits - 1), value[-1])
    fits = value[bits - 1 :].all() | ~value[bits - 1 :].any()
    return ((value[:bits] & fits.replicate(bits)) | (least & (~fits).replicate(bits))).as_signed()


def tree(m: Module, level: list[Value]) -> Value:
    """The sum of numbers of two's complement, a power of two of them; a cycle for each level."""
    height = 0
    while len(level) > 1:
        height += 1
        pairs = zip(level[::2], level[1::2], strict=True)
        level = [register(m, a + b, f"sum_{height}_{k}").as_signed() for k, (a, b) in enumerate(pairs)]
    return level[0]


class Columns:
    """A sum modulo 2**width, as bits by weight. Each bit has an arrival time in gates, so that late ones go last."""

    def __init__(self, m: Module, width: int, name: str):
        self._module, self._name, self._adders = m, name, 0
        self.width = width
        self._bits: list[list[tuple[int, Value]]] = [[] for _ in range(width)]
        self._constant = 0

    def add_bit(self, weight: int, bit: Value, *, arrival: int = 0) -> None:
        """Adds bit * 2**weight; what lies beyond the width is dropped."""
        if weight < self.width:
            self._bits[weight].append((arrival, bit))

    def add_constant(self, value: int) -> None:
        """Adds a number of either sign."""
        self._constant += value

    def add_signed(self, value: Value, *, weight: int = 0, arrival: int = 0) -> None:
        """Adds a two's complement number * 2**weight, without extending its sign."""
        value = Value.cast(value)
        top = len(value) - 1
        for place in range(top):
            self.add_bit(weight + place, value[place], arrival=arrival)
        self.add_bit(weight + top, ~value[top], arrival=arrival)
        self.add_constant(-(1 << (weight + top)))

    def rows(self) -> tuple[Value, Value]:
        """Two numbers of `width` bits whose sum is the whole."""
        for weight in range(self.width):
            if self._constant >> weight & 1:
                self.add_bit(weight, Const(1, 1))
        self._constant = 0
        heights = [2]
        while heights[-1] < max(len(column) for column in self._bits):
            heights.append(heights[-1] * 3 // 2)
        for target in reversed(heights):
            for weight, column in enumerate(self._bits):
                self._reduce(weight, column, target)
        first, second = (
            Cat(column[row][1] if len(column) > row else Const(0, 1) for column in self._bits) for row in (0, 1)
        )
        return first, second

    def _reduce(self, weight: int, column: list[tuple[int, Value]], target: int) -> None:
        """Full adders, and a half adder where one bit is too many, until the column has `target` bits."""
        while len(column) > target:
            column.sort(key=lambda item: item[0])
            (_, a), (time, b) = column.pop(0), column.pop(0)
            if len(column) + 2 == target + 1:
                column.append((time + 1, self._wire(a ^ b, "half")))
                self.add_bit(weight + 1, self._wire(a & b, "carry"), arrival=time + 1)
            else:
                late, c = column.pop(0)
                time, half = max(time, late), self._wire(a ^ b, "half")
                column.append((time + 2, self._wire(half ^ c, "sum")))
                self.add_bit(weight + 1, self._wire((a & b) | (c & half), "carry"), arrival=time + 2)

    def _wire(self, value: Value, kind: str) -> Signal:
        self._adders += 1
        return wire(self._module, value, f"{self._name}_{kind}_{self._adders}")


def multiply(
    m: Module, a: Value, b: Value, name: str, *, a_signed: Value | int = 1, b_signed: Value | int = 1
) -> Value:
    """The exact product of two numbers, len(a) + len(b) bits; a bit says of each whether it is two's complement.

    Of two unsigned numbers the product is unsigned, else it is two's complement.
    """
    a, b = wire(m, a, f"{name}_a"), wire(m, b, f"{name}_b")
    a_sign, b_sign = (
        Const(sign, 1) if isinstance(sign, int) else wire(m, sign, f"{name}_{side}_signed")
        for side, sign in (("a", a_signed), ("b", b_signed))
    )
    a_top, b_top = len(a) - 1, len(b) - 1
    columns = Columns(m, len(a) + len(b), name)
    for i in range(len(a)):
        for j in range(len(b)):
            bit = a[i] & b[j]
            if i == a_top:
                bit = bit ^ a_sign
            if j == b_top:
                bit = bit ^ b_sign
            columns.add_bit(i + j, bit)
    # What the complements left out: a_sign * (2**a_top - 2**(a_top + b_top)), the same for b, and for the topmost bit,
    # which weighs less than nothing if one operand is signed, (a_sign ^ b_sign) * -2**(a_top + b_top).
    columns.add_bit(a_top, a_sign)
    columns.add_bit(b_top, b_sign)
    columns.add_bit(a_top + b_top + 1, a_sign | b_sign)
    first, second = columns.rows()
    return wire(m, (first + second)[: columns.width], f"{name}_product")


def multiply_or_dot(m: Module, a: Value, b: Value, halves: Value, name: str) -> Value:
    """The product of two two's complement numbers of 8 bits, 16 bits; with `halves`, of their halves of 4 bits each,
    two's complement, 2**4 * (low half of a * high half of b + high half of a * low half of b).

    One array serves both: with `halves`, what the two low halves and the two high ones would add is zero.
    """
    a, b, halves = wire(m, a, f"{name}_a"), wire(m, b, f"{name}_b"), wire(m, halves, f"{name}_halves")
    whole = wire(m, ~halves, f"{name}_whole")
    own = wire(m, b & whole.replicate(8), f"{name}_own")
    columns = Columns(m, 16, name)
    for i in range(8):
        for j in range(8):
            crossed = (i < 4) != (j < 4)
            bit = a[i] & (b if crossed else own)[j]
            # Whether it weighs less than nothing: in the product, and in those of halves.
            of_whole, of_halves = (i == 7) != (j == 7), (i in (3, 7)) != (j in (3, 7))
            if not crossed or of_whole == of_halves:
                bit = ~bit if of_whole else bit
            else:
                bit = bit ^ (whole if of_whole else halves)
            columns.add_bit(i + j, bit)
    # What the complements left out: -2 * (2**7 * 127), or -2 * (2**3 * 7) * 2**4 twice and, of complemented zeros,
    # -2 * (2**11 + 2**12 + 2**13). Modulo 2**16 that is 2**15 + 2**8, or 2**15 + 2**9.
    columns.add_bit(8, whole)
    columns.add_bit(9, halves)
    columns.add_bit(15, Const(1, 1))
    first, second = columns.rows()
    return wire(m, (first + second)[:16], f"{name}_product")


def shift_left(
    m: Module, value: Value, amount: Value, width: int, name: str, reach: Sequence[int] | None = None
) -> Value:
    """A two's complement number shifted left, cut to `width` bits or with its sign extended to them.

    Small steps first, so that the early ones are narrow. `reach` says of each how many bits are enough after it.
    """
    if not len(amount):  # Verilog has no signal without a bit.
        return extended(value, width)
    value, amount = wire(m, value, f"{name}_0"), wire(m, amount, f"{name}_amount")
    for level, bit in enumerate(amount):
        step = 1 << level
        enough = min(width, reach[level]) if reach else width
        reached = Signal(min(enough, len(value) + step), name=f"{name}_{step}")
        m.d.comb += reached.eq(Mux(bit, Cat(Const(0, step), value), extended(value, len(reached))))
        value = reached
    return extended(value, width)


def extended(value: Value, width: int) -> Value:
    """The low `width` bits of a two's complement number, its sign extended if it is narrower."""
    value = Value.cast(value)
    return Cat(value, value[-1].replicate(max(0, width - len(value))))[:width]
