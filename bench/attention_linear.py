"""Throughput of linear layers on the gateware, their outputs held to the golden model."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from bench.common import say
from flows.attention.rtl import verilated
from flows.load import load_design
from hdl.attention.config import ArrayConfig
from hdl.attention.formats import FORMATS
from hdl.attention.job_words import FIELDS, OUTPUT_BITS, pack_job
from sim.attention.descriptors import parts, tile_keys
from sim.attention.kv_formats import pack_bits
from sim.attention.linear_model import linear as model
from sim.attention.schedule import Job, job_cost
from sim.attention.sparse_weights import expand, pack_sparse, prune
from sim.common.harness import Harness
from sim.common.harness_device import HarnessDevice
from sim.common.memory_job import MemoryJob, run_job

DESIGN = "attn_16x16_d64"
LATENCY_CYCLES = 64
OUTPUTS = 256
A, H = 40000, 25
COUNTERS = ("span", "macs", "stall_memory", "stall_softmax", "words_read", "words_written")


def linear() -> dict[str, Any]:
    """Layers of 256 outputs, of as many rows as there is room for, on a memory of 64 cycles of latency that gives and
    takes a word a cycle."""
    design = load_design(DESIGN)
    config = ArrayConfig.parse({**design.config.model_dump(), "linear": True})
    result = {}
    with verilated(dataclasses.replace(design, name=f"{DESIGN}_linear", config=config)) as harness:
        for inputs in (64, 128, 256, 512):
            for o_format in (1, 0):
                name = f"{inputs} inputs, {OUTPUT_BITS[o_format]}-bit outputs"
                found = result[name] = layer_on(config, harness, inputs, OUTPUTS, o_format)
                say(f"{name}, {found['rows']} rows, cycles that multiply", f"{found['busy']:.4f}", "", "")
    return result


def layer_on(
    config: ArrayConfig, harness: Harness, inputs: int, outputs: int, o_format: int, *, sparse: bool = False
) -> dict[str, Any]:
    """One job of INT8 weights, of which two of four are kept where it is sparse; what its counters say."""
    rng, bits = np.random.default_rng(1), OUTPUT_BITS[o_format]
    job: Job = dict.fromkeys(FIELDS, 0) | {"linear": 1, "first": 1, "last": 1, "o_format": o_format}
    job |= {"chunks": inputs // config.lanes, "sparse": int(sparse)}
    rows = config.rows * (config.subtiles // parts(config, job))
    x = rng.integers(-127, 128, (rows, inputs)).astype(np.int8)
    weights = rng.integers(-127, 128, (outputs, inputs))
    if sparse:
        kept = prune(weights)
        packed, weights = pack_sparse(FORMATS["int8"], *kept, min(inputs, config.dim), config.bus_bytes), expand(*kept)
    else:
        packed = pack_bits(weights, 8)
    count = parts(config, job)
    if count > 1:  # part by part
        packed = packed.reshape(outputs, count, -1).transpose(1, 0, 2)
        job["v_stride"] = packed[0].size
    row_bytes = outputs * bits // 8
    places = np.cumsum([0, 64, x.size, packed.size, rows * row_bytes]).tolist()
    job |= {"rows": rows, "tiles": outputs // tile_keys(config, job), "keys": outputs, "a": A, "h": H}
    job |= {"q_address": places[1], "q_stride": inputs, "k_address": places[2], "k_stride": packed.shape[-1]}
    job |= {"o_address": places[3], "o_stride": row_bytes}
    image = np.zeros(places[4], np.uint8)
    image[:64] = np.frombuffer(pack_job(job), np.uint8)
    image[places[1] : places[3]] = np.concatenate([x.view(np.uint8).reshape(-1), packed.reshape(-1)])
    registers = config.registers
    assert registers is not None
    harness.write(registers["control"].offset_bytes, registers["control"]["clear_counters"].mask)
    started = MemoryJob(image, {"list_address": 0, "list_length": 1}, range(places[3], places[4]))
    done = run_job(HarnessDevice(harness, latency_cycles=LATENCY_CYCLES), registers, started)
    counted = {name: harness.read(registers[name].offset_bytes) for name in COUNTERS}
    right, _ = model(x, weights, A, H, bits=bits)
    got = done.content.view(f"<i{bits // 8}").reshape(rows, outputs)
    return {
        "rows": rows,
        "equal": bool(np.array_equal(got, right)),
        "multiplying_predicted": job_cost(config, job).mac_cycles,
        "busy": round(counted["macs"] / counted["span"], 4),
        **counted,
    }
