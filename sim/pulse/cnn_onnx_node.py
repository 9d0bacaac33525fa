"""What a node of ONNX says, and the constants of a graph."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from sim.pulse.cnn_graph import Floats
from sim.pulse.cnn_network import NetworkError

MOST_BITS = 16
"""Of a quantised tensor."""


class Tensor(NamedTuple):
    """What a node gives: an operation's outputs, and whether ONNX sees one axis, channel by channel."""

    name: str
    flat: bool


class Constant(NamedTuple):
    """Numbers; quantised ones are whole multiples of `scale`, of a shape that goes with theirs."""

    values: Floats
    scale: Floats | None = None


@dataclass(frozen=True)
class OnnxNode:
    """A node, its attributes as Python's."""

    name: str
    kind: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: Mapping[str, Any]

    def error(self, what: str) -> NetworkError:
        """One line that names the node."""
        return NetworkError(f"node {self.name}: {what}")

    def get(self, name: str, default: Any = None) -> Any:
        """An attribute."""
        return self.attributes.get(name, default)

    def one(self, name: str) -> int:
        """The only number of a list; 1 where there is none. Raises `NetworkError` for more."""
        found = list(self.get(name, [1]))
        if len(found) != 1 or found[0] < 1:
            raise self.error(f"{name} must be one number above 0, not {found}: windows have one axis")
        return int(found[0])

    def pads(self) -> tuple[int, int]:
        """Positions before and after."""
        found, how = list(self.get("pads", [0, 0])), self.get("auto_pad", b"NOTSET")
        if how not in (b"NOTSET", b"VALID") or len(found) != 2 or min(found) < 0:
            raise self.error(f"pads must be two numbers from 0 up, and auto_pad NOTSET, not {found} and {how.decode()}")
        return int(found[0]), int(found[1])

    def quantised(self, given: Sequence[Any]) -> Constant:
        """A constant's nearest multiples of the scale: what `Quant` and `BipolarQuant` make of it."""
        if not all(isinstance(one, Constant) for one in given):
            raise self.error("scale, zero point and bit width must be constants")
        values = given[0].values
        if self.kind == "BipolarQuant":
            scale = given[1].values
            whole = np.where(values >= 0, 1.0, -1.0)
        else:
            scale, low, high = quant_fields(self, given[1:])
            whole = np.rint(np.clip(values / scale, low, high))
        if not (scale > 0).all():
            raise self.error("scale must be above 0")
        return Constant(whole * scale, scale)


def quant_fields(node: OnnxNode, given: Sequence[Constant]) -> tuple[Floats, int, int]:
    """Scale, and the least and largest number of steps, of `Quant`'s scale, zero point, bit width and attributes."""
    scale, zero, width = (one.values for one in given)
    if (zero != 0).any():
        raise node.error("its zero point must be 0")
    bits = float(width.reshape(-1)[0]) if width.size == 1 else 0.0
    if bits not in range(2, MOST_BITS + 1):
        raise node.error(f"its bit width must be a whole number in 2..{MOST_BITS}, not {width.reshape(-1).tolist()}")
    if not (np.isfinite(scale) & (scale > 0)).all():
        raise node.error("scale must be above 0")
    mode = node.get("rounding_mode", b"ROUND").decode().upper()
    if mode not in ("ROUND", "HALF_EVEN"):
        raise node.error(f"rounding_mode must be ROUND, not {mode}")
    signed, narrow = bool(node.get("signed", 1)), bool(node.get("narrow", 1))
    if signed:
        return scale, -(1 << int(bits) - 1) + narrow, (1 << int(bits) - 1) - 1
    return scale, 0, (1 << int(bits)) - 1 - narrow


def constants(graph: Any) -> dict[str, Constant]:
    """Initialisers, and what `Constant` nodes hold."""
    from onnx import numpy_helper

    found = {one.name: numpy_helper.to_array(one) for one in graph.initializer}
    for node in graph.node:
        if node.op_type == "Constant":
            value = _attributes(node)
            known = next((value[name] for name in ("value", "value_float", "value_int") if name in value), None)
            if known is None:
                raise NetworkError(f"node {node.name or node.output[0]}: a constant of numbers is supported only")
            found[node.output[0]] = numpy_helper.to_array(known) if hasattr(known, "dims") else np.array(known)
    return {name: Constant(_numbers(name, value)) for name, value in found.items()}


def _numbers(name: str, value: Any) -> Floats:
    if value.dtype.kind not in "fiub" or not np.isfinite(value.astype(np.float64)).all():
        raise NetworkError(f"constant {name}: must be finite numbers")
    return np.asarray(value, np.float64)


def _attributes(node: Any) -> dict[str, Any]:
    from onnx import helper

    return {one.name: helper.get_attribute_value(one) for one in node.attribute}


def nodes(graph: Any) -> Iterator[OnnxNode]:
    """All but constants. A node's name is its own, or that of its output."""
    for node in graph.node:
        if node.op_type != "Constant":
            name = node.name or node.output[0]
            yield OnnxNode(name, node.op_type, tuple(node.input), tuple(node.output), _attributes(node))
