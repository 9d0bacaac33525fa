"""Networks in the operand formats of `simd.matmul`, a format a layer: post-training and quantisation-aware.

A layer runs as one job of the co-processor, so its inputs and weights share one format, its mode. A tensor has one
scale, a power of two, because that is what the co-processor can take away again: a number is value(code) * 2**exponent.
The bias is int32 times a power of two of its own, and nothing in between is rounded. So a layer's outputs are rounded
once, into the next layer's mode (the last layer's into fp32), with saturation, and then ReLU.

Scales are chosen to have the least squared error, over all powers of two that make sense, on the weights themselves
and on what enters the layer in the unquantised network for some calibration samples (post-training quantisation; see
Nagel et al., "A White Paper on Neural Network Quantization", 2021, section 3). Quantisation-aware training is
`sim.simd.mlp.train` with `roundings`: scales stay, weights learn to live with the rounding.

Two ways through a quantised network give the same scores: `mlp.scores` with `roundings`, in float64, and
`QuantisedNetwork`, in codes, by a `matmul` that is exact until it rounds. They are equal wherever float64 holds the
sums exactly. In layers of some hundred inputs that is every mode but p16_1 and e5m2, where small and large products
together can have more than 53 bits; then a difference needs a sum within 2**-40 of a step of a rounding boundary.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from hdl.simd.modes import MODES
from sim.common.formats import decode, encode, encode_flags, max_value
from sim.simd.exact import smallest_exponent
from sim.simd.mac_model import MacResult
from sim.simd.mlp import EXACT, Bools, Floats, Layer, Network, Rounder, Rounding, layer_inputs

Codes = npt.NDArray[Any]

FORMATS = tuple(name for name, mode in MODES.items() if mode.block is None)
"""The modes that a layer can have."""

SCORE_FORMAT = "fp32"
"""What the last layer's sums are rounded into."""

BIAS_BITS = 24
"""Bits of the largest bias with its sign: finer than any product by far, and float64 still holds the sum."""

BIAS_EXPONENTS = range(-56, 33)
SCALE_EXPONENTS = range(-64, 64)
"""What a job of the co-processor takes."""

_CLIPPED_BITS = 3
"""The largest magnitude may be beyond a format's largest number by so many powers of two: clipping it can pay."""


@dataclass(frozen=True)
class Scheme:
    """How a layer is quantised: its mode, and the exponents of its inputs' and its weights' scales."""

    mode: str
    input_exponent: int
    weight_exponent: int

    @property
    def sum_exponent(self) -> int:
        """A product of codes' values, times 2**this, is the product of the numbers they stand for."""
        return self.input_exponent + self.weight_exponent


Schemes = tuple[Scheme, ...]
Calibration = tuple[dict[str, Scheme], ...]
"""Each layer's scheme for each mode."""


class Matmul(Protocol):
    """C = A · B as the co-processor computes it: `sim.simd.matmul_model.matmul`, or the gateware behind the same face.

    Codes (M, K) and (K, N) and int32 (N,) -> codes uint32 (M, N).
    """

    def __call__(
        self,
        mode: str,
        a: Codes,
        b: Codes,
        *,
        bias: npt.NDArray[np.int32],
        bias_exponent: int,
        scale_exponent: int,
        out_format: str,
        relu: bool,
    ) -> MacResult: ...


@dataclass(frozen=True)
class QuantisedLayer:
    """One job of the co-processor, but for its A.

    Attributes
    ----------
    mode : format of inputs and weights
    weights : uint8 or uint16, (inputs, outputs)
        Codes.
    bias : int32, (outputs,)
    bias_exponent, scale_exponent : int
        Outputs are (inputs @ weights + bias * 2**bias_exponent) * 2**scale_exponent, rounded into `out_format`.
    out_format : the next layer's mode, or `SCORE_FORMAT`
    relu : whether negative outputs become 0
    """

    mode: str
    weights: Codes
    bias: npt.NDArray[np.int32]
    bias_exponent: int
    scale_exponent: int
    out_format: str
    relu: bool


@dataclass(frozen=True)
class QuantisedNetwork:
    """What the co-processor runs, layer by layer; `input_exponent` is that of the first layer's inputs."""

    layers: tuple[QuantisedLayer, ...]
    input_exponent: int

    def encode_inputs(self, x: Floats) -> Codes:
        """The first job's A: samples (n, inputs) -> codes of the first layer's mode."""
        return encode(self.layers[0].mode, np.ldexp(x, -self.input_exponent))

    def outputs(self, x: Floats, matmul: Matmul) -> list[Codes]:
        """Codes that leave each layer, for samples (n, inputs): a list of uint32 (n, outputs of the layer)."""
        found: list[Codes] = []
        codes = self.encode_inputs(x)
        for layer in self.layers:
            result = matmul(
                layer.mode,
                codes.astype(layer.weights.dtype),
                layer.weights,
                bias=layer.bias,
                bias_exponent=layer.bias_exponent,
                scale_exponent=layer.scale_exponent,
                out_format=layer.out_format,
                relu=layer.relu,
            )
            codes = result.codes
            found.append(codes)
        return found

    def run(self, x: Floats, matmul: Matmul) -> Floats:
        """Scores: samples (n, inputs) -> float64 (n, classes). The largest names the class."""
        return decode(SCORE_FORMAT, self.outputs(x, matmul)[-1])


def best_exponent(mode: str, values: Floats) -> int:
    """The exponent of the scale at which `values`, of any shape, lose least: see this module.

    Of equally good ones it is the nearest to 0; of numbers that are all zero, 0.
    """
    element = MODES[mode].element
    most = float(np.abs(values).max(initial=0.0))
    if most == 0.0:
        return 0
    magnitude = int(np.frexp(most)[1])
    lowest = magnitude - int(np.frexp(max_value(element))[1]) - _CLIPPED_BITS
    highest = magnitude - smallest_exponent(element)
    candidates = sorted(range(lowest, highest + 1), key=lambda exponent: (abs(exponent), exponent))
    return min(candidates, key=lambda exponent: squared_error(mode, exponent, values))


def squared_error(mode: str, exponent: int, values: Floats) -> float:
    """What rounding to multiples of 2**exponent by a mode's numbers costs: the sum of squared errors."""
    return float(np.sum((values - rounder(mode, exponent)(values)[0]) ** 2))


def calibrate(network: Network, x: Floats, modes: Iterable[str] = FORMATS) -> Calibration:
    """Each layer's best scales in each mode; `x` are calibration samples (n, inputs), some hundred suffice."""
    return tuple(
        {mode: Scheme(mode, best_exponent(mode, inputs), best_exponent(mode, layer.weights)) for mode in modes}
        for layer, inputs in zip(network, layer_inputs(network, x), strict=True)
    )


def pick(calibration: Calibration, mix: Sequence[str]) -> Schemes:
    """The schemes of a mix, which is a mode for each layer."""
    return tuple(schemes[mode] for schemes, mode in zip(calibration, mix, strict=True))


def rounder(format_name: str, exponent: int) -> Rounder:
    """Rounding to the numbers value(code) * 2**exponent; the gradient passes where nothing saturates."""

    def rounded(values: Floats) -> tuple[Floats, Bools]:
        codes, saturated, _ = encode_flags(format_name, np.ldexp(values, -exponent))
        return np.ldexp(decode(format_name, codes), exponent), ~saturated

    return rounded


def roundings(schemes: Sequence[Scheme | None]) -> list[Rounding]:
    """What `sim.simd.mlp` needs to train or to score with these schemes; a layer whose scheme is None stays exact."""
    return [_rounding(scheme) if scheme else EXACT for scheme in schemes]


def quantise(network: Network, schemes: Schemes) -> QuantisedNetwork:
    """The network in codes, as the co-processor runs it.

    Raises
    ------
    ValueError
        If a layer needs an exponent that a job cannot have: names the layer and the exponent.
    """
    layers = []
    for index, (layer, scheme) in enumerate(zip(network, schemes, strict=True)):
        after = schemes[index + 1] if index + 1 < len(schemes) else None
        scale_exponent = scheme.sum_exponent - (after.input_exponent if after else 0)
        bias_exponent = _bias_exponent(layer.bias, scheme)
        _check(f"layer {index}: scale_exponent", scale_exponent, SCALE_EXPONENTS)
        _check(f"layer {index}: bias_exponent", bias_exponent, BIAS_EXPONENTS)
        layers.append(_layer(layer, scheme, bias_exponent, scale_exponent, after.mode if after else None))
    return QuantisedNetwork(tuple(layers), schemes[0].input_exponent)


def _layer(
    layer: Layer, scheme: Scheme, bias_exponent: int, scale_exponent: int, next_mode: str | None
) -> QuantisedLayer:
    bias = encode("int32", np.ldexp(layer.bias, -scheme.sum_exponent - bias_exponent)).view(np.int32)
    weights = encode(scheme.mode, np.ldexp(layer.weights, -scheme.weight_exponent))
    out_format, relu = next_mode or SCORE_FORMAT, next_mode is not None
    return QuantisedLayer(scheme.mode, weights, bias, bias_exponent, scale_exponent, out_format, relu)


def _rounding(scheme: Scheme) -> Rounding:
    def rounded_bias(bias: Floats) -> tuple[Floats, Bools]:
        return rounder("int32", scheme.sum_exponent + _bias_exponent(bias, scheme))(bias)

    weights, inputs = (rounder(scheme.mode, one) for one in (scheme.weight_exponent, scheme.input_exponent))
    return Rounding(inputs, weights, rounded_bias)


def _bias_exponent(bias: Floats, scheme: Scheme) -> int:
    """The power of two, in units of a product, that the integers of the bias are multiples of; at least what fits."""
    most = float(np.abs(bias).max(initial=0.0))
    if most == 0.0:
        return 0
    exponent = int(np.frexp(most)[1]) - (BIAS_BITS - 1) - scheme.sum_exponent
    return max(exponent, BIAS_EXPONENTS[0])


def _check(what: str, value: int, allowed: range) -> None:
    if value not in allowed:
        raise ValueError(f"{what} must be in {allowed[0]}..{allowed[-1]}, not {value}")
