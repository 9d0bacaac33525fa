"""Configs of blocks: frozen, typed, and refused with one readable line when wrong."""

from __future__ import annotations

import difflib
import reprlib
from typing import Any, Self

import pydantic

_SHORT = reprlib.Repr()
_SHORT.maxlevel, _SHORT.maxstring, _SHORT.maxother, _SHORT.maxlong = 2, 60, 60, 60


class ConfigError(ValueError):
    """A config field has a wrong name, type or value. `str()` is one line: field, what it must be, what came."""


class Config(pydantic.BaseModel):
    """Base of every block's config: frozen, unknown keys refused, no silent conversion between types.

    Build one from plain data (a YAML map) with `parse`, which raises `ConfigError`.
    Every field carries a `description` (unit and meaning) and its range, so that `niello describe`,
    the JSON Schema and the error messages all say the same thing.
    """

    model_config = pydantic.ConfigDict(frozen=True, extra="forbid", strict=True, use_attribute_docstrings=True)

    @classmethod
    def parse(cls, params: Any, *, at: str = "params") -> Self:
        """The config that `params` describes.

        Raises
        ------
        ConfigError
            Naming the field (prefixed by `at`), the allowed range, the value received and, for an
            unknown name, the nearest known one. Only the first problem is named.
        """
        if not isinstance(params, dict):
            raise ConfigError(f"{at} must be a map of field: value, not {describe_value(params)}")
        for key in params:
            if key not in cls.model_fields:
                raise ConfigError(f"{at}.{key} is not a field{did_you_mean(str(key), list(cls.model_fields))}")
        try:
            return cls.model_validate(params)
        except pydantic.ValidationError as error:
            raise ConfigError(_explain(cls, error.errors()[0], at)) from None


def did_you_mean(name: str, known: list[str]) -> str:
    """`; did you mean "x"?` for the nearest of the known names, else `; known: a, b, c`."""
    return nearest(name, known) or f"; known: {', '.join(known)}"


def nearest(name: str, known: list[str]) -> str:
    """`; did you mean "x"?` for the nearest of the known names, nothing if none is near."""
    folded = {candidate.lower(): candidate for candidate in known}
    near = difflib.get_close_matches(name.lower(), list(folded), n=1, cutoff=0.5)
    return f'; did you mean "{folded[near[0]]}"?' if near else ""


def describe_value(value: Any) -> str:
    """A received value as an error message shows it: its text, cut at 60 characters, and its kind."""
    kinds = {dict: "a map", list: "a list", str: "a string", bool: "a boolean", type(None): "nothing"}
    text = _SHORT.repr(value)  # never the whole: a few lines of YAML can name the same list a billion times
    text = text if len(text) <= 60 else text[:57] + "..."
    kind = kinds.get(type(value))
    if value is None:
        return "nothing"
    return f"{text} ({kind})" if kind else text


def field_range(model: type[pydantic.BaseModel], name: str) -> str:
    """The allowed values of a field in words: `a whole number in 2..64`, `one of a, b`."""
    schema = model.model_json_schema()
    prop = schema["properties"][name]
    while "$ref" in prop or "anyOf" in prop:
        prop = prop["anyOf"][0] if "anyOf" in prop else schema["$defs"][prop["$ref"].rsplit("/", 1)[-1]]
    if "enum" in prop:
        return "one of " + ", ".join(map(str, prop["enum"]))
    if "const" in prop:
        return str(prop["const"])
    if "enum" in prop.get("items", {}):
        least = {0: "any", 1: "one or more"}.get(prop.get("minItems", 0), f"at least {prop.get('minItems')}")
        return f"a list of {least} of {', '.join(map(str, prop['items']['enum']))}"
    kind = {
        "integer": "a whole number",
        "number": "a number",
        "string": "a string",
        "boolean": "true or false",
        "array": "a list",
        "object": "a map",
    }.get(prop.get("type", ""), "another kind of value")
    if "minimum" in prop and "maximum" in prop:
        return f"{kind} in {prop['minimum']}..{prop['maximum']}"
    words = {"minimum": "at least", "exclusiveMinimum": "above", "maximum": "at most", "exclusiveMaximum": "below"}
    limits = [f"{word} {prop[key]}" for key, word in words.items() if key in prop]
    return " ".join([kind, " and ".join(limits)]).strip()


def _explain(model: type[pydantic.BaseModel], error: Any, at: str) -> str:
    path = [str(part) for part in error["loc"]]
    where = ".".join([at, *path])
    if error["type"] == "missing":
        return f"{where} is missing; it must be {field_range(model, path[0])}"
    if error["type"] == "value_error":  # raised by a validator of ours, already in words
        return f"{where}: {error['ctx']['error']}"
    if len(path) == 1 and path[0] in model.model_fields:
        received = list(error["input"]) if isinstance(error["input"], tuple) else error["input"]
        return f"{where} must be {field_range(model, path[0])}, not {describe_value(received)}"
    if len(path) == 2 and path[0] in model.model_fields and error["type"] == "literal_error":
        known = [str(one) for one in model.model_json_schema()["properties"][path[0]]["items"]["enum"]]
        near = nearest(error["input"], known) if isinstance(error["input"], str) else ""
        where = f"{at}.{path[0]}[{path[1]}]"
        return f"{where} must be one of {', '.join(known)}, not {describe_value(error['input'])}{near}"
    return f"{where}: {error['msg']}, not {describe_value(error['input'])}"
