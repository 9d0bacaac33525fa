"""A convolutional network as integers: named layers, each of which reads the one it names. See "The network on paper".

Activations are of a length and so many channels, address position · channels + channel. `network.shapes` are those of
all layers, and building a `Network` checks all fields. A `Network` is a file, too: `save`, `load`.
"""

from __future__ import annotations

import io
import json
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
import numpy.typing as npt

from hdl.common.config import did_you_mean
from hdl.pulse.cnn_words import FACTOR_BITS, Activation

INPUT = "input"
"""The name of the window's elements, as a layer's source."""

MOST_SHIFT, MOST_LEAK = 47, 15

ACTIVATION_BITS = (8, 10, 12, 16)
"""That a config can have."""

Shape = tuple[int, int]
"""Length, channels."""

Weights = npt.NDArray[np.int8]
Words = npt.NDArray[np.int32]


class NetworkError(ValueError):
    """One line that names layer, field, what it must be and what it is."""


def _whole(of: str, name: str, value: object, low: int, high: int) -> None:
    if not isinstance(value, int | np.integer) or not low <= value <= high:
        raise NetworkError(f"{of}: {name} must be a whole number in {low}..{high}, not {value}")


def _signed(of: str, name: str, value: object, bits: int) -> None:
    _whole(of, name, value, -(1 << bits - 1), (1 << bits - 1) - 1)


def _array(of: str, name: str, value: object, dtype: str, shape: tuple[int | str, ...]) -> None:
    """Refuse what is not of this element type and shape; a letter stands for any size of 1 or more."""
    if isinstance(value, np.ndarray) and value.dtype == np.dtype(dtype) and value.ndim == len(shape):
        pairs = list(zip(shape, value.shape, strict=True))
        if all(got >= 1 and (isinstance(wanted, str) or got == wanted) for wanted, got in pairs):
            return
        received = f"{value.dtype} {value.shape}"
    else:
        received = f"{value.dtype} {value.shape}" if isinstance(value, np.ndarray) else type(value).__name__
    raise NetworkError(f"{of}: {name} must be {dtype} ({', '.join(map(str, shape))}), not {received}")


@dataclass(frozen=True, eq=False)
class Input:
    """The window's codes as elements: by a gain, or, with `normalise`, over its peak."""

    length: int
    channels: int = 1
    normalise: bool = False
    gain: int = 1
    gain_shift: int = 0

    def check(self) -> None:
        """Raise `NetworkError` where a field is out of its range."""
        _whole(INPUT, "length", self.length, 1, 1 << 15)
        _whole(INPUT, "channels", self.channels, 1, 1 << 15)
        _signed(INPUT, "gain", self.gain, 16)
        _whole(INPUT, "gain_shift", self.gain_shift, 0, 31)


@dataclass(frozen=True, eq=False)
class Requantisation:
    """From sums to elements: u = rs(sum · factor, shift), what is added, the activation, then the zero point.

    Attributes
    ----------
    factor, shift : int32 (channels,)
    zero : the element that stands for nothing
    leak : with `LEAKY`, u < 0 becomes u >> leak
    wide : elements of `activation_bits`, not 8
    """

    factor: Words
    shift: Words
    zero: int = 0
    activation: Activation = Activation.NONE
    leak: int = 0
    wide: bool = False

    @classmethod
    def power_of_two(cls, channels: int, shift: int = 0, **others: Any) -> Requantisation:
        """Sums over 2**shift, all channels alike."""
        return cls(np.ones(channels, np.int32), np.full(channels, shift, np.int32), **others)

    def check(self, of: str, channels: int, activation_bits: int) -> None:
        """Raise `NetworkError` where a field is out of its range."""
        _array(of, "factor", self.factor, "int32", (channels,))
        _array(of, "shift", self.shift, "int32", (channels,))
        for factor, shift in zip(self.factor.tolist(), self.shift.tolist(), strict=True):
            _signed(of, "factor", factor, FACTOR_BITS)
            _whole(of, "shift", shift, 0, MOST_SHIFT)
        _signed(of, "zero", self.zero, activation_bits)
        _whole(of, "activation", self.activation, 0, max(Activation))
        _whole(of, "leak", self.leak, 0, MOST_LEAK)
        if self.wide and activation_bits == 8:
            raise NetworkError(f"{of}: wide must be False where activations have {activation_bits} bits, not True")


@dataclass(frozen=True, eq=False, kw_only=True)
class Layer:
    """What layers have in common.

    Attributes
    ----------
    source : name of the layer that it reads, or `INPUT`
    output : Requantisation
    add : name of a layer of the same shape whose outputs are added to the requantised sum; "" for none
    """

    kind: ClassVar[str]
    name: str
    source: str
    output: Requantisation
    add: str = ""

    @property
    def reads(self) -> tuple[str, ...]:
        """Names of all that it reads."""
        return (self.source, self.add) if self.add else (self.source,)

    def shape(self, given: Shape, activation_bits: int) -> Shape:
        """Of its outputs, for a source of that shape. Raises `NetworkError` where a field does not fit."""
        raise NotImplementedError

    def error(self, name: str, wanted: object, got: object) -> NetworkError:
        """One line about a field."""
        return NetworkError(f"layer {self.name}: {name} must be {wanted}, not {got}")


@dataclass(frozen=True, eq=False, kw_only=True)
class Sliding(Layer):
    """A layer whose outputs each look at `taps` positions, `dilation` apart, and move on by `stride`.

    Attributes
    ----------
    before, after : positions of the value `pad` around the source
    """

    stride: int = 1
    dilation: int = 1
    before: int = 0
    after: int = 0
    pad: int = 0

    @property
    def reach(self) -> int:
        """Positions at which an output looks."""
        raise NotImplementedError

    def slide(self, length: int, activation_bits: int) -> int:
        """Positions of the outputs, once all fields are what they may be."""
        of = f"layer {self.name}"
        for name in ("stride", "dilation"):
            _whole(of, name, getattr(self, name), 1, 1 << 12)
        for name in ("before", "after"):
            _whole(of, name, getattr(self, name), 0, 1 << 12)
        _signed(of, "pad", self.pad, activation_bits)
        free = length + self.before + self.after - self.dilation * (self.reach - 1) - 1
        if free < 0:
            raise self.error("taps", f"within the {length + self.before + self.after} positions", self.reach)
        return free // self.stride + 1


@dataclass(frozen=True, eq=False, kw_only=True)
class Conv(Sliding):
    """Convolution: y[x, o] = bias[o] + sum of weights[o, t, i] · source[x · stride + t · dilation - before, i]."""

    kind: ClassVar[str] = "conv"
    weights: Weights
    bias: Words

    @property
    def reach(self) -> int:
        return int(self.weights.shape[1])

    def shape(self, given: Shape, activation_bits: int) -> Shape:
        _array(f"layer {self.name}", "weights", self.weights, "int8", ("outputs", "taps", given[1]))
        _array(f"layer {self.name}", "bias", self.bias, "int32", (len(self.weights),))
        return self.slide(given[0], activation_bits), len(self.weights)


@dataclass(frozen=True, eq=False, kw_only=True)
class TransposedConv(Layer):
    """Transposed convolution: source[x] times weights[:, t] goes to the output at x · stride + t - before.

    Attributes
    ----------
    before, after : positions cut off at the ends
    """

    kind: ClassVar[str] = "transposed"
    weights: Weights
    bias: Words
    stride: int = 1
    before: int = 0
    after: int = 0

    def shape(self, given: Shape, activation_bits: int) -> Shape:
        of = f"layer {self.name}"
        _array(of, "weights", self.weights, "int8", ("outputs", "taps", given[1]))
        _array(of, "bias", self.bias, "int32", (len(self.weights),))
        _whole(of, "stride", self.stride, 1, 1 << 12)
        whole = (given[0] - 1) * self.stride + self.weights.shape[1]
        _whole(of, "before", self.before, 0, whole - 1)
        _whole(of, "after", self.after, 0, whole - 1 - self.before)
        return whole - self.before - self.after, len(self.weights)


@dataclass(frozen=True, eq=False, kw_only=True)
class Dense(Layer):
    """Every output from all of the source, position by position: weights[outputs, length · channels]."""

    kind: ClassVar[str] = "dense"
    weights: Weights
    bias: Words

    def shape(self, given: Shape, activation_bits: int) -> Shape:
        _array(f"layer {self.name}", "weights", self.weights, "int8", ("outputs", given[0] * given[1]))
        _array(f"layer {self.name}", "bias", self.bias, "int32", (len(self.weights),))
        return 1, len(self.weights)


@dataclass(frozen=True, eq=False, kw_only=True)
class Pool(Sliding):
    """The largest of `taps` elements of a channel, or their sum, whose factor and shift make it an average."""

    kind: ClassVar[str] = "pool"
    operation: Literal["max", "sum"]
    taps: int
    bias: int = 0

    @property
    def reach(self) -> int:
        return self.taps

    def shape(self, given: Shape, activation_bits: int) -> Shape:
        if self.operation not in ("max", "sum"):
            raise self.error("operation", "max or sum", self.operation)
        _whole(f"layer {self.name}", "taps", self.taps, 1, 1 << 12)
        _signed(f"layer {self.name}", "bias", self.bias, 32)
        return self.slide(given[0], activation_bits), given[1]


@dataclass(frozen=True, eq=False, kw_only=True)
class Add(Layer):
    """The source, requantised, plus `add`."""

    kind: ClassVar[str] = "add"

    def shape(self, given: Shape, activation_bits: int) -> Shape:
        if not self.add:
            raise self.error("add", "a layer's name", "nothing")
        return given


@dataclass(frozen=True, eq=False, kw_only=True)
class Concat:
    """The channels of layers of the same length, side by side."""

    kind: ClassVar[str] = "concat"
    name: str
    parts: tuple[str, ...]

    @property
    def reads(self) -> tuple[str, ...]:
        """Names of all that it reads."""
        return self.parts


Node = Layer | Concat
KINDS: dict[str, type[Any]] = {one.kind: one for one in (Conv, TransposedConv, Dense, Pool, Add, Concat)}


@dataclass(frozen=True, eq=False)
class Network:
    """Layers in the order in which they are computed; the last one's outputs are the network's.

    Attributes
    ----------
    raw : the outputs are the last layer's sums, not requantised
    activation_bits : of all elements
    """

    input: Input
    layers: tuple[Node, ...]
    raw: bool = False
    activation_bits: int = 16
    shapes: dict[str, Shape] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        if self.activation_bits not in ACTIVATION_BITS:
            known = ", ".join(map(str, ACTIVATION_BITS))
            raise NetworkError(f"network: activation_bits must be one of {known}, not {self.activation_bits}")
        self.input.check()
        if not self.layers:
            raise NetworkError("network: layers must be at least one, not none")
        shapes: dict[str, Shape] = {INPUT: (self.input.length, self.input.channels)}
        object.__setattr__(self, "shapes", shapes)
        for layer in self.layers:
            shapes[layer.name] = self._shape(layer)
        unread = set(shapes) - {INPUT, self.last.name} - {name for layer in self.layers for name in layer.reads}
        if unread:
            raise NetworkError(f"layer {min(unread)}: its outputs must be read by a layer")
        if isinstance(self.last, Concat) or self.last.add:
            raise NetworkError(f"layer {self.last.name}: the last layer must neither add nor be a concatenation")

    @property
    def last(self) -> Node:
        """The layer whose outputs are the network's."""
        return self.layers[-1]

    def _shape(self, layer: Node) -> Shape:
        if layer.name in self.shapes:
            raise NetworkError(f"layer {layer.name}: name must be no other's")
        for name in layer.reads:
            if name not in self.shapes:
                known = did_you_mean(name, list(self.shapes))
                raise NetworkError(f"layer {layer.name}: {name} is no layer before it{known}")
        if isinstance(layer, Concat):
            lengths = {self.shapes[name][0] for name in layer.parts}
            if len(lengths) != 1:
                raise NetworkError(f"layer {layer.name}: parts must have one length, not {sorted(lengths)}")
            return lengths.pop(), sum(self.shapes[name][1] for name in layer.parts)
        shape = layer.shape(self.shapes[layer.source], self.activation_bits)
        layer.output.check(f"layer {layer.name}", shape[1], self.activation_bits)
        if layer.add and self.shapes[layer.add] != shape:
            raise layer.error("add", f"of shape {shape}", self.shapes[layer.add])
        return shape

    def save(self, file: Path | io.BytesIO) -> None:
        """Write an .npz."""
        arrays: dict[str, npt.NDArray[Any]] = {}
        layers = [{"kind": layer.kind} | _plain(layer, layer.name, arrays) for layer in self.layers]
        whole: dict[str, Any] = {"input": _plain(self.input, INPUT, arrays), "layers": layers}
        whole |= {"raw": self.raw, "activation_bits": self.activation_bits}
        np.savez(file, network=np.array(json.dumps(whole)), **arrays)  # type: ignore[arg-type]

    @classmethod
    def load(cls, file: Path | io.BytesIO) -> Network:
        """Read what `save` wrote."""
        with np.load(file) as found:
            arrays = {name: found[name] for name in found.files}
        whole = json.loads(str(arrays.pop("network")))
        layers = [_node(given, given["name"], arrays) for given in whole["layers"]]
        return cls(Input(**whole["input"]), tuple(layers), whole["raw"], whole["activation_bits"])


def _plain(one: Any, name: str, arrays: dict[str, npt.NDArray[Any]]) -> dict[str, Any]:
    """A dataclass's fields for JSON; arrays go to `arrays`."""
    found: dict[str, Any] = {}
    for each in fields(one):
        value = getattr(one, each.name)
        if isinstance(value, np.ndarray):
            arrays[f"{name}/{each.name}"] = value
        else:
            found[each.name] = _plain(value, name, arrays) if isinstance(value, Requantisation) else value
    return found


def _node(given: dict[str, Any], name: str, arrays: dict[str, npt.NDArray[Any]]) -> Node:
    """A layer of what `_plain` made."""
    kind = KINDS[given.pop("kind")]
    own = {each.name for each in fields(kind)}
    mine = {key.removeprefix(f"{name}/"): value for key, value in arrays.items() if key.rpartition("/")[0] == name}
    if kind is Concat:
        return Concat(name=name, parts=tuple(given["parts"]))
    quantised = given.pop("output")
    quantised["activation"] = Activation(quantised["activation"])
    output = Requantisation(**quantised, factor=mine.pop("factor"), shift=mine.pop("shift"))
    node: Node = kind(**given, **{key: value for key, value in mine.items() if key in own}, output=output)
    return node
