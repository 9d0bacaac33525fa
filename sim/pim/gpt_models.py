"""GPT-2 and GPT-3 as sizes, and the products of one token of them.

The products of a layer, for a token that sees `context` tokens, itself included: queries, keys and values; scores
(queries times keys); values weighted; projection; the two of the feed-forward network; at the end the vocabulary's.
"""

from __future__ import annotations

from dataclasses import dataclass

from hdl.common.config import ConfigError, describe_value, did_you_mean

VOCABULARY = 50257


@dataclass(frozen=True)
class Gpt:
    """A model: layers, width of the residual stream, heads, and tokens that are known."""

    layers: int
    width: int
    heads: int
    vocabulary: int = VOCABULARY
    most_context: int = 2048

    def __post_init__(self) -> None:
        if self.width % self.heads:
            raise ValueError(f"width {self.width} must be a multiple of heads, not of {self.heads}")

    @property
    def head_width(self) -> int:
        """Elements of a head's query, key and value."""
        return self.width // self.heads

    @property
    def weights(self) -> int:
        """Of the products of one token: 12 width² a layer, and the vocabulary's."""
        return 12 * self.layers * self.width**2 + self.vocabulary * self.width


MODELS = {
    "gpt2-small": Gpt(12, 768, 12, most_context=1024),
    "gpt2-medium": Gpt(24, 1024, 16, most_context=1024),
    "gpt2-large": Gpt(36, 1280, 20, most_context=1024),
    "gpt2-xl": Gpt(48, 1600, 25, most_context=1024),
    "gpt3-small": Gpt(12, 768, 12),
    "gpt3-medium": Gpt(24, 1024, 16),
    "gpt3-large": Gpt(24, 1536, 16),
    "gpt3-xl": Gpt(24, 2048, 16),
}
"""The eight of PIM-GPT. GPT3-XL has 16 heads of 128: the 24 of the GPT-3 paper do not divide its width."""


def model(name: str, context: int) -> Gpt:
    """The model of that name, for a context that it can have.

    Raises
    ------
    ConfigError
        If there is no such model, or the context is too long.
    """
    if name not in MODELS:
        raise ConfigError(f"{name[:80]} is no model{did_you_mean(name[:80], [*MODELS])}")
    found = MODELS[name]
    if not 1 <= context <= found.most_context:
        raise ConfigError(f"context must be in 1..{found.most_context} for {name}, not {describe_value(context)}")
    return found
