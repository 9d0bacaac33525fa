"""Plain data of YAML or JSON taken apart: each function returns what it was given, or says what it must be."""

from __future__ import annotations

import math
from typing import Any

from hdl.common.config import ConfigError, describe_value


def map_of(data: Any, at: str) -> dict[Any, Any]:
    """A map."""
    if not isinstance(data, dict):
        raise ConfigError(f"{at} must be a map, not {describe_value(data)}")
    return data


def text_of(value: Any, at: str) -> str:
    """A text, not empty. YAML takes an unquoted 0 or yes for something else."""
    if not isinstance(value, str) or not value:
        raise ConfigError(f"{at} must be a text, not {describe_value(value)}")
    return value


def number_of(value: Any, at: str) -> float:
    """A number; a truth value and what is not a number are none."""
    if isinstance(value, bool) or not isinstance(value, int | float) or math.isnan(value):
        raise ConfigError(f"{at} must be a number, not {describe_value(value)}")
    return float(value)


def whole_number_of(value: Any, at: str) -> int:
    """A whole number."""
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    raise ConfigError(f"{at} must be a whole number, not {describe_value(value)}")
