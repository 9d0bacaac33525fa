"""A GPT-2 of two layers that writes like Python's reference manual, on channels or in plain numpy: the same characters.

    model = TinyGpt(load(), DeviceProducts(config))      # programs of the compiler on the device's golden model
    model.write("The ", 64, seed=1)

Weights, keys, values and what goes into a product are bf16; the residual stream, biases and the host's functions are
fp32. Products are those of `Gemv`: channel's order, fp32 results.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from hdl.pim.channel_config import ChannelConfig
from hdl.pim.commands import Instruction, Op
from sim.common.language import CHARACTERS, encoded
from sim.pim import arithmetic
from sim.pim.device_model import Device
from sim.pim.gemv import Gemv
from sim.pim.gpt_host import Host, NumpyHost

Array = npt.NDArray[Any]
Floats = npt.NDArray[np.float32]

LAYERS, WIDTH, HEADS, CONTEXT = 2, 64, 4, 128
HEAD = WIDTH // HEADS
WEIGHTS_FILE = Path(__file__).with_name("tiny_gpt.npz")


def load() -> dict[str, Array]:
    """The trained weights as bf16 codes, `held_out` characters and the `bigram_perplexity` of these."""
    with np.load(WEIGHTS_FILE) as stored:
        return {name: stored[name] for name in stored.files}


class Products(Protocol):
    """Matrices that vectors are multiplied with. `shape` is (outputs, inputs) of each; all start as zeros."""

    def add(self, name: str, outputs: int, inputs: int) -> None:
        """Makes room for a matrix."""

    def fill(self, name: str, weights: Array) -> None:
        """Stores a whole matrix of bf16 codes."""

    def set_row(self, name: str, output: int, codes: Array) -> None:
        """Stores one output's inputs: how a key comes in."""

    def set_column(self, name: str, place: int, codes: Array) -> None:
        """Stores one input of all outputs: how a value comes in."""

    def times(self, name: str, vector: Array) -> Floats:
        """The product with bf16 codes."""


class PlainProducts:
    """Products in plain numpy, in the declared arithmetic."""

    def __init__(self, config: ChannelConfig):
        self.config = config
        self.plans: dict[str, Gemv] = {}
        self.matrices: dict[str, Array] = {}

    def add(self, name: str, outputs: int, inputs: int) -> None:
        """Makes room for a matrix."""
        self.plans[name] = Gemv(self.config, outputs, inputs)
        self.matrices[name] = np.zeros((outputs, inputs), np.uint16)

    def fill(self, name: str, weights: Array) -> None:
        """Stores a whole matrix of bf16 codes."""
        self.matrices[name][:] = weights

    def set_row(self, name: str, output: int, codes: Array) -> None:
        """Stores one output's inputs."""
        self.matrices[name][output] = codes

    def set_column(self, name: str, place: int, codes: Array) -> None:
        """Stores one input of all outputs."""
        self.matrices[name][:, place] = codes

    def times(self, name: str, vector: Array) -> Floats:
        """The product with bf16 codes."""
        made: Floats = self.plans[name].direct(self.matrices[name], vector)
        return made


class DeviceProducts:
    """Products by the compiler's programs on the golden model of one channel's device."""

    def __init__(self, config: ChannelConfig):
        self.config, self.device = config, Device(config)
        self.plans: dict[str, Gemv] = {}
        self.rows = 0

    def add(self, name: str, outputs: int, inputs: int) -> None:
        """Makes room for a matrix."""
        self.plans[name] = Gemv(self.config, outputs, inputs, row=self.rows)
        self.rows += self.plans[name].rows

    def fill(self, name: str, weights: Array) -> None:
        """Stores a whole matrix of bf16 codes."""
        for row, contents in self.plans[name].contents(weights).items():
            self.device.fill(row, contents)

    def set_row(self, name: str, output: int, codes: Array) -> None:
        """Stores one output's inputs, by WR."""
        columns = np.pad(codes, (0, -len(codes) % self.config.lanes)).reshape(-1, self.config.lanes)
        for place, data in enumerate(columns):
            self.device.run([self._at(Op.WR, name, output, place)], [data])

    def set_column(self, name: str, place: int, codes: Array) -> None:
        """Stores one input of all outputs: RD and WR of whole columns."""
        column, lane = divmod(place, self.config.lanes)
        for output, code in enumerate(codes):
            (data,) = self.device.run([self._at(Op.RD, name, output, column)])
            data = data.copy()
            data[lane] = code
            self.device.run([self._at(Op.WR, name, output, column)], [data])

    def times(self, name: str, vector: Array) -> Floats:
        """The product with bf16 codes."""
        made: Floats = self.plans[name].run([self.device], vector)
        return made

    def _at(self, op: Op, name: str, output: int, column: int) -> Instruction:
        """An instruction on one column of an output."""
        tile, bank = divmod(output, self.config.banks)
        block = next(one for one in self.plans[name].work if one.first <= column < one.first + one.columns)
        row, first = block.place(tile)
        return Instruction(op, bank_mask=1 << bank, row=row, col=first + column - block.first)


def perplexity(weights: Mapping[str, Array], products: Products, count: int) -> float:
    """Of the first `count` characters of the held-out text, in stretches of a context, each after its first."""
    text = weights["held_out"][:count].astype(np.int64)
    model, total, said = TinyGpt(weights, products), 0.0, 0
    for start in range(0, len(text), CONTEXT):
        model.forget()
        for number, following in zip(text[start : start + CONTEXT - 1], text[start + 1 :], strict=False):
            logits = model.step(int(number)).astype(np.float64)
            total += float(np.log(np.exp(logits - logits.max()).sum()) + logits.max() - logits[following])
            said += 1
    return float(np.exp(total / said))


class TinyGpt:
    """The model with its keys and values so far; `step` takes a character and gives the next one's logits."""

    def __init__(self, weights: Mapping[str, Array], products: Products, host: Host | None = None):
        self.products, self.host = products, host or NumpyHost()
        self.plain = {name: arithmetic.widened(value) for name, value in weights.items() if value.dtype == np.uint16}
        for name, value in weights.items():
            if value.ndim == 2 and value.dtype == np.uint16 and name != "position":
                products.add(name, *value.shape)
                products.fill(name, value)
        for layer in range(LAYERS):
            for head in range(HEADS):
                products.add(f"{layer}.keys.{head}", CONTEXT, HEAD)
                products.add(f"{layer}.values.{head}", HEAD, CONTEXT)
        self.length = 0

    def forget(self) -> None:
        """Starts a text. Old keys and values are left: their chances are 0, and they are finite."""
        self.length = 0

    def step(self, character: int) -> Floats:
        """The logits after one more character, (characters,) float32."""
        if self.length == CONTEXT:
            raise ValueError(f"a text has at most {CONTEXT} characters")
        plain, host = self.plain, self.host
        stream = plain["token"][character] + plain["position"][self.length]
        for layer in range(LAYERS):
            normed = host.layer_norm(stream, plain[f"{layer}.norm_1_gain"], plain[f"{layer}.norm_1_bias"])
            stream = stream + self._linear(f"{layer}.projection", self._attention(layer, normed))
            normed = host.layer_norm(stream, plain[f"{layer}.norm_2_gain"], plain[f"{layer}.norm_2_bias"])
            stream = stream + self._linear(f"{layer}.feed_2", host.gelu(self._linear(f"{layer}.feed_1", normed)))
        self.length += 1
        normed = host.layer_norm(stream, plain["norm_gain"], plain["norm_bias"])
        return self.products.times("token", arithmetic.rounded(normed))

    def write(self, start: str, count: int, *, seed: int, temperature: float = 0.7) -> str:
        """`count` characters after a start, drawn by their chances."""
        random = np.random.default_rng(seed)
        numbers = [int(one) for one in encoded(start)]
        for number in numbers:
            logits = self.step(number)
        made = []
        for _ in range(count):
            chances = self.host.softmax(logits / np.float32(temperature))
            sums = np.cumsum(chances, dtype=np.float64)
            made.append(min(int(np.searchsorted(sums, random.random() * sums[-1])), len(CHARACTERS) - 1))
            if len(made) < count:
                logits = self.step(made[-1])
        return "".join(CHARACTERS[one] for one in made)

    def _linear(self, name: str, values: Floats) -> Floats:
        return self.products.times(name, arithmetic.rounded(values)) + self.plain[f"{name}_bias"]

    def _attention(self, layer: int, normed: Floats) -> Floats:
        query, key, value = self._linear(f"{layer}.qkv", normed).reshape(3, HEADS, HEAD)
        mixed = []
        for head in range(HEADS):
            keys, values = f"{layer}.keys.{head}", f"{layer}.values.{head}"
            self.products.set_row(keys, self.length, arithmetic.rounded(key[head]))
            self.products.set_column(values, self.length, arithmetic.rounded(value[head]))
            scores = self.products.times(keys, arithmetic.rounded(query[head]))[: self.length + 1]
            chances = np.zeros(CONTEXT, np.float32)
            chances[: self.length + 1] = self.host.softmax(scores * np.float32(HEAD**-0.5))
            mixed.append(self.products.times(values, arithmetic.rounded(chances)))
        return np.concatenate(mixed)
