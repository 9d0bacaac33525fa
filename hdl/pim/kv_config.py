"""Config of `pim.kv`: a KV cache in flash, and attention out of it in two steps. No gateware here."""

from __future__ import annotations

from enum import IntEnum
from pathlib import Path
from typing import Self

from pydantic import Field, model_validator

from hdl.common.block import BlockConfig


class KvOp(IntEnum):
    """Operation codes of commands."""

    APPEND = 1
    QUERY = 2
    CLEAR = 3


class KvPages(IntEnum):
    """What a page holds; a group's pages lie in flash in this order."""

    KEYS_BY_CHANNEL = 0
    KEYS_BY_TOKEN = 1
    VALUES = 2


COMMAND_BITS = 64
COMMAND_OP, COMMAND_HEAD = slice(0, 4), slice(8, 16)
COMMAND_R, COMMAND_K, COMMAND_SCALE = slice(16, 24), slice(24, 40), slice(40, 64)
"""Fields of a command; those of the second line are of QUERY alone."""

SCALE_BITS = 24
"""The scale of scores is in 2^-24: it is below 1."""

EXPONENT_BITS = 12
"""Fraction bits of the exponent of a weight."""

WEIGHT_BITS = 15
"""Fraction bits of a weight; the largest is 1."""

OUTPUT_BITS = 8
"""Fraction bits of an output."""

SEGMENTS = 16
EXPONENTIAL = tuple(round(2 ** (WEIGHT_BITS - step / SEGMENTS)) for step in range(SEGMENTS + 1))
"""2^-x at 0, 1/16, ..., 1, with 15 fraction bits; straight lines join them."""


def _log2(value: int) -> int:
    return value.bit_length() - 1


class KvConfig(BlockConfig):
    """`pim.kv`: the KV cache of some heads in a channel of flash.

    Keys lie in flash twice, by channel and by token, and values once, by token. `group_tokens` tokens of a head are
    gathered in a buffer; they fill `kind_pages` pages of each kind, which are programmed together.
    """

    heads: int = Field(ge=1, le=64)
    """Heads that have a cache of their own."""

    head_dim: int = Field(ge=8, le=128)
    """Channels of a head: elements of a key, a value and a query."""

    max_tokens: int = Field(ge=8, le=65536)
    """Tokens of a head at most."""

    r_max: int = Field(ge=1, le=128)
    """Channels of the first step, r, at most."""

    k_max: int = Field(ge=1, le=1024)
    """Tokens of the second step, k, at most."""

    page_bytes: int = Field(ge=16, le=16384)
    """Bytes of a page of flash."""

    page_channels: int = Field(ge=1, le=128)
    """Channels of which a page by channel holds elements; fewer make groups of more tokens."""

    planes: int = Field(ge=1, le=64)
    """Planes of the flash channel, dies times planes of a die."""

    blocks: int = Field(ge=1, le=64)
    """Blocks of a plane."""

    block_pages: int = Field(ge=2, le=64)
    """Pages of a block."""

    @model_validator(mode="after")
    def _check_layout(self) -> Self:
        for name in ("head_dim", "max_tokens", "page_bytes", "page_channels", "planes", "block_pages"):
            if (size := getattr(self, name)) & (size - 1):
                raise ValueError(f"{name} must be a power of 2, not {size}")
        if self.page_bytes < self.head_dim:
            raise ValueError(f"page_bytes must be at least head_dim = {self.head_dim}, not {self.page_bytes}")
        most = min(self.head_dim, self.page_bytes // 8)
        if self.page_channels > most:
            raise ValueError(f"page_channels must be at most {most}, head_dim and page_bytes / 8, "
                             f"not {self.page_channels}")  # fmt: skip
        if self.group_tokens > self.max_tokens:
            raise ValueError(f"max_tokens must be at least page_bytes / page_channels = {self.group_tokens}, "
                             f"not {self.max_tokens}")  # fmt: skip
        for name, limit, most in (("r_max", "head_dim", self.head_dim), ("k_max", "max_tokens", self.max_tokens)):
            if getattr(self, name) > most:
                raise ValueError(f"{name} must be at most {limit} = {most}, not {getattr(self, name)}")
        if not self.slots:
            raise ValueError(f"planes * blocks * block_pages must be at least {self.group_pages}, the pages of a group "
                             f"of tokens, not {self.flash_pages}")  # fmt: skip
        return self

    @property
    def group_tokens(self) -> int:
        """Tokens that are programmed together, those of a page by channel."""
        return self.page_bytes // self.page_channels

    @property
    def page_tokens(self) -> int:
        """Tokens of a page by token."""
        return self.page_bytes // self.head_dim

    @property
    def kind_pages(self) -> int:
        """Pages of a kind in a group."""
        return self.head_dim // self.page_channels

    @property
    def group_pages(self) -> int:
        """Pages of a group."""
        return len(KvPages) * self.kind_pages

    @property
    def flash_pages(self) -> int:
        """Pages of the flash channel."""
        return self.planes * self.blocks * self.block_pages

    @property
    def slots(self) -> int:
        """Groups that flash holds, of all heads together."""
        return self.flash_pages // self.group_pages

    @property
    def head_groups(self) -> int:
        """Groups of a head at most."""
        return self.max_tokens // self.group_tokens

    @property
    def list_entries(self) -> int:
        """Of the longer list, of channels or of tokens, at most; at least 2, so that an entry's number has a bit."""
        return max(2, self.r_max, self.k_max)

    @property
    def score_bits(self) -> int:
        """Of a score, signed: head_dim products of int8."""
        return 16 + _log2(self.head_dim)

    @property
    def weight_sum_bits(self) -> int:
        """Of the sum of weights, unsigned."""
        return WEIGHT_BITS + self.k_max.bit_length()

    @property
    def latency_cycles(self) -> int:
        """From the cycle that takes the last byte of a query to the first that offers its output, without stalls: of a
        head whose one token is in the buffer, and r = 1."""
        return self.query_cycles(1, 1, 1, 2 * self.head_dim, 0)

    def query_cycles(self, r: int, tokens: int, chosen: int, token_bytes: int, channel_bytes: int) -> int:
        """From the cycle that takes the last byte of a query to the first that offers its output, without stalls, and
        with flash that gives a byte whenever one is asked for.

        Parameters
        ----------
        r : channels of the first step
        tokens : of the head
        chosen : tokens of the second step
        token_bytes : bytes that come out of flash or the buffer in the second step, keys and values
        channel_bytes : bytes that come out of flash in the first step
        """
        groups, buffered = divmod(tokens, self.group_tokens)
        first = r + self.head_dim  # the channels
        first += channel_bytes + groups * r + (r * (self.group_tokens + 1) if buffered else 0)
        second = chosen + tokens  # the tokens
        second += token_bytes + 2 * chosen
        return first + second + chosen + 50  # the weights; pipelines, the first division

    @property
    def multipliers(self) -> int:
        """Products of elements, the lines of the exponential, and the scale of scores: 24 by `score_bits` bits, in
        pieces of 18 by 18."""
        return 2 + 2 * -(-self.score_bits // 18)

    @property
    def register_source(self) -> tuple[Path, dict[str, int]]:
        """The register file and its parameters."""
        return Path(__file__).with_name("kv.rdl"), {
            "HEADS": self.heads,
            "HEAD_DIM": self.head_dim,
            "R_MAX": self.r_max,
            "K_MAX": self.k_max,
            "MAX_TOKENS_LOG2": _log2(self.max_tokens),
            "GROUP_TOKENS": self.group_tokens,
            "SLOTS": self.slots,
        }
