"""MacConfig: what it refuses, in which words, and what it derives."""

from __future__ import annotations

import re

import pytest

from hdl.common.config import ConfigError
from hdl.simd.config import MacConfig, MatmulConfig
from hdl.simd.mac_align import lane_reach
from hdl.simd.modes import ALL_MODES, OUTPUT_FORMATS, SINGLE_MODES
from hdl.simd.modes import MODES as MODES_BY_NAME

SINGLE = "fp4, p4_1, p8_0, p16_1, int4, int8, e4m3, e5m2"
MODES = f"{SINGLE}, mxint8, mxfp8_e4m3, mxfp8_e5m2, mxfp6_e2m3, mxfp6_e3m2, mxfp4, nvfp4"
OUTPUTS = f"{SINGLE}, e2m3, e3m2, fp16, bf16, fp32, int32"
GOOD = {"modes": ["fp4"], "outputs": ["fp4"], "core_only": True}


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({}, f"params.modes is missing; it must be a list of one or more of {MODES}"),
        ({"modes": ["fp4"]}, f"params.outputs is missing; it must be a list of one or more of {OUTPUTS}"),
        (GOOD | {"modes": []}, f"params.modes must be a list of one or more of {MODES}, not [] (a list)"),
        (GOOD | {"modes": "fp4"}, f"params.modes must be a list of one or more of {MODES}, not 'fp4' (a string)"),
        (GOOD | {"modes": {"fp4"}}, f"params.modes must be a list of one or more of {MODES}, not {{'fp4'}}"),
        (GOOD | {"outputs": None}, f"params.outputs must be a list of one or more of {OUTPUTS}, not nothing"),
        (
            GOOD | {"modes": ["fp4", "p8_1"]},
            f"params.modes[1] must be one of {MODES}, not 'p8_1' (a string); did you mean \"p8_0\"?",
        ),
        (GOOD | {"modes": [3]}, f"params.modes[0] must be one of {MODES}, not 3"),
        (GOOD | {"modes": [["fp4"]]}, f"params.modes[0] must be one of {MODES}, not ['fp4'] (a list)"),
        (GOOD | {"outputs": ["int16"]}, f"params.outputs[0] must be one of {OUTPUTS}, not 'int16' (a string); "
         'did you mean "int8"?'),
        (GOOD | {"modes": ["int8", "fp4", "int8"]}, "params: modes must name every format once, not int8 twice"),
        (GOOD | {"outputs": ["fp4", "fp4"]}, "params: outputs must name every format once, not fp4 twice"),
        (GOOD | {"core_only": 1}, "params.core_only must be true or false, not 1"),
        (GOOD | {"mode": ["fp4"]}, 'params.mode is not a field; did you mean "modes"?'),
    ],
)  # fmt: skip
def test_mac_config_refuses_in_one_line(params, message):
    with pytest.raises(ConfigError, match=f"^{re.escape(message)}$"):
        MacConfig.parse(params)


def test_mac_config_takes_lists_and_gives_them_back():
    config = MacConfig.parse(GOOD)
    assert (config.modes, config.outputs, config.core_only) == (("fp4",), ("fp4",), True)
    assert config.model_dump(mode="json") == GOOD | {"technology": "asic"}
    assert MacConfig.parse(config.model_dump()) == config
    with pytest.raises(ValueError, match="frozen"):
        config.core_only = True


def test_mac_config_of_a_bare_core_has_no_registers():
    core = MacConfig.parse(GOOD)
    assert (core.register_source, core.registers) == (None, None)


def test_mac_config_of_a_whole_block_has_registers_that_say_what_is_built():
    whole = MacConfig.parse({"modes": ["p8_0", "fp4"], "outputs": ["fp32"]})
    assert not whole.core_only
    formats = whole.registers["formats"].decode(whole.registers["formats"].reset)
    assert formats == {"modes": 0b101, "outputs": 1 << OUTPUT_FORMATS.index("fp32")}
    latency = whole.registers["latency"].reset
    assert (
        latency == whole.latency_cycles == MacConfig.parse({**whole.model_dump(), "core_only": True}).latency_cycles + 2
    )


def largest_product(mode):
    """The largest magnitude of a product, in units of the mode's smallest one, by the formats' definitions."""
    return {
        "fp4": 144,  # (6 / 0.5)**2
        "p4_1": 1 << 16,
        "p8_0": 1 << 24,
        "int4": 64,
        "int8": 1 << 14,
        "e4m3": (448 << 9) ** 2,
        "e5m2": (57344 << 16) ** 2,
        "mxint8": 1 << 14,
        "mxfp8_e4m3": (448 << 9) ** 2,
        "mxfp8_e5m2": (57344 << 16) ** 2,
        "mxfp6_e2m3": 60**2,  # (7.5 / 0.125)**2
        "mxfp6_e3m2": 448**2,  # (28 / 0.0625)**2
        "mxfp4": 144,
        "nvfp4": 144,
    }[mode]


@pytest.mark.parametrize("mode", [mode for mode in ALL_MODES if mode != "p16_1"])
def test_mac_config_lane_holds_the_largest_product(mode):
    config = MacConfig(modes=(mode,), outputs=("fp32",))
    assert largest_product(mode) < 1 << (config.lane_bits - 1)
    lanes = 8 if mode in ("fp4", "p4_1", "int4", "mxfp4", "nvfp4") else 4
    assert lanes * largest_product(mode) <= 1 << (config.sum_bits - 1)
    assert config.sum_bits + config.place(mode) % config.segment_bits <= config.term_bits
    widths = lane_reach(config)
    assert widths == sorted(widths)
    up = MODES_BY_NAME[mode].product_exponent - config.lane_exponent(mode)
    assert up == (4 if mode == "int4" else 0)
    assert largest_product(mode) << up < 1 << (widths[-1] - 1)


@pytest.mark.parametrize(
    ("modes", "significand_bits", "lane_shift_bits", "lane_bits"),
    [
        (("fp4", "p4_1", "p8_0", "p16_1"), 7, 5, 26),
        (("int8",), 8, 5, 26),
        (("e4m3",), 7, 5, 37),
        (SINGLE_MODES, 8, 6, 65),
        (("mxfp6_e2m3", "mxfp6_e3m2", "mxfp4", "nvfp4"), 7, 5, 26),
        (("mxint8",), 8, 5, 26),
        (("mxfp8_e4m3",), 7, 5, 37),
        (("mxfp8_e5m2",), 7, 6, 65),
    ],
)
def test_mac_config_derives_widths(modes, significand_bits, lane_shift_bits, lane_bits):
    config = MacConfig(modes=modes, outputs=("fp4",))
    assert (config.significand_bits, config.lane_shift_bits, config.lane_bits) == (
        significand_bits,
        lane_shift_bits,
        lane_bits,
    )
    assert config.multipliers == 0


@pytest.mark.parametrize("outputs", [("fp4",), ("p16_1", "int8"), ("fp4", "fp32"), OUTPUT_FORMATS])
def test_mac_config_latency_is_the_same_for_every_config(outputs):
    sizes = {"fp4": 4, "p16_1": 16, "int8": 8, "fp32": 32}
    config = MacConfig(modes=("fp4",), outputs=outputs, core_only=True)
    single = tuple(mode for mode in SINGLE_MODES if mode not in ("e4m3", "e5m2"))
    assert config.latency_cycles == MacConfig(modes=single, outputs=OUTPUT_FORMATS, core_only=True).latency_cycles
    floats = MacConfig(modes=SINGLE_MODES, outputs=outputs, core_only=True)
    assert floats.latency_cycles == config.latency_cycles - 2
    assert config.result_bits == max(sizes.get(name, 0) for name in outputs)


@pytest.mark.parametrize("mode", [mode for mode in ALL_MODES if mode not in SINGLE_MODES])
def test_mac_config_places_a_blocks_sum_where_the_fp32_sum_leaves_room(mode):
    """The smallest product is at least 2**32 accumulator units; the largest sum is below a quarter of 2**104."""
    config = MacConfig(modes=(mode,), outputs=("fp32",))
    assert config.place(mode) == 32
    significands = 15 * 15 if mode == "nvfp4" else 1
    length = MODES_BY_NAME[mode].block.block_length
    assert length * significands * largest_product(mode) << config.place(mode) < 1 << 102


def test_mac_config_of_blocks_rounds_to_fp32_too():
    config = MacConfig(modes=("int4", "mxfp4"), outputs=("int4",))
    assert (config.block_modes, config.encodings, config.result_bits) == (("mxfp4",), ("int4", "fp32"), 32)
    assert (config.output_bits, config.mode_bits) == (4, 4)
    assert MacConfig(modes=("int4", "mxfp4"), outputs=("fp32", "int4")).encodings == ("fp32", "int4")
    assert MacConfig(modes=("int4",), outputs=("int4",)).encodings == ("int4",)


def test_mac_config_modes_with_the_same_codes_share_a_decoder():
    assert MacConfig(modes=("mxint8", "mxfp8_e5m2", "int8", "nvfp4", "mxfp4"), outputs=("fp32",)).decoders == (
        "int8",
        "e5m2",
        "fp4",
    )


def test_mac_config_cycles_of_blocks():
    config = MacConfig(modes=("mxfp4", "int4"), outputs=("fp32",), core_only=True)
    assert (config.latency_cycles, config.latency_in("mxfp4"), config.latency_in("int4")) == (43, 43, 22)
    assert config.block_cycles == 23
    assert [config.beat_cycles(mode) for mode in ("int4", "mxfp4", "nvfp4")] == [1, 1, 16]


def test_matmul_config_has_no_block_formats():
    shape = {"rows": 2, "columns": 2, "outputs": ["fp32"]}
    with pytest.raises(ConfigError, match=r"^params.modes\[0\] must be one of " + SINGLE + ", not 'mxfp4'"):
        MatmulConfig.parse(shape | {"modes": ["mxfp4"]})
