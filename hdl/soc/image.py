"""Images of firmware: text files with a word of memory a line, in hexadecimal."""

from __future__ import annotations

import re
from functools import lru_cache
from pathlib import Path

from hdl.common.config import ConfigError

WORD = re.compile(r"[0-9a-f]{8}")


@lru_cache(maxsize=16)
def _words(path: Path) -> tuple[int, ...]:
    try:
        lines = path.read_text(encoding="ascii").splitlines()
    except OSError as error:
        raise ConfigError(f"firmware {path.stem}: there is no image {path.name} in {path.parent.name}/") from error
    words = [line for line in lines if not line.startswith("#")]
    for number, word in enumerate(words):
        if not WORD.fullmatch(word):
            raise ConfigError(f"firmware {path.stem}: word {number} must be 8 hexadecimal digits, not {word[:20]!r}")
    return tuple(int(word, 16) for word in words)


def load_image(path: Path) -> list[int]:
    """Words from the first address on; lines that begin with `#` are comments.

    Raises
    ------
    ConfigError
        With one line, if there is no such file, or a line is no word.
    """
    return list(_words(path))


def write_image(path: Path, words: list[int], comment: str) -> None:
    """Write such a file, the comment first."""
    lines = [f"# {comment}", *(f"{word:08x}" for word in words)]
    path.write_text("\n".join(lines) + "\n", encoding="ascii")
