"""YAML files that a user names: what they hold, or one line that says why not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from flows.errors import BadInput
from flows.paths import shown
from flows.text_files import read_text


class _StrictLoader(yaml.SafeLoader):
    """PyYAML keeps the last of two equal keys without a word; a design with two `lanes` is a mistake."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if isinstance(key, list | dict):
                raise yaml.MarkedYAMLError(problem="a key must be a name", problem_mark=key_node.start_mark)
            if key in seen:
                raise yaml.MarkedYAMLError(problem=f"{key} stands twice", problem_mark=key_node.start_mark)
            seen.add(key)
        mapping: dict[Any, Any] = super().construct_mapping(node, deep)
        return mapping


def read_yaml(path: Path, kind: str, most_characters: int, hint: str | None = None) -> Any:
    """What a YAML file holds; in no map of it does a key stand twice.

    `kind` is what it describes (`design`); `hint` helps where there is no such file.

    Raises
    ------
    BadInput
        As `read_text`, or if it is no regular file, or not YAML: with line and column.
    """
    # A pipe or a device would keep the reader waiting.
    if path.exists() and not path.is_dir() and not path.is_file():
        raise BadInput(f"{shown(path)}: not a regular file")
    text = read_text(path, "YAML", most_characters, hint=hint)
    try:
        return yaml.load(text, _StrictLoader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        place = f":{mark.line + 1}:{mark.column + 1}" if mark else ""
        hint = "YAML takes spaces for indentation, not tabs" if "\\t" in str(error.problem) else None
        raise BadInput(f"{shown(path)}{place}: {error.problem}", hint=hint) from None
    except yaml.YAMLError as error:
        raise BadInput(f"{shown(path)}: {' '.join(str(error).split())}") from None
    except RecursionError:
        raise BadInput(f"{shown(path)}: nested too deeply for a {kind}") from None
    except (ValueError, KeyError, AttributeError, TypeError) as error:
        # PyYAML lets through what Python says of a number, a date or a tag that it cannot make.
        raise BadInput(f"{shown(path)}: a value that YAML cannot read ({error})") from None
