"""pim.flash without gateware: config errors, the model against plain bytes, the rules against misuse."""

from __future__ import annotations

import re

import numpy as np
import pytest

from hdl.common.config import ConfigError
from hdl.pim.flash_config import FlashConfig, FlashOp
from sim.pim import flash_model, flash_vectors
from sim.pim.flash_model import Command
from sim.pim.flash_rules import ADDRESS, CODE, CONFIRM, DATA_IN, DATA_OUT, IDLE, FlashRules, IllegalUse

GOOD = {"dies": 2, "planes": 1, "blocks": 2, "block_pages": 2, "page_bytes": 16, "columns": 4,
        "read_cycles": 30, "program_cycles": 40, "erase_cycles": 50}  # fmt: skip
CONFIG = FlashConfig.parse(GOOD)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"planes": 5}, "params.planes must be a whole number in 1..4, not 5"),
        ({"page_bytes": 48}, "params: page_bytes must be a power of 2, not 48"),
        ({"block_pages": 3}, "params: block_pages must be a power of 2, not 3"),
        ({"columns": 32}, "params: columns must be a power of 2 up to page_bytes, not 32"),
        ({"read_cycles": 23}, "params: read_cycles must be at least page_bytes + 8 = 24, a byte a cycle, not 23"),
        ({"program_cycles": 20}, "params: program_cycles must be at least page_bytes + 8 = 24, a byte a cycle, not 20"),
        ({"pages": 20}, 'params.pages is not a field; did you mean "planes"?'),
    ],
)
def test_flash_config_refuses(changed, message):
    with pytest.raises(ConfigError, match=f"^{re.escape(message)}$"):
        FlashConfig.parse(GOOD | changed)


def test_flash_vectors_refuse_data_that_do_not_fit():
    words = np.array([flash_vectors.word_of(Command(FlashOp.READ_COMPUTE, 0, 0))], np.uint64)
    with pytest.raises(ValueError, match=r"^data must be 4 bytes, as the commands take, not 5$"):
        flash_vectors.check(CONFIG, {"command": words, "data": np.zeros(5, np.uint8)})
    with pytest.raises(ValueError, match=r"^command must be uint64 \(n,\), not int64 \(1,\)$"):
        flash_vectors.check(CONFIG, {"command": words.astype(np.int64), "data": np.zeros(4, np.uint8)})


def test_flash_model_programs_reads_and_erases():
    page, vector = np.arange(16, dtype=np.uint8), np.array([1, 255, 2, 128], np.uint8)
    commands = [
        Command(FlashOp.PROGRAM, 1, 2),
        Command(FlashOp.READ, 1, 2),
        Command(FlashOp.READ_SLICE, 1, 2, 5, 3),
        Command(FlashOp.READ_COMPUTE, 1, 2),
        Command(FlashOp.READ, 1, 3),
        Command(FlashOp.PROGRAM, 1, 2),  # a second time
        Command(FlashOp.PROGRAM, 0, 1),  # before page 0
        Command(FlashOp.ERASE, 1, 3),
        Command(FlashOp.READ, 1, 2),
        Command(FlashOp.PROGRAM, 1, 2),
    ]
    data = np.concatenate([page, vector, page, page, page])
    found = flash_model.run(CONFIG, commands, data)
    assert found.done.tolist() == [True] * 5 + [False] * 2 + [True] * 3
    sums = [sum(w * x for w, x in zip(range(r, r + 4), (1, -1, 2, -128), strict=True)) for r in range(0, 16, 4)]
    assert [packet.tolist() for packet in found.packets] == [
        list(range(16)), [5, 6, 7], list(np.array(sums, "<i4").tobytes()), [255] * 16, [255] * 16,
    ]  # fmt: skip


def bus(rules, *steps):
    for use, byte, busy in steps:
        rules.step(use, 0, byte, busy)


def command(op, page, data=()):
    address = list((page << 8).to_bytes(5, "little"))
    body = [(CODE, op, 0), *((ADDRESS, byte, 0) for byte in address), *((DATA_IN, byte, 0) for byte in data)]
    return [*body, (CONFIRM, op, 0)]


@pytest.mark.parametrize(
    ("steps", "message"),
    [
        ([(ADDRESS, 0, 0)], "cycle 1: plane 0 gets a byte without a code"),
        ([(CODE, 1, 0), (CODE, 1, 0)], "cycle 2: plane 0 gets a code within a command"),
        ([(CODE, 1, 1)], "cycle 1: plane 0 is busy, but the bus speaks to it"),
        ([(CODE, 1, 0), (CONFIRM, 1, 0)], "cycle 2: plane 0 gets 0 bytes of address, not 5"),
        (command(1, 4), "cycle 7: plane 0 has no page 4"),
        (command(4, 0, [1, 2]), "cycle 9: plane 0 gets 2 bytes of data for code 4"),
        (command(4, 1, [0] * 16), "cycle 23: plane 0 is to program page 1 twice or out of order"),
        ([*command(4, 0, [0] * 16), *[(IDLE, 0, 1)] * 40, *command(4, 0, [0] * 16)],
         "cycle 86: plane 0 is to program page 0 twice or out of order"),
        ([*command(1, 0), *[(IDLE, 0, 1)] * 20, (IDLE, 0, 0)], "cycle 28: plane 0 is ready 9 cycles before its time"),
        ([*command(1, 0), *[(IDLE, 0, 1)] * 5, (DATA_OUT, 0, 1)],
         "cycle 13: plane 0 has nothing in its cache register yet"),
        ([(7, 0, 0)], "cycle 1: plane 0 unknown use 7 of the bus"),
    ],
)  # fmt: skip
def test_flash_rules_tell_every_misuse(steps, message):
    with pytest.raises(IllegalUse, match=f"^{re.escape(message)}$"):
        bus(FlashRules(CONFIG), *steps)


def test_flash_rules_take_what_is_right():
    rules = FlashRules(CONFIG)
    bus(rules, *command(4, 0, range(16)), *[(IDLE, 0, 1)] * 40, *command(1, 0), *[(IDLE, 0, 1)] * 30, (DATA_OUT, 0, 0))
    assert rules.take(0, 2, 3) == bytes([2, 3, 4])


@pytest.mark.parametrize("op", [FlashOp.READ, FlashOp.READ_COMPUTE])
def test_flash_model_overlaps_array_and_bus(op):
    """A read of one plane takes tR and its command; what it gives travels meanwhile. Two planes take less."""

    def taken(planes):
        commands = [Command(op, plane, 0) for plane in planes]
        return flash_model.cycles(CONFIG, commands, np.ones(len(commands), np.bool_))

    one, two = taken([0] * 20), taken([0, 1] * 10)
    assert 20 * CONFIG.read_cycles < one < 20 * (CONFIG.read_cycles + 14) + 40
    assert two < one
