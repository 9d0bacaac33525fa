"""What goes into `simd.mac`'s lanes and from them to its aligner."""

from __future__ import annotations

from amaranth.hdl import signed
from amaranth.lib.wiring import In, Out

from hdl.simd.config import EngineConfig
from hdl.simd.modes import OPERAND_BITS

LANES = 4

WIDE_BIAS = 64
"""Added to the sum of two P(16,1) scales, so that it is a place: see `Aligner`."""


def has_odd_lanes(config: EngineConfig) -> bool:
    """Whether odd nibbles have lanes of their own; of gates, those of INT4 share the even ones'."""
    nibbles = {"fp4", "p4_1"} if config.technology == "asic" else {"fp4", "p4_1", "int4"}
    return bool(nibbles & set(config.decoders))


def odd_magnitude_bits(config: EngineConfig) -> int:
    """Product of two odd nibbles' significands without sign: of 0, 1 and 3; on FPGAs, in INT4, of 0..8."""
    if "int4" in config.decoders and config.technology == "fpga":
        return 7
    return 4


def product_members(config: EngineConfig, flow) -> dict:
    """Products and shifts of every lane, as inputs or outputs."""
    members = {}
    for k in range(LANES):
        members[f"product_{k}"] = flow(signed(config.product_bits))
        members[f"shift_{k}"] = flow(config.lane_shift_bits)
        members[f"odd_sign_{k}"] = flow(1)
        members[f"odd_magnitude_{k}"] = flow(odd_magnitude_bits(config))
        members[f"odd_shift_{k}"] = flow(5)
    return members


def lane_members(config: EngineConfig) -> dict:
    """Members of `Lanes`."""
    return {
        "a": In(OPERAND_BITS),
        "b": In(OPERAND_BITS),
        "select": In(len(config.decoders)),
        "wide_place": Out(7),
        "special": Out(3),
        **product_members(config, Out),
    }
