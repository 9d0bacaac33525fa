"""`niello pim generate`: text of the tiny GPT, by the golden model or by the gateware."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np

from flows import engines, run
from flows.errors import BadInput
from flows.load import Design, load_design
from flows.paths import build_root
from flows.prompt import check_prompt
from flows.road import Route, results_or_error, travel
from hdl.common.config import nearest
from sim.common.language import encoded
from sim.pim.tiny_gpt import CONTEXT
from sim.pim.tiny_gpt_vectors import gumbel, text_of

DESIGN = "pim_tiny_gpt"
ENGINES = ("model", "rtl")


def generate(prompt: str, tokens: int, engine: str, temperature: float, seed: int, plain: bool) -> dict[str, Any]:
    """A text that goes on from a prompt, a token a character; of the gateware its cycles, too.

    Raises
    ------
    BadInput
        For what the model does not know or has no place for.
    NielloError
        If the gateware's text or logits are not the golden model's, which is a defect, or a tool fails.
    """
    if engine not in ENGINES:
        raise BadInput(f'--engine must be one of {", ".join(ENGINES)}, not "{engine}"{nearest(engine, list(ENGINES))}')
    check_prompt(prompt, tokens, CONTEXT)
    if not 0 <= temperature <= 10:
        raise BadInput(f"--temperature must be in 0..10, not {temperature}")
    if not 0 <= seed < 1 << 64:
        raise BadInput(f"--seed must be in 0..{(1 << 64) - 1}, not {seed}")
    design = load_design(DESIGN)
    noise = gumbel(np.random.default_rng(seed), tokens, temperature)
    arrays: engines.Arrays = {"prompt": encoded(prompt).astype(np.uint8), "noise": noise}
    outputs, metrics = engines.run_model(design, arrays)
    found: dict[str, Any] = {"engine": engine, "seconds": metrics["seconds"]}
    if engine == "rtl":
        found |= _gateware(design, arrays, outputs, plain)
    text = text_of(outputs["text"])
    print(f"{prompt}{text}", file=sys.stderr)
    return {"prompt": prompt, "text": text, "tokens": tokens, "temperature": temperature, "seed": seed} | found


def _gateware(design: Design, arrays: engines.Arrays, expected: engines.Arrays, plain: bool) -> dict[str, Any]:
    """Figures of the same in Verilator, once text and logits are those expected."""
    route = Route.of(design, None)
    results = results_or_error(travel([route], lambda _: run.needs(route, "rtl"), plain=plain))
    got, metrics = run.execute(route, "rtl", results, arrays)
    engines.compare(design, got, expected, arrays, build_root())
    return {
        "seconds": metrics["seconds"],
        "cycles": metrics["cycles"],
        "model": "equal",
    }
