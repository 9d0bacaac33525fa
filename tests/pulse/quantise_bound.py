"""How far a network's integers may be from the floats, by theory: what each rounding does, and what becomes of it."""

from dataclasses import replace

import numpy as np

from hdl.pulse.cnn_words import Activation
from sim.pulse.cnn_graph import Add, Concat, Linear, Pool, evaluate
from sim.pulse.cnn_network import INPUT

FACTOR = 2.0**-15
"""Of a factor of 15 bits, rounded to the nearest; as a share of it."""


def error_bound(quantised, inputs, first, raw=True):
    """Of the last tensor's values, for inputs that the ranges are made of, with elements wrong by `first` steps."""
    graph, forms = quantised.graph, quantised.forms
    known = evaluate(graph, inputs)
    errors = {INPUT: np.full(known[INPUT].shape, first * forms[INPUT].scale)}
    for op in graph.ops:
        given = [errors[name] for name in op.reads]
        last_raw = raw and op is graph.last and op.activation == Activation.NONE
        if isinstance(op, Concat):
            errors[op.name] = np.concatenate(given, axis=2)
            continue
        if isinstance(op, Pool) and op.operation == "max":
            errors[op.name] = op.values(given)
            continue
        if isinstance(op, Linear):
            axes = tuple(range(1, op.weights.ndim))
            half = np.broadcast_to(np.abs(op.weights).max(axis=axes, keepdims=True) / 254, op.weights.shape)
            least = np.abs(op.steps) / 2 if op.steps is not None else half.max(axis=axes)
            half = half if op.steps is None else np.zeros_like(half)
            zeros = np.zeros_like(op.bias)
            sums = replace(op, weights=np.abs(op.weights) + half, bias=least * forms[op.reads[0]].scale)
            found = sums.values(given) + replace(op, weights=half, bias=zeros).values([np.abs(known[op.reads[0]])])
        else:
            found = op.values(given)
        if not last_raw:
            step = forms[op.name].scale
            rounded = op.values([known[name] for name in (op.reads[:1] if isinstance(op, Add) else op.reads)])
            found = found + FACTOR * (np.abs(rounded) + found) + step / 2
            found = found + (step if op.activation == Activation.LEAKY else 0)
            found = found + (step / 2 if op.quant else 0)  # the model rounds, too
        errors[op.name] = found
    return errors[graph.last.name]
