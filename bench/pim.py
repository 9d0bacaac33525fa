"""The figures of memory that computes.

    .venv/bin/python bench/pim.py [NAME ...]

    model      simulated cycles a second of a channel: golden model, compiled twin; cycles of a GEMV of 4096 by 4096
    gpt        a token of eight GPT models in three orders: cycles, row hits, utilisation
    gemv       cycles of a GEMV of 4096 by 4096 as the compiler lays it out
    burst      simulated cycles a second of the burst simulator, seconds a token
    tiny       perplexity and a text of the tiny GPT
    lut_gemv   cycles of `pim.lut_gemv` with and without its pattern cache
    vector     errors and cycles of softmax, LayerNorm and GELU on `pim.vector`
    kv         what two-step attention out of flash recalls and reads, on seeded heads
    kv_rtl     cycles of queries on `pim.kv` with `pim.flash` behind it
    cambricon  Cambricon-LLM's 21 points against the rate model of flash; draws docs/pim_cambricon.svg
    ------
    device     cells of the behavioural device on an ECP5 and its clock; takes minutes
    rtl        random programs on the scheduler's gateware, held to the golden model; takes minutes
    area       the scheduler on ECP5: cells and routed clock; takes minutes
    parts      cells of the device's pieces on an ECP5; takes minutes
    kv_area    cells of `pim.kv` on an ECP5 and its clock; takes minutes
    vector_area  cells of `pim.vector` on an ECP5 and its clock; takes minutes
    system     64 tokens of the tiny GPT on `pim.system` in Verilator, held to numpy; takes minutes to compile
    system_area  cells of `pim_system` on an ECP5 and its clock; takes minutes

Prints a line a figure, with its target, and one JSON object at the end.
"""

from __future__ import annotations

import argparse

from bench import (
    pim_area,
    pim_cambricon,
    pim_device,
    pim_gpt,
    pim_kv,
    pim_lut_gemv,
    pim_model,
    pim_rtl,
    pim_system,
    pim_vector,
)
from bench.common import Benches, run


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help="figures; all above the line if none is named")
    benches: Benches = {
        "model": pim_model.model,
        "gpt": pim_gpt.gpt,
        "gemv": pim_gpt.large_gemv,
        "burst": pim_gpt.burst,
        "tiny": pim_gpt.tiny,
        "lut_gemv": pim_lut_gemv.pattern_cache,
        "vector": pim_vector.figures,
        "kv": pim_kv.kv_recall,
        "kv_rtl": pim_kv.rtl,
        "cambricon": pim_cambricon.cambricon,
    }
    asked: Benches = {"device": pim_device.device, "rtl": pim_rtl.rtl, "area": pim_area.area}
    asked |= {"parts": pim_device.parts, "vector_area": pim_vector.area, "kv_area": pim_kv.area}
    asked |= {"system": pim_system.tokens, "system_area": pim_system.area}
    run({**benches, **asked}, parser.parse_args().names or list(benches))


if __name__ == "__main__":
    main()
