"""DotConfig: what it refuses, in which words, and what it derives."""

from __future__ import annotations

import re

import pytest

from hdl.common.config import ConfigError
from hdl.simd.config import DotConfig


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({}, "params.lanes is missing; it must be a whole number in 2..64"),
        ({"lanes": 1}, "params.lanes must be a whole number in 2..64, not 1"),
        ({"lanes": 65}, "params.lanes must be a whole number in 2..64, not 65"),
        ({"lanes": -4}, "params.lanes must be a whole number in 2..64, not -4"),
        ({"lanes": 4.0}, "params.lanes must be a whole number in 2..64, not 4.0"),
        ({"lanes": "4"}, "params.lanes must be a whole number in 2..64, not '4' (a string)"),
        ({"lanes": True}, "params.lanes must be a whole number in 2..64, not True (a boolean)"),
        ({"lanes": None}, "params.lanes must be a whole number in 2..64, not nothing"),
        ({"lanes": [4]}, "params.lanes must be a whole number in 2..64, not [4] (a list)"),
        (
            {"lanes": 4, "tree_levels_per_stage": 4},
            "params.tree_levels_per_stage must be one of 1, 2, 3, not 4",
        ),
        ({"lane": 4}, 'params.lane is not a field; did you mean "lanes"?'),
        ({"lanes": 4, "zzz": 1}, "params.zzz is not a field; known: lanes, tree_levels_per_stage"),
        ([4], "params must be a map of field: value, not [4] (a list)"),
        (None, "params must be a map of field: value, not nothing"),
    ],
)
def test_dot_config_refuses_in_one_line(params, message):
    with pytest.raises(ConfigError, match=f"^{re.escape(message)}$"):
        DotConfig.parse(params)


def test_dot_config_is_frozen():
    config = DotConfig.parse({"lanes": 4})
    with pytest.raises(ValueError, match="frozen"):
        config.lanes = 8


@pytest.mark.parametrize(
    ("lanes", "operand_bits", "tree_levels", "lane_sum_bits"),
    [
        (2, 16, 1, 17),
        (3, 24, 2, 18),
        (4, 32, 2, 18),
        (5, 40, 3, 19),
        (16, 128, 4, 20),
        (32, 256, 5, 21),
        (33, 264, 6, 22),
        (64, 512, 6, 22),
    ],
)
def test_dot_config_derives_widths(lanes, operand_bits, tree_levels, lane_sum_bits):
    config = DotConfig.parse({"lanes": lanes})
    assert config.operand_bits == operand_bits
    assert config.tree_levels == tree_levels
    assert config.lane_sum_bits == lane_sum_bits
    assert config.multipliers == lanes


@pytest.mark.parametrize("lanes", range(2, 65))
def test_dot_config_lane_sum_holds_the_extremes(lanes):
    limit = 1 << (DotConfig.parse({"lanes": lanes}).lane_sum_bits - 1)
    assert lanes * (-128) * (-128) < limit
    assert lanes * (-128) * 127 >= -limit


@pytest.mark.parametrize(
    ("lanes", "tree_levels_per_stage", "latency_cycles"),
    [
        (2, 1, 5),
        (2, 3, 5),
        (4, 1, 6),
        (4, 2, 5),
        (16, 1, 8),
        (16, 2, 6),
        (16, 3, 6),
        (32, 2, 7),
        (64, 1, 10),
        (64, 2, 7),
        (64, 3, 6),
    ],
)
def test_dot_config_states_its_latency(lanes, tree_levels_per_stage, latency_cycles):
    config = DotConfig.parse({"lanes": lanes, "tree_levels_per_stage": tree_levels_per_stage})
    assert config.latency_cycles == latency_cycles


def test_dot_config_registers_lie_where_the_page_says():
    registers = DotConfig.parse({"lanes": 24}).registers
    assert {register.name: register.offset_bytes for register in registers.registers} == {
        "identity": 0x00,
        "shape": 0x04,
        "status": 0x08,
        "irq_enable": 0x0C,
        "control": 0x10,
        "vectors": 0x14,
        "beats": 0x18,
        "cycles": 0x1C,
    }
    assert registers["identity"].reset.to_bytes(4, "little") == b"DOT8"
    assert registers["shape"].decode(registers["shape"].reset) == {"lanes": 24, "latency_cycles": 7}
    assert {field.name: field.mask for field in registers["status"].fields} == {
        "overflow": 0x001,
        "length_mismatch": 0x002,
        "busy": 0x100,
    }
