"""The tiny GPT on `pim.system` as arrays in and arrays out: a prompt, noise to choose by, and the text that follows.

The golden model here is the GPT in numpy, which knows neither programs nor channels.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from hdl.pim.system_config import SystemConfig, encode_system_program
from sim.common.beats import Beats
from sim.common.language import CHARACTERS, encoded
from sim.common.vectors import Arrays, ArraySpec, check_arrays
from sim.pim import system_vectors
from sim.pim.arithmetic import added, widened
from sim.pim.tiny_gpt import CONTEXT, PlainProducts, TinyGpt, load
from sim.pim.tiny_gpt_program import SYMBOLS, compiled
from sim.pim.vector_model import VectorUnit
from sim.pim.vector_programs import Floats, VectorHost

LATENCY_BY_BENCH = True
MOST_ITEMS = 3
"""Characters: each takes some 10,000 cycles."""

INPUTS = {
    "prompt": ArraySpec("uint8", "(n,)", "numbers of the characters to go on from: line feed is 0, space 1, ! 2, ~ 95"),
    "noise": ArraySpec(
        "float32", "(characters, symbols)", "added to the logits, of which the largest is taken; 0: greedy"
    ),
}
OUTPUTS = {
    "text": ArraySpec("uint8", "(characters,)", "numbers of the characters written"),
    "logits": ArraySpec("float32", "(characters, symbols)", "what each was chosen by, without noise"),
}


def check(config: SystemConfig, arrays: Mapping[str, Any]) -> None:
    """Refuse arrays that are not `INPUTS`, or more characters than the model has places for.

    Raises
    ------
    ValueError
        With one line that names array, expected and received.
    """
    sizes = check_arrays(INPUTS, arrays)
    if sizes["symbols"] != SYMBOLS:
        raise ValueError(f"noise must have {SYMBOLS} symbols, not {sizes['symbols']}")
    if arrays["prompt"].max() >= SYMBOLS:
        raise ValueError(f"prompt must be in 0..{SYMBOLS - 1}, not {arrays['prompt'].max()}")
    if not np.isfinite(arrays["noise"]).all():
        raise ValueError("noise must be finite")
    length = sizes["n"] + sizes["characters"] - 1
    if length > CONTEXT:
        raise ValueError(f"prompt and characters but the last must be at most {CONTEXT}, not {length}")


def chosen(logits: Floats, noise: Floats) -> int:
    """The first of the largest sums; those that differ by less than 2**-126 are equal."""
    sums = added(logits, noise)
    return int(np.argmax(added(sums, -sums.max()) == 0))


def gumbel(rng: np.random.Generator, characters: int, temperature: float) -> Floats:
    """Noise that draws by the chances at a temperature, (characters, symbols); 0: none."""
    return (temperature * rng.gumbel(size=(characters, SYMBOLS))).astype(np.float32)


def model(config: SystemConfig, arrays: Mapping[str, Any]) -> Arrays:
    """`OUTPUTS` by the GPT in numpy. Raises as `check`."""
    check(config, arrays)
    gpt = TinyGpt(load(), PlainProducts(config.channel), VectorHost(VectorUnit(config.vector)))
    for number in arrays["prompt"]:
        logits = gpt.step(int(number))
    text: list[int] = []
    told: list[Floats] = []
    for noise in arrays["noise"]:
        if text:
            logits = gpt.step(text[-1])
        told.append(logits)
        text.append(chosen(logits, noise))
    return {"text": np.array(text, np.uint8), "logits": np.array(told, np.float32)}


def program_of(config: SystemConfig, arrays: Mapping[str, Any]) -> Arrays:
    """The arrays of `pim.system` that do it. Raises as `check`."""
    check(config, arrays)
    program, data = compiled(config, load(), arrays["prompt"], arrays["noise"])
    return {"program": encode_system_program(program), "data": data}


def pack(config: SystemConfig, arrays: Mapping[str, Any]) -> dict[str, Beats]:
    """Traffic of the streams `program` and `data`. Raises as `check`."""
    return system_vectors.pack(config, program_of(config, arrays))


def expected_beats(config: SystemConfig, arrays: Mapping[str, Any]) -> dict[str, int]:
    """Beats the stream `q` gives: of each character its logits and its number."""
    return {"q": len(arrays["noise"]) * (_logit_beats(config) + 1)}


def unpack(config: SystemConfig, arrays: Mapping[str, Any], outputs: Mapping[str, Beats]) -> Arrays:
    """`OUTPUTS` out of the traffic of the stream `q`."""
    beats = np.ascontiguousarray(outputs["q"].data).view("<u2")
    told = beats.reshape(len(arrays["noise"]), _logit_beats(config) + 1, config.vector.lanes)
    logits = told[:, :-1].reshape(len(told), -1)[:, :SYMBOLS]
    return {"text": widened(told[:, -1, 0]).astype(np.uint8), "logits": widened(logits)}


def operations(config: SystemConfig, arrays: Mapping[str, Any]) -> int:
    """Useful operations: those of the channel's multipliers and of the vector unit."""
    return system_vectors.operations(config, program_of(config, arrays))


def random_arrays(config: SystemConfig, seed: int, items: int) -> Arrays:
    """A prompt of one word for the seed, and noise of `items` characters at a temperature of 0.7.

    Raises
    ------
    ValueError
        If `items` is below 1.
    """
    if items < 1:
        raise ValueError(f"items must be at least 1, not {items}")
    rng = np.random.default_rng(seed)
    prompt = encoded(("In", "If", "The", "A")[int(rng.integers(4))]).astype(np.uint8)
    return {"prompt": prompt, "noise": gumbel(rng, items, 0.7)}


def text_of(numbers: Any) -> str:
    """Characters of their numbers."""
    return "".join(CHARACTERS[int(one)] for one in numbers)


def _logit_beats(config: SystemConfig) -> int:
    return config.vector.steps(SYMBOLS)
