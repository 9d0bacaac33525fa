"""`niello attention run`: attention of float arrays on the golden model or on the gateware."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from flows.array_files import npy_bytes, npz_bytes
from flows.attention.inputs import read_floats
from flows.errors import BadInput, NielloError
from flows.load import Design, load_design
from flows.output import check_output, write_output
from flows.paths import shown
from flows.store import disk_errors
from hdl.attention.config import ArrayConfig
from hdl.attention.formats import FORMATS
from hdl.common.config import ConfigError, did_you_mean
from sim.attention import array_vectors
from sim.attention.descriptors import attention_tile_keys
from sim.attention.masks import Mask
from sim.attention.reference import relative_error
from sim.attention.schedule import cost, span_cycles, total_cycles
from sim.attention.tensors import KV_FORMATS, Quantised, quantise, reference

ENGINES = ("model", "rtl")


@dataclass(frozen=True)
class Asked:
    """What the command line says, as it says it."""

    q: Path
    k: Path
    v: Path
    out: Path
    design: str = "attn_16x16_d64"
    mask: str = "dense"
    kv: str = "int8"
    engine: str = "model"
    scale: float | None = None
    p_bits: int | None = None
    rearrange: bool = False
    fraction_bits: int | None = None
    first_tile: str = "auto"
    save_quantised: Path | None = None


def run(asked: Asked) -> dict[str, Any]:
    """Outputs into a file, and the run's figures.

    Raises
    ------
    BadInput
        If an option or an array is wrong.
    NielloError
        If the gateware differs from the golden model, or a tool fails.
    """
    design = with_format(design_of(asked.design, asked.p_bits), asked.kv)
    config = design.config
    assert isinstance(config, ArrayConfig)
    for output in (asked.out, asked.save_quantised):
        if output:
            check_output(output, inputs=(asked.q, asked.k, asked.v))
    mask, (q, k, v) = _options(asked, config)
    factor = 1 / math.sqrt(q.shape[2]) if asked.scale is None else asked.scale
    code = FORMATS[asked.kv].code
    tile_keys = attention_tile_keys(config, q.shape[2], code, code)
    try:
        quantised = quantise(
            *(q, k, v, factor, mask),
            kv=asked.kv,
            rearrange=asked.rearrange,
            fraction_bits=asked.fraction_bits,
            first_tile=_first_tile(asked.first_tile, tile_keys),
            tile_keys=tile_keys,
            word_bytes=config.bus_bytes,
        )
        array_vectors.check(config, quantised.arrays)
    except ValueError as error:
        raise BadInput(str(error)) from None
    outputs, figures = _through(asked.engine, design, quantised)
    o = quantised.output(outputs["o"])
    seen = [quantised.floats(name) for name in ("q", "k", "v")]
    with disk_errors(asked.out, hint="make room, or name another file"):
        write_output(asked.out, npy_bytes(o.astype(np.float32)))
        if asked.save_quantised:
            write_output(asked.save_quantised, npz_bytes(q=seen[0], k=seen[1], v=seen[2]))
    status = int(outputs["status"][0])
    return (
        {"design": design.name, "engine": asked.engine, "mask": asked.mask, "kv": asked.kv, "p_bits": config.p_bits}
        | {"rearranged": asked.rearrange, "fraction_bits": int(quantised.arrays["options"][3])}
        | {"heads": len(q), "kv_heads": len(k), "queries": q.shape[1], "keys": k.shape[1], "dim": q.shape[2]}
        | {"first_tile": int(quantised.arrays["options"][4])}
        | figures
        | {
            "rel_l2_quantised": relative_error(o, reference(seen[0], seen[1], seen[2], factor, mask)),
            "rel_l2_float": relative_error(o, reference(q, k, v, factor, mask)),
            "status": [name for bit, name in enumerate(array_vectors.STATUS) if status >> bit & 1],
        }
    )


def design_of(name: str, p_bits: int | None = None) -> Design:
    """A design of the attention array, with its own bits of probabilities or others.

    Raises
    ------
    BadInput
        If it is no such design, or the bits are wrong.
    """
    design = load_design(name)
    if not isinstance(design.config, ArrayConfig):
        raise BadInput(f"--design must be a design of attention.array; {name} is one of {design.block.name}")
    if p_bits is None or p_bits == design.config.p_bits:
        return design
    try:
        config = ArrayConfig.parse(design.config.model_dump() | {"p_bits": p_bits}, at="")
    except ConfigError:
        raise BadInput(f"--p-bits must be 8 or 9, not {p_bits}") from None
    return dataclasses.replace(design, name=f"{design.name}_p{p_bits}", config=config)


def with_format(design: Design, kv: str) -> Design:
    """A design with a format of keys and values, its own or another one.

    Raises
    ------
    BadInput
        If there is no such format, or the design cannot have it.
    """
    config = design.config
    assert isinstance(config, ArrayConfig)
    if kv not in KV_FORMATS:
        raise BadInput(f'--kv: no format "{kv}"{did_you_mean(kv, list(KV_FORMATS))}')
    if kv in config.built_formats:
        return design
    try:
        config = ArrayConfig.parse(config.model_dump() | {"formats": (*config.formats, kv)}, at="--kv")
    except ConfigError as error:
        raise BadInput(str(error), hint="another --design") from None
    return dataclasses.replace(design, name=f"{design.name}_{kv}", config=config)


def _options(asked: Asked, config: ArrayConfig) -> tuple[Mask, list[npt.NDArray[Any]]]:
    if asked.engine not in ENGINES:
        raise BadInput(f"--engine must be one of {', '.join(ENGINES)}, not {asked.engine}")
    if asked.scale is not None and not 0 < asked.scale < math.inf:
        raise BadInput(f"--scale must be above 0 and finite, not {asked.scale}")
    if asked.fraction_bits not in (None, *range(17)):
        raise BadInput(f"--fraction-bits must be in 0..16, not {asked.fraction_bits}")
    try:
        mask = Mask.parse(asked.mask)
    except ValueError as error:
        raise BadInput(f"--{error}") from None
    q = read_floats(asked.q, "(heads, queries, d)")
    k, v = (read_floats(path, "(kv_heads, keys, d)") for path in (asked.k, asked.v))
    if v.shape != k.shape:
        raise BadInput(f"{shown(asked.v)}: must have the shape of K, {k.shape}, not {v.shape}")
    if k.shape[2] != q.shape[2]:
        raise BadInput(f"{shown(asked.k)}: must have d = {q.shape[2]} as Q has, not {k.shape[2]}")
    if len(q) % len(k):
        raise BadInput(f"{shown(asked.q)}: heads must be a multiple of kv_heads = {len(k)}, not {len(q)}")
    lanes, dim = config.lanes, q.shape[2]
    if dim % lanes or not 2 * lanes <= dim <= config.dim:
        limits = f"a multiple of the array's {lanes} lanes in {2 * lanes}..{config.dim}"
        raise BadInput(f"{shown(asked.q)}: d must be {limits}, not {dim}", hint="another --design, or zeros added to d")
    return mask, [q, k, v]


def _first_tile(text: str, most: int) -> int | None:
    if text == "auto":
        return None
    if not text.isdecimal() or int(text) > most:
        raise BadInput(f"--first-tile must be auto or 0..{most}, not {text}")
    return int(text)


def _through(engine: str, design: Design, quantised: Quantised) -> tuple[dict[str, Any], dict[str, Any]]:
    """Outputs and figures of an engine."""
    config = design.config
    assert isinstance(config, ArrayConfig)
    problem = array_vectors.problem_of(quantised.arrays)
    wanted = array_vectors.model(config, quantised.arrays)
    predicted = cost(config, problem)
    peak = config.rows * problem.tile_keys(config)
    figures = {"jobs": predicted.jobs, "useful_macs": problem.useful_macs, "mac_cycles": predicted.mac_cycles}
    if engine == "model":
        span = span_cycles(config, problem, predicted.mac_cycles)
        return wanted, figures | {
            "cycles": total_cycles(config, problem),
            "mac_utilisation": problem.useful_macs / (peak * span),
            "words": predicted.words_read + predicted.words_written,
            "measured": False,
        }
    from flows.attention.rtl import run_rtl

    got, counted = run_rtl(design, quantised.arrays)
    for name, right in wanted.items():
        if not np.array_equal(got[name], right):
            raise NielloError(
                f"the gateware and the golden model differ in {int((got[name] != right).sum())} of {name}"
            )
    return got, figures | {
        "cycles": counted["cycles"],
        "mac_utilisation": problem.useful_macs / (peak * counted["span"]),
        "words": counted["words"],
        "measured": True,
    }
