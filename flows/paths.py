"""Where things lie."""

from __future__ import annotations

import os
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
"""The checkout."""


def build_root() -> Path:
    """Everything generated goes below it: `build/` in the checkout, or the folder that NIELLO_BUILD names."""
    return Path(os.environ.get("NIELLO_BUILD") or ROOT / "build").absolute()


def shown(path: Path) -> str:
    """A path as a message shows it: relative to the current folder where that is shorter."""
    try:
        return str(path.relative_to(Path.cwd()))
    except ValueError:
        return str(path)
