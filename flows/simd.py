"""`niello simd dot`: dot products of codes in any number format, on any engine of a `simd.mac` design."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import numpy.typing as npt

from flows.errors import BadInput
from flows.load import Design, load_design
from flows.text_files import read_json
from hdl.common.config import describe_value, did_you_mean, nearest
from hdl.simd.modes import MODES, OUTPUT_FORMATS, STATUS, Mode, default_output
from sim.common.formats import Overflow
from sim.simd import mac_model
from sim.simd.exact import MOST_LENGTH
from sim.simd.mac_model import MacResult

if TYPE_CHECKING:
    from hdl.simd.config import MacConfig

Rows = npt.NDArray[Any]
"""Codes of items of one length, one a row."""

_FP32_ONE = 0x3F800000


@dataclass(frozen=True)
class Items:
    """What is to be multiplied: n dot products, of any and of unequal lengths.

    Attributes
    ----------
    mode : what the codes mean
    a, b : n arrays of uint8 or uint16, (length,)
    scale_a, scale_b : n arrays of uint8, (ceil(length / block_length),); None if the mode has no blocks
    tensor_scale_a, tensor_scale_b : uint32, (n,), fp32 codes; None if no item has one
    """

    mode: Mode
    a: list[npt.NDArray[Any]]
    b: list[npt.NDArray[Any]]
    scale_a: list[npt.NDArray[Any]] | None
    scale_b: list[npt.NDArray[Any]] | None
    tensor_scale_a: npt.NDArray[np.uint32] | None
    tensor_scale_b: npt.NDArray[np.uint32] | None


def by_model(design: Design, items: Items, out_format: str, overflow: Overflow) -> MacResult:
    """The golden model's results."""

    def compute(a: Rows, b: Rows, scale_a: Rows | None, scale_b: Rows | None) -> MacResult:
        return mac_model.dot(
            items.mode.name, a, b, scale_a=scale_a, scale_b=scale_b, out_format=out_format, overflow=overflow
        )

    return _by_length(items, compute)


def by_rtl(design: Design, items: Items, out_format: str, overflow: Overflow) -> MacResult:
    """The results of the design's Verilog in Verilator, in the bulk harness; built first where need be."""
    from flows import engines, run
    from flows.road import Route, results_or_error, travel
    from flows.steps import HARNESS_LIBRARY
    from sim.simd.mac_vectors import inputs_of, job_of

    longest, most = max((len(codes) for codes in items.a), default=0), items.mode.most_products
    if longest > most:
        raise BadInput(f"a must have at most {most} codes in {items.mode.name} on the engine rtl, not {longest}")
    route = Route.of(design)
    needed = run.needs(route, "rtl")
    results = results_or_error(travel([route], lambda _: needed, plain=True))
    library = results[route.block("harness")][HARNESS_LIBRARY]
    ports = engines.read_ports(results[route.block("elaborate")][f"{design.name}.ports.json"])
    job = job_of(items.mode.name, out_format, overflow)

    def compute(a: Rows, b: Rows, scale_a: Rows | None, scale_b: Rows | None) -> MacResult:
        # A stream has no packet without a beat: an empty dot product is one of zeros.
        missing = ((0, 0), (0, 1 if a.shape[1] == 0 else 0))
        arrays = {name: np.pad(rows, missing).astype(np.uint16) for name, rows in (("a", a), ("b", b))}
        arrays["job"] = np.full(len(a), job, np.uint16)
        for name in inputs_of(cast("MacConfig", design.config)):
            if name not in arrays:
                scales = {"scale_a": scale_a, "scale_b": scale_b}[name]
                # Code 0 is a number in every scale format.
                arrays[name] = scales if scales is not None and scales.size else np.zeros((len(a), 1), np.uint8)
        outputs, _ = engines.run_library(design, library, ports, arrays)
        return MacResult(outputs["y"], outputs["status"])

    return _by_length(items, compute)


def _by_length(items: Items, compute: Callable[[Rows, Rows, Rows | None, Rows | None], MacResult]) -> MacResult:
    """Results of items of one length at a time, so that none needs to be filled up."""
    lengths = np.array([len(codes) for codes in items.a], np.int64)
    codes, status = np.zeros(len(lengths), np.uint32), np.zeros(len(lengths), np.uint8)
    for length in np.unique(lengths):
        chosen = np.flatnonzero(lengths == length)
        a, b, scale_a, scale_b = (
            None if rows is None else np.stack([rows[index] for index in chosen])
            for rows in (items.a, items.b, items.scale_a, items.scale_b)
        )
        assert a is not None and b is not None
        result = compute(a, b, scale_a, scale_b)
        codes[chosen], status[chosen] = result.codes, result.status
    return MacResult(codes, status)


MOST_CHARACTERS = 1 << 28
"""Of an input file."""

ENGINES: dict[str, Callable[[Design, Items, str, Overflow], MacResult]] = {
    "model": by_model,
    "rtl": by_rtl,
}
"""From a design, items, an output format and what overflow gives, to results. Engines leave the tensor scales alone."""


def dot(
    design_name: str, format_name: str, inputs: Path, out_format: str | None, overflow: str, engine: str
) -> dict[str, Any]:
    """The dot products of a file's items: the command's JSON.

    Raises
    ------
    BadInput
        One line: option, or file, item, field; what it must be, what came.
    """
    for option, value, known in (
        ("--engine", engine, list(ENGINES)),
        ("--overflow", overflow, ["saturate", "inf"]),
        ("--format", format_name, list(MODES)),
        ("--out-format", out_format, list(OUTPUT_FORMATS)),
    ):
        if value is not None and value not in known:
            raise BadInput(f'{option} must be one of {", ".join(known)}, not "{value}"{nearest(value, known)}')
    mode = MODES[format_name]
    output = out_format or default_output(mode)
    design = load_design(design_name)
    # The golden model has block formats for any design.
    _check_built(design, None if mode.block and engine == "model" else mode, output, chosen=out_format is not None)
    items = load_items(mode, inputs)
    compute, beyond = ENGINES[engine], cast(Overflow, overflow)
    if items.tensor_scale_a is None or items.tensor_scale_b is None:
        result = compute(design, items, output, beyond)
    else:
        _check_built(design, None, "fp32", hint="tensor scales are applied to results in fp32")
        acc = compute(design, items, "fp32", beyond)
        result = mac_model.apply_tensor_scales(
            acc.codes, acc.status, items.tensor_scale_a, items.tensor_scale_b, output, beyond
        )
    count = len(result.codes)
    print(f"{design.name} on {engine}: {count:,} dot products of {mode.name}, in {output}", file=sys.stderr)
    return {
        "design": design.name,
        "format": mode.name,
        "out_format": output,
        "engine": engine,
        "out": result.codes.tolist(),
        "status": [[name for bit, name in enumerate(STATUS) if flags >> bit & 1] for flags in result.status.tolist()],
    }


def load_items(mode: Mode, path: Path) -> Items:
    """The items of a JSON file, every code of them checked.

    Raises
    ------
    BadInput
        Naming the file, the item, the field, its range and what came.
    """
    document = read_json(path, MOST_CHARACTERS)
    if not isinstance(document, list):
        raise BadInput(f'{path}: must be a list of items like {{"a": [1], "b": [2]}}, not {describe_value(document)}')
    checked = []
    for index, item in enumerate(document):
        try:
            checked.append(_check_item(mode, item))
        except BadInput as error:
            raise BadInput(f"{path}: item {index}{error.message}", hint=error.hint) from None

    def column(name: str) -> list[Any]:
        return [item[name] for item in checked]

    scales = [column(name) if mode.block else None for name in ("scale_a", "scale_b")]
    tensor_scales: list[npt.NDArray[np.uint32] | None] = [None, None]
    if any("tensor_scale_a" in item or "tensor_scale_b" in item for item in document):
        tensor_scales = [np.array(column(name), np.uint32) for name in ("tensor_scale_a", "tensor_scale_b")]
    return Items(mode, column("a"), column("b"), scales[0], scales[1], tensor_scales[0], tensor_scales[1])


def _check_built(
    design: Design, mode: Mode | None, output: str, *, chosen: bool = True, hint: str | None = None
) -> None:
    """Refuses a design that has not got the operand format, if one is given, or the output format."""
    if design.block.name != "simd.mac":
        raise BadInput(f"--design must be a simd.mac design; {design.name} is {design.block.name}")
    config = cast("MacConfig", design.config)
    if mode is not None and mode.name not in config.modes:
        raise BadInput(f"{design.name} has no operand format {mode.name}; it has {', '.join(config.modes)}")
    if output not in config.outputs:
        hint = hint if chosen else "--out-format names another"
        raise BadInput(f"{design.name} has no output format {output}; it has {', '.join(config.outputs)}", hint=hint)


def _check_item(mode: Mode, item: Any) -> dict[str, Any]:
    """Arrays and tensor scales of an item, by field. Errors begin with what follows the item's number."""
    block = mode.block
    if not isinstance(item, dict):
        raise BadInput(f" must be a map with a and b, not {describe_value(item)}")
    scales = ["scale_a", "scale_b"] if block else []
    tensor_scales = ["tensor_scale_a", "tensor_scale_b"] if block and block.has_tensor_scale else []
    for key in item:
        if key in ("scale_a", "scale_b") and not block:
            raise BadInput(f": {key} is of block formats; {mode.name} has no blocks")
        if key in ("tensor_scale_a", "tensor_scale_b") and not tensor_scales:
            raise BadInput(f": {key} is of nvfp4; {mode.name} has no tensor scale")
        if key not in (known := ["a", "b", *scales, *tensor_scales]):
            raise BadInput(f": {key} is not a field{did_you_mean(key, known)}")
    checked: dict[str, Any] = {name: _codes(item, name, mode.element.name, mode.element.bits) for name in ("a", "b")}
    length = len(checked["a"])
    if len(checked["b"]) != length:
        raise BadInput(f": b must have the length of a, {length}, not {len(checked['b'])}")
    if length > MOST_LENGTH:
        raise BadInput(f": a must have at most {MOST_LENGTH} codes, not {length}")
    if block:
        count = -(-length // block.block_length)
        for name in scales:
            checked[name] = _codes(item, name, block.scale.name, block.scale.bits)
            if len(checked[name]) != count:
                raise BadInput(
                    f": {name} must have the length {count}, a code for every {block.block_length} of a, "
                    f"not {len(checked[name])}"
                )
    for name in tensor_scales:
        checked[name] = _code(item.get(name, _FP32_ONE), name, "fp32", 32)
    return checked


def _codes(item: dict[str, Any], name: str, format_name: str, bits: int) -> npt.NDArray[Any]:
    if name not in item:
        raise BadInput(f": {name} is missing; it must be a list of codes of {format_name}")
    codes = item[name]
    if not isinstance(codes, list):
        raise BadInput(f": {name} must be a list of codes of {format_name}, not {describe_value(codes)}")
    checked = [_code(code, f"{name}[{place}]", format_name, bits) for place, code in enumerate(codes)]
    return np.array(checked, np.uint8 if bits <= 8 else np.uint16)


def _code(code: Any, name: str, format_name: str, bits: int) -> int:
    if type(code) is not int or not 0 <= code < 1 << bits:  # a bool is an int, too
        hint = None
        if type(code) is int and -(1 << (bits - 1)) <= code < 0:
            hint = f"codes are bits without a sign: two's complement of {code} is {code + (1 << bits)}"
        elif isinstance(code, float):
            hint = "a code is the number's bits, not the number"
        most = (1 << bits) - 1
        raise BadInput(f": {name} must be a code of {format_name}, 0..{most}, not {describe_value(code)}", hint=hint)
    return int(code)
