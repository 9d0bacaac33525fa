"""Timing profiles: times of a memory with multipliers, from YAML to whole cycles, and what they forbid as rules.

A profile is a map. A time stands under its name with a unit: `tRP_cycles: 32` or `tRP_ns: 12`; times in ns are rounded
up to whole cycles of `tCK_ns`. `base: aim` takes what is not given from another profile. No gateware here: gateware,
models and compilers read the same rules.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from math import ceil
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import Field

from hdl.common.config import Config, ConfigError, describe_value, did_you_mean
from hdl.common.plain_data import map_of, number_of
from hdl.pim.commands import Command

PROFILES = {path.stem: path for path in sorted(Path(__file__).with_name("profiles").glob("*.yml"))}

MOST_CYCLES = (1 << 16) - 1
MOST_TREFI_CYCLES = (1 << 20) - 1

POSTPONED_REFRESHES = 8
"""As many refreshes may be owed, or done ahead; the next is forced (JESD79-4, JESD209-4)."""


def _time(least: int = 1, most: int = MOST_CYCLES) -> Any:
    return Field(ge=least, le=most)


class TimingProfile(Config):
    """Times in whole cycles. Names are JEDEC's; `MAC` is a bank's multipliers, `REG` its accumulators, `GB` the global
    buffer."""

    source: str
    """Where the values come from."""
    tCK_ns: float = Field(gt=0, le=1000)
    """Clock period."""
    tRCDMAC_cycles: int = _time()
    """ACT to the first MAC."""
    tRCDRD_cycles: int = _time()
    """ACT to the first RD."""
    tRCDWR_cycles: int = _time()
    """ACT to the first WR."""
    tRP_cycles: int = _time()
    """PRE to ACT."""
    tRAS_cycles: int = _time()
    """ACT to PRE."""
    tRC_cycles: int = _time()
    """ACT to ACT of a bank."""
    tRTP_cycles: int = _time()
    """RD or MAC to PRE."""
    tWR_cycles: int = _time()
    """End of a WR's data to PRE."""
    tCCD_cycles: int = _time()
    """Column command to column command."""
    tBL_cycles: int = _time()
    """A column on the bus."""
    tCL_cycles: int = _time(0)
    """RD to its data."""
    tCWL_cycles: int = _time(0)
    """WR to its data."""
    tCLREG_cycles: int = _time(0)
    """RDMAC to its data."""
    tCWLREG_cycles: int = _time(0)
    """WRMAC to its data."""
    tCWLGB_cycles: int = _time(0)
    """WRGB to its data."""
    tWTR_cycles: int = _time(0)
    """End of a WR's or WRMAC's data to RD, RDMAC or MAC."""
    tWTRS_cycles: int = _time(0)
    """End of a WRGB's data to RD or RDMAC."""
    tWPRE_cycles: int = _time(0)
    """Preamble of written data."""
    tRRD_cycles: int = _time()
    """ACT to ACT, any banks."""
    tFAW_cycles: int | None = Field(default=None, ge=1, le=MOST_CYCLES)
    """In which at most four banks are activated; may be missing for `act_group: 16` alone."""
    tRFC_cycles: int = _time()
    """REF to ACT."""
    tREFI_cycles: int = _time(1, MOST_TREFI_CYCLES)
    """From refresh to refresh, on average."""
    mode_switch_cycles: int = _time(0)
    """TMOD to anything; 0: there are no modes."""
    act_group: Literal[1, 2, 4, 16]
    """Banks that one ACTG opens, unless a config says otherwise; 16: all at once (`single_shot`), free of tFAW."""
    refresh: bool = True
    """Whether to refresh, unless a config says otherwise."""

    @property
    def clock_hz(self) -> float:
        """Frequency of the cycles."""
        return 1e9 / self.tCK_ns

    @property
    def single_shot(self) -> bool:
        """Whether one ACTG opens all banks."""
        return self.act_group == 16


TIMES = [name for name in TimingProfile.model_fields if name.endswith("_cycles")]

EXACT_TIME = re.compile(r"(.+)_(ns|cycles)")


def load_profile(profile: str | dict[str, Any]) -> TimingProfile:
    """The profile of that name, in the YAML file of that path, or in that document.

    Raises
    ------
    ConfigError
        Naming the field, its range and its value: missing, unknown, out of range, contradictory.
    """
    return _named(profile) if isinstance(profile, str) else _parse(profile, "profile")


def profile_document(profile: str | dict[str, Any]) -> dict[str, Any]:
    """A profile as the map that it is written as.

    Raises
    ------
    ConfigError
        If there is no such profile, or its file cannot be read.
    """
    if not isinstance(profile, str):
        return map_of(profile, "profile")
    path = PROFILES.get(profile, Path(profile))
    if profile not in PROFILES and path.suffix not in (".yml", ".yaml"):
        raise ConfigError(f"{profile[:80]} is no profile{did_you_mean(profile[:80], [*PROFILES])}; nor a .yml file")
    try:
        return map_of(yaml.safe_load(path.read_text()), f"profile {profile}")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"profile {profile}: {getattr(error, 'strerror', None) or 'no text'}") from None
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise ConfigError(f"profile {profile}: {' '.join(str(error).split())}") from None


@cache
def _shipped(name: str) -> TimingProfile:
    return _parse(profile_document(name), f"profile {name}")


def _named(name: str) -> TimingProfile:
    return _shipped(name) if name in PROFILES else _parse(profile_document(name), f"profile {name}")


def _parse(document: dict[str, Any], at: str) -> TimingProfile:
    exact, plain = _exact_times(_with_base(document, at), at)
    found = TimingProfile.parse(plain | {name: ceil(value) for name, value in exact.items()}, at=at)
    _check(found, exact, at)
    return found


def _with_base(document: dict[str, Any], at: str) -> dict[str, Any]:
    """Without `base`, whose values stand in for those not given, in whatever unit."""
    if "base" not in document:
        return document
    own = {key: value for key, value in document.items() if key != "base"}
    base = document["base"]
    if not isinstance(base, str) or base not in PROFILES:
        raise ConfigError(f"{at}.base must be one of {', '.join(PROFILES)}, not {describe_value(base)}")
    given = {_quantity(key) for key in own}
    # A base in cycles keeps its times where the clock is another.
    return {key: value for key, value in profile_document(base).items() if _quantity(key) not in given} | own


def _quantity(key: Any) -> str:
    found = EXACT_TIME.fullmatch(str(key))
    return found[1] if found else str(key)


def _exact_times(document: dict[str, Any], at: str) -> tuple[dict[str, Fraction], dict[str, Any]]:
    """Times as exact numbers of cycles, and the other fields."""
    known = [name for name in TimingProfile.model_fields if name not in TIMES]
    for name in TIMES:
        known += [name, name.replace("_cycles", "_ns")]
    clock = document.get("tCK_ns")
    exact: dict[str, Fraction] = {}
    plain: dict[str, Any] = {}
    for key, value in document.items():
        if key not in known:
            raise ConfigError(f"{at}.{key} is not a field{did_you_mean(str(key), known)}")
        name = f"{_quantity(key)}_cycles"
        if name not in TIMES:
            plain[key] = float(value) if key == "tCK_ns" and isinstance(value, int) else value
            continue
        if name in exact:
            raise ConfigError(f"{at}.{key}: {_quantity(key)} is given in ns and in cycles")
        if key.endswith("_cycles") and not (isinstance(value, int) and not isinstance(value, bool)):
            raise ConfigError(f"{at}.{key} must be a whole number of cycles, not {describe_value(value)}")
        if not abs(number_of(value, f"{at}.{key}")) <= 1e9:
            raise ConfigError(f"{at}.{key} must be in 0..1000000000, not {describe_value(value)}")
        if key.endswith("_ns"):
            if isinstance(clock, bool) or not isinstance(clock, int | float) or not 0 < clock <= 1000:
                raise ConfigError(f"{at}.tCK_ns must be a number above 0 and at most 1000, not {describe_value(clock)}")
            exact[name] = Fraction(str(value)) / Fraction(str(clock))
        else:
            exact[name] = Fraction(value)
    return exact, plain


def _check(found: TimingProfile, exact: dict[str, Fraction], at: str) -> None:
    """Refuses what no memory can mean. Compared before rounding, so that three times rounded up do not contradict."""

    def at_least(name: str, least: Fraction, why: str) -> None:
        value = exact[f"{name}_cycles"]
        if value < least:
            raise ConfigError(f"{at}.{name} must be at least {why}, {float(least):g} cycles, not {float(value):g}")

    at_least("tRC", exact["tRAS_cycles"] + exact["tRP_cycles"], "tRAS + tRP")
    at_least("tWTR", exact["tWTRS_cycles"], "tWTRS")
    at_least("tRFC", exact["tRP_cycles"], "tRP")
    if found.tFAW_cycles is not None:
        at_least("tFAW", exact["tRRD_cycles"], "tRRD")
    elif not found.single_shot:
        raise ConfigError(f"{at}.tFAW is missing; it may be for act_group 16 only, not for {found.act_group}")
    worst = Fraction(_forced_refresh_cycles(found))
    at_least("tREFI", worst, "what a forced refresh can take")


def _forced_refresh_cycles(found: TimingProfile) -> int:
    """From the deadline to the end of the refresh, at most: what was issued just before, PREA of two buffers, REF."""
    write = found.tCWL_cycles + found.tBL_cycles + found.tWR_cycles
    before = max(found.tRAS_cycles, found.tRTP_cycles, write, found.tRC_cycles - found.tRP_cycles)
    registers = 2 * max(found.mode_switch_cycles, found.tCLREG_cycles + found.tBL_cycles + 1)
    return registers + before + 1 + found.tRP_cycles + found.tRFC_cycles


Level = Literal["channel", "buffer", "bank"]


@dataclass(frozen=True)
class Rule:
    """`next` is issued `cycles` after `previous` at the earliest.

    `level`: `channel`, whatever they touch; `buffer`, if they touch the same row buffer of any banks; `bank`, if they
    touch the same row buffer of the same bank. RD, WR, MACB, ACT and PRE touch buffer 0 of a bank, MAC, ACTG and PREA
    one buffer, REF all. Rules of level `buffer` whose `next` is ACTG bind the first group of an activation; the others
    follow it by rules of level `channel` and tFAW.
    """

    level: Level
    previous: Command
    next: Command
    cycles: int
    name: str


READS = (Command.RD, Command.RDMAC)
WRITES = (Command.WR, Command.WRGB, Command.WRMAC)
MACS = (Command.MACB, Command.MAC)


def compile_rules(
    profile: TimingProfile, *, overlap: bool = False, result_beats: int = 1, bias_beats: int = 1
) -> tuple[Rule, ...]:
    """All rules of a profile but tFAW, each pair of commands at most once a level; those of one cycle, which hold
    anyway, are left out.

    Parameters
    ----------
    overlap : whether register commands may go beside MACs; then RDMAC makes nobody wait for its answer
    result_beats, bias_beats : columns that an RDMAC's answer and a WRMAC's word are as wide as, which the bus carries
        one a cycle
    """
    p = profile
    found: dict[tuple[Level, Command, Command], tuple[int, str]] = {}

    def rule(level: Level, previous: Iterable[Command], after: Iterable[Command], cycles: int, name: str) -> None:
        for one in previous:
            for other in after:
                key = level, one, other
                if cycles > max(1, found.get(key, (0, ""))[0]):
                    found[key] = cycles, name

    C = Command
    burst = max(p.tBL_cycles, p.tCCD_cycles)
    write_latency = {C.WR: p.tCWL_cycles, C.WRGB: p.tCWLGB_cycles, C.WRMAC: p.tCWLREG_cycles}
    written = {one: latency + p.tBL_cycles for one, latency in write_latency.items()}

    rule("channel", READS, READS, burst, "tBL")
    rule("channel", [C.RDMAC], READS, result_beats, "result beats")
    rule("channel", WRITES, WRITES, burst, "tBL")
    rule("channel", WRITES, [C.WRMAC], bias_beats, "bias beats")
    for one in (*READS, *MACS):
        for other in (*READS, *MACS):
            if not (overlap and C.RDMAC in (one, other) and {one, other} & set(MACS)):
                rule("channel", [one], [other], p.tCCD_cycles, "tCCD")
    for other, latency in write_latency.items():
        turn = p.tBL_cycles + 3 - latency + p.tWPRE_cycles
        rule("channel", [C.RD], [other], p.tCL_cycles + turn, "tRTW")
        rule("channel", [C.RDMAC], [other], p.tCLREG_cycles + turn, "tRTW")
    rule("channel", [C.WR], [*READS, *MACS], written[C.WR] + p.tWTR_cycles, "tWTR")
    rule("channel", [C.WRMAC], READS, written[C.WRMAC] + p.tWTR_cycles, "tWTR")
    rule("channel", [C.WRGB], READS, written[C.WRGB] + p.tWTRS_cycles, "tWTRS")

    rule("bank", [C.RD, C.MACB], [C.PRE], p.tRTP_cycles, "tRTP")
    rule("bank", [C.WR], [C.PRE], written[C.WR] + p.tWR_cycles, "tWR")
    rule("bank", [C.ACT], [C.PRE], p.tRAS_cycles, "tRAS")
    rule("buffer", [C.RD, C.MACB, C.MAC], [C.PREA], p.tRTP_cycles, "tRTP")
    rule("buffer", [C.MAC], [C.PRE], p.tRTP_cycles, "tRTP")
    rule("buffer", [C.WR], [C.PREA], written[C.WR] + p.tWR_cycles, "tWR")
    rule("buffer", [C.ACT, C.ACTG], [C.PREA], p.tRAS_cycles, "tRAS")
    rule("buffer", [C.ACTG], [C.PRE], p.tRAS_cycles, "tRAS")

    rule("bank", [C.PRE], [C.ACT], p.tRP_cycles, "tRP")
    rule("buffer", [C.PRE], [C.ACTG, C.REF, C.PREA], p.tRP_cycles, "tRP")
    rule("buffer", [C.PREA], [C.ACT, C.ACTG, C.REF, C.PRE, C.PREA], p.tRP_cycles, "tRP")

    rule("channel", [C.ACT, C.ACTG], [C.ACT, C.ACTG], p.tRRD_cycles, "tRRD")
    rule("bank", [C.ACT], [C.ACT], p.tRC_cycles, "tRC")
    rule("buffer", [C.ACT], [C.ACTG, C.REF], p.tRC_cycles, "tRC")
    rule("buffer", [C.ACTG], [C.ACT, C.ACTG, C.REF], p.tRC_cycles, "tRC")
    for level, previous in (("bank", C.ACT), ("buffer", C.ACTG)):
        for other, cycles in ((C.RD, p.tRCDRD_cycles), (C.WR, p.tRCDWR_cycles), (C.MACB, p.tRCDMAC_cycles)):
            rule(level, [previous], [other], cycles, "tRCD")  # type: ignore[arg-type]
    rule("buffer", [C.ACTG], [C.MAC], p.tRCDMAC_cycles, "tRCD")
    rule("channel", [C.REF], [C.ACT, C.ACTG, C.REF], p.tRFC_cycles, "tRFC")

    everything = [one for one in Command if one != C.NOP]
    rule("channel", [C.TMOD], everything, p.mode_switch_cycles, "mode switch")
    if not overlap:
        rule("channel", [C.RDMAC], everything, p.tCLREG_cycles + p.tBL_cycles + 1, "answer")
    return tuple(Rule(*key, *value) for key, value in found.items())
