"""`niello pulse import`: a network that was trained elsewhere, as integers for a design of `pulse.cnn`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from flows.array_files import npz_bytes, read_npy, read_npz
from flows.errors import BadInput
from flows.load import load_design
from flows.output import check_output, write_output
from flows.paths import shown
from flows.store import disk_errors
from flows.text_files import read_json
from hdl.pulse.cnn_config import CnnConfig
from sim.pulse import cnn_keras, cnn_qonnx, cnn_vectors
from sim.pulse.cnn_compile import compile_network
from sim.pulse.cnn_graph import Affine, Graph, evaluate
from sim.pulse.cnn_model import run
from sim.pulse.cnn_network import INPUT, NetworkError
from sim.pulse.cnn_quantise import Quantised, inputs_of, quantise

MOST_CHARACTERS = 10_000_000
MOST_VALUES = 1 << 28
MOST_BYTES = 1 << 30

BATCH = 512
"""Windows that are compared at once."""

HOW_TO_SAVE = "np.savez(file, **{v.path: np.asarray(v) for v in model.weights})"


@dataclass(frozen=True)
class Asked:
    """What the command line says, as it says it."""

    model: Path
    calibrate: Path
    out: Path
    weights: Path | None = None
    design: str = "pulse_cnn_r0"
    input_scale: float | None = None
    normalise: bool = False
    raw: bool = True
    arrays: Path | None = None


def import_network(asked: Asked) -> dict[str, Any]:
    """A network into a file; how far its integers are from the model, and what it takes of the design.

    Raises
    ------
    BadInput
        If a file or an option is wrong, the model has what cannot be had, or the design has no room for it.
    """
    inputs = tuple(path for path in (asked.model, asked.calibrate, asked.weights) if path)
    for path in (asked.out, asked.arrays):
        if path:
            check_output(path, inputs=inputs)
    config = load_design(asked.design).config
    if not isinstance(config, CnnConfig):
        raise BadInput(f"--design must be a design of pulse.cnn; {asked.design} is none")
    if config.weight_bits != 8 or config.activation_bits not in (8, 16):
        bits = f"{config.weight_bits} and {config.activation_bits}"
        raise BadInput(f"--design must have weights of 8 bits and activations of 8 or 16; {asked.design} has {bits}")
    if asked.input_scale is not None and not 0 < asked.input_scale < np.inf:
        raise BadInput(f"--input-scale must be above 0, not {asked.input_scale:g}")
    windows = read_windows(asked.calibrate, config)
    try:
        graph = read_model(asked.model, asked.weights)
        _check_input(asked, graph, config)
    except NetworkError as error:
        raise BadInput(f"{shown(asked.model)}: {error}") from None
    scale = None if asked.normalise else asked.input_scale or 1.0
    try:
        options: dict[str, Any] = {"input_scale": scale, "activation_bits": config.activation_bits, "raw": asked.raw}
        made = quantise(graph, windows, **options)
        image = compile_network(made.network, config)
    except NetworkError as error:
        raise BadInput(f"{asked.design}: {error}", hint="a design with more of it, see `niello describe`") from None
    file = cnn_vectors.file_of(made.network)
    with disk_errors(asked.out, hint="make room, or name another file with -o"):
        write_output(asked.out, file.tobytes())
        if asked.arrays:
            write_output(asked.arrays, npz_bytes(windows=windows, network=file))
    rms, largest = differences(graph, made, windows, scale)
    return {
        "model": shown(asked.model),
        "input": "normalised" if scale is None else "codes",
        "windows": len(windows),
        "rms_difference": float(f"{rms:.3g}"),
        "largest_difference": float(f"{largest:.3g}"),
        "output": "sums" if made.network.raw else "elements",
        "output_scale": made.output_scale.tolist(),
        "output_zero": made.output_zero,
        "products": cnn_vectors.operations(config, {"windows": windows[:1], "network": file}) // 2,
        "image_bytes": 4 * len(image.words),
        "layers": len(image.program),
        "cycles": sum(image.read_cycles(config)) + len(image.program) * config.layer_cycles,
        "out": shown(asked.out),
    }


def read_model(model: Path, weights: Path | None) -> Graph:
    """The graph of an ONNX model, by the file's name, or of a Keras model.

    Raises
    ------
    BadInput
        If a file is missing, or none of the kind.
    NetworkError
        If the model has what cannot be had.
    """
    if model.suffix == ".onnx":
        if weights:
            raise BadInput("--weights is for Keras models; an ONNX file has its own")
        document = _onnx_model(model)
        return _read(lambda: cnn_qonnx.graph_of(document), "ONNX")
    if weights is None:
        raise BadInput("--weights must name the model's weights", hint=HOW_TO_SAVE)
    document, arrays = read_json(model, MOST_CHARACTERS), read_npz(weights)
    if not isinstance(document, dict):
        raise NetworkError("model: must be what model.to_json() gives of a Sequential or functional Keras model")
    return _read(lambda: cnn_keras.graph_of(document, arrays), "Keras")


def _read(make: Callable[[], Graph], whose: str) -> Graph:
    """A graph, or one line about a field that is of no type that its maker writes."""
    try:
        return make()
    except NetworkError:
        raise
    except (LookupError, TypeError, ValueError, AttributeError, ArithmeticError) as error:
        why = f"{type(error).__name__}: {' '.join(str(error).split())}"
        raise NetworkError(f"model: a field is not as {whose} writes it ({why})") from None


def _onnx_model(path: Path) -> Any:
    """A parsed .onnx file. Raises `BadInput` where it is none, or where nothing can read it."""
    try:
        import onnx
        from google.protobuf.message import DecodeError
    except ImportError:
        raise BadInput(f"{shown(path)}: needs the extra qonnx", hint="make setup EXTRAS=qonnx") from None
    try:
        if path.stat().st_size > MOST_BYTES:
            raise BadInput(f"{shown(path)}: more than 1 GiB")
        return onnx.load(path, load_external_data=False)
    except OSError as error:
        raise BadInput(f"{shown(path)}: {error.strerror or error}") from None
    except (DecodeError, ValueError) as error:
        raise BadInput(f"{shown(path)}: no ONNX file: {str(error).splitlines()[0]}") from None


def read_windows(path: Path, config: CnnConfig) -> npt.NDArray[np.int16]:
    """Codes (windows, samples) of a design. Raises `BadInput` for anything else."""
    windows = read_npy(path)
    if windows.dtype != np.int16 or windows.ndim != 2 or windows.shape[1] != config.samples or not windows.size:
        wanted = f"int16 (windows, {config.samples})"
        raise BadInput(f"{shown(path)}: must be {wanted}, not {windows.dtype} {windows.shape}")
    if windows.size > MOST_VALUES:
        raise BadInput(f"{shown(path)}: must have at most {MOST_VALUES:,} codes, not {windows.size:,}")
    return windows


def _check_input(asked: Asked, graph: Graph, config: CnnConfig) -> None:
    """Refuse a model for other windows, and one whose inputs nobody explains."""
    length, channels = graph.input
    if length * channels != config.samples:
        samples = f"{length} · {channels} samples" if channels > 1 else f"{length} samples"
        raise BadInput(f"{asked.design} takes windows of {config.samples} samples, {shown(asked.model)} has {samples}")
    if asked.normalise and asked.input_scale is not None:
        raise BadInput("--input-scale and --normalise exclude each other")
    scales = isinstance(graph.ops[0], Affine) and graph.readers(INPUT) == [graph.ops[0]]
    if not asked.normalise and asked.input_scale is None and not scales:
        raise BadInput(
            f"{shown(asked.model)}: begins with no scaling, so that it is not known what codes are to it",
            hint="--input-scale with the codes that 1.0 stands for, or --normalise",
        )


def differences(
    graph: Graph, made: Quantised, windows: npt.NDArray[np.int16], scale: float | None
) -> tuple[float, float]:
    """Rms and largest difference between the integers and the model, as shares of the model's outputs' range."""
    total, largest, count = 0.0, 0.0, 0
    low, high = np.inf, -np.inf
    for start in range(0, len(windows), BATCH):
        part = windows[start : start + BATCH]
        wanted = evaluate(graph, inputs_of(part, scale))[graph.last.name]
        away = made.outputs(run(made.network, part).values) - wanted
        total, count = total + float((away**2).sum()), count + away.size
        largest = max(largest, float(np.abs(away).max()))
        low, high = min(low, float(wanted.min())), max(high, float(wanted.max()))
    span = high - low or 1.0
    return float(np.sqrt(total / count)) / span, largest / span
