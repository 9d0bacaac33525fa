"""Files that a user names: their text, or one line that says why there is none."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from flows.errors import BadInput
from flows.paths import shown


def read_text(path: Path, kind: str, most_characters: int, hint: str | None = None) -> str:
    """The text of a file; a byte order mark, which some editors put first, is none of it.

    `kind` is what the file should be (`YAML`); `hint` helps where there is no such file. No more than the limit is
    read: a device or a pipe might never end.

    Raises
    ------
    BadInput
        Naming the file: it is missing, a folder, not to be read, not UTF-8, or too large.
    """
    try:
        with path.open(encoding="utf-8-sig") as file:
            text = file.read(most_characters + 1)
    except FileNotFoundError:
        raise BadInput(f"{shown(path)}: no such file", hint=hint) from None
    except IsADirectoryError:
        raise BadInput(f"{shown(path)}: a folder, not a {kind} file") from None
    except UnicodeDecodeError as error:
        raise BadInput(f"{shown(path)}: not UTF-8 text (byte {error.start})") from None
    except ValueError as error:  # a NUL in the name
        raise BadInput(f"{shown(path)}: {error}") from None
    except OSError as error:
        raise BadInput(f"{shown(path)}: {(error.strerror or str(error)).lower()}") from None
    if len(text) > most_characters:
        raise BadInput(f"{shown(path)}: must have at most {most_characters:,} characters")
    return text


def read_json(path: Path, most_characters: int) -> Any:
    """What a JSON file holds; in no map of it does a key stand twice.

    Raises
    ------
    BadInput
        As `read_text`, or if it is not JSON: with line and column.
    """
    text = read_text(path, "JSON", most_characters)
    try:
        return json.loads(text, object_pairs_hook=_no_key_twice)
    except json.JSONDecodeError as error:
        raise BadInput(f"{shown(path)}:{error.lineno}:{error.colno}: not JSON: {error.msg}") from None
    except RecursionError:
        raise BadInput(f"{shown(path)}: nested too deeply") from None
    except ValueError as error:  # a key that stands twice; a number of more digits than Python reads
        raise BadInput(f"{shown(path)}: {error}") from None


def _no_key_twice(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"{next(name for name in names if names.count(name) > 1)} stands twice in a map")
    return found
