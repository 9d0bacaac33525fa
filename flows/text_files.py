"""Files that a user names: their text, or one line that says why there is none."""

from __future__ import annotations

from pathlib import Path

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
    except OSError as error:
        raise BadInput(f"{shown(path)}: {(error.strerror or str(error)).lower()}") from None
    if len(text) > most_characters:
        raise BadInput(f"{shown(path)}: must have at most {most_characters:,} characters")
    return text
