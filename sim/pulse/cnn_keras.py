"""A Keras model as a float network: `model.to_json()` and its weights by their paths, nothing of Keras itself.

Weights come as `np.savez(file, **{v.path: np.asarray(v) for v in model.weights})` saves them. Versions 2 and 3 of Keras
are read, `Sequential` and functional models.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from sim.pulse.cnn_graph import Add, Affine, Concat, Conv, Copy, Dense, Floats, Graph, Op, Pool, Transposed
from sim.pulse.cnn_keras_model import Given, steps
from sim.pulse.cnn_network import INPUT, NetworkError, Shape


class Tensor(NamedTuple):
    """What a layer of Keras gives: an operation's outputs, and whether Keras sees one axis, position by position."""

    name: str
    flat: bool


def graph_of(model: Mapping[str, Any], weights: Mapping[str, npt.NDArray[Any]]) -> Graph:
    """The network of a parsed `model.to_json()`; weights by path, `[model/]layer/weight`.

    Raises
    ------
    NetworkError
        Naming the layer that cannot be had, and why; or what is missing.
    """
    reader = _Reader(weights)
    last = Tensor(INPUT, False)
    for given in steps(model):
        last = reader.take(given)
    if not reader.ops:
        raise NetworkError("model: layers must be at least one that computes, not none")
    graph = Graph(reader.input, tuple(reader.ops)).pruned()
    if last.name != graph.last.name:
        ops = [op for op in reader.ops if op.name != last.name]
        graph = Graph(reader.input, (*ops, next(op for op in reader.ops if op.name == last.name))).pruned()
    return graph


class _Reader:
    """Operations that grow, layer by layer."""

    def __init__(self, weights: Mapping[str, npt.NDArray[Any]]) -> None:
        self.weights = {key.removesuffix(":0"): value for key, value in weights.items()}
        self.ops: list[Op] = []
        self.input: Shape = (0, 0)
        self.tensors: dict[str, Tensor] = {}
        self.shapes: dict[str, Shape] = {}
        self.makers: dict[str, Callable[[Given, list[Tensor]], Tensor]] = {
            "InputLayer": self._input,
            "Rescaling": self._rescaling,
            "Conv1D": self._conv,
            "Conv1DTranspose": self._transposed,
            "Dense": self._dense,
            "MaxPooling1D": self._pool,
            "AveragePooling1D": self._pool,
            "GlobalMaxPooling1D": self._global_pool,
            "GlobalAveragePooling1D": self._global_pool,
            "Add": self._add,
            "Concatenate": self._concat,
            "Activation": self._activation,
            "ReLU": self._activation,
            "LeakyReLU": self._activation,
            "BatchNormalization": self._normalisation,
            "Dropout": self._nothing,
            "SpatialDropout1D": self._nothing,
            "Flatten": self._flatten,
            "Reshape": self._reshape,
            "ZeroPadding1D": self._padding,
        }

    def take(self, given: Given) -> Tensor:
        """A layer's outputs."""
        if given.kind not in self.makers:
            raise given.error(f"{given.kind} is not supported; what is: {', '.join(self.makers)}")
        read = [self.tensors[name] for name in given.reads]
        if given.kind != "InputLayer" and not read:
            raise given.error("reads nothing")
        if given.kind not in ("Add", "Concatenate", "InputLayer") and len(read) > 1:
            raise given.error(f"reads {len(read)} tensors, not one")
        made = self.makers[given.kind](given, read)
        self.tensors[given.name] = made
        return made

    def _made(self, op: Op, flat: bool = False) -> Tensor:
        if op.name == INPUT:
            op = replace(op, name=f"{INPUT}_")
        self.shapes[op.name] = op.shape([self.shapes[name] for name in op.reads])
        self.ops.append(op)
        return Tensor(op.name, flat)

    def _weight(self, given: Given, name: str, shape: tuple[int, ...]) -> Floats:
        """A layer's weight. Raises `NetworkError` where it is missing, or of another shape, or no numbers."""
        wanted = f"{given.name}/{name}"
        keys = [key for key in self.weights if key == wanted or key.endswith(f"/{wanted}")]
        if len(keys) != 1:
            many = f"{len(keys)} times" if keys else "missing"
            raise given.error(f"{wanted} is {many} in the weights, which have {', '.join(list(self.weights)[:6])} ...")
        value = self.weights[keys[0]]
        if value.shape != shape or value.dtype.kind not in "fiu":
            raise given.error(f"{keys[0]} must be numbers {shape}, not {value.dtype} {value.shape}")
        if not np.isfinite(value).all():
            raise given.error(f"{keys[0]} must be finite, and is not")
        return value.astype(np.float64)

    def _bias(self, given: Given, outputs: int) -> Floats:
        return self._weight(given, "bias", (outputs,)) if given.get("use_bias", True) else np.zeros(outputs)

    def _three(self, given: Given, read: Tensor) -> Shape:
        """Shape of what has positions and channels. Raises `NetworkError` for what was made flat."""
        if read.flat:
            raise given.error("reads a tensor without positions")
        return self.shapes[read.name]

    def _input(self, given: Given, read: list[Tensor]) -> Tensor:
        if INPUT in self.shapes:
            raise given.error("a model must have one input")
        shape = list(given.get("batch_shape", given.get("batch_input_shape", [])))[1:]
        if len(shape) not in (1, 2) or not all(isinstance(one, int) and one > 0 for one in shape):
            raise given.error(f"its shape must be (samples,) or (length, channels), not {tuple(shape)}")
        self.input = (1, shape[0]) if len(shape) == 1 else (shape[0], shape[1])
        self.shapes[INPUT] = self.input
        return Tensor(INPUT, len(shape) == 1)

    def _rescaling(self, given: Given, read: list[Tensor]) -> Tensor:
        channels = self.shapes[read[0].name][1]
        try:
            factor, offset = (np.broadcast_to(np.float64(given.get(name)), channels) for name in ("scale", "offset"))
        except (TypeError, ValueError):
            raise given.error("scale and offset must be numbers") from None
        return self._made(Affine(name=given.name, reads=(read[0].name,), factor=factor, offset=offset), read[0].flat)

    def _conv(self, given: Given, read: list[Tensor]) -> Tensor:
        length, channels = self._three(given, read[0])
        outputs, taps, groups = given.whole("filters"), given.one("kernel_size"), given.whole("groups", 1)
        stride, dilation = given.one("strides", 1), given.one("dilation_rate", 1)
        if channels % groups or outputs % groups:
            raise given.error(f"groups must divide {channels} channels and {outputs} filters, not {groups}")
        kernel = self._weight(given, "kernel", (taps, channels // groups, outputs))
        weights = np.zeros((outputs, taps, channels))
        for output in range(outputs):
            first = output // (outputs // groups) * (channels // groups)
            weights[output, :, first : first + channels // groups] = kernel[:, :, output]
        reach = dilation * (taps - 1) + 1
        before, after = given.padding(length, reach, stride)
        fields = {"stride": stride, "dilation": dilation, "before": before, "after": after, **given.activation()}
        bias = self._bias(given, outputs)
        return self._made(Conv(name=given.name, reads=(read[0].name,), weights=weights, bias=bias, **fields))

    def _transposed(self, given: Given, read: list[Tensor]) -> Tensor:
        channels = self._three(given, read[0])[1]
        outputs, taps, stride = given.whole("filters"), given.one("kernel_size"), given.one("strides", 1)
        if given.one("dilation_rate", 1) != 1 or given.get("output_padding") not in (None, [None]):
            raise given.error("dilation_rate must be 1 and output_padding none")
        weights = self._weight(given, "kernel", (taps, outputs, channels)).transpose(1, 0, 2)
        # Where a stride is longer than the taps, Keras's outputs go on to the stride's end: as with taps of 0.
        weights = np.pad(weights, ((0, 0), (0, max(0, stride - taps)), (0, 0)))
        cut = {"valid": 0, "same": max(0, taps - stride)}.get(given.get("padding", "valid"))
        if cut is None:
            raise given.error(f"padding must be valid or same, not {given.get('padding')}")
        fields = {"stride": stride, "before": cut // 2, "after": cut - cut // 2, **given.activation()}
        bias = self._bias(given, outputs)
        return self._made(Transposed(name=given.name, reads=(read[0].name,), weights=weights, bias=bias, **fields))

    def _dense(self, given: Given, read: list[Tensor]) -> Tensor:
        """Over all of a flat tensor; of another, each position by itself: a convolution of one tap."""
        length, channels = self.shapes[read[0].name]
        outputs, inputs = given.whole("units"), length * channels if read[0].flat else channels
        weights = self._weight(given, "kernel", (inputs, outputs)).T
        fields: dict[str, Any] = {"name": given.name, "reads": (read[0].name,), "bias": self._bias(given, outputs)}
        fields |= given.activation()
        if read[0].flat:
            return self._made(Dense(weights=weights, **fields), flat=True)
        return self._made(Conv(weights=weights[:, None, :], **fields))

    def _pool(self, given: Given, read: list[Tensor]) -> Tensor:
        length, _ = self._three(given, read[0])
        taps = given.one("pool_size")
        stride = given.one("strides") if given.get("strides") else taps
        before, after = given.padding(length, taps, stride)
        operation = "max" if given.kind.startswith("Max") else "average"
        if operation == "average" and before + after:
            raise given.error("padding must be valid: an average over fewer at the ends is not supported")
        return self._pooled(given, read[0], operation, taps, stride, before, after)

    def _global_pool(self, given: Given, read: list[Tensor]) -> Tensor:
        length, _ = self._three(given, read[0])
        operation = "max" if given.kind == "GlobalMaxPooling1D" else "average"
        made = self._pooled(given, read[0], operation, length, 1)
        return Tensor(made.name, not given.get("keepdims", False))

    def _pooled(self, given: Given, read: Tensor, how: Any, taps: int, stride: int, *around: int) -> Tensor:
        before, after = around or (0, 0)
        fields: dict[str, Any] = {"taps": taps, "stride": stride, "before": before, "after": after}
        return self._made(Pool(name=given.name, reads=(read.name,), operation=how, **fields))

    def _joined(self, given: Given, read: list[Tensor]) -> tuple[tuple[str, ...], bool]:
        if len({tensor.flat for tensor in read}) != 1:
            raise given.error("what it reads must be all flat, or none")
        return tuple(tensor.name for tensor in read), read[0].flat

    def _add(self, given: Given, read: list[Tensor]) -> Tensor:
        reads, flat = self._joined(given, read)
        return self._made(Add(name=given.name, reads=reads), flat)

    def _concat(self, given: Given, read: list[Tensor]) -> Tensor:
        reads, flat = self._joined(given, read)
        if given.get("axis", -1) not in ((-1, 1) if flat else (-1, 2)):
            raise given.error(f"axis must be -1, the channels', not {given.get('axis')}")
        if flat and any(self.shapes[name][0] > 1 for name in reads):
            raise given.error("flattened tensors of several positions cannot be joined")
        return self._made(Concat(name=given.name, reads=reads), flat)

    def _activation(self, given: Given, read: list[Tensor]) -> Tensor:
        return self._made(Copy(name=given.name, reads=(read[0].name,), **given.activation()), read[0].flat)

    def _normalisation(self, given: Given, read: list[Tensor]) -> Tensor:
        length, channels = self.shapes[read[0].name]
        if given.get("axis", -1) not in (-1, [-1], *((1, [1]) if read[0].flat else (2, [2]))):
            raise given.error(f"axis must be -1, the channels', not {given.get('axis')}")
        if read[0].flat and length > 1:
            raise given.error("reads a flattened tensor; before the Flatten it is supported")
        gamma = self._weight(given, "gamma", (channels,)) if given.get("scale", True) else np.ones(channels)
        beta = self._weight(given, "beta", (channels,)) if given.get("center", True) else np.zeros(channels)
        mean, variance = (self._weight(given, name, (channels,)) for name in ("moving_mean", "moving_variance"))
        if (variance < 0).any():
            raise given.error("moving_variance must not be below 0")
        factor = gamma / np.sqrt(variance + float(given.get("epsilon", 1e-3)))
        affine = Affine(name=given.name, reads=(read[0].name,), factor=factor, offset=beta - mean * factor)
        return self._made(affine, read[0].flat)

    def _nothing(self, given: Given, read: list[Tensor]) -> Tensor:
        return read[0]

    def _flatten(self, given: Given, read: list[Tensor]) -> Tensor:
        return Tensor(read[0].name, True)

    def _reshape(self, given: Given, read: list[Tensor]) -> Tensor:
        """To one axis, to what it was, or of the input itself."""
        length, channels = self.shapes[read[0].name]
        target = list(given.get("target_shape", []))
        if target.count(-1) == 1:
            rest = int(np.prod([one for one in target if one != -1]))
            target = [length * channels // max(1, rest) if one == -1 else one for one in target]
        if target == [length * channels]:
            return Tensor(read[0].name, True)
        if target == [length, channels]:
            return Tensor(read[0].name, False)
        if read[0].name == INPUT and not self.ops and len(target) == 2 and np.prod(target) == length * channels:
            self.input = self.shapes[INPUT] = (int(target[0]), int(target[1]))
            return Tensor(INPUT, False)
        raise given.error(f"to {tuple(target)} is not supported; of the input it is, and to one axis")

    def _padding(self, given: Given, read: list[Tensor]) -> Tensor:
        self._three(given, read[0])
        found = given.get("padding", 1)
        pair = [found, found] if isinstance(found, int) else found
        if not isinstance(pair, list) or len(pair) != 2 or not all(isinstance(one, int) and one >= 0 for one in pair):
            raise given.error(f"padding must be one or two whole numbers, not {found}")
        return self._pooled(given, read[0], "average", 1, 1, *pair)
