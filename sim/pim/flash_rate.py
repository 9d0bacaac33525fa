"""How fast a language model decodes out of flash that computes: one token at a time, weights read once a token.

The machine is that of Cambricon-LLM (arXiv 2409.15654): channels of flash dies, each with a core that multiplies a page
of a weight matrix with its part of the vector while the page is in the die's register; an NPU reads further weights
over the channels as they are; the KV cache is in DRAM. Nothing here is fitted to measured figures.

Assumptions, all of them:

- weights are of 8 bits, and of every matrix each is used once a token (arXiv 2409.15654, W8A8);
- a matrix is spread over all dies, and the next begins when it is done: its vector is the result;
- a round is one page from every die. It takes tR and the transfer of the vector's part before it; a page of a channel's
  dies covers side x side weights, side = sqrt(dies * page), which makes input and output of a round least;
- in a round the channel carries `side` bytes in and `side` bytes out; what is left of its time carries weights to the
  NPU, which keeps up with them (2 TOPS against 2 operations a byte);
- what of a matrix does not fill a round is read by the NPU, or takes a round, whichever is sooner;
- the KV cache of the context is read once a token, `kv_bytes` an element, and nothing else happens meanwhile;
- embeddings are looked up, the output matrix is a matrix like the others; all else takes no time.
"""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class FlashMachine:
    """Channels of flash dies and a DRAM.

    Attributes
    ----------
    channels : channels, each with a bus of its own
    dies : dies of a channel, each with a core
    page_bytes : of a die's page, the planes' of it that are read at a time together
    read_s : tR, s, from the cells to the page register
    channel_bytes_per_s : of one channel
    dram_bytes_per_s : of the memory that holds the KV cache
    """

    channels: int
    dies: int
    page_bytes: int = 16384
    read_s: float = 30e-6
    channel_bytes_per_s: float = 1e9
    dram_bytes_per_s: float = 40e9

    @property
    def side(self) -> float:
        """Rows of a round, and columns of a channel's part of it."""
        return math.sqrt(self.dies * self.page_bytes)

    @property
    def round_bytes(self) -> int:
        """Weights that one round computes with."""
        return self.channels * self.dies * self.page_bytes

    @property
    def round_s(self) -> float:
        """One round: the vector's part over the channel, then tR."""
        return self.read_s + self.side / self.channel_bytes_per_s

    @property
    def plain_bytes_per_s(self) -> float:
        """Weights that all channels can carry to the NPU if they carry nothing else."""
        return self.channels * self.channel_bytes_per_s

    @property
    def plain_bytes(self) -> float:
        """Weights that they carry beside a round's input and output."""
        busy = 2 * self.side / self.channel_bytes_per_s
        return max(0.0, self.round_s - busy) * self.plain_bytes_per_s


MACHINES = {"S": FlashMachine(8, 4), "M": FlashMachine(16, 8), "L": FlashMachine(32, 16)}
"""Cambricon-LLM's: 2, 4 and 8 chips a channel, 2 dies each."""


@dataclass(frozen=True)
class Decoder:
    """A decoder-only transformer: what of it is read for a token.

    Attributes
    ----------
    layers, width, hidden : layers, width of the residual stream, width within the feed-forward part
    kv_width : width of keys, and of values, of a token in a layer
    vocabulary : rows of the output matrix
    gated : the feed-forward part has three matrices, not two
    """

    layers: int
    width: int
    hidden: int
    kv_width: int
    vocabulary: int
    gated: bool

    @property
    def matrices(self) -> list[tuple[int, int]]:
        """(rows, columns) of the matrices of a layer."""
        attention = [(self.width, self.width), (self.kv_width, self.width), (self.kv_width, self.width)]
        inner = [(self.hidden, self.width)] * (2 if self.gated else 1)
        return [*attention, (self.width, self.width), *inner, (self.width, self.hidden)]

    @property
    def weights(self) -> int:
        """Weights that are read for a token."""
        return self.layers * sum(rows * columns for rows, columns in self.matrices) + self.vocabulary * self.width


DECODERS = {
    "OPT-6.7B": Decoder(32, 4096, 16384, 4096, 50272, False),
    "OPT-13B": Decoder(40, 5120, 20480, 5120, 50272, False),
    "OPT-30B": Decoder(48, 7168, 28672, 7168, 50272, False),
    "OPT-66B": Decoder(64, 9216, 36864, 9216, 50272, False),
    "LLaMA2-7B": Decoder(32, 4096, 11008, 4096, 32000, True),
    "LLaMA2-13B": Decoder(40, 5120, 13824, 5120, 32000, True),
    "LLaMA2-70B": Decoder(80, 8192, 28672, 1024, 32000, True),
}
"""Published shapes: OPT (arXiv 2205.01068, table 1), LLaMA 2 (arXiv 2307.09288 and its configurations)."""


def matrix_s(machine: FlashMachine, weights: int) -> float:
    """Seconds for one matrix of so many weights of a byte each: whole rounds, and for the rest a round or the NPU."""
    each = machine.round_bytes + machine.plain_bytes
    rounds = math.ceil(weights / each) - 1
    rest = weights - rounds * each
    return rounds * machine.round_s + min(machine.round_s, rest / machine.plain_bytes_per_s)


def token_s(machine: FlashMachine, decoder: Decoder, context: int, kv_bytes: int = 1) -> float:
    """Seconds for one token after `context` others."""
    layer = sum(matrix_s(machine, rows * columns) for rows, columns in decoder.matrices)
    head = matrix_s(machine, decoder.vocabulary * decoder.width)
    cache = 2 * decoder.layers * decoder.kv_width * context * kv_bytes / machine.dram_bytes_per_s
    return decoder.layers * layer + head + cache


def even_token_s(machine: FlashMachine, decoder: Decoder, context: int, kv_bytes: int = 1) -> float:
    """As `token_s`, if matrices could be split without a remainder: weights over the rate of flash and NPU together."""
    rate = (machine.round_bytes + machine.plain_bytes) / machine.round_s
    cache = 2 * decoder.layers * decoder.kv_width * context * kv_bytes / machine.dram_bytes_per_s
    return decoder.weights / rate + cache
