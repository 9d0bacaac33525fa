"""What a command says to programs."""

from __future__ import annotations

import json
import sys
from typing import Any


def emit(**result: Any) -> None:
    """The command's result: one JSON object on a line of its own."""
    sys.stdout.write(json.dumps(result) + "\n")
    sys.stdout.flush()
