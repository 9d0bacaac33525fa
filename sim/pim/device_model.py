"""Golden model of the device: banks that multiply beside their rows, without a clock.

    device = Device(ChannelConfig(profile="aim"))
    device.fill(row, contents)                   # (banks, columns, lanes)
    results = device.run(program, inputs)        # what a program's RD_MAC and RD put out, in order
    device.issue(Command.ACT, bank=3, row=7)     # or command after command, as on the device port

Elements of bf16 are uint16 codes, those of int8 int8. What each command does, and the arithmetic, is in the family's
README; times are not here.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from hdl.pim.channel_config import ChannelConfig
from hdl.pim.commands import COLUMN_COMMANDS, REGISTER_COMMANDS, Command, Instruction, Op
from sim.pim import arithmetic
from sim.pim.secded import Words, code

Column = npt.NDArray[Any]

COUNTER_MOST = (1 << 16) - 1

MASKED = (Command.MAC, Command.WRMAC, Command.RDMAC)
BANKED = (Command.ACT, Command.PRE, Command.RD, Command.WR, Command.MACB)


class Device:
    """The device that a config describes, with memory and global buffer of zeros.

    Attributes
    ----------
    accumulators : (sets, banks) float32 or int32
    status : the sticky bits that are set: `NAN INFINITE OVERFLOW ECC_ERROR CHECKSUM TIMING`
    corrected, detected : code words, counters that stop at 65535
    first_error : bank, row, column and word of the first double error, None without
    first_illegal : command and reason (`NOT_OPEN ALREADY_OPEN REFRESH_OPEN UNKNOWN`) of the first illegal one
    checksum : what the last RDMAC's checksum word was, int8 only
    """

    def __init__(self, config: ChannelConfig):
        self.config = config
        self.floating = config.dtype == "bf16"
        self.element = np.dtype(np.uint16 if self.floating else np.int8)
        self.rows: dict[int, Column] = {}
        self.checks: dict[tuple[int, int, int], Words] = {}
        """Stored check bits of columns (row, bank, column) that were written wrong; all others fit their data."""
        self.buffer = np.zeros((config.gb_banks, config.columns, config.lanes), self.element)
        self.code = code(min(64, config.column_bits))
        self.words = max(1, config.column_bits // 64)
        self.armed: tuple[int, int, int] | None = None
        self.reset()

    def reset(self) -> None:
        """Clears all but memory and global buffer."""
        config = self.config
        self.accumulators: Column = np.zeros(
            (config.accumulators, config.banks), np.float32 if self.floating else np.int32
        )
        self.open: list[list[int | None]] = [[None] * config.banks for _ in range(config.row_buffers)]
        self.status: set[str] = set()
        self.corrected = self.detected = self.scrubbed = 0
        self.first_error: tuple[int, int, int, int] | None = None
        self.first_illegal: tuple[Command, str] | None = None
        self.products, self.biases = [0] * config.accumulators, [0] * config.accumulators
        self.checksum = 0

    # Memory.

    def fill(self, row: int, contents: npt.ArrayLike) -> None:
        """Stores a row of all banks: (banks, columns, lanes)."""
        config = self.config
        stored = np.array(contents, self.element)
        if stored.shape != (config.banks, config.columns, config.lanes) or not 0 <= row < config.rows:
            raise ValueError(
                f"a row in 0..{config.rows - 1} takes (banks, columns, lanes), not row {row} {stored.shape}"
            )
        self.rows[row] = stored
        self.checks = {place: check for place, check in self.checks.items() if place[0] != row}

    def row(self, row: int) -> Column:
        """The stored bits of a row, (banks, columns, lanes), uncorrected."""
        config = self.config
        if row not in self.rows:
            self.rows[row] = np.zeros((config.banks, config.columns, config.lanes), self.element)
        return self.rows[row]

    def inject(self, bank: int, mask: int, word: int = 0) -> None:
        """The next WR of this bank stores a word of its column wrong, in the mask's bits: data, check bits, parity."""
        self.armed = bank, mask, word

    def write(self, bank: int, row: int, column: int, data: npt.ArrayLike) -> None:
        """WR: stores a column, (lanes,)."""
        words = self._as_words(np.array(data, self.element))
        self.checks.pop((row, bank, column), None)
        if self.armed is not None and self.armed[0] == bank:
            _, mask, place = self.armed
            self.armed = None
            check = self.code.encode(words)
            words[place] ^= np.uint64(mask & ((1 << self.code.data_bits) - 1))
            check[place] ^= np.uint64(mask >> self.code.data_bits)
            if self.config.ecc:
                self.checks[row, bank, column] = check
        self.row(row)[bank, column] = self._as_column(words)

    def read(self, bank: int, row: int, column: int) -> Column:
        """RD: a column, (lanes,), after correction."""
        data: Column = self._columns(1 << bank, row, slice(column, column + 1))[bank, 0]
        return data

    def refresh(self) -> None:
        """REF: corrects one column of every bank where it stands, another each time."""
        config = self.config
        row, column = divmod(self.scrubbed, config.columns)
        self.scrubbed = (self.scrubbed + 1) % (config.rows * config.columns)
        if not config.ecc:
            return
        for bank, found, wrong in self._decoded((1 << config.banks) - 1, row, column):
            if not wrong.any():
                self.row(row)[bank, column] = self._as_column(found)
                del self.checks[row, bank, column]
            else:  # Words of the column that could be corrected are.
                stored = self.checks[row, bank, column]
                kept = self._as_words(self.row(row)[bank, column])
                self.row(row)[bank, column] = self._as_column(np.where(wrong, kept, found))
                self.checks[row, bank, column] = np.where(wrong, stored, self.code.encode(found))

    def _columns(self, mask: int, row: int, columns: slice) -> Column:
        """(banks, columns, lanes) after correction; errors of the banks in the mask are counted."""
        stored = self.row(row)[:, columns]
        faulty = sorted({column for at, _, column in self.checks if at == row} & {*range(columns.start, columns.stop)})
        if faulty:
            stored = stored.copy()
        for column in faulty:
            for bank, found, _ in self._decoded(mask, row, column):
                stored[bank, column - columns.start] = self._as_column(found)
        return stored

    def _decoded(self, mask: int, row: int, column: int) -> list[tuple[int, Words, npt.NDArray[np.bool_]]]:
        """Banks of the mask whose column was written wrong: bank, its words after correction, which stay wrong."""
        found = []
        for bank in range(self.config.banks):
            check = self.checks.get((row, bank, column)) if mask >> bank & 1 else None
            if check is None:
                continue
            words, corrected, wrong = self.code.decode(self._as_words(self.row(row)[bank, column]), check)
            self.corrected = min(COUNTER_MOST, self.corrected + int(corrected.sum()))
            self.detected = min(COUNTER_MOST, self.detected + int(wrong.sum()))
            if wrong.any():
                self.status.add("ECC_ERROR")
                self.first_error = self.first_error or (bank, row, column, int(np.argmax(wrong)))
            found.append((bank, words, wrong))
        return found

    def _as_words(self, column: Column) -> Words:
        raw = np.ascontiguousarray(column).view(np.uint8)
        return np.pad(raw, (0, -len(raw) % 8)).view("<u8").astype(np.uint64)

    def _as_column(self, words: Words) -> Column:
        raw = words.astype("<u8").view(np.uint8)[: self.config.lanes * self.element.itemsize]
        return raw.view(self.element)

    # Multipliers.

    def write_buffer(self, gb: int, column: int, data: npt.ArrayLike) -> None:
        """WRGB: a column of a bank of the global buffer, (lanes,)."""
        self.buffer[gb, column] = np.asarray(data, self.element)

    def multiply(self, mask: int, row: int, column: int, count: int = 1, gb: int = 0, acc: int = 0) -> None:
        """`count` × MAC or MACB on the banks of the mask, from a column on."""
        part = slice(column, column + count)
        cells, vector = self._columns(mask, row, part), self.buffer[gb, part]
        banks = self._banks(mask)
        old = self.accumulators[acc]
        if self.floating:
            for dot in arithmetic.dot_bf16(cells[banks], vector).T:
                old[banks] = arithmetic.added(old[banks], dot)
            return
        for place in range(count):
            dots = arithmetic.dot_int8(cells[banks, place], vector[place])
            exact = old[banks].astype(np.int64) + dots
            old[banks] = arithmetic.wrapped(exact)
            if (exact != old[banks]).any():
                self.status.add("OVERFLOW")
            summed = cells[banks, place].astype(np.int64).sum(axis=0)
            self.products[acc] += int(arithmetic.dot_int8(summed, vector[place]))

    def write_bias(self, mask: int, data: npt.ArrayLike, acc: int = 0) -> None:
        """WRMAC: accumulators of the banks of the mask, from (banks,) bf16 codes or int32."""
        banks = self._banks(mask)
        old = self.accumulators[acc]
        bias = np.asarray(data)
        new = arithmetic.widened(bias)[banks] if self.floating else bias.astype(np.int32)[banks]
        if not self.floating and banks.all():
            self.products[acc], self.biases[acc] = 0, _total(new)
        elif not self.floating:
            self.biases[acc] += _total(new) - _total(old[banks])
        old[banks] = new

    def read_accumulators(self, mask: int, acc: int = 0) -> Column:
        """RDMAC: (banks,) bf16 codes or int32, 0 for banks outside of the mask; clears those read."""
        banks, held = self._banks(mask), self.accumulators[acc]
        if self.floating:
            result = np.where(banks, arithmetic.rounded(held), np.uint16(0))
            magnitude = result & np.uint16(0x7FFF)
            self.status |= {"NAN"} if (magnitude > 0x7F80).any() else set()
            self.status |= {"INFINITE"} if (magnitude == 0x7F80).any() else set()
        else:
            result = np.where(banks, held, np.int32(0))
            if (self.products[acc] + self.biases[acc] - _total(held)) & 0xFFFFFFFF:
                self.status.add("CHECKSUM")
            self.checksum = self.products[acc] & 0xFFFFFFFF
            if banks.all():
                self.products[acc] = self.biases[acc] = 0
            else:
                self.biases[acc] -= _total(held[banks])
        held[banks] = 0
        return result

    def _banks(self, mask: int) -> npt.NDArray[np.bool_]:
        return np.array([bool(mask >> bank & 1) for bank in range(self.config.banks)])

    # Programs and commands.

    def run(self, program: Iterable[Instruction], inputs: Iterable[npt.ArrayLike] = ()) -> list[Column]:
        """The answers of a program's RD_MAC, (banks,), and RD, (lanes,), in order.

        Parameters
        ----------
        inputs : for each column of WR_GB and WR (lanes,), for each WR_BIAS (banks,), in the program's order
        """
        given, answers = iter(inputs), []
        for one in program:
            columns = range(one.col, one.col + one.count)
            bank = one.bank_mask.bit_length() - 1
            if one.op == Op.WR_GB:
                for column in columns:
                    self.write_buffer(one.gb, column, next(given))
            elif one.op == Op.WR_BIAS:
                self.write_bias(one.bank_mask, next(given), one.acc)
            elif one.op == Op.RD_MAC:
                answers.append(self.read_accumulators(one.bank_mask, one.acc))
            elif one.op in (Op.MAC_ABK, Op.MAC_SBK):
                self.multiply(one.bank_mask, one.row, one.col, one.count, one.gb, one.acc)
            elif one.op == Op.RD:
                answers += [self.read(bank, one.row, column) for column in columns]
            elif one.op == Op.WR:
                for column in columns:
                    self.write(bank, one.row, column, next(given))
            elif one.op == Op.EOC:
                break
        return answers

    def issue(
        self,
        command: Command,
        *,
        bank: int = 0,
        bank_mask: int = 0,
        row: int = 0,
        col: int = 0,
        gb: int = 0,
        acc: int = 0,
        buf: int = 0,
        data: Any = None,
    ) -> Column | None:
        """One command of the device port; RD and RDMAC give their answer. An illegal one is noted, and ignored.

        Of the fields only those count that the command uses; single-bank commands and MACB work in row buffer 0.
        """
        config = self.config
        if command in MASKED:
            banks = [one for one in range(config.banks) if bank_mask >> one & 1]
        else:
            banks = [*range(bank, bank + (config.group_banks if command == Command.ACTG else 1))]
        buf = buf if command in (Command.ACTG, Command.PREA, Command.MAC) else 0
        opened = self.open[buf] if buf < config.row_buffers else []
        if reason := self._illegal(command, banks, bank_mask, row, col, gb, acc, buf):
            self.status.add("TIMING")
            self.first_illegal = self.first_illegal or (command, reason)
        elif command in (Command.ACT, Command.ACTG, Command.PRE, Command.PREA):
            for one in range(config.banks) if command == Command.PREA else banks:
                opened[one] = row if command in (Command.ACT, Command.ACTG) else None
        elif command == Command.REF:
            self.refresh()
        elif command in (Command.MAC, Command.MACB):
            # The row is the one that is open.
            for row_open in dict.fromkeys(opened[one] for one in banks):
                same = sum(1 << one for one in banks if opened[one] == row_open)
                assert row_open is not None
                self.multiply(same, row_open, col, 1, gb, acc)
        elif command == Command.RD:
            return self.read(bank, int(opened[bank] or 0), col)
        elif command == Command.WR:
            self.write(bank, int(opened[bank] or 0), col, data)
        elif command in REGISTER_COMMANDS:
            return self._issue_register(command, bank_mask, col, gb, acc, data)
        return None

    def _issue_register(self, command: Command, mask: int, col: int, gb: int, acc: int, data: Any) -> Column | None:
        if command == Command.RDMAC:
            return self.read_accumulators(mask, acc)
        if command == Command.WRMAC:
            self.write_bias(mask, data, acc)
        else:
            self.write_buffer(gb, col, data)
        return None

    def _illegal(
        self, command: Command, banks: Sequence[int], mask: int, row: int, col: int, gb: int, acc: int, buf: int
    ) -> str | None:
        config = self.config
        macs = command in (Command.MAC, Command.MACB)
        beyond = (
            command not in Command.__members__.values()
            or (command in MASKED and (not banks or mask >> config.banks))
            or (command in (*BANKED, Command.ACTG) and any(one >= config.banks for one in banks))
            or (command in (Command.ACT, Command.ACTG) and row >= config.rows)
            or (command in (*COLUMN_COMMANDS, Command.WRGB) and col >= config.columns)
            or ((macs or command == Command.WRGB) and gb >= config.gb_banks)
            or ((macs or command in (Command.WRMAC, Command.RDMAC)) and acc >= config.accumulators)
            or buf >= config.row_buffers
        )
        if beyond:
            return "UNKNOWN"
        if command in COLUMN_COMMANDS and any(self.open[buf][one] is None for one in banks):
            return "NOT_OPEN"
        if command in (Command.ACT, Command.ACTG) and any(self.open[buf][one] is not None for one in banks):
            return "ALREADY_OPEN"
        if command == Command.REF and any(row is not None for buffer in self.open for row in buffer):
            return "REFRESH_OPEN"
        return None


def _total(values: Column) -> int:
    return int(values.astype(np.int64).sum())
