"""Which parts of `simd.mac` stand still in which modes: one table, for the tests that hold the gateware to it, for the
figures of switching activity, and for power domains.

Operands are ANDed with a part's modes before they enter it: nothing inside toggles in any other mode. What leaves the
part is zeros then, so that it can be switched off.
"""

from __future__ import annotations

from dataclasses import dataclass
from fnmatch import fnmatchcase

from hdl.common.power import PowerDomain, PowerPlan
from hdl.simd.config import MacConfig
from hdl.simd.modes import ALL_MODES, MODES, decoder_of

BLOCK_MODES = tuple(name for name, mode in MODES.items() if mode.block)


def _decoded_by(*decoders: str) -> tuple[str, ...]:
    """The modes whose operands go through one of these decoders."""
    return tuple(name for name in MODES if decoder_of(name) in decoders)


@dataclass(frozen=True)
class Part:
    """Instances of the core that work together.

    Attributes
    ----------
    name, title : an identifier; in tables
    instances : patterns, as of `fnmatch`, of their paths below the core; "" is the core itself. An instance inside
        another one belongs to a part by its own path
    modes : in which it works while the beats of a dot product come in; in all others none of its nets toggles then
    switched : in all others it is not needed later either, from reset to result, and its power can be switched off
    """

    name: str
    title: str
    instances: tuple[str, ...]
    modes: tuple[str, ...]
    switched: bool = False


NIBBLES = _decoded_by("fp4", "p4_1")
FLOATS = _decoded_by("e2m3", "e3m2", "e4m3", "e5m2")

PARTS = (
    Part("decode_p16_1", "decoders of P(16,1)", ("lanes/half_?",), _decoded_by("p16_1"), switched=True),
    Part("decode_p8_0", "decoders of P(8,0)", ("lanes/p8_0_??",), _decoded_by("p8_0"), switched=True),
    Part("decode_floats", "decoders of FP8 and FP6", ("lanes/float_??",), FLOATS, switched=True),
    Part("decode_nibbles", "decoders of nibbles", ("lanes/nibble_??",), NIBBLES, switched=True),
    Part("multiply_odd", "multipliers of odd nibbles", ("lanes/odd_?",), NIBBLES, switched=True),
    Part("multiply", "four multiplier blocks", ("lanes/block_?",), ALL_MODES),
    Part("operands", "operand gates", ("lanes",), ALL_MODES),
    Part("align", "aligner", ("aligner",), ALL_MODES),
    Part("low", "accumulator, low segments", ("accumulator",), ALL_MODES),
    Part("high", "accumulator, high segments", ("accumulator/high",), ("p16_1", "e5m2", *BLOCK_MODES)),
    Part("scales", "scales of blocks", ("scales",), BLOCK_MODES, switched=True),
    Part("sum", "fp32 sum of blocks", ("block_sum",), BLOCK_MODES, switched=True),
    Part("drain", "drain", ("drain",), BLOCK_MODES),
    Part("control", "control", ("", "sequence*"), ALL_MODES),
)
"""Every instance below the core is in one of them. High segments and drain work in every mode when the last beat is in;
so they stand still, but cannot be switched off."""


def part_of(instance: str) -> Part:
    """The part that an instance, by its path below the core, is in.

    Raises
    ------
    LookupError
        If there is none.
    """
    for part in PARTS:
        if any(fnmatchcase(instance, pattern) for pattern in part.instances):
            return part
    raise LookupError(f"no part of simd.mac has the instance {instance}")


def core_path(config: MacConfig) -> str:
    """Path of the core below the top module of a design."""
    return "core" if config.core_only else "core/core"


def power_plan(config: MacConfig) -> PowerPlan:
    """What of a design can be switched off in some of its modes. On FPGAs that is nothing."""
    domains = []
    for part in PARTS if config.technology == "asic" else ():
        modes = tuple(mode for mode in config.modes if mode in part.modes)
        if part.switched and modes and modes != config.modes:
            instances = tuple(f"{core_path(config)}/{pattern}" for pattern in part.instances)
            domains.append(PowerDomain(part.name, instances, modes))
    return PowerPlan(config.modes, tuple(domains))
