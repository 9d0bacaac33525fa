"""Settings of a block of this family: registers of one field, `value`, given as an array in the config's order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from hdl.common.registers import RegisterMap


class HasSettings(Protocol):
    """A config whose registers are settings, among others."""

    @property
    def setting_names(self) -> tuple[str, ...]: ...
    @property
    def registers(self) -> RegisterMap | None: ...


def setting_range(config: HasSettings, signed: Sequence[str], name: str) -> tuple[int, int]:
    """Least and most of a setting; those named in `signed` are of two's complement."""
    assert config.registers is not None
    bits = config.registers[name]["value"].width
    return (-(1 << bits - 1), (1 << bits - 1) - 1) if name in signed else (0, (1 << bits) - 1)


def settings_of(config: HasSettings, arrays: Mapping[str, Any]) -> dict[str, int]:
    """The settings by name."""
    return dict(zip(config.setting_names, arrays["settings"].tolist(), strict=True))


def check_settings(config: HasSettings, signed: Sequence[str], arrays: Mapping[str, Any]) -> None:
    """Refuse settings that do not fit their registers.

    Raises
    ------
    ValueError
        With one line that names the setting, its range and what it is.
    """
    for name, value in settings_of(config, arrays).items():
        low, high = setting_range(config, signed, name)
        if not low <= value <= high:
            raise ValueError(f"settings must have {name} in {low}..{high}, not {value}")


def setting_write(config: HasSettings, name: str, value: int) -> tuple[int, list[int]]:
    """Where a setting is written, and the word."""
    assert config.registers is not None
    register = config.registers[name]
    return register.offset_bytes, [value & register["value"].mask]
