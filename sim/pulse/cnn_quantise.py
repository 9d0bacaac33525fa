"""A float network as integers: weights of 8 bits, activations of 16 or 8, by the ranges that windows of codes show.

Weights have a scale an output channel, symmetric, the largest 127; where all products with the largest elements could
leave a sum's 32 bits, a coarser one. Activations are symmetric, but those of 8 bits after a ReLU, which have no use for
numbers below 0. All is rounded to the nearest. Operations that round their outputs themselves (`Quant`) keep these
values, and weights with `steps` their integers.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from hdl.pulse.cnn_words import FACTOR_BITS, Activation
from sim.pulse import cnn_network
from sim.pulse.cnn_fold import folded
from sim.pulse.cnn_graph import (
    Add,
    Concat,
    Conv,
    Copy,
    Dense,
    Floats,
    Graph,
    Linear,
    Op,
    Pool,
    Transposed,
    tensors,
)
from sim.pulse.cnn_lower import Form, form_of, lowered, origin
from sim.pulse.cnn_network import INPUT, MOST_SHIFT, Input, Network, Node, Requantisation

HEADROOM = 1.25
"""Of activations of 16 bits, over the largest value that was seen."""

MOST_WEIGHT = 127

SUM = (1 << 31) - 1


@dataclass(frozen=True, eq=False)
class Quantised:
    """A network and what its integers mean.

    Attributes
    ----------
    graph : what the layers were made of; a layer has its operation's name
    forms : of all tensors but raw outputs
    output_scale, output_zero : float64 (channels,); an output is scale · (integer - zero)
    """

    network: Network
    graph: Graph
    forms: dict[str, Form]
    output_scale: Floats
    output_zero: int

    def outputs(self, values: npt.NDArray[np.int32]) -> Floats:
        """What the network's integers (windows, length, channels) stand for."""
        return (values.astype(np.float64) - self.output_zero) * self.output_scale


def inputs_of(windows: npt.NDArray[np.int16], input_scale: float | None) -> Floats:
    """What a model is given for codes (windows, samples): these over the scale, or over the peak, above -1."""
    codes = windows.astype(np.float64)
    if input_scale is None:
        return np.asarray(np.maximum(-1, codes / np.maximum(1, codes.max(axis=1, keepdims=True))))
    return np.asarray(codes / input_scale)


def quantise(
    graph: Graph,
    windows: npt.NDArray[np.int16],
    *,
    input_scale: float | None = None,
    activation_bits: int = 16,
    raw: bool = True,
) -> Quantised:
    """A network of these operations, its ranges those of the windows' values.

    Parameters
    ----------
    windows : int16 (windows, samples)
        Codes, one window at least.
    input_scale : codes for 1.0; without, windows are taken over their peak
    raw : the outputs are sums of 32 bits, where nothing comes after the last operation's sum

    Raises
    ------
    NetworkError
        Naming the layer that cannot be had in integers, and why.
    """
    graph = lowered(folded(graph.pruned()), activation_bits)
    largest = _largest(graph, inputs_of(windows, input_scale))
    given, form = _input(graph, windows, input_scale, activation_bits)
    last = graph.last
    raw = raw and last.activation == Activation.NONE and last.quant is None
    forms = {INPUT: form} | _forms(graph, largest, form, activation_bits)
    layers: list[Node] = []
    scale, zero = np.full(graph.shapes[last.name][1], forms[last.name].scale), forms[last.name].zero
    for op in graph.ops:
        layer, sums = _layer(op, forms, graph.shapes[op.name][1], activation_bits, raw=raw and op is last)
        layers.append(layer)
        if raw and op is last:
            scale, zero = sums, 0
    return Quantised(Network(given, tuple(layers), raw, activation_bits), graph, forms, scale, zero)


def _largest(graph: Graph, inputs: Floats) -> dict[str, float]:
    """Of each tensor's values, away from 0."""
    found: dict[str, float] = {}
    for start in range(0, len(inputs), 512):
        for name, values in tensors(graph, inputs[start : start + 512]):
            found[name] = max(found.get(name, 0.0), float(np.abs(values).max()))
    return found


def _input(graph: Graph, windows: npt.NDArray[np.int16], scale: float | None, bits: int) -> tuple[Input, Form]:
    """Of 16 bits, elements are the codes themselves; of 8, the windows' largest is 127."""
    length, channels = graph.input
    if scale is None:
        return Input(length, channels, normalise=True), Form(graph.gain / (1 << bits - 1), 0, bits == 16)
    if bits == 16:
        return Input(length, channels), Form(graph.gain / scale, 0, True)
    ratio = min(1.0, 127 / max(1, int(windows.max()), -1 - int(windows.min())))
    shift = 14 - int(np.floor(np.log2(ratio)))
    gain = int(np.floor(np.ldexp(ratio, shift)))
    return Input(length, channels, gain=gain, gain_shift=shift), Form(graph.gain / scale * 2**shift / gain, 0, False)


def _forms(graph: Graph, largest: Mapping[str, float], given: Form, bits: int) -> dict[str, Form]:
    """Of all operations' outputs. Those that lie in one another's place have one form."""
    group = {op.name: op.name for op in graph.ops}
    for op in graph.ops:
        joined = op.reads if isinstance(op, Concat) else op.reads[1:] if isinstance(op, Add) else ()
        for name in joined:
            old, new = group[name], group[op.name]
            group = {one: new if its == old else its for one, its in group.items()}
    wide = bits == 16
    found: dict[str, Form] = {}
    for op in graph.ops:
        if isinstance(op, Pool) and op.operation == "max":
            found[op.name] = found[op.reads[0]] if op.reads[0] != INPUT else given
            continue
        own = form_of(op, bits)
        members = [other for other in graph.ops if group[other.name] == group[op.name]]
        fixed = [form for other in members if (form := form_of(other, bits))]
        most = max(largest[other.name] for other in members) or 1.0
        if own:
            found[op.name] = own
        elif fixed:
            found[op.name] = Form(fixed[0].scale, fixed[0].zero, wide)
        elif bits == 8 and len(members) == 1 and _only_rises(graph, op):
            found[op.name] = Form(most / 255, -128, False)
        else:
            found[op.name] = Form(most * HEADROOM / 32767 if wide else most / 127, 0, wide)
    return found


def _only_rises(graph: Graph, op: Op) -> bool:
    """Whether outputs are never below 0, and what reads them minds no zero point."""
    if op.activation != Activation.RELU or op is graph.last:
        return False
    return not any(isinstance(one, Transposed) and origin(graph.ops, one.reads[0]) is op for one in graph.ops)


def _layer(op: Op, forms: Mapping[str, Form], channels: int, bits: int, *, raw: bool) -> tuple[Node, Floats]:
    """An operation's layer, and the scale of its sums (channels,)."""
    if isinstance(op, Concat):
        return cnn_network.Concat(name=op.name, parts=op.reads), np.zeros(channels)
    given = forms[op.reads[0]]
    fields: dict[str, Any] = {"name": op.name, "source": op.reads[0]}
    scale = np.full(channels, given.scale)
    kind: type[Any]
    if isinstance(op, Linear):
        weights, steps = _weights(op, given)
        scale = given.scale * steps
        fields |= {"weights": weights, "bias": _bias(op, weights, scale, given)}
        if isinstance(op, Conv | Transposed):
            fields |= {"stride": op.stride, "before": op.before, "after": op.after}
        if isinstance(op, Conv):
            fields |= {"dilation": op.dilation, "pad": given.zero}
        kind = {Conv: cnn_network.Conv, Transposed: cnn_network.TransposedConv, Dense: cnn_network.Dense}[type(op)]
    elif isinstance(op, Pool) and op.operation == "max":
        pad = -(1 << bits - 1)
        fields |= {"operation": "max", "taps": op.taps, "stride": op.stride, "before": op.before, "after": op.after}
        same = Requantisation.power_of_two(channels, wide=given.wide)
        return cnn_network.Pool(**fields, pad=pad, output=same), scale
    else:
        assert isinstance(op, Pool | Copy | Add)
        taps = op.taps if isinstance(op, Pool) else 1
        fields |= {"operation": "sum", "taps": taps, "bias": -given.zero * taps, "pad": given.zero}
        if isinstance(op, Pool):
            fields |= {"stride": op.stride, "before": op.before, "after": op.after}
        elif isinstance(op, Add):
            fields |= {"add": op.reads[1]}
        scale = scale / taps
        kind = cnn_network.Pool
    if raw:
        return kind(**fields, output=Requantisation.power_of_two(channels)), scale
    return kind(**fields, output=_requantisation(op, scale, forms[op.name])), scale


def _most(given: Form) -> int:
    """The largest of what elements stand for, in steps of the scale, away from 0."""
    return (1 << (15 if given.wide else 7)) + abs(given.zero)


def _weights(op: Linear, given: Form) -> tuple[npt.NDArray[np.int8], Floats]:
    """Integers, and the scale of each output's (outputs,)."""
    rows = op.weights.reshape(len(op.weights), -1)
    if op.steps is not None:
        steps = op.steps
    else:
        steps = np.abs(rows).max(axis=1) / MOST_WEIGHT
        sums = np.abs(rows).sum(axis=1) * _most(given) + np.abs(op.bias) / given.scale
        # Each weight may be rounded up by half, so that the sum of all stays below.
        spare = SUM - rows.shape[1] * _most(given) / 2 - 1
        if spare <= 0:
            raise op.error(f"{rows.shape[1]} products do not fit a sum of 32 bits")
        steps = np.maximum(steps, sums / spare)
        steps = np.where(steps == 0, steps.max() or 1.0, steps)
    whole = np.rint(rows / steps[:, None])
    if (np.abs(whole).sum(axis=1) * _most(given) + np.abs(np.rint(op.bias / (given.scale * steps))) > SUM).any():
        raise op.error("its products with the largest activations do not fit a sum of 32 bits")
    return whole.astype(np.int8).reshape(op.weights.shape), steps


def _bias(op: Linear, weights: npt.NDArray[np.int8], scale: Floats, given: Form) -> npt.NDArray[np.int32]:
    """In steps of the sums, less what the source's zero point adds to these."""
    zeros = given.zero * weights.reshape(len(weights), -1).astype(np.int64).sum(axis=1)
    return np.asarray((np.rint(op.bias / scale).astype(np.int64) - zeros).astype(np.int32))


def _requantisation(op: Op, scale: Floats, form: Form) -> Requantisation:
    """From sums of a scale (channels,) to elements of a form."""
    ratio = scale / form.scale
    most = (1 << FACTOR_BITS - 1) - 1
    exponent = np.floor(np.log2(np.maximum(np.abs(ratio), 2.0**-100))).astype(np.int64)
    shift = np.clip(FACTOR_BITS - 2 - exponent, 0, MOST_SHIFT)
    factor = np.rint(np.ldexp(ratio, shift))
    over = (np.abs(factor) > most) & (shift > 0)  # 32767.5 and more, rounded up to 2^15
    shift = np.where(over, shift - 1, shift)
    factor = np.rint(np.ldexp(ratio, shift))
    if (np.abs(factor) > most).any():
        raise op.error(f"a step of its sums is {np.abs(ratio).max():g} of its outputs', which must be below 2^15")
    ends = {"activation": op.activation, "leak": op.leak, "zero": form.zero, "wide": form.wide}
    return Requantisation(factor.astype(np.int32), shift.astype(np.int32), **ends)  # type: ignore[arg-type]
