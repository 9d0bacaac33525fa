"""Configs of `attention.array`: widths with formats and linear layers, and what is refused in which words."""

import pytest

from flows.verilog import emit
from hdl.attention.array import Array
from hdl.attention.config import ArrayConfig
from hdl.attention.formats import FORMATS
from hdl.common.config import ConfigError

PARAMS = {"rows": 16, "lanes": 16, "dim": 64}

PACKED = "packed_rows needs p_bits of 8, no formats with blocks, and neither dual_issue nor sparse"


def widths(**params):
    config = ArrayConfig.parse(PARAMS | params)
    return config.streamed_bits, config.product_bits, config.score_bits, config.o_bits


def test_widths_hold_the_largest_numbers():
    assert widths() == (8, 16, 22, 36)
    assert widths(formats=["int4"]) == widths()
    assert widths(formats=["mxfp4"]) == (14, 22, 22, 42)
    assert widths(formats=["nvfp4"]) == (14, 22, 22, 42)
    assert widths(linear=True, subtiles=8) == (8, 16, 25, 36)
    assert 512 * 128 * 128 < 1 << 24  # inputs of a linear layer, extreme
    assert 64 * 128 * 12 * 15 < 1 << 21  # channels of a head, extreme numbers of nvfp4


@pytest.mark.deep
def test_heads_of_two_chunks_can_be_built_with_every_packed_format():
    params = {
        "rows": 2,
        "lanes": 4,
        "dim": 8,
        "subtiles": 2,
        "bus_bits": 32,
        "linear": True,
        "formats": ["int4", "int2"],
    }
    assert "module smallest" in emit(Array(ArrayConfig.parse(params)), "smallest")


def test_built_formats_are_in_the_order_of_their_codes():
    config = ArrayConfig.parse(PARAMS | {"formats": ["nvfp4", "int4"]})
    assert list(config.built_formats) == ["int8", "int4", "nvfp4"]
    assert [each.code for each in FORMATS.values()] == list(range(len(FORMATS)))


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"formats": ["int4", "int4"]}, "formats must differ from each other, not int4, int4"),
        ({"formats": ["int2"]}, "int2 is for linear layers only, and linear is false"),
        ({"formats": ["nvfp4"], "lanes": 32}, "lanes must divide the 16 elements of a block of nvfp4"),
        ({"formats": ["bfp12"], "dim": 32}, "dim must be at least 64, a block of bfp12, not 32"),
        (
            {"packed_rows": True, "p_bits": 9},
            PACKED,
        ),
        (
            {"packed_rows": True, "formats": ["mxint8"]},
            PACKED,
        ),
        ({"dual_issue": True}, "dual_issue needs int4 in formats"),
        ({"sparse": True}, "sparse is for linear layers, and linear is false"),
        (
            {"sparse": True, "linear": True, "dim": 32},
            "dim must be a multiple of 2 * lanes = 32, twice it or more, not 32",
        ),
        ({"dual_issue": True, "formats": ["int4", "mxint4"]}, "dual_issue and sparse need formats without blocks"),
        (
            {"sparse": True, "linear": True, "lanes": 32, "dim": 128, "bus_bits": 32},
            "bus_bits of at least 2 * lanes = 64",
        ),
        ({"formats": ["mxfp5"]}, "not 'mxfp5' (a string); did you mean \"mxfp6\"?"),
        ({"formats": ["int8"]}, "formats[0] must be one of int4, int2, mxint8, mxint4, mxfp4, nvfp4, mxfp6, bfp12"),
    ],
)
def test_wrong_formats_are_told(params, message):
    with pytest.raises(ConfigError) as error:
        ArrayConfig.parse(PARAMS | params)
    assert message in str(error.value)
