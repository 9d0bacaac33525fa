"""Fields to words and back."""

from random import Random

import pytest

from hdl.common.config import ConfigError
from hdl.common.words import check_fields, pack_fields, unpack_fields

WIDTHS = {"low": 3, "count": 8, "high": 5}


def test_a_word_has_its_first_field_in_the_lowest_bits():
    assert pack_fields(WIDTHS, {"low": 5, "count": 0x81, "high": 1}) == 5 | 0x81 << 3 | 1 << 11
    assert pack_fields(WIDTHS, {"low": 8, "count": 256, "high": 31}) == 31 << 11, "modulo their widths"


def test_words_come_back():
    random = Random(1)
    for _ in range(100):
        values = {name: random.getrandbits(bits) for name, bits in WIDTHS.items()}
        assert unpack_fields(WIDTHS, pack_fields(WIDTHS, values) | 1 << 16) == values


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"low": 8, "count": 1, "high": 0}, "low must be in 0..7, not 8"),
        ({"low": 0, "count": 0, "high": 0}, "count must be in 1..256, not 0"),
        ({"low": 0, "count": 257, "high": 0}, "count must be in 1..256, not 257"),
        ({"low": 0, "count": 256, "high": -1}, "high must be in 0..31, not -1"),
    ],
)
def test_what_does_not_fit_is_refused(values, message):
    with pytest.raises(ConfigError) as error:
        check_fields(WIDTHS, values, counts=("count",))
    assert str(error.value) == message
