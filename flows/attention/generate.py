"""`niello attention generate`: text of the array's language model, on the golden model or on the gateware."""

from __future__ import annotations

import sys
import time
from typing import Any

import numpy as np

from flows.attention.run import ENGINES, design_of
from flows.errors import BadInput, NielloError
from flows.load import Design
from flows.prompt import check_prompt
from hdl.attention.config import ArrayConfig
from hdl.common.config import did_you_mean
from sim.attention.array_model import numerics
from sim.attention.kv_formats import Bytes
from sim.attention.language import CONTEXT
from sim.attention.language_lists import FAILURES, ListLayers, ModelDevice, check
from sim.attention.language_model import MIXES, LanguageModel, Quantised, float_perplexity, load, stored
from sim.attention.language_plain import PlainLayers
from sim.common.errors import HarnessError
from sim.common.harness import Harness
from sim.common.harness_device import HarnessDevice
from sim.common.memory_job import MemoryJob, run_job


class GatewareDevice:
    """The Verilated array as a `sim.attention.language_lists.Device`.

    Attributes
    ----------
    cycles, lists : int
        Of all lists so far, from `start` to `done`.
    """

    def __init__(self, config: ArrayConfig, harness: Harness):
        assert config.registers is not None
        self._registers, self._device = config.registers, HarnessDevice(harness)
        self.cycles, self.lists = 0, 0

    def run(self, memory: Bytes, address: int, length: int) -> None:
        """As `Device` has it."""
        registers = {"list_address": address, "list_length": length, "window": memory.size}
        result = run_job(self._device, self._registers, MemoryJob(memory, registers, range(memory.size)))
        status = self._registers["status"].decode(result.status)
        if wrong := [name for name in FAILURES if status[name]]:
            raise HarnessError(f"the block says {wrong[0]} of a job that is right")
        memory[:] = result.content
        self.cycles += result.cycles
        self.lists += 1


def generate(name: str, mix: str, prompt: str, tokens: int, engine: str) -> dict[str, Any]:
    """A text that goes on from a prompt, and the perplexity of held-out text beside that of the floats.

    Raises
    ------
    BadInput
        For what the model does not know or has no place for, and designs that cannot do its layers.
    NielloError
        If the gateware's text is not the golden model's, which is a defect, or a tool fails.
    """
    design = _design(name, mix, prompt, tokens, engine)
    config = design.config
    assert isinstance(config, ArrayConfig)
    weights = load(mix)
    try:
        check(config, weights)
    except ValueError as error:
        raise BadInput(f"--design {name}: {error}") from None
    began = time.perf_counter()
    text = LanguageModel(weights, ListLayers(config, weights, ModelDevice(config))).write(prompt, tokens)
    found: dict[str, Any] = {"seconds": round(time.perf_counter() - began, 3)}
    if engine == "rtl":
        found = _gateware(design, weights, prompt, text)
    held_out, bigram = (stored("int8")[each] for each in ("held_out", "bigram_perplexity"))
    print(f"{prompt}{text}", file=sys.stderr)
    return (
        {"design": design.name, "engine": engine, "mix": mix, "prompt": prompt, "text": text, "tokens": tokens}
        | found
        | {
            "perplexity": LanguageModel(weights, PlainLayers(weights, numerics(config))).perplexity(held_out),
            "float_perplexity": float_perplexity(held_out),
            "bigram_perplexity": float(bigram),
        }
    )


def _design(name: str, mix: str, prompt: str, tokens: int, engine: str) -> Design:
    """The design, once all that the command line says is right."""
    if engine not in ENGINES:
        raise BadInput(f"--engine must be one of {', '.join(ENGINES)}, not {engine}")
    if mix not in MIXES:
        raise BadInput(f'--mix: no mix "{mix}"{did_you_mean(mix, list(MIXES))}')
    check_prompt(prompt, tokens, CONTEXT)
    return design_of(name)


def _gateware(design: Design, weights: Quantised, prompt: str, expected: str) -> dict[str, Any]:
    """Figures of the same text from Verilator, with the memory of its lists as the golden model leaves it."""
    from flows.attention.rtl import verilated

    config = design.config
    assert isinstance(config, ArrayConfig)
    with verilated(design) as harness:
        began = time.perf_counter()
        device, model = GatewareDevice(config, harness), ModelDevice(config)

        class Both:
            """The gateware, held to the golden model list by list."""

            def run(self, memory: Bytes, address: int, length: int) -> None:
                """As `Device` has it."""
                wanted = memory.copy()
                model.run(wanted, address, length)
                device.run(memory, address, length)
                if not np.array_equal(memory, wanted):
                    places = np.flatnonzero(memory != wanted)
                    raise NielloError(
                        f"the gateware and the golden model differ in {places.size} bytes of memory, "
                        f"the first at {int(places[0])}, after list {device.lists}"
                    )

        text = LanguageModel(weights, ListLayers(config, weights, Both())).write(prompt, len(expected))
        seconds = time.perf_counter() - began
    if text != expected:
        raise NielloError(f"the gateware wrote {text!r}, the golden model {expected!r}")
    return {"seconds": round(seconds, 3), "cycles": device.cycles, "lists": device.lists, "model": "equal"}
