"""Throughput of linear layers on the gateware, their outputs held to the golden model."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from bench.common import say
from flows.attention.rtl import verilated
from flows.load import load_design
from hdl.attention.config import ArrayConfig
from hdl.attention.job_words import FIELDS, OUTPUT_BITS, pack_job
from sim.attention.descriptors import parts
from sim.attention.linear_model import linear as model
from sim.attention.schedule import Job, job_cost
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
                found = result[name] = _layer(config, harness, inputs, o_format)
                say(f"{name}, {found['rows']} rows, cycles that multiply", f"{found['busy']:.4f}", "", "")
    return result


def _layer(config: ArrayConfig, harness: Harness, inputs: int, o_format: int) -> dict[str, Any]:
    """One job; what its counters say."""
    rng, bits = np.random.default_rng(1), OUTPUT_BITS[o_format]
    job: Job = dict.fromkeys(FIELDS, 0) | {"linear": 1, "first": 1, "last": 1, "o_format": o_format}
    job |= {"chunks": inputs // config.lanes}
    rows = config.rows * (config.subtiles // parts(config, job))
    x = rng.integers(-127, 128, (rows, inputs)).astype(np.int8)
    weights = rng.integers(-127, 128, (OUTPUTS, inputs)).astype(np.int8)
    row_bytes = OUTPUTS * bits // 8
    places = np.cumsum([0, 64, x.size, weights.size, rows * row_bytes]).tolist()
    job |= {"rows": rows, "tiles": OUTPUTS // config.lanes, "keys": OUTPUTS, "a": A, "h": H}
    job |= {"q_address": places[1], "q_stride": inputs, "k_address": places[2], "k_stride": inputs}
    job |= {"o_address": places[3], "o_stride": row_bytes}
    image = np.zeros(places[4], np.uint8)
    image[:64] = np.frombuffer(pack_job(job), np.uint8)
    image[places[1] : places[3]] = np.concatenate([x.reshape(-1), weights.reshape(-1)]).view(np.uint8)
    registers = config.registers
    assert registers is not None
    harness.write(registers["control"].offset_bytes, registers["control"]["clear_counters"].mask)
    started = MemoryJob(image, {"list_address": 0, "list_length": 1}, range(places[3], places[4]))
    done = run_job(HarnessDevice(harness, latency_cycles=LATENCY_CYCLES), registers, started)
    counted = {name: harness.read(registers[name].offset_bytes) for name in COUNTERS}
    right, _ = model(x, weights, A, H, bits=bits)
    got = done.content.view(f"<i{bits // 8}").reshape(rows, OUTPUTS)
    return {
        "rows": rows,
        "equal": bool(np.array_equal(got, right)),
        "multiplying_predicted": job_cost(config, job).mac_cycles,
        "busy": round(counted["macs"] / counted["span"], 4),
        **counted,
    }
