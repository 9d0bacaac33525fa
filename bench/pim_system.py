"""What the tiny GPT takes as one program on `pim.system`, in Verilator, and what a small system takes on an ECP5."""

from __future__ import annotations

import time
from typing import Any

import numpy as np

from bench.common import made, say
from bench.pim_device import placed
from flows import engines
from flows.steps import HARNESS_LIBRARY
from hdl.pim.system_config import SystemConfig, decode_system_program
from hdl.pim.vector_config import VectorInstruction, VectorOp
from sim.common.harness import Harness
from sim.common.language import encoded
from sim.pim import tiny_gpt_vectors as vectors

PROMPT, TEMPERATURE, SEED = "The ", 0.7, 1
LENGTHS = (1, 64)
"""Characters; what they differ in is what a character takes, weights aside."""


def tokens() -> dict[str, Any]:
    """Cycles a token, and tokens a second of processor time; the text and all logits are held to numpy's."""
    design, (rtl, built) = made("pim_tiny_gpt", "elaborate", "harness")
    config, registers = design.config, design.config.registers
    found: list[dict[str, Any]] = []
    text = ""
    with Harness(built[HARNESS_LIBRARY], engines.read_ports(rtl[f"{design.name}.ports.json"])) as harness:
        for length in LENGTHS:
            noise = vectors.gumbel(np.random.default_rng(SEED), length, TEMPERATURE)
            arrays = {"prompt": encoded(PROMPT).astype(np.uint8), "noise": noise}
            given, expected = vectors.pack(config, arrays), vectors.expected_beats(config, arrays)
            harness.reset()
            start = time.process_time()
            result = harness.run(given, expected, stall_in=0, stall_out=0)
            seconds = time.process_time() - start
            counts = {name: harness.read(registers[name].offset_bytes) for name in COUNTERS}
            counts["vector_work"] = work(config, vectors.program_of(config, arrays)["program"])
            found.append(counts | {"cycles": result.cycles, "seconds": seconds, "words": len(given["program"])})
            got, want = vectors.unpack(config, arrays, result.outputs), vectors.model(config, arrays)
            if any(not np.array_equal(got[name], want[name]) for name in want):
                raise SystemExit("the gateware's text or logits are not those of numpy")
            text = vectors.text_of(got["text"])
    more = LENGTHS[1] - LENGTHS[0]
    a_token = {name: (found[1][name] - found[0][name]) / more for name in found[0]}
    say("cycles a token", a_token["cycles"], "", "none")
    for name in COUNTERS:
        say(f"of these, {name}", a_token[name], "", "none")
    say("of these, the vector unit at work", a_token["vector_work"], "", "none")
    say("words of program a token", a_token["words"], "", "none")
    say(f"cycles until the first token, weights and {len(PROMPT)} characters", found[0]["cycles"], "", "none")
    say("in Verilator, of a core's time", 1 / a_token["seconds"], "tokens/s", "none")
    say("in Verilator, of a core's time", found[1]["cycles"] / found[1]["seconds"] / 1e3, "kcycle/s", "none")
    return {"a_token": a_token, "text": PROMPT + text, "equal": True}


COUNTERS = (
    "channel_issued_mac",
    "channel_stalls_input",
    "channel_stalls_output",
    "channel_stalls_row",
    "channel_stalls_idle",
)


def work(config: SystemConfig, words: Any) -> int:
    """Cycles of a program's instructions of the vector unit, where none waits."""
    program = [one for one in decode_system_program(words) if isinstance(one, VectorInstruction)]
    return sum(config.vector.cycles(VectorOp(one.op), one.n) for one in program)


def area() -> dict[str, Any]:
    """`pim_system` alone: cells, and the clock after place and route, out of context, on an LFE5U-85F."""
    design, (rtl,) = made("pim_system", "elaborate")
    found = placed(rtl["pim_system.v"], design.top)
    for kind, value in found.items():
        say(f"pim_system: {kind}", value, "", "none")
    return found
