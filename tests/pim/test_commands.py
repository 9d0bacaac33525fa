"""Instructions as words of 64 bits, and traces as instructions."""

from random import Random

import pytest

from hdl.common.config import ConfigError
from hdl.pim.commands import INSTRUCTION_BITS, Instruction, Op, decode_program, encode_program
from sim.pim.trace import TraceError, read_trace


def test_fields_lie_where_the_page_says():
    assert INSTRUCTION_BITS == 64
    one = Instruction(Op.MAC_ABK, bank_mask=0x8001, row=0x2001, col=33, count=256, flags=0b1010, ch_mask=0x81)
    # op6 | ch_mask8 | bank_mask16 | row14 | col6 | count8 | flags6
    bits = "000100" + "10000001" + "1000000000000001" + "10000000000001" + "100001" + "00000000" + "001010"
    assert one.encode() == int(bits, 2)
    assert (one.acc, one.gb, one.buf, one.last) == (0, 1, 0, 1)


def test_every_word_is_an_instruction_and_comes_back():
    random = Random(1)
    words = [random.getrandbits(64) for _ in range(200)] + [0, (1 << 64) - 1]
    assert encode_program(decode_program(words)).tolist() == words


def test_a_field_beyond_its_width_is_refused():
    with pytest.raises(ConfigError) as error:
        Instruction(Op.RD, row=1 << 14)
    assert str(error.value) == "row must be in 0..16383, not 16384"
    with pytest.raises(ConfigError) as error:
        Instruction(Op.RD, count=0)
    assert str(error.value) == "count must be in 1..256, not 0"


def test_a_trace_is_a_program():
    text = ["# GEMV", "AiM WR_GB 64 0 0xff", "", "AiM WR_BIAS 0 255  # bias", "AiM MAC_ABK 0x20 0xff 7"]
    found = read_trace([*text, "AiM RD_MAC 0 0xff", "AiM ISR_EOC"])
    ops = [(one.op, one.count, one.row) for one in found]
    assert ops == [(Op.WR_GB, 64, 0), (Op.WR_BIAS, 1, 0), (Op.MAC_ABK, 32, 7), (Op.RD_MAC, 1, 0), (Op.EOC, 1, 0)]


def test_a_trace_may_be_written_oddly():
    """Tabs, leading zeros, hexadecimal in capitals, no space before a comment, channels that only overlap."""
    plain = ["AiM WR_GB 64 0 0xff", "AiM MAC_ABK 10 0xff 7", "AiM ISR_EOC"]
    odd = ["\tAiM  WR_GB 0X40\t000 0xFF#all", "#", "", "AiM MAC_ABK +010 0x1 0x07 # row 7", " AiM ISR_EOC \r"]
    assert read_trace(odd) == read_trace(plain)


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ([], "there is no instruction in it; the last must be AiM ISR_EOC"),
        (["# nothing", " \t"], "there is no instruction in it; the last must be AiM ISR_EOC"),
        (["", "AiM RD_MAC 0 1", ""], "line 2: the last instruction must be AiM ISR_EOC; is the file cut off?"),
        (["W CFR 0 1"], "line 1: must begin with AiM, not 'W'"),
        (["aim RD_MAC 0 1"], "line 1: must begin with AiM, not 'aim'; did you mean \"AiM\"?"),
        (["AiM"], "line 1: '' is no operation; known: WR_GB, WR_BIAS, MAC_ABK, RD_MAC, ISR_EOC"),
        (["AiM rd_mac 0 1"], "line 1: 'rd_mac' is no operation; did you mean \"RD_MAC\"?"),
        (["", "AiM MAC_AKB 1 1 1"], "line 2: 'MAC_AKB' is no operation; did you mean \"MAC_ABK\"?"),
        (["AiM RD_MAC 0"], "line 1: 2 numbers (register, channels) must follow RD_MAC, not '0'"),
        (["AiM WR_BIAS"], "line 1: 2 numbers (register, channels) must follow WR_BIAS, not nothing"),
        (["AiM ISR_EOC 1"], "line 1: nothing must follow ISR_EOC, not '1'"),
        (["AiM ISR_EOC", "AiM ISR_EOC"], "line 2: nothing may follow ISR_EOC, not 'AiM ISR_EOC'"),
        (["AiM MAC_ABK 65 1 1"], "line 1: count must be in 1..64, not 65"),
        (["AiM MAC_ABK 0 1 1"], "line 1: count must be in 1..64, not 0"),
        (["AiM MAC_ABK 1 0 1"], "line 1: channels must be in 1..4294967295, not 0"),
        (["AiM MAC_ABK 1 1 -1"], "line 1: row must be in 0..16383, not -1"),
        (["AiM MAC_ABK 1 1 0x4000"], "line 1: row must be in 0..16383, not 0x4000"),
        ([f"AiM MAC_ABK 1 1 {'7' * 5000}"], f"line 1: row must be in 0..16383, not {'7' * 60}…"),
        *(
            ([f"AiM MAC_ABK {word} 1 1"], f"line 1: count must be a number in 1..64, decimal or 0x, not {word!r}")
            for word in ("x", "1.5", "1_0", "0b1", "0x", "٣", "\x1b")
        ),
        (
            ["AiM RD_MAC 0 6", "AiM RD_MAC 0 3", "AiM RD_MAC 0 5"],
            "line 3: channels must be some that the lines before name too, of 0x2, not 0x5; one channel stands for all",
        ),
    ],
)
def test_lines_that_mean_nothing_are_refused(lines, message):
    with pytest.raises(TraceError) as error:
        read_trace(lines)
    assert str(error.value) == message
