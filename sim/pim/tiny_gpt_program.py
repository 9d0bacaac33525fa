"""The tiny GPT as one program for `pim.system`: weights into the banks, then token after token, chosen in hardware.

    program, data = compiled(config, load(), prompt, noise)

A token's embedding is its row of the vocabulary's matrix, read from its bank where the host knows the token. A token
that was chosen is known to the vector unit alone, as a vector with a 1 in one place; that times the matrix' transpose
is its row, exactly. Chosen is the largest of logits plus noise: noise of Gumbel's distribution, times a temperature,
draws by the softmax' chances (E. J. Gumbel, 1954); none is greedy. Of equals the first is taken.

The column of values that is being filled stays in the SRAM, so none is read back.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from hdl.common.config import ConfigError
from hdl.pim.commands import Op
from hdl.pim.system_config import SystemConfig, SystemInstruction
from hdl.pim.vector_config import A_SCALAR, VectorInstruction, VectorOp
from sim.common.language import CHARACTERS
from sim.pim.gemv import Gemv
from sim.pim.system_compiler import Begun, SystemProgram
from sim.pim.tiny_gpt import CONTEXT, HEAD, HEADS, LAYERS, WIDTH
from sim.pim.vector_programs import Beats, Floats, Place, add, gelu, layer_norm, softmax

Array = npt.NDArray[Any]

SYMBOLS = len(CHARACTERS)
SURELY = 126
"""2 to this times any difference that is not 0 is 1 or more."""


def compiled(
    config: SystemConfig, weights: Mapping[str, Array], prompt: Array, noise: Floats
) -> tuple[list[SystemInstruction], Beats]:
    """Program and host data for a prompt of characters' numbers, (n,), and noise for each character to be written,
    (characters, symbols).

    For each character it stores to the host, as bf16, its logits and then its number.

    Raises
    ------
    ConfigError
        If the banks do not hold the model, or a link not the results of two products.
    ValueError
        If the SRAM does not.
    """
    gpt = _Compiler(config, weights)
    gpt.store_weights()
    steps = len(prompt) + len(noise) - 1
    for position in range(steps):
        if position < len(prompt):
            gpt.read_character(int(prompt[position]))
        else:
            gpt.embed_chosen()
        gpt.step(position)
        if position >= len(prompt) - 1:
            gpt.choose(noise[position - len(prompt) + 1])
    return gpt.program.assemble()


class _Compiler:
    def __init__(self, config: SystemConfig, weights: Mapping[str, Array]):
        self.program = program = SystemProgram(config)
        self.channel, self.weights = config.channel, weights
        self.plans: dict[str, Gemv] = {}
        self.rows = 0
        waiting = -(-CONTEXT // self.channel.banks) + -(-HEAD // self.channel.banks)
        least = waiting * self.channel.result_beats
        if config.link_beats < least:
            raise ConfigError(f"link_beats must be at least {least} for the tiny GPT, not {config.link_beats}")
        for name, value in weights.items():
            if value.ndim == 2 and value.dtype == np.uint16:
                self._plan(name, *value.shape)
        self._plan("embedding", WIDTH, SYMBOLS)
        for layer in range(LAYERS):
            for head in range(HEADS):
                self._plan(f"{layer}.keys.{head}", CONTEXT, HEAD)
                self._plan(f"{layer}.values.{head}", HEAD, CONTEXT)
        lanes = self.channel.lanes
        room = program.room
        self.stream, self.x, self.mixed = room(WIDTH), room(WIDTH), room(WIDTH)
        self.qkv, self.hidden = room(3 * WIDTH), room(4 * WIDTH)
        self.scores, self.chances = room(CONTEXT), room(CONTEXT)
        self.logits, self.noise, self.chosen, self.ranks = (room(SYMBOLS) for _ in range(4))
        self.number = room(1)
        self.stage = room(self.channel.columns * lanes)
        self.filling = [[room(HEAD * lanes) for _ in range(HEADS)] for _ in range(LAYERS)]
        self.vectors = {
            name: room(len(value)) for name, value in weights.items() if value.ndim == 1 and value.dtype == np.uint16
        }

    def _plan(self, name: str, outputs: int, inputs: int) -> None:
        self.plans[name] = Gemv(self.channel, outputs, inputs, row=self.rows)
        self.rows += self.plans[name].rows

    def store_weights(self) -> None:
        """Matrices into the banks, vectors into the SRAM."""
        program = self.program
        matrices = {name: self.weights[name] for name in self.plans if name in self.weights}
        matrices["embedding"] = np.ascontiguousarray(self.weights["token"].T)
        for name, value in matrices.items():
            program.fill(self.plans[name], value, self.stage)
        for name, place in self.vectors.items():
            program.load_into(place, self.weights[name])
        program.load32_into(self.ranks, np.arange(SYMBOLS, 0, -1, dtype=np.float32))
        for place in (place for layer in self.filling for place in layer):
            program.apply(VectorOp.COPY, place, program.constant(0))

    def read_character(self, character: int) -> None:
        """stream = the embedding of a character that the host knows."""
        self.program.read_output(self.plans["token"], character, self.stream)

    def embed_chosen(self) -> None:
        """stream = the embedding of the character that was chosen."""
        self.program.product(self.plans["embedding"], self.chosen, self.stream)

    def step(self, position: int) -> None:
        """From the stream, a character's embedding, to the logits of the next one."""
        program, stream, x = self.program, self.stream, self.x
        add(program, stream, program.read_output(self.plans["position"], position, x))
        program.apply(VectorOp.COPY, self.chances, program.constant(0))
        for layer in range(LAYERS):
            self._normed(f"{layer}.norm_1")
            self._attention(layer, position)
            add(program, stream, self._linear(f"{layer}.projection", self.mixed, x))
            self._normed(f"{layer}.norm_2")
            gelu(program, self._linear(f"{layer}.feed_1", x, self.hidden))
            add(program, stream, self._linear(f"{layer}.feed_2", self.hidden, x))

    def choose(self, noise: Floats) -> None:
        """The logits and the number of the character that follows, to the host; `chosen` is 1 in its place."""
        program, apply = self.program, self.program.apply
        self._normed("norm")
        program.store(program.product(self.plans["token"], self.x, self.logits))
        apart, number = program.load32_into(self.noise, noise), self.number
        add(program, apart, self.logits)
        program.reduce(VectorOp.MAXIMUM, number, apart)
        apply(VectorOp.SUB, apart, apart, number)  # 0 of the largest, else below
        self._ones(apart, program.constant(SURELY))
        apply(VectorOp.MUL, apart, apart, self.ranks)  # the largest, by rank
        program.reduce(VectorOp.MAXIMUM, number, apart)
        apply(VectorOp.SUB, self.chosen, apart, number)  # 0 of the first of them, else -1 or less
        self._ones(self.chosen)
        program.store(apply(VectorOp.SUB, number, program.constant(SYMBOLS), number))

    def _ones(self, place: Place, scale: Place | None = None) -> None:
        """1 where a place is 0, and 0 where, scaled, it is -1 or less."""
        program = self.program
        if scale is not None:
            program.apply(VectorOp.SCALE, place, place, scale)
        program.apply(VectorOp.ADD, place, place, program.constant(1))
        program.apply(VectorOp.MAX, place, place, program.constant(0))

    def _normed(self, name: str) -> None:
        program = self.program
        program.apply(VectorOp.COPY, self.x, self.stream)
        layer_norm(program, self.x, self.vectors[f"{name}_gain"], self.vectors[f"{name}_bias"])

    def _linear(self, name: str, source: Place, d: Place) -> Place:
        return add(self.program, self.program.product(self.plans[name], source, d), self.vectors[f"{name}_bias"])

    def _attention(self, layer: int, position: int) -> None:
        """mixed = the heads' values, by their chances; keys and values of the position go into the banks.

        While the vector unit makes chances of a head's scores, the channel multiplies the next head's keys.
        """
        program, count = self.program, position + 1
        self._linear(f"{layer}.qkv", self.x, self.qkv)
        scale = program.constant(HEAD**-0.5)
        chances = Place(self.chances.address, count)
        scored = self._begin_scores(layer, 0, position)
        mixed: Begun | None = None
        for head in range(HEADS):
            program.end(scored, self.scores)
            if mixed is not None:
                program.end(mixed, _part(self.mixed, (head - 1) * HEAD))
            if head + 1 < HEADS:
                scored = self._begin_scores(layer, head + 1, position)
            softmax(program, program.apply(VectorOp.MUL, chances, self.scores, scale))
            mixed = program.begin(self.plans[f"{layer}.values.{head}"], self.chances, inputs=count)
        assert mixed is not None
        program.end(mixed, _part(self.mixed, (HEADS - 1) * HEAD))

    def _begin_scores(self, layer: int, head: int, position: int) -> Begun:
        """A head's query times its keys, this position's among them; its value goes into its bank, too."""
        query, key, value = (_part(self.qkv, start * WIDTH + head * HEAD) for start in range(3))
        keys = self.plans[f"{layer}.keys.{head}"]
        self._store_key(keys, position, key)
        begun = self.program.begin(keys, query, outputs=position + 1)
        self._store_value(self.plans[f"{layer}.values.{head}"], position, value, self.filling[layer][head])
        return begun

    def _store_key(self, plan: Gemv, position: int, key: Place) -> None:
        """A row of keys: the inputs of one output."""
        for block in plan.work:
            self.program.channel(self.program.at(plan, Op.WR, position, block.first, block.columns))
        self.program.give(key, bank=True)

    def _store_value(self, plan: Gemv, position: int, value: Place, filling: Place) -> None:
        """A column of values: one input of all outputs; what is written is the column of memory that it lies in."""
        program, lanes = self.program, self.channel.lanes
        column, lane = divmod(position, lanes)
        for output in range(HEAD):
            to, start = filling.address + output * lanes + lane, value.address + output
            # The largest of one element is that element, and may go to any word.
            program.append(VectorInstruction(VectorOp.MAXIMUM, d=to, a=start, flags=A_SCALAR))
        program.channel(*(program.at(plan, Op.WR, output, column) for output in range(HEAD)))
        program.give(filling, bank=True)


def _part(place: Place, start: int) -> Place:
    """A head's elements of a vector."""
    return Place(place.address + start, HEAD)
