"""What is asked of the array: attention of so many heads over so many keys, and where its numbers lie in memory."""

from __future__ import annotations

from dataclasses import dataclass

from hdl.attention.config import ArrayConfig
from sim.attention.descriptors import attention_tile_keys
from sim.attention.kv_formats import BY_CODE, row_bytes
from sim.attention.masks import Mask
from sim.attention.quantise import LogitScale

DESCRIPTOR_BYTES = 64
OUTPUT_BYTES = 2


@dataclass(frozen=True)
class Problem:
    """Attention of `heads` heads of queries over `kv_heads` heads of keys and values, all of dimension `dim`.

    Attributes
    ----------
    heads, kv_heads : int
        Heads h of queries see the keys of head h * kv_heads // heads.
    queries, keys, dim : int
        Of each head.
    mask : Mask
    scales : tuple of LogitScale
        One a head of queries.
    fraction_bits : int
        Of the output, 0 .. 16.
    first_tile : int
        Keys from the sequence's start that are a tile of their own; 0 for none. One saves the neighbours of a sink.
    k_format, v_format : int
        Codes of the formats of keys and values.
    exponents : tuple of (int, int)
        Of the keys and of the values of each head of keys; (0, 0) without blocks.
    """

    heads: int
    kv_heads: int
    queries: int
    keys: int
    dim: int
    mask: Mask
    scales: tuple[LogitScale, ...]
    fraction_bits: int = 8
    first_tile: int = 0
    k_format: int = 0
    v_format: int = 0
    exponents: tuple[tuple[int, int], ...] = ()

    def check(self, config: ArrayConfig) -> None:
        """Refuse what the array cannot do.

        Raises
        ------
        ValueError
            With one line that names the size, what it must be and what it is.
        """
        for name, most in (("heads", 1 << 16), ("queries", 1 << 22), ("keys", (1 << 22) - 1)):
            if not 1 <= getattr(self, name) <= most:
                raise ValueError(f"{name} must be in 1..{most}, not {getattr(self, name)}")
        if self.kv_heads < 1 or self.heads % self.kv_heads:
            raise ValueError(f"heads must be a multiple of kv_heads = {self.kv_heads}, not {self.heads}")
        if self.dim % config.lanes or not 2 * config.lanes <= self.dim <= config.dim:
            limits = f"{2 * config.lanes}..{config.dim}"
            raise ValueError(f"d must be a multiple of {config.lanes} lanes in {limits}, not {self.dim}")
        if not 0 <= self.first_tile <= self.tile_keys(config):
            raise ValueError(f"the first tile must have 0..{self.tile_keys(config)} keys, not {self.first_tile}")
        if not 0 <= self.fraction_bits <= 16:
            raise ValueError(f"fraction bits must be in 0..16, not {self.fraction_bits}")
        for fmt in (BY_CODE[self.k_format], BY_CODE[self.v_format]):
            if fmt.block and self.dim % fmt.block:
                raise ValueError(f"d must be a multiple of {fmt.block}, a block of {fmt.name}, not {self.dim}")
        if self.mask.sink >= 1 << 22 or (self.mask.window or 0) >= 1 << 22:
            raise ValueError(f"sink and window must be below {1 << 22}, not {self.mask.sink} and {self.mask.window}")

    def row_bytes(self, config: ArrayConfig) -> tuple[int, int]:
        """Bytes of a row of keys and of one of values."""
        k, v = (row_bytes(BY_CODE[code], self.dim, config.bus_bytes) for code in (self.k_format, self.v_format))
        return k, v

    def tile_keys(self, config: ArrayConfig) -> int:
        """Keys of a tile of its jobs."""
        return attention_tile_keys(config, self.dim, self.k_format, self.v_format)

    @property
    def group(self) -> int:
        """Heads of queries that share a head of keys."""
        return self.heads // self.kv_heads

    @property
    def visible_pairs(self) -> int:
        """Pairs of a query and a key that it sees, of all heads."""
        spans = self.mask.spans(self.queries, self.keys)
        first = spans.first.clip(0, None)
        last = spans.last.clip(None, self.keys - 1)
        of_sink = (last + 1).clip(0, self.mask.sink)  # keys before `sink`, and those from there on
        of_window = (last + 1 - first.clip(self.mask.sink, None)).clip(0, None)
        return self.heads * int((of_sink + of_window).sum())

    @property
    def useful_macs(self) -> int:
        """Multiplications that the result depends on: of q * k and of p * v."""
        return 2 * self.dim * self.visible_pairs


@dataclass(frozen=True)
class Layout:
    """Byte addresses of a problem's arrays: the jobs' list, then Q, K, V and O as C-contiguous arrays.

    Attributes
    ----------
    list, q, k, v, o, end : int
    """

    list: int
    q: int
    k: int
    v: int
    o: int
    end: int

    @classmethod
    def of(cls, config: ArrayConfig, problem: Problem, jobs: int) -> Layout:
        """One after the other from address 0 on. Each begins at a memory word, as `dim` is a multiple of one."""
        query_bytes = problem.heads * problem.queries * problem.dim
        k_bytes, v_bytes = (problem.kv_heads * problem.keys * each for each in problem.row_bytes(config))
        q = -(-jobs * DESCRIPTOR_BYTES // config.bus_bytes) * config.bus_bytes
        k = q + query_bytes
        v = k + k_bytes
        o = v + v_bytes
        return cls(0, q, k, v, o, o + query_bytes * OUTPUT_BYTES)
