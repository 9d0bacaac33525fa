"""Elements in banks: some that lie one after another, from any address on, are read or written in a cycle."""

from __future__ import annotations

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from hdl.common.arithmetic import delayed, register, wire
from hdl.common.ram import Ram
from hdl.pulse.cnn_config import CnnConfig
from hdl.pulse.cnn_words import Place


def power_bits(size: int) -> int:
    """Bits that count to below `size`."""
    return (size - 1).bit_length()


def rotated(m: Module, lanes: list[Value], amount: Value, name: str) -> list[Value]:
    """Lane i is lane i + amount of those given, a power of two of them."""
    for bit in range(power_bits(len(lanes))):
        turned = lanes[1 << bit :] + lanes[: 1 << bit]
        lanes = [
            wire(m, Mux(amount[bit], there, here), f"{name}_{bit}_{lane}")
            for lane, (here, there) in enumerate(zip(lanes, turned, strict=True))
        ]
    return lanes


def bank_rows(m: Module, row: Value, after: Value, first: Value, banks: int, name: str) -> list[Value]:
    """The row of each bank that has one of `banks` elements from bank `first` of a row on; `after` is the next row."""
    return [wire(m, Mux(bank < first, after, row), f"{name}_{bank}") for bank in range(banks - 1)] + [row]


class Banks(wiring.Component):
    """A memory of elements, element i in bank i modulo their number.

    Latency: 3 cycles, from where elements begin to these.

    Parameters
    ----------
    bits : of an element
    banks : a power of two
    elements : in all

    Members
    -------
    row, after, first, read : as many elements as there are banks, from this one of a row on; the row that is next
    write, rows, written : for each bank: an element goes to it, its row, the elements
    """

    def __init__(self, bits: int, banks: int, elements: int):
        self._bits, self._banks, self._rows = bits, banks, elements // banks
        super().__init__(
            {
                "row": In(range(self._rows)),
                "after": In(range(self._rows)),
                "first": In(range(max(2, banks))),
                "read": Out(bits * banks),
                "write": In(banks),
                "rows": In(power_bits(self._rows) * banks),
                "written": In(bits * banks),
            }
        )

    def elaborate(self, platform):
        m = Module()
        bits, banks = self._bits, self._banks
        row_bits = power_bits(self._rows)
        given = []
        for bank, row in enumerate(bank_rows(m, self.row, self.after, self.first, banks, "row")):
            m.submodules[f"bank_{bank}"] = ram = Ram(bits, self._rows)
            m.d.comb += [
                ram.read_address.eq(register(m, row, f"read_row_{bank}")),
                ram.write.eq(self.write[bank]),
                ram.write_address.eq(self.rows.word_select(bank, row_bits)),
                ram.write_data.eq(self.written.word_select(bank, bits)),
            ]
            given.append(register(m, ram.read_data, f"given_{bank}"))
        turn = delayed(m, self.first, 3, "turn", reset_less=True)
        m.d.comb += self.read.eq(Cat(rotated(m, given, turn, "turned")))
        return m


class Writer(wiring.Component):
    """Puts elements that lie one after another to their banks.

    Latency: 1 cycle.

    Parameters
    ----------
    bits, banks, elements : of `Banks`
    lanes : elements at a time, at most `banks`

    Members
    -------
    address, enable, data : where the first element goes, which there are, the elements
    write, rows, written : of `Banks`
    """

    def __init__(self, bits: int, banks: int, elements: int, lanes: int):
        self._bits, self._banks, self._lanes = bits, banks, lanes
        super().__init__(
            {
                "address": In(range(elements)),
                "enable": In(lanes),
                "data": In(bits * lanes),
                "write": Out(banks),
                "rows": Out(power_bits(elements // banks) * banks),
                "written": Out(bits * banks),
            }
        )

    def elaborate(self, platform):
        m = Module()
        bits, banks = self._bits, self._banks
        low = power_bits(banks)
        lanes: list[Value] = [
            Cat(self.enable[lane], self.data.word_select(lane, bits)) for lane in range(self._lanes)
        ] + [Const(0, bits + 1)] * (banks - self._lanes)
        rows: list[Value] = [self.address]
        if banks > 1:  # bank k takes lane k - address
            row, first = self.address[low:], self.address[:low]
            lanes = rotated(m, lanes, wire(m, (-first)[:low], "turn"), "turned")
            rows = bank_rows(m, row, wire(m, (row + 1)[: len(row)], "after"), first, banks, "row")
        m.d.sync += self.write.eq(Cat(lane[0] for lane in lanes))
        m.d.comb += [
            self.written.eq(register(m, Cat(lane[1:] for lane in lanes), "held")),
            self.rows.eq(register(m, Cat(rows), "held_rows")),
        ]
        return m


def source_layout(config: CnnConfig) -> data.StructLayout:
    """What a layer reads: the place, the half of `input`, the addresses that are not padding, the padding."""
    return data.StructLayout(
        {"place": 2, "half": 1, "low": 16, "high": 16, "pad": signed(config.activation_bits)},
    )


def row_layout(config: CnnConfig) -> data.StructLayout:
    """A row of a window's elements: half and row of `input`, and that it is the window's last."""
    return data.StructLayout(
        {
            "half": 1,
            "number": range(max(2, config.input_rows)),
            "last": 1,
            "elements": config.activation_bits * config.products,
        }
    )


class Places(wiring.Component):
    """`input`, `first` and `second`, and what a layer reads of them and writes to them.

    Elements from an address on: latency 4 cycles, `products` of them, those beyond the limits replaced by the padding.
    Elements of a target that are added to: latency 3 cycles. An output is there for reads that begin in the cycle after
    it is given, or later.

    Members
    -------
    source : `source_layout`, while a layer reads
    address, operands : read
    target, added_address, added : elements of the target, in `lanes` of requantisers
    output_address, enable, outputs : written to the target
    row, row_taken : a row of a window's elements; waits while outputs are written
    """

    def __init__(self, config: CnnConfig):
        self._config = config
        lanes, bits = config.requantiser_count, config.activation_bits
        super().__init__(
            {
                "source": In(source_layout(config)),
                "address": In(signed(config.address_bits)),
                "operands": Out(bits * config.products),
                "target": In(1),
                "added_address": In(range(config.activations)),
                "added": Out(bits * lanes),
                "output_address": In(range(config.activations)),
                "enable": In(lanes),
                "outputs": In(bits * lanes),
                "row": In(row_layout(config)),
                "row_waits": In(1),
                "row_taken": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        config = self._config
        bits, products, lanes = config.activation_bits, config.products, config.requantiser_count
        # Elements of all places in a line: first, second, then the two halves of input.
        inputs = config.input_rows * products
        own_bits = max(power_bits(config.activations), power_bits(inputs)) + 1
        size = (1 << own_bits) + 2 * inputs
        m.submodules.banks = banks = Banks(bits, products, size)
        m.submodules.writer = writer = Writer(bits, products, size, lanes)
        m.submodules.copies = copies = Banks(bits, lanes, 2 * config.activations)
        m.submodules.copier = copier = Writer(bits, lanes, 2 * config.activations, lanes)

        def own(address, second):
            return Cat(address[: power_bits(config.activations)], second)

        # What begins before a place, or ends behind it, is padding there: rows wrap within their place.
        source, low = self.source, power_bits(products)
        is_input = wire(m, source.place == Place.INPUT, "is_input")
        for name, row in (("row", self.address[low:]), ("after", (self.address[low:] + 1)[:-1])):
            of_input = Cat(row[: power_bits(config.input_rows)], source.half)
            of_own = Cat(row[: power_bits(config.activations) - low], source.place[0])
            here = Signal(own_bits - low, name=f"{name}_here")
            m.d.comb += [
                here.eq(Mux(is_input, of_input, of_own)),
                getattr(banks, name).eq(Cat(here, is_input)),
            ]
        added = own(self.added_address, self.target)
        m.d.comb += [
            banks.first.eq(self.address[:low]),
            self.operands.eq(self._padded(m, banks.read)),
            copies.row.eq(added[power_bits(lanes) :]),
            copies.after.eq(added[power_bits(lanes) :] + 1),
            copies.first.eq(added[: power_bits(lanes)] if lanes > 1 else 0),
            self.added.eq(copies.read),
        ]
        for taker in (writer, copier):
            m.d.comb += [
                taker.address.eq(own(self.output_address, self.target)),
                taker.enable.eq(self.enable),
                taker.data.eq(self.outputs),
            ]
        row = Signal(power_bits(size // products))
        number = self.row.number[: power_bits(config.input_rows)]
        m.d.comb += [
            row.eq(Cat(number, self.row.half) | 1 << (own_bits - power_bits(products))),
            copies.write.eq(copier.write),
            copies.rows.eq(copier.rows),
            copies.written.eq(copier.written),
            self.row_taken.eq(self.row_waits & ~writer.write.any()),
            banks.write.eq(self.row_taken.replicate(products) | writer.write),
            banks.rows.eq(Mux(self.row_taken, row.replicate(products), writer.rows)),
            banks.written.eq(Mux(self.row_taken, self.row.elements, writer.written)),
        ]
        return m

    def _padded(self, m, elements):
        """The elements that are within the limits. How far these are from the address is known before the elements."""
        config = self._config
        products, bits = config.products, config.activation_bits
        small = power_bits(products)
        after = register(m, self.address - self.source.low, "after_low")
        before = register(m, self.source.high - self.address, "before_high")
        valid = []
        for lane in range(products):
            low_enough = ~after[-1] | (after[small:].all() & (after[:small] >= products - lane)) if lane else ~after[-1]
            part = (before[:small] > lane) if lane < products - 1 else 0
            high_enough = ~before[-1] & (before[small:].any() | part)
            valid.append(low_enough & high_enough)
        valid = delayed(m, wire(m, Cat(valid), "valid"), 2, "valid", reset_less=True)
        return register(
            m,
            Cat(
                Mux(valid[lane], elements.word_select(lane, bits), self.source.pad.as_unsigned())
                for lane in range(products)
            ),
            "operands",
        )
