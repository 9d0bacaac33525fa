"""Which instances of a block can be without power, and when."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class PowerDomain:
    """Instances whose power is switched together.

    Attributes
    ----------
    name : an identifier
    instances : patterns, as of `fnmatch`, of their paths below the top module, names with slashes between
    modes : those that need it. In all others its outputs are taken for zeros
    """

    name: str
    instances: tuple[str, ...]
    modes: tuple[str, ...]


@dataclass(frozen=True)
class PowerPlan:
    """The modes of a design, and what can be switched off in some of them; everything else is always on."""

    modes: tuple[str, ...]
    domains: tuple[PowerDomain, ...]
