"""An ONNX model, quantised by QONNX's nodes or not, as a float network; only `onnx` is needed to read one.

Tensors of ONNX are (windows, channels, length); ours have channels last. `Quant` of weights gives their integers, that
of a tensor is rounding (`cnn_graph.Quant`). arXiv 2206.07527 has what the nodes mean.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from sim.pulse.cnn_graph import Add, Affine, Concat, Conv, Copy, Dense, Floats, Graph, Op, Pool, Quant, Transposed
from sim.pulse.cnn_keras_model import leaky
from sim.pulse.cnn_network import INPUT, NetworkError, Shape
from sim.pulse.cnn_onnx_node import Constant, OnnxNode, Tensor, constants, nodes, quant_fields

Known = Tensor | Constant


def graph_of(model: Any) -> Graph:
    """The network of an `onnx.ModelProto`.

    Raises
    ------
    NetworkError
        Naming the node that cannot be had, and why.
    """
    reader = _Reader(constants(model.graph))
    given = [one for one in model.graph.input if one.name not in reader.known]
    if len(given) != 1 or len(model.graph.output) != 1:
        raise NetworkError(f"model: must have one input and one output, not {len(given)} and {len(model.graph.output)}")
    sizes = [one.dim_value for one in given[0].type.tensor_type.shape.dim][1:]
    if len(sizes) not in (1, 2) or min(sizes) < 1:
        raise NetworkError(f"model: its input must be (windows, channels, length) or (windows, samples), not {sizes}")
    shape = (sizes[1], sizes[0]) if len(sizes) == 2 else (1, sizes[0])
    reader.shapes[INPUT] = shape
    reader.known[given[0].name] = Tensor(INPUT, flat=len(sizes) == 1)
    for node in nodes(model.graph):
        reader.take(node)
    last = reader.known.get(model.graph.output[0].name)
    if not isinstance(last, Tensor) or not reader.ops or last.name == INPUT:
        raise NetworkError("model: its output must be computed from its input")
    ops = [op for op in reader.ops if op.name != last.name]
    end = next(op for op in reader.ops if op.name == last.name)
    return Graph(shape, (*ops, end)).pruned()


class _Reader:
    """Operations that grow, node by node."""

    def __init__(self, known: Mapping[str, Constant]) -> None:
        self.known: dict[str, Known] = dict(known)
        self.ops: list[Op] = []
        self.shapes: dict[str, Shape] = {}
        pool = self._pool
        self.makers: dict[str, Callable[[OnnxNode, Tensor], Tensor]] = {
            "Quant": self._quant,
            "IntQuant": self._quant,
            "Conv": self._conv,
            "ConvTranspose": self._transposed,
            "Gemm": self._dense,
            "MatMul": self._dense,
            "Relu": self._activation,
            "LeakyRelu": self._activation,
            "MaxPool": pool,
            "AveragePool": pool,
            "GlobalMaxPool": pool,
            "GlobalAveragePool": pool,
            "Add": self._arithmetic,
            "Sub": self._arithmetic,
            "Mul": self._arithmetic,
            "Div": self._arithmetic,
            "BatchNormalization": self._normalisation,
            "Concat": self._concat,
            "Flatten": self._flatten,
            "Reshape": self._flatten,
            "Identity": self._nothing,
            "Dropout": self._nothing,
        }

    def take(self, node: OnnxNode) -> None:
        """A node's outputs; of constants, a constant."""
        given = [self._get(node, name) for name in node.inputs if name]
        if node.kind in ("Quant", "IntQuant", "BipolarQuant") and isinstance(given[0], Constant):
            self.known[node.outputs[0]] = node.quantised(given)
            return
        if node.kind not in self.makers:
            raise node.error(f"{node.kind} is not supported; what is: {', '.join(self.makers)}")
        if isinstance(given[0], Constant) and node.kind in ("Add", "Mul") and len(given) == 2:
            given.reverse()
        if not isinstance(given[0], Tensor):
            raise node.error("its first input must be computed from the model's")
        self.known[node.outputs[0]] = self.makers[node.kind](node, given[0])

    def _get(self, node: OnnxNode, name: str) -> Known:
        if name not in self.known:
            raise node.error(f"reads {name}, which nothing before it makes")
        return self.known[name]

    def _constant(self, node: OnnxNode, place: int) -> Constant:
        found = self._get(node, node.inputs[place]) if place < len(node.inputs) else None
        if not isinstance(found, Constant):
            raise node.error(f"its input {place} must be a constant")
        return found

    def _made(self, op: Op, *, flat: bool = False) -> Tensor:
        if op.name in self.shapes:
            op = replace(op, name=f"{op.name}_{len(self.ops)}")
        self.shapes[op.name] = op.shape([self.shapes[name] for name in op.reads])
        self.ops.append(op)
        return Tensor(op.name, flat)

    def _positions(self, node: OnnxNode, read: Tensor) -> Shape:
        if read.flat:
            raise node.error("reads a tensor without positions")
        return self.shapes[read.name]

    def _quant(self, node: OnnxNode, read: Tensor) -> Tensor:
        scale, low, high = quant_fields(node, [self._constant(node, place) for place in (1, 2, 3)])
        if scale.size != 1:
            raise node.error("a tensor's scale must be one number; one a channel is for weights only")
        quant = Quant(float(scale.reshape(-1)[0]), low, high)
        return self._made(Copy(name=node.name, reads=(read.name,), quant=quant), flat=read.flat)

    def _linear(
        self, node: OnnxNode, weights: Constant, change: Callable[[Floats], Floats], bias: Constant | None
    ) -> dict[str, Any]:
        """Fields of an operation with weights, outputs first by `change`, steps where they are quantised."""
        found = change(weights.values)
        offsets = np.zeros(len(found)) if bias is None else bias.values
        if offsets.size not in (1, len(found)):
            raise node.error(f"its bias must be {len(found)} numbers, not {bias.values.shape if bias else ()}")
        fields: dict[str, Any] = {"name": node.name, "weights": found}
        fields["bias"] = np.broadcast_to(offsets.reshape(-1), len(found)).copy()
        if weights.scale is not None:
            scales = change(np.broadcast_to(weights.scale, weights.values.shape)).reshape(len(found), -1)
            if (scales != scales[:, :1]).any():
                raise node.error("its weights' scale must be one for all of an output channel's")
            whole = found.reshape(len(found), -1) / scales
            if np.abs(whole + 0.5).max() > 128:
                raise node.error("its weights must be integers of 8 bits, signed")
            fields["steps"] = scales[:, 0].copy()
        return fields

    def _bias(self, node: OnnxNode, place: int) -> Constant | None:
        return self._constant(node, place) if place < len(node.inputs) and node.inputs[place] else None

    def _conv(self, node: OnnxNode, read: Tensor) -> Tensor:
        _, channels = self._positions(node, read)
        given, groups = self._constant(node, 1), int(node.get("group", 1))
        if given.values.ndim != 3 or given.values.shape[1] * groups != channels or len(given.values) % groups:
            raise node.error(f"its weights must be those of {channels} channels, not {given.values.shape}")

        def change(values: Floats) -> Floats:
            outputs, inputs, taps = values.shape
            whole = np.zeros((outputs, taps, channels))
            for output in range(outputs):
                first = output // (outputs // groups) * inputs
                whole[output, :, first : first + inputs] = values[output].T
            return whole

        fields = self._linear(node, given, change, self._bias(node, 2)) if groups == 1 else None
        if fields is None:  # zeros between the groups have no scale of their own
            plain = self._linear(node, Constant(given.values), change, self._bias(node, 2))
            own = self._linear(node, given, lambda values: values.transpose(0, 2, 1), self._bias(node, 2))
            fields = plain | {"steps": own.get("steps")}
        before, after = node.pads()
        options: dict[str, Any] = {
            "stride": node.one("strides"),
            "dilation": node.one("dilations"),
            "before": before,
            "after": after,
        }
        return self._made(Conv(reads=(read.name,), **fields, **options))

    def _transposed(self, node: OnnxNode, read: Tensor) -> Tensor:
        _, channels = self._positions(node, read)
        given = self._constant(node, 1)
        if given.values.ndim != 3 or len(given.values) != channels or node.get("group", 1) != 1:
            raise node.error(f"its weights must be those of {channels} channels in one group, not {given.values.shape}")
        if node.one("dilations") != 1 or any(node.get("output_padding", [])) or node.get("output_shape"):
            raise node.error("dilations must be 1, output_padding and output_shape none")
        fields = self._linear(node, given, lambda values: values.transpose(1, 2, 0), self._bias(node, 2))
        before, after = node.pads()
        options: dict[str, Any] = {"stride": node.one("strides"), "before": before, "after": after}
        return self._made(Transposed(reads=(read.name,), **fields, **options))

    def _dense(self, node: OnnxNode, read: Tensor) -> Tensor:
        """Over all of a flat tensor, whose channels come one after another in ONNX."""
        length, channels = self.shapes[read.name]
        given = self._constant(node, 1)
        turned = node.kind == "MatMul" or not node.get("transB", 0)
        plain = node.get("alpha", 1.0) == 1 and node.get("beta", 1.0) == 1 and not node.get("transA", 0)
        if not read.flat or not plain:
            raise node.error("must read a tensor of one axis, alpha and beta 1, transA 0")
        if given.values.ndim != 2 or given.values.shape[0 if turned else 1] != length * channels:
            raise node.error(f"its weights must be those of {length * channels} values, not {given.values.shape}")

        def change(values: Floats) -> Floats:
            rows = values.T if turned else values
            return np.asarray(rows.reshape(-1, channels, length).swapaxes(1, 2).reshape(len(rows), -1))

        fields = self._linear(node, given, change, self._bias(node, 2))
        return self._made(Dense(reads=(read.name,), **fields), flat=True)

    def _activation(self, node: OnnxNode, read: Tensor) -> Tensor:
        slope = round(float(node.get("alpha", 0.01)), 8) if node.kind == "LeakyRelu" else 0.0
        try:
            fields = leaky(slope)
        except ValueError as error:
            raise node.error(str(error)) from None
        return self._made(Copy(name=node.name, reads=(read.name,), **fields), flat=read.flat)

    def _pool(self, node: OnnxNode, read: Tensor) -> Tensor:
        length, _ = self._positions(node, read)
        operation: Any = "max" if "Max" in node.kind else "average"
        fields: dict[str, Any] = {"name": node.name, "reads": (read.name,), "operation": operation}
        if node.kind.startswith("Global"):
            return self._made(Pool(taps=length, stride=1, **fields))
        before, after = node.pads()
        if node.get("ceil_mode", 0) or node.one("dilations") != 1:
            raise node.error("ceil_mode must be 0 and dilations 1")
        if operation == "average" and before + after and not node.get("count_include_pad", 0):
            raise node.error("count_include_pad must be 1: an average over fewer at the ends is not supported")
        taps = node.one("kernel_shape")
        return self._made(Pool(taps=taps, stride=node.one("strides"), before=before, after=after, **fields))

    def _arithmetic(self, node: OnnxNode, read: Tensor) -> Tensor:
        names = [name for name in node.inputs if isinstance(self.known[name], Constant)]
        if not names:
            others = [self.known[name] for name in node.inputs]
            if node.kind != "Add" or len({other.flat for other in others if isinstance(other, Tensor)}) != 1:
                raise node.error("two tensors of the same axes can only be added")
            reads = tuple(other.name for other in others if isinstance(other, Tensor))
            return self._made(Add(name=node.name, reads=reads), flat=read.flat)
        constant = self.known[names[0]]
        assert isinstance(constant, Constant)
        value = self._a_channel(node, constant.values, read)
        one, none = np.ones_like(value), np.zeros_like(value)
        if node.kind == "Div" and (value == 0).any():
            raise node.error("divides by 0")
        factor, offset = {
            "Add": lambda: (one, value),
            "Sub": lambda: (one, -value),
            "Mul": lambda: (value, none),
            "Div": lambda: (1 / value, none),
        }[node.kind]()
        return self._made(Affine(name=node.name, reads=(read.name,), factor=factor, offset=offset), flat=read.flat)

    def _a_channel(self, node: OnnxNode, value: npt.NDArray[Any], read: Tensor) -> Floats:
        """A number for each channel."""
        length, channels = self.shapes[read.name]
        shape = (1, length * channels) if read.flat else (1, channels, 1)
        try:
            if value.size != 1 and read.flat and length > 1:
                raise ValueError
            whole = np.broadcast_to(value.reshape(()) if value.size == 1 else value, shape)
        except ValueError:
            raise node.error(f"its constant must be one number, or one a channel, not {value.shape}") from None
        return whole.reshape(-1)[:channels].astype(np.float64)

    def _normalisation(self, node: OnnxNode, read: Tensor) -> Tensor:
        length, channels = self.shapes[read.name]
        gamma, beta, mean, variance = (self._constant(node, place).values for place in (1, 2, 3, 4))
        if (read.flat and length > 1) or any(one.shape != (channels,) for one in (gamma, beta, mean, variance)):
            raise node.error(f"its constants must be of {channels} channels")
        factor = gamma / np.sqrt(variance + float(node.get("epsilon", 1e-5)))
        affine = Affine(name=node.name, reads=(read.name,), factor=factor, offset=beta - mean * factor)
        return self._made(affine, flat=read.flat)

    def _concat(self, node: OnnxNode, read: Tensor) -> Tensor:
        parts = [self.known[name] for name in node.inputs]
        reads = tuple(part.name for part in parts if isinstance(part, Tensor) and part.flat == read.flat)
        if len(reads) != len(parts) or node.get("axis") not in ((1, -1) if read.flat else (1, -2)):
            raise node.error("must join the channels of tensors of the same axes")
        if read.flat and any(self.shapes[name][0] > 1 for name in reads):
            raise node.error("flattened tensors of several positions cannot be joined")
        return self._made(Concat(name=node.name, reads=reads), flat=read.flat)

    def _flatten(self, node: OnnxNode, read: Tensor) -> Tensor:
        length, channels = self.shapes[read.name]
        if node.kind == "Flatten":
            if node.get("axis", 1) != 1:
                raise node.error(f"axis must be 1, not {node.get('axis')}")
            return Tensor(read.name, True)
        target = [int(one) for one in self._constant(node, 1).values.reshape(-1)]
        if len(target) == 2 and target[1] in (-1, length * channels):
            return Tensor(read.name, True)
        raise node.error(f"to {target} is not supported; to (windows, values) it is")

    def _nothing(self, node: OnnxNode, read: Tensor) -> Tensor:
        return read
