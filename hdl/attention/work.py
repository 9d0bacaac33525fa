"""What the array is told to do: a pass or a chunk of one, and blocks that are finished."""

from __future__ import annotations

from amaranth.lib import data

from hdl.attention.config import ArrayConfig
from hdl.attention.job_words import FIELDS
from hdl.attention.packing import FORMAT_BITS
from hdl.attention.row import power_bits


def drain_layout(config: ArrayConfig) -> data.StructLayout:
    """A finished block for the normaliser: its last row, columns less one, fraction bits and format of its outputs."""
    shapes = {"last_row": range(config.rows), "last_column": range(config.dim)}
    return data.StructLayout(shapes | {name: FIELDS[name].bits for name in ("fraction", "o_format")})


def work_layout(config: ArrayConfig) -> data.StructLayout:
    """What the array does at a time: a chunk of a pass over keys (`query`), or a pass over values. A linear layer's
    `block` is one of queries of a part; its `sums` are another's. Of a wide job, `stored` is the chunk among those that
    lie in the buffer of keys: of a sparse row only what it keeps."""
    return data.StructLayout(
        {
            "query": 1,
            "block": power_bits(config.subtiles),
            **({"sums": power_bits(config.subtiles)} if config.linear else {}),
            "chunk": power_bits(config.most_chunks),
            "first": 1,
            "last": 1,
            "half": 1,
            "slot": config.slot_bits,
            "bank": 2,
            "final": 1,
            "drain": power_bits(config.subtiles),
            "frees_tile": 1,
            "frees_queries": 1,
            "step": FIELDS["chunks"].bits,
            "last_beat": range(config.dim),
            **({"wide": 1, "stored": power_bits(config.most_chunks)} if config.wide else {}),
            **({"dual": 1} if config.dual_issue else {}),
            **({"sparse": 1} if config.sparse else {}),
            **({"format": FORMAT_BITS} if config.formats else {}),
        }
    )
