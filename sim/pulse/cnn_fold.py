"""A float network's operations made fewer: what only scales, activates or rounds goes into the operation before it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from hdl.pulse.cnn_words import Activation
from sim.pulse.cnn_graph import Affine, Conv, Copy, Graph, Linear, Op, Pool
from sim.pulse.cnn_network import INPUT


def folded(graph: Graph) -> Graph:
    """The same function. What cannot be folded of `Affine` becomes a convolution of one tap; none is left."""
    graph = _gained(graph)
    made: dict[str, Op] = {}
    known = {INPUT: INPUT}
    for op in graph.ops:
        moved = replace(op, reads=tuple(known[name] for name in op.reads))
        before = made.get(moved.reads[0])
        merged = _merged(before, moved) if before and graph.readers(op.reads[0]) == [op] else None
        if before and merged:
            del made[before.name]
            made[merged.name], known[op.name] = merged, merged.name
        else:
            made[op.name], known[op.name] = _alone(moved), op.name
    return replace(graph, ops=tuple(made.values()))


def _gained(graph: Graph) -> Graph:
    """A first factor above 0, alike for all channels, as the input's gain."""
    first = graph.ops[0]
    if not isinstance(first, Affine) or graph.readers(INPUT) != [first] or len(graph.ops) == 1:
        return graph
    plain = first.activation == Activation.NONE and first.quant is None and not first.offset.any()
    if not plain or len(set(first.factor.tolist())) != 1 or first.factor[0] <= 0:
        return graph
    reads = {op.name: tuple(INPUT if name == first.name else name for name in op.reads) for op in graph.ops}
    rest = tuple(replace(op, reads=reads[op.name]) for op in graph.ops[1:])
    return replace(graph, ops=rest, gain=graph.gain * float(first.factor[0]))


def _merged(before: Op, op: Op) -> Op | None:
    """Both as one; None where that cannot be."""
    ends = {"activation": op.activation, "leak": op.leak, "quant": op.quant}
    if isinstance(op, Affine) and isinstance(before, Linear):
        if before.activation == Activation.NONE and before.quant is None:
            return replace(before.scaled(op.factor, op.offset), **ends)  # type: ignore[arg-type]
    elif isinstance(op, Copy) and before.quant is None:
        if before.activation == Activation.NONE:
            return replace(before, **ends)  # type: ignore[arg-type]
        if op.activation == Activation.NONE:
            return replace(before, quant=op.quant)
    elif isinstance(op, Conv) and isinstance(before, Pool) and _only_pads(before):
        return replace(op, reads=before.reads, before=op.before + before.before, after=op.after + before.after)
    return None


def _only_pads(op: Pool) -> bool:
    """A pool of one tap is how padding by itself is written."""
    plain = op.activation == Activation.NONE and op.quant is None
    return plain and (op.operation, op.taps, op.stride) == ("average", 1, 1)


def _alone(op: Op) -> Op:
    """An operation that there is a layer for."""
    if not isinstance(op, Affine):
        return op
    ends = {"activation": op.activation, "leak": op.leak, "quant": op.quant}
    weights = np.diag(op.factor)[:, None, :]
    return Conv(name=op.name, reads=op.reads, weights=weights, bias=op.offset, **ends)  # type: ignore[arg-type]
