"""Profiles: what is compiled from them, and what is refused, by whole messages."""

import pytest
import yaml

from hdl.common.config import ConfigError
from hdl.pim.channel_config import ChannelConfig
from hdl.pim.commands import Command
from hdl.pim.timing import PROFILES, load_profile

AIM = yaml.safe_load(PROFILES["aim"].read_text())


def rule_of(config, level, previous, after):
    found = [r.cycles for r in config.rules if (r.level, r.previous.name, r.next.name) == (level, previous, after)]
    assert len(found) <= 1
    return found[0] if found else None


def test_times_in_ns_are_rounded_up():
    times = {name: load_profile(name) for name in PROFILES}
    assert set(times) == {"aim", "pimgpt", "ddr4", "lpddr4"}
    # By hand: 455 / 0.5, 6825 / 0.5; 46.16, 7.5, 4.9 ns of 1200 MHz; 63, 7.5 and 3904 ns of 1600 MHz.
    assert (times["aim"].tRFC_cycles, times["aim"].tREFI_cycles) == (910, 13650)
    assert (times["ddr4"].tRC_cycles, times["ddr4"].tRTP_cycles, times["ddr4"].tRRD_cycles) == (56, 9, 6)
    assert (times["lpddr4"].tRC_cycles, times["lpddr4"].tRTP_cycles, times["lpddr4"].tREFI_cycles) == (101, 12, 6247)
    assert times["aim"].clock_hz == 2e9


@pytest.mark.parametrize(
    ("level", "previous", "after", "cycles"),
    [
        ("channel", "RD", "WRGB", 50 + 2 + 3 - 1 + 1),
        ("channel", "RDMAC", "WRMAC", 0 + 2 + 3 - 1 + 1),
        ("channel", "WRGB", "RDMAC", 1 + 2 + 9),
        ("channel", "WRMAC", "RD", 1 + 2 + 11),
        ("channel", "WR", "MAC", 6 + 2 + 11),
        ("bank", "WR", "PRE", 6 + 2 + 33),
        ("buffer", "MAC", "PREA", 12),
        ("buffer", "ACTG", "MAC", 56),
        ("bank", "ACT", "RD", 36),
        ("bank", "ACT", "WR", 28),
        ("buffer", "ACTG", "ACTG", 89),
        ("channel", "ACTG", "ACTG", 6),
        ("channel", "TMOD", "REF", 32),
        ("channel", "RDMAC", "PREA", 3),
        ("channel", "REF", "ACTG", 910),
        ("buffer", "PRE", "PRE", None),
    ],
)
def test_rules_are_those_of_the_table(level, previous, after, cycles):
    assert rule_of(ChannelConfig.parse({"profile": "aim"}), level, previous, after) == cycles


def test_rules_with_overlap_let_registers_beside_macs():
    config = ChannelConfig.parse({"profile": "ddr4", "overlap": True, "dtype": "int8", "lanes": 8, "checksum": True})
    assert rule_of(config, "channel", "RDMAC", "MAC") is None
    assert rule_of(config, "channel", "MAC", "RDMAC") is None
    assert rule_of(config, "channel", "RDMAC", "PREA") is None
    # 16 banks' int32 and the checksum in columns of 64 bits.
    assert rule_of(config, "channel", "RDMAC", "RDMAC") == 9
    assert rule_of(config, "channel", "WRGB", "WRMAC") == 8


def test_every_pair_has_one_rule_a_level():
    for name in PROFILES:
        rules = ChannelConfig.parse({"profile": name}).rules
        assert len({(r.level, r.previous, r.next) for r in rules}) == len(rules)
        assert all(r.cycles > 1 and Command.NOP not in (r.previous, r.next) for r in rules)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"tRP_cycles": 0}, "profile.tRP_cycles must be a whole number in 1..65535, not 0"),
        ({"tRP_cycles": -3}, "profile.tRP_cycles must be a whole number in 1..65535, not -3"),
        ({"tRP_cycles": 2.5}, "profile.tRP_cycles must be a whole number of cycles, not 2.5"),
        ({"tRP_cycles": "x"}, "profile.tRP_cycles must be a whole number of cycles, not 'x' (a string)"),
        ({"tRP_ns": 16}, "profile.tRP_ns: tRP is given in ns and in cycles"),
        ({"tRPX_ns": 16}, 'profile.tRPX_ns is not a field; did you mean "tRP_ns"?'),
        ({"tRC_cycles": 85}, "profile.tRC must be at least tRAS + tRP, 86 cycles, not 85"),
        ({"tRAS_cycles": 90}, "profile.tRC must be at least tRAS + tRP, 122 cycles, not 89"),
        ({"tWTRS_cycles": 12}, "profile.tWTR must be at least tWTRS, 12 cycles, not 11"),
        ({"tFAW_cycles": 5}, "profile.tFAW must be at least tRRD, 6 cycles, not 5"),
        ({"act_group": 4}, "profile.tFAW is missing; it may be for act_group 16 only, not for 4"),
        ({"tREFI_ns": 455}, "profile.tREFI must be at least what a forced refresh can take, 1064 cycles, not 910"),
        ({"tCK_ns": 0}, "profile.tCK_ns must be a number above 0 and at most 1000, not 0"),
        ({"source": 3}, "profile.source must be a string, not 3"),
    ],
)
def test_contradictory_profiles_are_refused(changes, message):
    with pytest.raises(ConfigError) as error:
        load_profile(AIM | changes)
    assert str(error.value) == message


@pytest.mark.parametrize("missing", [name for name in AIM if name not in ("refresh", "tCK_ns")])
def test_missing_times_are_refused(missing):
    name = missing.replace("_ns", "_cycles")
    with pytest.raises(ConfigError, match=rf"^profile\.{name} is missing; it must be "):
        load_profile({key: value for key, value in AIM.items() if key != missing})


def test_a_base_gives_what_is_not_said():
    found = load_profile({"base": "aim", "mode_switch_cycles": 0, "tRFC_cycles": 800})
    assert found == load_profile("aim").model_copy(update={"mode_switch_cycles": 0, "tRFC_cycles": 800})
    with pytest.raises(ConfigError) as error:
        load_profile({"base": "ddr5"})
    assert str(error.value) == "profile.base must be one of aim, ddr4, lpddr4, pimgpt, not 'ddr5' (a string)"


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"profile": "aimm"}, 'params: aimm is no profile; did you mean "aim"?; nor a .yml file'),
        ({"profile": "none.yml"}, "params: profile none.yml: No such file or directory"),
        ({"overlap": True}, "params: overlap must be false where the profile has a mode switch of 32 cycles, not true"),
        ({"act_group": 4}, "params: act_group must be 16, as the profile has no tFAW, not 4"),
        ({"profile": "ddr4", "banks": 2}, "params: act_group must be at most banks, 2, or 16, not 4"),
        ({"queue_depth": 12}, "params: queue_depth must be a power of 2, not 12"),
        ({"checksum": True}, "params: checksum must be false for dtype bf16, not true"),
        ({"banks": 3}, "params.banks must be one of 1, 2, 4, 8, 16, not 3"),
    ],
)
def test_configs_that_cannot_be_are_refused(params, message):
    with pytest.raises(ConfigError) as error:
        ChannelConfig.parse(params)
    assert str(error.value) == message


def test_a_config_takes_defaults_of_its_profile(tmp_path):
    path = tmp_path / "mine.yml"
    path.write_text("base: ddr4\nact_group: 2\n")
    config = ChannelConfig.parse({"profile": str(path)})
    assert (config.act_group, config.refresh, config.group_banks, config.faw_cycles) == (2, True, 2, 26)
    assert config.identity["profile"] == {"base": "ddr4", "act_group": 2}
    assert not ChannelConfig.parse({"profile": "aim"}).refresh
