"""`pim.kv`: how good two-step attention out of flash is, what it reads, how long it takes, what it takes on an ECP5."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from bench.common import made, say
from bench.pim_device import placed
from flows.load import load_design
from flows.verilog import emit, port_table
from hdl.pim.kv_config import KvConfig, KvOp
from sim.common.harness import Harness, build_harness
from sim.pim import kv_model, kv_vectors
from sim.pim.kv_model import KvCommand
from sim.pim.kv_study import sample, study

DESIGN = "kv_flash"
TOKENS, DIM, HEADS = 8192, 128, 20


def kv_recall() -> dict[str, Any]:
    """Means over seeded heads, by page, channels of the first step and tokens of the second."""
    found = {}
    heads = [sample(seed, TOKENS, DIM) for seed in range(HEADS)]
    for page_bytes, page_channels in ((4096, 1), (4096, 8), (16384, 4)):
        flash = {"page_bytes": page_bytes, "page_channels": page_channels, "planes": 8, "blocks": 64, "block_pages": 64}
        config = KvConfig(heads=1, head_dim=DIM, max_tokens=TOKENS, r_max=32, k_max=1024, **flash)
        for r, k in ((8, 256), (16, 256), (32, 256), (16, 1024)):
            studies = [study(config, head, r, k) for head in heads]
            recall, hits, error = (
                float(np.mean([getattr(one, name) for one in studies])) for name in ("recall", "hits", "error")
            )
            pages = sum(one.pages for one in studies) / sum(one.dense_pages for one in studies)
            moved = sum(one.moved for one in studies) / sum(one.dense_moved for one in studies)
            name = f"pages of {page_bytes // 1024} KB, {page_channels} channels in one, r {r}, k {k}"
            say(f"recall, {name}", recall, "", "1 is exact attention")
            say(f"  of the best {k} tokens", hits, "", "")
            say("  error over the exact output", error, "", "")
            say("  pages read over those of all tokens", pages, "", "below 1")
            say("  bytes moved over those of all tokens", moved, "", "below 1")
            found[name] = {"recall": recall, "hits": hits, "error": error, "pages": pages, "moved": moved}
    return found


def rtl() -> dict[str, Any]:
    """Cycles of queries on the gateware with `pim.flash` behind it, over the config's formula, which is for flash that
    never lets it wait."""
    from hdl.pim.kv_on_flash import KvOnFlash

    config = load_design(DESIGN).config
    found = {}
    for read_cycles in (config.page_bytes + 8, 1000):
        component = KvOnFlash(config, kv_vectors.flash_of(config, read_cycles))
        ports = {"top": "bench_kv", "clock": "clk", "reset": "rst", "ports": port_table(component)}
        with tempfile.TemporaryDirectory() as folder:
            source = Path(folder) / "design.v"
            source.write_text(emit(component, "bench_kv"))
            with Harness(build_harness(source, ports, Path(folder) / "build", optimise="-O1"), ports) as harness:
                found[f"tR {read_cycles}"] = _queries(config, harness, read_cycles)
    return found


def _queries(config: KvConfig, harness: Harness, read_cycles: int) -> dict[str, Any]:
    """Of queries of a full head, with few, and with as many channels and tokens as there are."""
    head, figures = sample(1, config.max_tokens, config.head_dim), {}
    tokens = np.concatenate([head.keys, head.values], axis=1).reshape(-1)
    appends = [KvCommand(KvOp.APPEND)] * config.max_tokens
    harness.run(kv_vectors.packed(appends, tokens), {}, max_idle_cycles=100_000)
    harness.step(100 * config.page_bytes * config.group_pages)
    for r, k in ((config.r_max // 4, config.k_max // 4), (config.r_max, config.k_max)):
        query = KvCommand(KvOp.QUERY, 0, r, k, head.scale)
        traffic = kv_vectors.packed([query], head.q)
        result = harness.run(traffic, {"y": config.head_dim}, stall_in=0, stall_out=0, timestamps=True,
                             max_idle_cycles=1_000_000)  # fmt: skip
        model = kv_model.run(config, [*appends, query], np.concatenate([tokens, head.q]))
        np.testing.assert_array_equal(result.outputs["y"].data.view("<i2")[:, 0], model.outputs[0])
        reading = model.readings[0]
        token_bytes = sum(reading.bytes[1:]) + 2 * config.head_dim * reading.in_buffer
        formula = config.query_cycles(r, reading.tokens, k, token_bytes, reading.bytes[0])
        cycles = int(result.stamps["y"][0] - result.stamps["data"][-1])
        pages = sum(reading.pages) / (2 * config.max_tokens // config.page_tokens)
        name = f"r {r}, k {k}"
        say(f"query, tR {read_cycles}, {name}", cycles, "cycles", f"{formula} if flash is never waited for")
        say("  pages read over those of all tokens", pages, "", "")
        say("  of the cycles, the bus of flash carries reads in", sum(reading.bytes) / cycles, "", "")
        figures[name] = {"cycles": cycles, "formula": formula, "pages": pages, "bytes": sum(reading.bytes)}
    return figures


def area() -> dict[str, Any]:
    """Of the named design alone: cells, and the clock after place and route, out of context, on an LFE5U-85F-6."""
    design, (verilog,) = made(DESIGN, "elaborate")
    found = placed(verilog[f"{DESIGN}.v"], design.top)
    say(f"{DESIGN}: LUT4 + 2 CCU2C + 4 DPR16X4", found["lut"], "", "none")
    for kind in ("ff", "bram", "dsp"):
        say(f"{DESIGN}: {kind}", found[kind], "", "none")
    say(f"{DESIGN}: clock", found["fmax_mhz"], "MHz", "none")
    return found
