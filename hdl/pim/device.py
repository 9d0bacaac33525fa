"""A memory whose banks multiply beside their rows: behavioural, synthesizable, and strict about its commands."""

from __future__ import annotations

from functools import reduce
from operator import add, or_

from amaranth.hdl import Cat, Module, Mux, Signal, Value
from amaranth.lib import memory, wiring
from amaranth.lib.wiring import In, Out

from hdl.common.arithmetic import delayed, register, wire
from hdl.common.repeated import Pattern
from hdl.pim import secded
from hdl.pim.channel_config import ChannelConfig
from hdl.pim.commands import Command
from hdl.pim.device_bank import Bank, address_bits, column_address_bits
from hdl.pim.device_checker import Checker
from hdl.pim.device_checksum import Checksum
from hdl.pim.device_latency import COLUMN_CYCLES, loop_cycles, sum_cycles
from hdl.pim.device_mac_bf16 import MacBf16
from hdl.pim.device_mac_int8 import MacInt8
from hdl.pim.device_port import BANK_BITS, COLUMN_BITS, COMMAND_BITS, ROW_BITS, device_port
from hdl.pim.device_rows import OpenRows, one_of
from hdl.pim.violations import Violation

INJECT_BITS = 72
"""Of the mask of wrong bits; of a shorter code word the lowest count."""

WORD_INDEX_BITS = 3


class Device(wiring.Component):
    """Banks with row buffers and multipliers, a global buffer, ECC, checksum, and a judge of commands.

    A command may come every cycle. In the pipeline all of them work in the order in which they came:

        1       judged by what is open (`OpenRows`) and, with `checker`, by time (`Checker`); illegal ones end here
        2       global buffer and bank memories are read and written
        3 .. 5  columns are corrected; at 5 they are in registers, RD takes its own
        ..      products, tree, accumulators (`MacBf16`, `MacInt8`)

    Parameters
    ----------
    config : ChannelConfig

    Members
    -------
    command .. result : `device_port`
    inject_armed, inject_bank, inject_word, inject_mask : the next WR of that bank stores these bits of that code word
        wrong
    injected : it did
    overflow, nan, infinite, checksum_wrong : pulses, no later than the answer that they speak of
    fixed, wrong : of this cycle, code words corrected and beyond correction
    wrong_bank, wrong_row, wrong_column, wrong_word : with `wrong`, the lowest of them
    violation, violation_command, violation_bank : a `Violation`, or 0, and what broke the rule
    """

    def __init__(self, config: ChannelConfig):
        self._config = config
        self._words = config.column_bits // secded.word_bits(config.column_bits)
        count = range(config.banks * self._words + 1)
        super().__init__(
            {
                **device_port(config),
                "inject_armed": In(1),
                "inject_bank": In(BANK_BITS),
                "inject_word": In(WORD_INDEX_BITS),
                "inject_mask": In(INJECT_BITS),
                "injected": Out(1),
                "overflow": Out(1),
                "nan": Out(1),
                "infinite": Out(1),
                "checksum_wrong": Out(1),
                "fixed": Out(count),
                "wrong": Out(count),
                "wrong_bank": Out(BANK_BITS),
                "wrong_row": Out(ROW_BITS),
                "wrong_column": Out(COLUMN_BITS),
                "wrong_word": Out(WORD_INDEX_BITS),
                "violation": Out(4),
                "violation_command": Out(COMMAND_BITS),
                "violation_bank": Out(BANK_BITS),
            }
        )

    def elaborate(self, platform):
        m = Module()
        config = self._config
        given = {}
        for name, member in device_port(config).items():
            if member.flow == In:
                given[name] = Signal(len(getattr(self, name)), name=f"{name}_1", reset_less=name != "command")
                m.d.sync += given[name].eq(getattr(self, name))
        rows = self._judge(m, given)
        obeyed = wire(m, Mux(rows.obeyed, given["command"], Command.NOP), "obeyed")

        # The second stage: what each bank and the global buffer have to do.
        command = delayed(m, obeyed, 1, "command")
        touched, acc = register(m, rows.touched, "touched_2"), register(m, given["acc"], "acc_2")
        does = {one: wire(m, command == one, f"does_{one.name.lower()}") for one in Command}
        macs = wire(m, does[Command.MAC] | does[Command.MACB], "macs")
        buffer = self._global_buffer(m, given, does[Command.WRGB])
        columns = self._banks(m, given, rows, does, macs, touched)

        self._answer_reads(m, columns, touched, does[Command.RD])
        spent = sum_cycles(config.dtype, config.lanes) - 2
        kinds = delayed(m, Cat(macs, does[Command.WRMAC], does[Command.RDMAC]), spent, "kinds")
        touched_late = delayed(m, touched, spent, "touched_late", reset_less=True)
        acc_late = delayed(m, acc, spent, "acc_late", reset_less=True)
        bias = delayed(m, given["bias"], spent + 1, "bias_late", reset_less=True)
        macs = self._multiply(m, columns, buffer, kinds, touched_late, acc_late, bias)
        words = Cat(mac.result for mac in macs)
        cycles = loop_cycles(config.dtype, config.timing.tCCD_cycles)
        if config.checksum:
            m.submodules.checksum = checksum = Checksum(config)
            m.d.comb += [
                checksum.columns.eq(Cat(columns)),
                checksum.buffer.eq(buffer),
                checksum.column_mask.eq(delayed(m, touched, COLUMN_CYCLES - 2, "column_mask", reset_less=True)),
                Cat(checksum.mac, checksum.set, checksum.clear).eq(kinds),
                checksum.acc.eq(acc_late),
                checksum.mask.eq(touched_late),
                checksum.bias.eq(bias),
                checksum.before.eq(Cat(mac.before for mac in macs)),
                self.checksum_wrong.eq(checksum.wrong),
            ]
            words = Cat(delayed(m, words, 2, "words", reset_less=True), checksum.value)
            cycles += 2
        self._answer_results(m, words, delayed(m, kinds[2], cycles, "result_there"), spent + 2 + cycles)
        return m

    def _judge(self, m: Module, given: dict[str, Signal]) -> OpenRows:
        """Whether the command in the first stage is carried out."""
        m.submodules.rows = rows = OpenRows(self._config)
        for name in ("command", "bank", "bank_mask", "row", "col", "gb", "acc", "buf"):
            m.d.comb += getattr(rows, name).eq(given[name])
        violation = Signal(4)
        m.d.comb += violation.eq(rows.violation)
        if self._config.checker:
            m.submodules.checker = checker = Checker(self._config)
            m.d.comb += [
                checker.command.eq(given["command"]),
                checker.touched.eq(rows.touched),
                checker.buffer.eq(rows.buffer),
                checker.obeyed.eq(rows.obeyed),
            ]
            with m.If(~rows.violation.any()):
                m.d.comb += violation.eq(checker.violation)
        refused = violation.any() & (violation != Violation.REFRESH_LATE)
        m.d.comb += rows.obeyed.eq(given["command"].any() & ~refused)
        with m.If(given["command"].any()):
            m.d.sync += self.violation.eq(violation)
        with m.Else():
            m.d.sync += self.violation.eq(0)
        banked = one_of(given["command"], (*(one for one in Command if one.name in SINGLE), Command.ACTG))
        m.d.sync += self.violation_command.eq(given["command"])
        m.d.sync += self.violation_bank.eq(given["bank"] & banked.replicate(BANK_BITS))
        return rows

    def _global_buffer(self, m: Module, given: dict[str, Signal], writes: Value) -> Value:
        """The column of the global buffer, in a register as long after the command as those of the banks."""
        config = self._config
        columns_bits = column_address_bits(config)
        m.submodules.buffer = cells = memory.Memory(
            shape=config.column_bits, depth=config.gb_banks << columns_bits, init=[]
        )
        read, write = cells.read_port(), cells.write_port()
        place = given["col"][:columns_bits]
        address = register(m, Cat(place, given["gb"]) if config.gb_banks == 2 else place, "buffer_address")
        m.d.comb += [read.addr.eq(address), write.addr.eq(address), write.en.eq(writes)]
        m.d.comb += write.data.eq(register(m, given["data"], "buffer_data"))
        return delayed(m, read.data, COLUMN_CYCLES - 3, "buffer", reset_less=True)

    def _banks(self, m, given, rows, does, macs, touched) -> list[Value]:
        """The banks; the columns that they read, and what ECC found in them."""
        config = self._config
        word = self._stored_word(m, given, rows)
        pattern = Pattern(Bank, config)
        banks = []
        scrub = delayed(m, wire(m, rows.obeyed & (given["command"] == Command.REF), "refresh"), 1, "scrub")
        scrub = scrub & int(config.ecc)
        scrub_address = self._scrub_address(m, scrub)
        for index in range(config.banks):
            m.submodules[f"bank_{index}"] = bank = pattern.another()
            own = register(m, rows.address.word_select(index, address_bits(config)), f"address_{index}")
            m.d.comb += [
                bank.address.eq(Mux(scrub, scrub_address, own)),
                bank.read.eq(touched[index] & (macs | does[Command.RD])),
                bank.write.eq(touched[index] & does[Command.WR]),
                bank.scrub.eq(scrub),
                bank.word.eq(word),
            ]
            banks.append(bank)

        m.d.sync += [
            self.fixed.eq(reduce(add, [bit for bank in banks for bit in bank.fixed])),
            self.wrong.eq(reduce(add, [bit for bank in banks for bit in bank.wrong])),
        ]
        columns_bits = column_address_bits(config)
        for index, bank in reversed(list(enumerate(banks))):  # the lowest is the last to be said
            with m.If(bank.wrong.any()):
                m.d.sync += [
                    self.wrong_bank.eq(index),
                    self.wrong_column.eq(bank.wrong_address[:columns_bits]),
                    self.wrong_row.eq(bank.wrong_address[columns_bits:]),
                ]
                for place in reversed(range(self._words)):
                    with m.If(bank.wrong[place]):
                        m.d.sync += self.wrong_word.eq(place)
        return [bank.column for bank in banks]

    def _stored_word(self, m: Module, given: dict[str, Signal], rows: OpenRows) -> Value:
        """What a WR stores in the second stage: the column's code words, wrong where that is armed."""
        bits = secded.word_bits(self._config.column_bits)
        hits = self.inject_armed & (given["bank"] == self.inject_bank)
        hits = wire(m, hits & rows.obeyed & (given["command"] == Command.WR), "hits")
        m.d.comb += self.injected.eq(hits)
        words = []
        for index in range(self._words):
            data = given["data"].word_select(index, bits)
            word = secded.encode(m, data, f"word_{index}") if self._config.ecc else data
            flips = wire(m, hits & (self.inject_word == index), f"flips_{index}")
            words.append(word ^ (self.inject_mask[: len(word)] & flips.replicate(len(word))))
        return register(m, Cat(words), "word_2")

    def _scrub_address(self, m: Module, scrub: Value) -> Value:
        """The column that the next refresh scrubs: all columns of a row, then the next row."""
        config = self._config
        column = Signal(column_address_bits(config), name="scrub_column")
        row = Signal((config.rows - 1).bit_length(), name="scrub_row")
        with m.If(scrub):
            m.d.sync += column.eq(Mux(column == config.columns - 1, 0, column + 1))
            with m.If(column == config.columns - 1):
                m.d.sync += row.eq(Mux(row == config.rows - 1, 0, row + 1))
        return Cat(column, row)

    def _answer_reads(self, m: Module, columns: list[Value], touched: Value, reads: Value) -> None:
        """RD's column, from where it is corrected to the port."""
        late = COLUMN_CYCLES - 2
        chosen = delayed(m, touched, late, "chosen", reset_less=True)
        column = reduce(or_, [one & bit.replicate(len(one)) for one, bit in zip(columns, chosen, strict=True)])
        rest = self._config.device_latency_cycles - COLUMN_CYCLES
        m.d.comb += self.read_data.eq(delayed(m, column, rest, "read", reset_less=True))
        m.d.comb += self.read_valid.eq(delayed(m, reads, late + rest, "reads"))

    def _multiply(self, m, columns, buffer, kinds, touched, acc, bias) -> list[MacBf16 | MacInt8]:
        """Multipliers and accumulators of each bank."""
        config = self._config
        pattern = Pattern(MacBf16 if config.dtype == "bf16" else MacInt8, config)
        macs = []
        for index, column in enumerate(columns):
            m.submodules[f"mac_{index}"] = mac = pattern.another()
            m.d.comb += [
                mac.column.eq(column),
                mac.buffer.eq(buffer),
                Cat(mac.mac, mac.set, mac.clear).eq(kinds & touched[index].replicate(3)),
                mac.acc.eq(acc),
                mac.bias.eq(bias.word_select(index, config.result_element_bits)),
            ]
            macs.append(mac)
        if config.dtype == "int8":
            m.d.sync += self.overflow.eq(Cat(mac.overflow for mac in macs).any())
        return macs

    def _answer_results(self, m: Module, words: Value, valid: Value, spent: int) -> None:
        """RDMAC's word, from the accumulators to the port; what is told of it comes with it or before."""
        config = self._config
        rest = config.device_latency_cycles - spent
        m.d.comb += self.result.eq(delayed(m, words, rest, "result", reset_less=True))
        m.d.comb += self.result_valid.eq(delayed(m, valid, rest, "result_valid"))
        if config.dtype == "bf16":
            tops = [words.word_select(bank, 16) for bank in range(config.banks)]
            m.d.comb += self.nan.eq(valid & Cat(one[7:15].all() & one[:7].any() for one in tops).any())
            m.d.comb += self.infinite.eq(valid & Cat(one[7:15].all() & ~one[:7].any() for one in tops).any())


SINGLE = {"ACT", "PRE", "RD", "WR", "MACB"}
