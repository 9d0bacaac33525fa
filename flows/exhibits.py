"""What the main job shows of a block: handwritten digits, classified by it."""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from flows.engines import Arrays
from flows.errors import BadInput
from flows.load import Design

if TYPE_CHECKING:
    import numpy.typing as npt

    from sim.simd.mac_model import MacResult
    from sim.simd.quantise import QuantisedNetwork

Execute = Callable[[Arrays], tuple[Arrays, dict[str, Any]]]
"""A block's arrays through an engine: outputs and metrics, as `flows.run.execute`."""


@dataclass(frozen=True)
class Shown:
    """What an engine made of the digits.

    Attributes
    ----------
    outputs : by name, a row a sample; those of fewer samples are the beginning of those of more
    rows : figures, one map for each number format
    """

    outputs: Arrays
    rows: list[dict[str, Any]]


class Exhibit(Protocol):
    """A way to classify digits with a block."""

    @property
    def title(self) -> str:
        """A line above the table."""

    @property
    def identity(self) -> str:
        """Of all that the outputs follow from, beside the block and this package's sources."""

    def show(self, execute: Execute, samples: int) -> Shown:
        """The first `samples` of the test set."""


def exhibit_of(design: Design) -> Exhibit:
    """What a design can show.

    Raises
    ------
    BadInput
        If it is nothing.
    """
    if design.block.name == "simd.dot":
        return LinearClassifier()
    if design.block.name == "simd.matmul":
        modes, outputs = design.config.modes, design.config.outputs  # type: ignore[attr-defined]
        shown = tuple(mode for mode in NETWORK_FORMATS if mode in modes and mode in outputs)
        if shown and "fp32" in outputs:
            return QuantisedLayers(shown)
        formats = " or ".join(NETWORK_FORMATS)
        raise BadInput(
            f"a network needs the output fp32, and {formats} as mode and output; {design.name} has "
            f"the modes {', '.join(modes)} and the outputs {', '.join(outputs)}"
        )
    raise BadInput(f"the digits go through a simd.dot or simd.matmul design; {design.name} is {design.block.name}")


def _row(name: str, samples: int, right: float, float_accuracy: float, metrics: list[dict[str, Any]]) -> dict[str, Any]:
    cycles = None if any(one["cycles"] is None for one in metrics) else sum(one["cycles"] for one in metrics)
    operations = sum(one.get("operations", 0) for one in metrics)
    return {
        "format": name,
        "samples": samples,
        "right": round(right * samples),
        "accuracy": round(right, 4),
        "float_accuracy": round(float_accuracy, 4),
        "cycles": cycles,
        "operations_per_cycle": round(operations / cycles, 3) if cycles else None,
        "seconds": round(sum(one["seconds"] for one in metrics), 4),
    }


class LinearClassifier:
    """One layer in INT8: a dot product for each image and class."""

    title = "Handwritten digits, linear classifier in INT8"
    identity = "linear"

    def show(self, execute: Execute, samples: int) -> Shown:
        """See `Exhibit.show`."""
        from sim.simd import digits

        outputs, metrics = execute(digits.arrays(samples))
        right = digits.accuracy(digits.predict(outputs["y"]))
        return Shown(outputs, [_row("int8", samples, right, digits.accuracy(digits.predict_float()), [metrics])])


NETWORK_FORMATS = ("p8_0", "fp4")
"""What a network is shown in, all of its layers in one."""


@dataclass(frozen=True)
class QuantisedLayers:
    """A small network, a matrix product for each layer, in each of these formats in turn."""

    formats: tuple[str, ...]

    @property
    def title(self) -> str:
        """See `Exhibit.title`."""
        return f"Handwritten digits, network of 3 layers in {' and '.join(self.formats)}"

    @property
    def identity(self) -> str:
        """The weights: another machine's last bits train another network."""
        digest = hashlib.sha256()
        for name in self.formats:
            for layer in _network(name).layers:
                digest.update(layer.weights.tobytes() + layer.bias.tobytes())
                digest.update(repr((layer.mode, layer.bias_exponent, layer.scale_exponent)).encode())
        return digest.hexdigest()

    def show(self, execute: Execute, samples: int) -> Shown:
        """See `Exhibit.show`."""
        from sim.simd import mlp
        from sim.simd.quantise_mix import study

        test = study("digits").data.test
        x, labels = test.features[:samples], test.labels[:samples]
        float_accuracy = mlp.accuracy(mlp.scores(study("digits").network, test.features), test.labels)
        outputs: Arrays = {}
        rows = []
        for name in self.formats:
            product = _Product(execute, [])
            scores = _network(name).run(x, product)
            outputs[f"scores_{name}"] = scores
            right = float((scores.argmax(axis=1) == labels).mean())
            rows.append(_row(name, samples, right, float_accuracy, product.metrics))
        return Shown(outputs, rows)


@dataclass(frozen=True)
class _Product:
    """An engine as `sim.simd.quantise.Matmul`; keeps each layer's metrics."""

    execute: Execute
    metrics: list[dict[str, Any]]

    def __call__(
        self,
        mode: str,
        a: npt.NDArray[Any],
        b: npt.NDArray[Any],
        *,
        bias: npt.NDArray[np.int32],
        bias_exponent: int,
        scale_exponent: int,
        out_format: str,
        relu: bool,
    ) -> MacResult:
        from sim.simd.mac_model import MacResult
        from sim.simd.matmul_vectors import job_array

        job = job_array(
            mode,
            out_format,
            relu=relu,
            has_bias=True,
            bias_exponent=bias_exponent,
            scale_exponent=scale_exponent,
        )
        codes = {"a": a.astype(np.uint16), "b": b.astype(np.uint16)}
        outputs, metrics = self.execute({"job": job, "bias": bias, **codes})
        self.metrics.append(metrics)
        return MacResult(outputs["c"], np.broadcast_to(outputs["status"], outputs["c"].shape))


@functools.cache
def _network(name: str) -> QuantisedNetwork:
    """Trained for a format, in codes."""
    from sim.simd.quantise import pick, quantise
    from sim.simd.quantise_mix import study, tune

    of = study("digits")
    mix = (name,) * len(of.network)
    return quantise(tune(of, mix), pick(of.calibration, mix))
