"""The device's port by hand: every wrong bit and every pair of them in every bank, against a textbook's Hamming."""

import itertools

import numpy as np
import pytest

from hdl.pim.channel_config import ChannelConfig
from hdl.pim.commands import Command
from tests.pim.device_at_edge import DeviceAtEdge

CONFIGS = {
    "words_of_64": {"profile": "pimgpt", "banks": 4, "rows": 2, "columns": 4, "lanes": 8, "dtype": "int8"},
    "two_words": {"profile": "pimgpt", "banks": 2, "rows": 2, "columns": 4, "lanes": 16, "dtype": "int8"},
    "words_of_16": {"profile": "pimgpt", "banks": 2, "rows": 2, "columns": 4, "lanes": 2, "dtype": "int8"},
}
FLAG_CYCLES = 6
"""From a command to what ECC says of it."""


@pytest.fixture(scope="module")
def block():
    def of(name):
        config = ChannelConfig.parse(CONFIGS[name])
        return CONFIGS[name], config, DeviceAtEdge(config)

    return of


class Port:
    """The device's port, command by command."""

    def __init__(self, built, harness=None):
        self.config, self.harness = built.config, harness or built.harness()
        self.harness.poke("inject_mask", 0)

    def send(self, command, **fields):
        for name, value in fields.items():
            self.harness.poke(name, value)
        self.harness.poke("command", command)
        self.harness.step()
        self.harness.poke("command", Command.NOP)

    def read(self, bank, col):
        """A column; how many words ECC corrected in it, and how many it found wrong beyond that."""
        self.send(Command.RD, bank=bank, col=col)
        self.harness.step(FLAG_CYCLES - 1)
        flags = self.harness.peek("fixed"), self.harness.peek("wrong")
        where = tuple(self.harness.peek(f"wrong_{name}") for name in ("bank", "row", "column", "word"))
        self.harness.step(self.config.device_latency_cycles - FLAG_CYCLES)
        assert self.harness.peek("read_valid") == 1
        return self.harness.peek("read_data"), *flags, where

    def write_wrong(self, bank, col, data, word, mask):
        self.send(
            Command.WR, bank=bank, col=col, data=data, inject_armed=1, inject_bank=bank, inject_word=word,
            inject_mask=mask,
        )  # fmt: skip
        assert self.harness.peek("injected") == 1
        self.harness.step()
        self.harness.poke("inject_armed", 0)


def hamming(data, bits):
    """The code word of a number, bit by bit as in the textbook: positions from 1, powers of two check the others."""
    word, checks = {}, [1 << k for k in range(8) if (1 << k) < bits + k + 1]
    place = 1
    for bit in range(bits):
        while place & (place - 1) == 0:
            place += 1
        word[place] = data >> bit & 1
        place += 1
    for check in checks:
        word[check] = sum(value for place, value in word.items() if place & check and place != check) % 2
    order = [place for place in sorted(word) if place & (place - 1)] + checks
    code = [word[place] for place in order]
    return [*code, sum(code) % 2], [*order, 0]


def repaired(data, mask, bits):
    """What is read of a word stored with these bits wrong: data, corrected, wrong beyond correction."""
    code, order = hamming(data, bits)
    code = [bit ^ (mask >> index & 1) for index, bit in enumerate(code)]
    syndrome = 0
    for bit, place in zip(code, order, strict=True):
        syndrome ^= place * bit
    odd = sum(code) % 2
    corrected = odd and syndrome in order
    if corrected:
        code[order.index(syndrome)] ^= 1
    value = sum(bit << index for index, bit in enumerate(code[:bits]))
    return value, int(corrected), int(bool(syndrome or odd) and not corrected)


@pytest.mark.deep
@pytest.mark.parametrize("built", ["words_of_64", "words_of_16"], indirect=True)
def test_every_wrong_bit_is_corrected_and_every_pair_is_detected_in_every_bank(built):
    port, config = Port(built), built.config
    bits = config.column_bits
    length = len(hamming(0, bits)[0])
    assert length == {64: 72, 16: 22}[bits]
    rng = np.random.default_rng(1)
    for bank in range(config.banks):
        port.send(Command.ACT, bank=bank, row=1)
        for wrong in [*itertools.combinations(range(length), 1), *itertools.combinations(range(length), 2)]:
            data, col = int.from_bytes(rng.bytes(bits // 8), "little"), int(rng.integers(config.columns))
            mask = sum(1 << bit for bit in wrong)
            port.write_wrong(bank, col, data, 0, mask)
            got, fixed, bad, where = port.read(bank, col)
            if len(wrong) == 1:
                assert (got, fixed, bad) == (data, 1, 0), wrong
            else:
                assert (got, fixed, bad, where) == (data ^ mask & ((1 << bits) - 1), 0, 1, (bank, 1, col, 0)), wrong


@pytest.mark.deep
@pytest.mark.parametrize("built", ["words_of_64", "two_words", "words_of_16"], indirect=True)
def test_any_wrong_bits_read_as_the_textbook_says(built):
    """The place of every bit in the code: three and more wrong bits are miscorrected in one way only."""
    port, config = Port(built), built.config
    bits = min(64, config.column_bits)
    words = config.column_bits // bits
    length = len(hamming(0, bits)[0])
    rng = np.random.default_rng(2)
    port.send(Command.ACT, bank=0, row=0)
    for _ in range(2000):
        data, word = int.from_bytes(rng.bytes(config.column_bits // 8), "little"), int(rng.integers(words))
        mask = sum(1 << int(bit) for bit in rng.choice(length, rng.integers(0, 6), replace=False))
        port.write_wrong(0, 0, data, word, mask)
        own = data >> bits * word & ((1 << bits) - 1)
        value, corrected, detected = repaired(own, mask, bits)
        got, fixed, bad, where = port.read(0, 0)
        assert (got, fixed, bad) == (data ^ (own ^ value) << bits * word, corrected, detected)
        assert not bad or where == (0, 0, 0, word)


@pytest.mark.deep
@pytest.mark.parametrize("built", ["words_of_16"], indirect=True)
def test_a_changed_decoder_is_noticed(built, tmp_path):
    port = Port(built, built.mutant("bank", "^", "|", tmp_path))
    port.send(Command.ACT, bank=0, row=0)
    wrong = 0
    for bit in range(22):
        port.write_wrong(0, 0, 0xA5C3, 0, 1 << bit)
        wrong += port.read(0, 0)[:3] != (0xA5C3, 1, 0)
    assert wrong


@pytest.mark.deep
@pytest.mark.parametrize("built", ["words_of_64"], indirect=True)
def test_scrubbing_walks_all_columns_and_mends_them(built):
    """A wrong bit in each column of each bank: each refresh mends one column of all banks, in order."""
    port, config = Port(built), built.config
    port.harness.reset()
    places = list(itertools.product(range(config.rows), range(config.columns)))
    for bank, (row, col) in itertools.product(range(config.banks), places):
        if col == 0:
            port.send(Command.ACT, bank=bank, row=row)
        port.write_wrong(bank, col, 3 * row + col, 0, 1 << (row + 5 * col + bank))
        if col == config.columns - 1:
            port.send(Command.PRE, bank=bank)
    for done, _ in enumerate(places):
        port.send(Command.REF)
        port.harness.step(FLAG_CYCLES - 1 + 4)
        row, col = places[done]
        port.send(Command.ACT, bank=0, row=row)
        assert port.read(0, col)[:3] == (3 * row + col, 0, 0), "mended"
        if done + 1 < len(places):
            ahead = places[done + 1]
            port.send(Command.PRE, bank=0)
            port.send(Command.ACT, bank=0, row=ahead[0])
            assert port.read(0, ahead[1])[:3] == (3 * ahead[0] + ahead[1], 1, 0), "not yet"
        port.send(Command.PRE, bank=0)
    for bank, (row, col) in itertools.product(range(config.banks), places):
        port.send(Command.ACT, bank=bank, row=row)
        assert port.read(bank, col)[:3] == (3 * row + col, 0, 0)
        port.send(Command.PRE, bank=bank)


@pytest.mark.deep
@pytest.mark.parametrize("built", ["words_of_64"], indirect=True)
def test_a_wrong_bit_is_corrected_before_the_multipliers(built):
    port, config = Port(built), built.config
    rng = np.random.default_rng(3)
    port.harness.reset()
    vector = rng.integers(-128, 128, config.lanes, np.int8)
    port.send(Command.WRGB, col=1, gb=0, data=int.from_bytes(vector.tobytes(), "little"))
    for bank in range(config.banks):
        port.send(Command.ACT, bank=bank, row=0)
    for bit in range(72):
        columns = rng.integers(-128, 128, (config.banks, config.lanes), np.int8)
        for bank, column in enumerate(columns):
            port.write_wrong(bank, 1, int.from_bytes(column.tobytes(), "little"), 0, 1 << (bit + bank) % 72)
        port.send(Command.MAC, bank_mask=(1 << config.banks) - 1, col=1)
        port.send(Command.RDMAC, bank_mask=(1 << config.banks) - 1)
        port.harness.step(config.device_latency_cycles - 1)
        assert port.harness.peek("result_valid") == 1
        got = port.harness.peek("result").to_bytes(4 * config.banks, "little")
        right = columns.astype(np.int32) @ vector.astype(np.int32)
        assert np.frombuffer(got, "<i4").tolist() == right.tolist()
