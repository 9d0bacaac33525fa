"""Measurements that a user names."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from flows.errors import BadInput
from flows.yaml_files import read_yaml
from hdl.common.config import ConfigError, did_you_mean
from sim.pulse.setup import SETUPS, Setup

MOST_CHARACTERS = 100_000


def read_setup(name: str, **changes: Any) -> Setup:
    """A set-up that comes with niello, or one in a YAML file; fields in `changes` that are not None are others.

    Raises
    ------
    BadInput
        Naming the set-up, its field and what it must be.
    """
    path = Path(name)
    if name in SETUPS:
        path = SETUPS[name]
    elif path.suffix not in (".yml", ".yaml"):
        raise BadInput(f'no set-up "{name}"{did_you_mean(name, list(SETUPS))}', hint="or name a YAML file")
    document = read_yaml(path, "set-up", MOST_CHARACTERS)
    if not isinstance(document, dict):
        raise BadInput(f"{name}: a set-up must be a map of field: value")
    given = document | {field: value for field, value in changes.items() if value is not None}
    try:
        setup = Setup.parse(given, at=name)
        _ = setup.pulse
    except ConfigError as error:
        raise BadInput(str(error)) from None
    return setup
