"""Figures of `sfq.processor`: random netlists held to the golden model, cycles a delivery, speed, size and clock."""

from __future__ import annotations

import time
from typing import Any

import numpy as np

from bench.common import made, one_core, say
from flows.load import load_design
from flows.road import Route, results_or_error, travel
from flows.steps import HARNESS_LIBRARY
from hdl.sfq.processor_image import MOST_COUNT
from hdl.sfq.processor_words import Finish, Limit, Opcode, Status, parse, word
from sim.common.beats import Beats
from sim.common.harness import Harness
from sim.sfq import processor_vectors as vectors

DESIGN = "sfq_processor"
NETLISTS, PULSES = 200, 210


def processor() -> dict[str, Any]:
    """Netlists of 10 to 200 cells: how many differ; cycles a delivery without loading; deliveries a CPU second,
    beside those of the golden model, parser and checks included, on the same netlists."""
    design, (rtl, harness) = made(DESIGN, "elaborate", "harness")
    config, ports = design.config, rtl[f"{DESIGN}.ports.json"]
    cycles = deliveries = differing = violating = full = 0
    seconds = {"model": 0.0, "harness": 0.0}
    with one_core(), Harness(harness[HARNESS_LIBRARY], ports) as on:
        for seed in range(NETLISTS):
            arrays = vectors.random_arrays(config, seed, PULSES)
            start = time.process_time()
            right = vectors.model(config, arrays)
            seconds["model"] += time.process_time() - start
            given, expected = vectors.pack(config, arrays), vectors.expected_beats(config, arrays)
            if _counted(on, given["words"]).status == Status.QUEUE_FULL:
                full += 1
                continue
            start = time.process_time()
            result = on.run(given, expected, stall_in=0, stall_out=0, max_idle_cycles=1_000_000, timestamps=True)
            seconds["harness"] += time.process_time() - start
            got = vectors.unpack(config, arrays, result.outputs)
            differing += not all(np.array_equal(got[name], right[name]) for name in right)
            violating += len(right["violations"]) > 0
            deliveries += int(right["deliveries"][0])
            cycles += int(result.stamps["answers"][-1]) - _begin(given["words"], result.stamps["words"])
    rates = {name: round(deliveries / spent) for name, spent in seconds.items()}
    say("netlists that fill the queue, which it tells", full, f"of {NETLISTS}", "none")
    say(f"of the others, {violating} violating: netlists that differ", differing, "", "0")
    say(f"{deliveries} deliveries", cycles / deliveries, "cycles each", "5 to 12")
    say("deliveries a CPU second in the harness", rates["harness"] / 1e3, "k/s", "none")
    say("the same, golden model with parser and checks", rates["model"] / 1e3, "k/s", "none")
    return {
        "netlists": NETLISTS,
        "queue_full": full,
        "differing": differing,
        "violating": violating,
        "deliveries": deliveries,
        "cycles_per_delivery": round(cycles / deliveries, 3),
        "harness_deliveries_per_s": rates["harness"],
        "model_deliveries_per_s": rates["model"],
    }


def ecp5() -> dict[str, Any]:
    """The bitstream for the ULX3S, board top included: cells and routed clock."""
    route = Route.of(load_design(DESIGN))
    needs = [route.on_board(step) for step in ("synth", "pnr", "pack")]
    results = results_or_error(travel([route], lambda _: needs, plain=True))
    synth, pnr = (results[need].metrics for need in needs[:2])
    figures = {name: synth[name] for name in ("lut", "ff", "bram", "dsp")} | {"fmax_mhz": pnr["fmax_mhz"]}
    for name, value in figures.items():
        say(f"{DESIGN} on {route.board.name}, with its top: {name}", value, "", "none")
    return figures


def _counted(harness: Harness, words: Beats) -> Finish:
    """The END of a run that is asked for no answers, only for their number."""
    data = words.data.view("<u8")[:, 0].copy()
    limit = word(Opcode.LIMIT, 0, lane=Limit.ANSWERS)
    data[data == limit | MOST_COUNT] = limit
    silent = {"words": Beats(data.view(np.uint8).reshape(-1, 8))}
    result = harness.run(silent, {"answers": 1}, stall_in=0, stall_out=0, max_idle_cycles=100_000_000)
    finish = parse(vectors.words_of(result.outputs["answers"])[0])
    assert isinstance(finish, Finish)
    return finish


def _begin(words: Beats, stamps: Any) -> int:
    """The cycle in which RUN was taken."""
    opcodes = words.data[:, -1] >> 4
    return int(stamps[int(np.flatnonzero(opcodes == Opcode.RUN)[0])])
