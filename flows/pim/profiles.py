"""Timing profiles that a user names, and `niello pim profile`, which prints one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rich.markup import escape
from rich.table import Table

from flows.errors import BadInput
from flows.progress import console
from flows.yaml_files import read_yaml
from hdl.common.config import ConfigError
from hdl.pim.channel_config import ChannelConfig
from hdl.pim.timing import PROFILES, TIMES, Rule

MOST_CHARACTERS = 100_000


def read_profile(name: str) -> str | dict[str, Any]:
    """A profile as `ChannelConfig` takes it: the name of one that comes with niello, or the document in a YAML file.

    Raises
    ------
    BadInput
        If the file cannot be read, or holds no map.
    """
    path = Path(name)
    if name in PROFILES or path.suffix not in (".yml", ".yaml"):
        return name
    document = read_yaml(path, "profile", MOST_CHARACTERS)
    if not isinstance(document, dict):
        raise BadInput(f"{name}: a profile must be a map of times")
    return document


def channel_of(profile: str, **params: Any) -> ChannelConfig:
    """The channel that has a profile, by its name or file, and these parameters; those that are None have defaults.

    Raises
    ------
    BadInput
        Naming the profile, its field and what it must be.
    """
    given = {name: value for name, value in params.items() if value is not None}
    document = read_profile(profile)
    try:
        return ChannelConfig.parse({"profile": document} | given)
    except ConfigError as error:
        at = f"{profile}: " if isinstance(document, dict) else ""
        raise BadInput(at + str(error).removeprefix("params: ").removeprefix("params.")) from None


def show_profile(profile: str, act_group: int | None, overlap: bool) -> dict[str, Any]:
    """A profile in cycles, and the rules that it is compiled to: a table on standard error, and JSON."""
    config = channel_of(profile, act_group=act_group, overlap=overlap)
    table = Table("rule", "level", "previous", "next", "cycles", title=escape(profile))
    for name, level, cycles, previous, after in _folded(config.rules):
        table.add_row(name, level, ", ".join(previous), ", ".join(after), str(cycles))
    if config.faw_cycles:
        what = "free of it: single shot" if config.single_shot else f"groups of {config.group_banks}"
        table.add_row("tFAW", "channel", "four activated banks", f"a fifth ({what})", str(config.faw_cycles))
    console().print(table)
    times = {name: getattr(config.timing, name) for name in TIMES}
    rules = [
        {
            "level": one.level,
            "previous": one.previous.name,
            "next": one.next.name,
            "cycles": one.cycles,
            "rule": one.name,
        }
        for one in config.rules
    ]
    return {
        "profile": profile,
        "source": config.timing.source.strip(),
        "tCK_ns": config.timing.tCK_ns,
        **times,
        "act_group": config.act_group,
        "single_shot": config.single_shot,
        "refresh": config.refresh,
        "rules": rules,
    }


def _folded(rules: tuple[Rule, ...]) -> list[tuple[str, str, int, list[str], list[str]]]:
    """Rules alike in one line: those of one name, level and number of cycles whose previous commands bind the same."""
    after: dict[tuple[str, str, int, str], list[str]] = {}
    for one in rules:
        after.setdefault((one.name, one.level, one.cycles, one.previous.name), []).append(one.next.name)
    lines: dict[tuple[str, str, int, tuple[str, ...]], list[str]] = {}
    for (name, level, cycles, previous), following in after.items():
        lines.setdefault((name, level, cycles, tuple(following)), []).append(previous)
    return [(*key[:3], previous, list(key[3])) for key, previous in lines.items()]
