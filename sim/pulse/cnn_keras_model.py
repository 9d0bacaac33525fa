"""What a Keras model's JSON says: its layers in an order in which each reads what comes before it, and their fields."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from hdl.pulse.cnn_words import Activation
from sim.pulse.cnn_network import MOST_LEAK, NetworkError

MODELS = ("Sequential", "Functional", "Model")
DEFAULT_SLOPES = {"LeakyReLU": 0.3, "leaky_relu": 0.2}
"""What Keras takes where a config does not say it."""


@dataclass(frozen=True)
class Given:
    """A layer as the JSON has it.

    Attributes
    ----------
    reads : names of layers
    """

    name: str
    kind: str
    config: Mapping[str, Any]
    reads: tuple[str, ...]

    def error(self, what: str) -> NetworkError:
        """One line that names the layer."""
        return NetworkError(f"layer {self.name}: {what}")

    def get(self, field: str, default: Any = None) -> Any:
        """A field of the config."""
        return self.config.get(field, default)

    def whole(self, field: str, default: int | None = None) -> int:
        """A whole number above 0. Raises `NetworkError` for anything else."""
        value = self.get(field, default)
        if not isinstance(value, int) or isinstance(value, bool) or value < 1:
            raise self.error(f"{field} must be a whole number above 0, not {value}")
        return value

    def one(self, field: str, default: int | None = None) -> int:
        """A whole number above 0, by itself or as a list of one."""
        value = self.get(field, default)
        if isinstance(value, list) and len(value) == 1:
            value = value[0]
        return Given(self.name, self.kind, {field: value}, ()).whole(field)

    def padding(self, length: int, reach: int, stride: int) -> tuple[int, int]:
        """Positions before and after."""
        if self.get("data_format", "channels_last") != "channels_last":
            raise self.error(f"data_format must be channels_last, not {self.get('data_format')}")
        how = self.get("padding", "valid")
        if how == "valid":
            return 0, 0
        if how == "causal" and self.kind == "Conv1D":
            return reach - 1, 0
        if how == "same":
            whole = max(0, (-(-length // stride) - 1) * stride + reach - length)
            return whole // 2, whole - whole // 2
        raise self.error(f"padding must be valid, same or causal, not {how}")

    def activation(self) -> dict[str, Any]:
        """Fields `activation` and `leak` of an operation, of a layer that has an activation or is one."""
        if self.kind in ("ReLU", "LeakyReLU"):
            return self._activated(self.kind, self.config)
        found = self.get("activation", "linear")
        if isinstance(found, Mapping):
            inner = found.get("config", {})
            if isinstance(inner, str):  # a function by its name
                return self._activated(inner, {})
            return self._activated(str(found.get("class_name")), inner if isinstance(inner, Mapping) else {})
        return self._activated("linear" if found is None else str(found), {})

    def _activated(self, name: str, config: Mapping[str, Any]) -> dict[str, Any]:
        if name == "linear":
            return {}
        if name in ("relu", "ReLU"):
            if config.get("max_value") is not None or config.get("threshold"):
                raise self.error("a ReLU with max_value or threshold is not supported")
            slope = config.get("negative_slope") or 0.0
        elif name in ("leaky_relu", "LeakyReLU"):
            slope = config.get("negative_slope", config.get("alpha", DEFAULT_SLOPES[name]))
        else:
            more = "; leave it off, the largest output stays the same" if name == "softmax" else ""
            raise self.error(f"activation {name} is not supported, linear, relu and leaky_relu are{more}")
        return self._leaky(slope)

    def _leaky(self, slope: object) -> dict[str, Any]:
        try:
            return leaky(slope)
        except ValueError as error:
            raise self.error(str(error)) from None


def leaky(slope: object) -> dict[str, Any]:
    """Fields `activation` and `leak` of an operation, for a slope below 0.

    Raises
    ------
    ValueError
        If it is neither 0 nor 1 over a power of 2 up to 2^15.
    """
    if slope == 0:
        return {"activation": Activation.RELU}
    if isinstance(slope, int | float) and 0 < slope <= 1:
        leak = -np.log2(slope)
        if leak == int(leak) and leak <= MOST_LEAK:
            return {"activation": Activation.LEAKY, "leak": int(leak)}
        lower = min(int(np.ceil(leak)), MOST_LEAK)
        near = f": {2.0**-lower:g} or {2.0 ** (1 - lower):g}"
    else:
        near = ""
    raise ValueError(f"a leaky ReLU's slope must be 1 over a power of 2, not {slope}{near}")


def steps(model: Mapping[str, Any]) -> list[Given]:
    """Layers, in order; the last is the one whose outputs are the model's.

    Raises
    ------
    NetworkError
        If that is no model, or one of several inputs or outputs, or with layers that are used twice.
    """
    kind, config = model.get("class_name"), model.get("config")
    if kind not in MODELS or not isinstance(config, Mapping) or not isinstance(config.get("layers"), list):
        raise NetworkError("model: must be what model.to_json() gives of a Sequential or functional Keras model")
    entries = config["layers"]
    if not all(isinstance(one, Mapping) and isinstance(one.get("config"), Mapping) for one in entries) or not entries:
        raise NetworkError("model: layers must be a list of maps with a config each")
    if kind == "Sequential":
        return _row(entries, model)
    found = [_entry(one, _inbound(one)) for one in entries]
    for name in ("input_layers", "output_layers"):
        if len(_names(config.get(name))) != 1:
            raise NetworkError(f"model: {name} must be one, not {len(_names(config.get(name)))}")
    return _ordered(found, _names(config["output_layers"])[0])


def _row(entries: list[Mapping[str, Any]], model: Mapping[str, Any]) -> list[Given]:
    """Of a Sequential model; one without an input layer says its shape elsewhere."""
    found: list[Given] = []
    if entries[0].get("class_name") != "InputLayer":
        outer = model.get("config", {})
        shape = outer.get("build_input_shape") or entries[0]["config"].get("batch_input_shape") or []
        found.append(Given("input", "InputLayer", {"batch_shape": shape}, ()))
    for entry in entries:
        found.append(_entry(entry, (found[-1].name,) if found else ()))
    return found


def _entry(entry: Mapping[str, Any], reads: tuple[str, ...]) -> Given:
    kind, config = str(entry.get("class_name")), entry["config"]
    name = str(entry.get("name") or config.get("name"))
    if kind in MODELS:
        raise NetworkError(f"layer {name}: a model within a model is not supported")
    return Given(name, kind, config, reads)


def _inbound(entry: Mapping[str, Any]) -> tuple[str, ...]:
    """Names of what a layer of a functional model reads."""
    nodes = entry.get("inbound_nodes") or []
    if len(nodes) > 1:
        raise NetworkError(f"layer {entry.get('name')}: used {len(nodes)} times, which is not supported")
    return tuple(_names(nodes[0])) if nodes else ()


def _names(given: Any) -> list[str]:
    """Names of layers in what Keras 3 (maps with `keras_history`) or 2 ([name, node, tensor]) says."""
    if isinstance(given, Mapping):
        history = given.get("config", {}).get("keras_history") if isinstance(given.get("config"), Mapping) else None
        if isinstance(history, list) and history:
            return [str(history[0])]
        return _names(given.get("args"))
    if isinstance(given, list):
        if len(given) >= 3 and isinstance(given[0], str) and isinstance(given[1], int):
            return [given[0]]
        return [name for one in given for name in _names(one)]
    return []


def _ordered(found: list[Given], last: str) -> list[Given]:
    """What `last` needs, each layer after what it reads."""
    by_name = {given.name: given for given in found}
    done: dict[str, Given] = {}
    waiting = [last]
    while waiting:
        name = waiting[-1]
        if name not in by_name:
            raise NetworkError(f"model: there is no layer {name}, which is read")
        missing = [one for one in by_name[name].reads if one not in done]
        if any(one in waiting for one in missing):
            raise NetworkError(f"layer {name}: reads its own outputs")
        if name in done or not missing:
            done[name] = by_name[name]
            waiting.pop()
        else:
            waiting.append(missing[0])
    return list(done.values())
