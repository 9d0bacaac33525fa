"""MacConfig: what it refuses, in which words, and what it derives."""

from __future__ import annotations

import re

import pytest

from hdl.common.config import ConfigError
from hdl.simd.config import SINGLE_MODES, MacConfig
from hdl.simd.modes import OUTPUT_FORMATS

MODES = "fp4, p4_1, p8_0, p16_1, int4, int8, e4m3, e5m2"
OUTPUTS = f"{MODES}, e2m3, e3m2, fp16, bf16, fp32, int32"
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
    assert config.model_dump(mode="json") == GOOD
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
    }[mode]


@pytest.mark.parametrize("mode", [mode for mode in SINGLE_MODES if mode != "p16_1"])
def test_mac_config_lane_holds_the_largest_product(mode):
    config = MacConfig(modes=(mode,), outputs=("fp32",))
    assert largest_product(mode) < 1 << (config.lane_bits - 1)
    lanes = 8 if mode in ("fp4", "p4_1", "int4") else 4
    assert lanes * largest_product(mode) <= 1 << (config.sum_bits - 1)
    assert config.sum_bits + config.place(mode) % config.segment_bits <= config.term_bits


@pytest.mark.parametrize(
    ("modes", "significand_bits", "lane_shift_bits", "lane_bits"),
    [
        (("fp4", "p4_1", "p8_0", "p16_1"), 7, 5, 26),
        (("int8",), 8, 5, 26),
        (("e4m3",), 7, 5, 39),
        (SINGLE_MODES, 8, 6, 67),
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
    assert config.latency_cycles == MacConfig(modes=SINGLE_MODES, outputs=OUTPUT_FORMATS, core_only=True).latency_cycles
    assert config.result_bits == max(sizes.get(name, 0) for name in outputs)
