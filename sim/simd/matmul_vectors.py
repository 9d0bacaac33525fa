"""`simd.matmul` as arrays in and arrays out, for every engine: one matrix product a set of arrays."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from hdl.simd.config import MatmulConfig
from hdl.simd.modes import MODES, OUTPUT_FORMATS
from sim.common.errors import HarnessError
from sim.common.memory_job import JobResult, MemoryJob
from sim.common.stimulus import integers
from sim.common.vectors import Arrays, ArraySpec, check_arrays
from sim.simd.mac_model import MacResult, check_codes
from sim.simd.mac_stimulus import operands
from sim.simd.mac_vectors import job_fields
from sim.simd.matmul_memory import Job, output_slot_bits, read_results, register_values, row_bytes, write_operands
from sim.simd.matmul_model import BIAS_EXPONENTS, SCALE_EXPONENTS, matmul, most_depth

INPUTS = {
    "job": ArraySpec(
        "int32",
        "(three,)",
        "mode (bits 3:0), output format (7:4), overflow gives infinity (8), ReLU (9), bias is added (10); "
        "exponent of the bias; exponent of the results' scale",
    ),
    "a": ArraySpec("uint16", "(m, k)", "left factor, codes of the mode"),
    "b": ArraySpec("uint16", "(k, n)", "right factor, codes of the mode"),
    "bias": ArraySpec("int32", "(n,)", "added to each row of the product, times 2**(its exponent)"),
}
OUTPUTS = {
    "c": ArraySpec("uint32", "(m, n)", "the product, codes of the output format"),
    "status": ArraySpec("uint8", "(one,)", "of all results: nar (bit 0), nan, inf, overflow, underflow (bit 4)"),
}

_RELU, _HAS_BIAS, _FORMAT_END = 9, 10, 11


def job_array(
    mode: str,
    output: str,
    *,
    infinity: bool = False,
    relu: bool = False,
    has_bias: bool = False,
    bias_exponent: int = 0,
    scale_exponent: int = 0,
) -> Any:
    """The array `job`, int32 (3,), by names of `MODES` and `OUTPUT_FORMATS`."""
    word = MODES[mode].code | OUTPUT_FORMATS.index(output) << 4 | int(infinity) << 8
    word |= int(relu) << _RELU | int(has_bias) << _HAS_BIAS
    return np.array([word, bias_exponent, scale_exponent], np.int32)


def check(config: MatmulConfig, arrays: Mapping[str, Any]) -> None:
    """Refuse arrays that are not `INPUTS`, a job that `config` cannot do, and codes that its mode has not.

    Raises
    ------
    ValueError
        With one line that names array, expected and received.
    """
    sizes = check_arrays(INPUTS, arrays)
    if sizes["three"] != 3:
        raise ValueError(f"job must have 3 elements, not {sizes['three']}")
    word, bias_exponent, scale_exponent = (int(value) for value in arrays["job"])
    if not 0 <= word < 1 << _FORMAT_END:
        raise ValueError(f"job[0] must be in 0..{(1 << _FORMAT_END) - 1}, not {word}")
    codes = {mode.code: name for name, mode in MODES.items()}
    for what, code, names, built in (
        ("mode", word & 15, codes, config.modes),
        ("output", word >> 4 & 15, dict(enumerate(OUTPUT_FORMATS)), config.outputs),
    ):
        if names.get(code) not in built:
            known = ", ".join(f"{each} ({name})" for each, name in names.items() if name in built)
            raise ValueError(f"job[0] must have one of the {what}s {known}, not {code} ({names.get(code, 'nothing')})")
    for place, exponent, valid in ((1, bias_exponent, BIAS_EXPONENTS), (2, scale_exponent, SCALE_EXPONENTS)):
        if exponent not in valid:
            raise ValueError(f"job[{place}] must be in {valid[0]}..{valid[-1]}, not {exponent}")
    mode = MODES[codes[word & 15]]
    for name, most in (("m", 0xFFFF), ("n", 0xFFFF), ("k", most_depth(mode))):
        if sizes[name] > most:
            raise ValueError(f"{name} must be at most {most} for {mode.name}, not {sizes[name]}")
    check_codes("a", arrays["a"], "(m, k)", mode.element)
    check_codes("b", arrays["b"], "(k, n)", mode.element)


def model(config: MatmulConfig, arrays: Mapping[str, Any]) -> Arrays:
    """The golden model's results."""
    result = product(arrays)
    return {"c": result.codes, "status": np.bitwise_or.reduce(result.status, axis=None, keepdims=True)[0]}


def product(arrays: Mapping[str, Any]) -> MacResult:
    """The golden model's results with the status of each."""
    word, bias_exponent, scale_exponent = (int(value) for value in arrays["job"])
    mode, output, overflow = job_fields(word & (1 << _RELU) - 1)
    return matmul(
        mode.name,
        arrays["a"],
        arrays["b"],
        bias=arrays["bias"] if word >> _HAS_BIAS & 1 else None,
        bias_exponent=bias_exponent,
        scale_exponent=scale_exponent,
        out_format=output,
        overflow=overflow,
        relu=bool(word >> _RELU & 1),
    )


def _layout(config: MatmulConfig, arrays: Mapping[str, Any]) -> tuple[Job, int]:
    """The job with A, B, the bias and C one after the other from address 0 on, and the bytes that they take."""
    word, bias_exponent, scale_exponent = (int(value) for value in arrays["job"])
    mode, output, overflow = job_fields(word & (1 << _RELU) - 1)
    (m, k), n = arrays["a"].shape, arrays["b"].shape[1]

    def whole_words(size: int) -> int:
        return -(-size // config.bus_bytes) * config.bus_bytes

    operand = whole_words(row_bytes(k, mode.slot_bits))
    result = whole_words(row_bytes(n, output_slot_bits(output)))
    b_address = m * operand
    bias_address = b_address + n * operand
    c_address = bias_address + whole_words(4 * n)
    job = Job(
        mode.name,
        output,
        *(m, n, k),
        *(0, operand, b_address, operand, c_address, result),
        bias_address=bias_address,
        bias_exponent=bias_exponent,
        scale_exponent=scale_exponent,
        has_bias=bool(word >> _HAS_BIAS & 1),
        infinity=overflow == "inf",
        relu=bool(word >> _RELU & 1),
    )
    return job, c_address + m * result


def job(config: MatmulConfig, arrays: Mapping[str, Any]) -> MemoryJob:
    """Arrays as what the memory and the registers hold."""
    found, size = _layout(config, arrays)
    image = np.zeros(size, np.uint8)
    write_operands(image, 0, found, arrays["a"], arrays["b"], arrays["bias"])
    return MemoryJob(image, register_values(config, found), range(found.c_address, size))


def results(config: MatmulConfig, arrays: Mapping[str, Any], result: JobResult) -> Arrays:
    """What a job left, as arrays.

    Raises
    ------
    HarnessError
        If the block refused the job, or its memory failed.
    """
    found, _ = _layout(config, arrays)
    assert config.registers is not None
    status = config.registers["status"].decode(result.status)
    if status["bad_job"] or status["bus_error"]:
        raise HarnessError(f"the block says {'bad_job' if status['bad_job'] else 'bus_error'} of a job that is right")
    codes = read_results(result.content, found.c_address, found)
    bits = sum(status[name] << place for place, name in enumerate(("nar", "nan", "inf", "overflow", "underflow")))
    return {"c": codes, "status": np.array([bits], np.uint8)}


def operations(config: MatmulConfig, arrays: Mapping[str, Any]) -> int:
    """Multiplications and additions, without those of the bias."""
    (m, k), n = arrays["a"].shape, arrays["b"].shape[1]
    return int(2 * m * n * k)


def random_arrays(config: MatmulConfig, seed: int, items: int) -> Arrays:
    """A seeded product of about `items` results, in any of the formats; extreme codes are frequent."""
    rng = np.random.default_rng(seed)
    mode, output = str(rng.choice(config.modes)), str(rng.choice(config.outputs))
    m = int(rng.integers(1, max(2, round(2 * items**0.5))))
    n = max(1, items // m)
    k = int(rng.integers(1, 1 + 3 * config.depth_beats * 32 // MODES[mode].slot_bits // 2)) if items > 1 else 1
    # Row i of A and column i of B may cancel.
    a, b = operands(rng, MODES[mode].element, (max(m, n), k))
    infinity, relu, has_bias = (bool(rng.integers(2)) for _ in range(3))
    job = job_array(
        mode,
        output,
        infinity=infinity,
        relu=relu,
        has_bias=has_bias,
        bias_exponent=int(rng.choice(np.array(BIAS_EXPONENTS))),
        scale_exponent=int(rng.integers(-12, 13)),
    )
    return {
        "job": job,
        "a": a[:m].astype(np.uint16),
        "b": np.ascontiguousarray(b[:n].T).astype(np.uint16),
        "bias": integers(rng, 32, (1, n))[0].astype(np.int32),
    }
