"""`pulse.cnn` as arrays in and out, for every engine: image by registers, then windows; results come back."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from hdl.pulse.cnn_config import CnnConfig
from sim.common.beats import Beats, data_of
from sim.common.stimulus import integers, last_flags
from sim.common.vectors import Arrays, ArraySpec, check_arrays
from sim.pulse.cnn_compile import Image, compile_network
from sim.pulse.cnn_model import run
from sim.pulse.cnn_network import Conv, Dense, Input, Network, NetworkError, Shape, TransposedConv
from sim.pulse.cnn_random import random_network

LATENCY_BY_BENCH = True

INPUTS = {
    "windows": ArraySpec("int16", "(n, samples)", "codes"),
    "network": ArraySpec("uint8", "(bytes,)", "a file as `sim.pulse.cnn_network` saves it"),
}
OUTPUTS = {
    "reference": ArraySpec("int32", "(n,)", "the peak that a window was normalised by, codes; 1 without"),
    "values": ArraySpec("int32", "(n, length, channels)", "of the network's last layer"),
}

Writes = list[tuple[int, list[int]]]
"""Pairs of a register's address and the words written there."""


def check(config: CnnConfig, arrays: Mapping[str, Any]) -> None:
    """Refuse arrays that are not `INPUTS` of this config, and networks that do not fit it.

    Raises
    ------
    ValueError
        With one line that names array or layer, expected and received.
    """
    sizes = check_arrays(INPUTS, arrays)
    if sizes["samples"] != config.samples:
        wanted = f"{INPUTS['windows']} with samples = {config.samples}"
        raise ValueError(f"windows must be {wanted}, not {arrays['windows'].shape}")
    compile_network(network_of(arrays), config)


def network_of(arrays: Mapping[str, Any]) -> Network:
    """The network. Raises `ValueError` for what is no network's file."""
    try:
        return Network.load(io.BytesIO(arrays["network"].tobytes()))
    except NetworkError:
        raise
    except (ValueError, KeyError, TypeError, EOFError, OSError, zipfile.BadZipFile) as error:
        raise ValueError("network must be the bytes of a network's file, and is not") from error


def file_of(network: Network) -> npt.NDArray[np.uint8]:
    """The array `network`."""
    file = io.BytesIO()
    network.save(file)
    return np.frombuffer(file.getvalue(), np.uint8)


def model(config: CnnConfig, arrays: Mapping[str, Any]) -> Arrays:
    """`OUTPUTS` by the golden model. Raises as `check`."""
    check(config, arrays)
    found = run(network_of(arrays), arrays["windows"])
    return {"reference": found.reference, "values": found.values}


def register_writes(config: CnnConfig, arrays: Mapping[str, Any]) -> Writes:
    """The normaliser's settings, then the image. Raises as `check`."""
    check(config, arrays)
    network = network_of(arrays)
    return input_writes(config, network.input) + image_writes(config, compile_network(network, config))


def input_writes(config: CnnConfig, given: Input) -> Writes:
    """What makes elements of codes."""
    registers = config.registers
    assert registers is not None
    settings = {"normalise": int(given.normalise), "gain": given.gain & 0xFFFF, "gain_shift": given.gain_shift}
    return [(registers[name].offset_bytes, [value]) for name, value in settings.items()]


def image_writes(config: CnnConfig, image: Image) -> Writes:
    """The image's words, and the command that makes it the active one."""
    registers = config.registers
    assert registers is not None
    names = ("control", "image_address", "image_data", "image_crc", "image_start")
    control, address, data, crc, start = (registers[name].offset_bytes for name in names)
    begin, activate = (registers["control"][name].mask for name in ("begin_image", "activate"))
    writes = [(control, [begin])]
    for first, words in image.runs:
        writes += [(address, [first]), (data, words)]
    return [*writes, (crc, [image.crc]), (start, [image.start]), (control, [activate])]


def pack(config: CnnConfig, arrays: Mapping[str, Any]) -> dict[str, Beats]:
    """Traffic of the stream `window`: a packet a window. Raises as `check`."""
    check(config, arrays)
    windows = np.ascontiguousarray(arrays["windows"].astype("<i2"))
    return {"window": Beats(windows.view(np.uint8).reshape(-1, 2), last_flags([config.samples] * len(windows)))}


def result_beats(network: Network) -> int:
    """Beats of a window's packet: its reference, then the outputs."""
    length, channels = network.shapes[network.last.name]
    return 1 + length * channels


def expected_beats(config: CnnConfig, arrays: Mapping[str, Any]) -> dict[str, int]:
    """Beats the stream `result` gives."""
    return {"result": len(arrays["windows"]) * result_beats(network_of(arrays))}


def unpack(config: CnnConfig, arrays: Mapping[str, Any], outputs: Mapping[str, Beats]) -> Arrays:
    """`OUTPUTS` out of the traffic of the stream `result`. Raises as `data_of`."""
    network = network_of(arrays)
    beats = expected_beats(config, arrays)["result"]
    return results(config, network, data_of(outputs, "result", beats, config.result_bits // 8))


def results(config: CnnConfig, network: Network, data: npt.NDArray[np.uint8]) -> Arrays:
    """`OUTPUTS` out of beats: uint8, (windows · beats, 4)."""
    words = np.ascontiguousarray(data).view("<i4").astype(np.int32).reshape(-1, result_beats(network))
    length, channels = network.shapes[network.last.name]
    values = np.empty((len(words), length * channels), np.int32)
    values[:, result_order((length, channels), config.elements)] = words[:, 1:]
    return {"reference": words[:, 0].copy(), "values": values.reshape(-1, length, channels)}


def result_order(shape: Shape, elements: int) -> npt.NDArray[np.int64]:
    """The outputs, by their number position · channels + channel, as they come: group, position, element."""
    numbers = np.arange(shape[0] * shape[1]).reshape(shape)
    return np.concatenate([numbers[:, start : start + elements].ravel() for start in range(0, shape[1], elements)])


def operations(config: CnnConfig, arrays: Mapping[str, Any]) -> int:
    """Multiplications and additions of convolutions and dense layers."""
    network, products = network_of(arrays), 0
    for layer in network.layers:
        if isinstance(layer, Conv | Dense):
            products += layer.weights.size * network.shapes[layer.name][0]
        elif isinstance(layer, TransposedConv):
            products += layer.weights.size * network.shapes[layer.source][0]
    return 2 * products * len(arrays["windows"])


def random_arrays(config: CnnConfig, seed: int, items: int) -> Arrays:
    """`INPUTS` of `items` windows for the seed: a network of several layers, codes of all sizes, extremes among them.

    Raises
    ------
    ValueError
        If `items` is below 1.
    """
    if items < 1:
        raise ValueError(f"items must be at least 1, not {items}")
    rng = np.random.default_rng(seed)
    network = random_network(rng, config)
    windows = integers(rng, 16, (items, config.samples)) >> rng.integers(0, 9, (items, 1))
    return {"windows": windows.astype(np.int16), "network": file_of(network)}
