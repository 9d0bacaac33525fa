"""The memories of `sfq.processor`: what cells do, where their outputs lead, and how each cell stands."""

from __future__ import annotations

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import memory, wiring
from amaranth.lib.wiring import In, Out

from hdl.sfq.processor_config import ProcessorConfig
from hdl.sfq.processor_words import ADDRESS_BITS, COIN_BITS, DATA_BITS, LANE_BITS, PIN_BITS, WINDOW_BITS, Opcode

TABLE_OPCODES = (Opcode.NEXT, Opcode.FIRE, Opcode.WINDOW, Opcode.STATE, Opcode.WIRE, Opcode.COIN)
"""Words that are kept here."""


class Tables(wiring.Component):
    """What is read stands one cycle after its address.

    Members
    -------
    word, load, fits : a word of `TABLE_OPCODES` to keep, and whether all of it is in range; if not, nothing is kept
    row, read_row : of the reaction to read
    next_word, delays, windows : its state word; by output; by pin {least age, blocked time}. All hold until `read_row`.
    instance : of the cell to read, and to write
    state_word, wires, coin : of the cell; `wires` by output {connected, watched, pin}
    history : of the cell, by pin {its last pulse, whether it had one, blocked until}; see `history_bits`
    update, state_to, history_to : what becomes of the cell
    toss, coin_to : what becomes of its coin
    waiting_at, waiting : the pins at which pulses wait, of another cell if need be
    mark, mark_at, waiting_to : which wait from now on
    """

    def __init__(self, config: ProcessorConfig):
        self._config = config
        self._wire_bits = config.target_bits + 2
        super().__init__(
            {
                "word": In(64),
                "load": In(1),
                "fits": Out(1),
                "row": In(config.row_bits),
                "read_row": In(1),
                "next_word": Out(config.state_word_bits),
                "delays": Out(config.outputs * config.horizon_bits),
                "windows": Out(config.pins * 2 * config.window_bits),
                "instance": In(config.instance_bits),
                "state_word": Out(config.state_word_bits),
                "wires": Out(config.outputs * self._wire_bits),
                "coin": Out(COIN_BITS),
                "history": Out(config.pins * history_bits(config)),
                "update": In(1),
                "state_to": In(config.state_word_bits),
                "history_to": In(config.pins * history_bits(config)),
                "toss": In(1),
                "coin_to": In(COIN_BITS),
                "waiting_at": In(config.instance_bits),
                "waiting": Out(config.pins),
                "mark": In(1),
                "mark_at": In(config.instance_bits),
                "waiting_to": In(config.pins),
            }
        )

    def elaborate(self, platform):
        m = Module()
        config = self._config
        self._data, self._address = self.word[:DATA_BITS], self.word[DATA_BITS:][:ADDRESS_BITS]
        lane = self.word[DATA_BITS + ADDRESS_BITS :][:LANE_BITS]
        opcode = self.word[DATA_BITS + ADDRESS_BITS + LANE_BITS :]
        kept = {code: Signal(name=f"load_{code.name.lower()}") for code in TABLE_OPCODES}
        m.d.comb += [chosen.eq(self.load & self.fits & (opcode == code)) for code, chosen in kept.items()]

        low, high = self._data[:WINDOW_BITS], self._data[WINDOW_BITS:]
        with m.Switch(opcode):
            for code, lanes, address_bits, zeros in (
                (Opcode.NEXT, 1, config.row_bits, self._data[config.state_word_bits :]),
                (Opcode.FIRE, config.outputs, config.row_bits, self._data[config.horizon_bits :]),
                (Opcode.WINDOW, config.pins, config.row_bits,
                 Cat(low[config.window_bits :], high[config.window_bits :])),
                (Opcode.STATE, 1, config.instance_bits, self._data[config.state_word_bits :]),
                (Opcode.WIRE, config.outputs, config.instance_bits,
                 Cat(low[config.target_bits : PIN_BITS], high[1:])),
                (Opcode.COIN, 1, config.instance_bits, self._data[COIN_BITS:]),
            ):  # fmt: skip
                with m.Case(code):
                    m.d.comb += self.fits.eq((lane < lanes) & ~Cat(zeros, self._address[address_bits:]).any())

        row, fires, bits = kept[Opcode.NEXT], kept[Opcode.FIRE], config.window_bits
        self._row_table(m, "next", self.next_word, row, self._data)
        for index, delay in enumerate(_parts(self.delays, config.outputs)):
            self._row_table(m, f"fire_{index}", delay, row | (fires & (lane == index)), Mux(row, 0, self._data))
        window = Cat(low[:bits], high[:bits])
        for index, one in enumerate(_parts(self.windows, config.pins)):
            chosen = row | (kept[Opcode.WINDOW] & (lane == index))
            self._row_table(m, f"window_{index}", one, chosen, Mux(row, 0, window))

        state = kept[Opcode.STATE]
        wire = Cat(low[: config.target_bits], low[PIN_BITS], high[0])
        for index, one in enumerate(_parts(self.wires, config.outputs)):
            chosen = state | (kept[Opcode.WIRE] & (lane == index))
            self._cell_table(m, f"wire_{index}", one, chosen, Mux(state, 0, wire))
        self._cell_table(m, "state", self.state_word, state | self.update, Mux(state, self._data, self.state_to))
        self._cell_table(m, "history", self.history, state | self.update, Mux(state, 0, self.history_to))
        self._cell_table(m, "coin", self.coin, kept[Opcode.COIN] | self.toss, Mux(self.toss, self.coin_to, self._data))
        self._cell_table(
            m, "waiting", self.waiting, state | self.mark, Mux(state, 0, self.waiting_to), self.waiting_at, self.mark_at
        )
        return m

    def _row_table(self, m, name, out, write, data):
        read_port, write_port = _table(m, name, len(out), len(self.row))
        m.d.comb += [
            read_port.addr.eq(self.row),
            read_port.en.eq(self.read_row),
            out.eq(read_port.data),
            write_port.addr.eq(self._address),
            write_port.data.eq(data),
            write_port.en.eq(write),
        ]

    def _cell_table(self, m, name, out, write, data, read_at=None, write_at=None):
        """A table that runs change too: a word of the host's goes to its address, all else to `write_at`."""
        read_port, write_port = _table(m, name, len(out), len(self.instance))
        m.d.comb += [
            read_port.addr.eq(self.instance if read_at is None else read_at),
            out.eq(read_port.data),
            write_port.addr.eq(Mux(self.load, self._address, self.instance if write_at is None else write_at)),
            write_port.data.eq(data),
            write_port.en.eq(write),
        ]


def history_bits(config: ProcessorConfig) -> int:
    """Of a pin: when its last pulse was, whether there was one, and until when it is blocked, which may be later than
    any pulse."""
    return config.time_bits + 1 + config.time_bits + 1


def _table(m, name, width, address_bits):
    table = memory.Memory(shape=width, depth=1 << address_bits, init=[])
    m.submodules[name] = table
    return table.read_port(), table.write_port()


def _parts(value, count):
    """Equal parts of a value, the lowest first."""
    return [value.word_select(index, len(value) // count) for index in range(count)]
