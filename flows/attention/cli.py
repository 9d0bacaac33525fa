"""The verbs of `niello attention`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from flows.emit import emit

attention = typer.Typer(help="Attention in one pass over the keys, on an array of rows and lanes.")


@attention.command("run")
def attention_run(
    q: Annotated[Path, typer.Option(metavar="Q.npy", help="Queries, float (heads, queries, d).")],
    k: Annotated[Path, typer.Option(metavar="K.npy", help="Keys, float (kv_heads, keys, d).")],
    v: Annotated[Path, typer.Option(metavar="V.npy", help="Values, as K.")],
    out: Annotated[Path, typer.Option("--out", "-o", metavar="O.npy", help="Outputs, float32, shaped as Q.")],
    design: Annotated[str, typer.Option(metavar="NAME", help="A design of attention.array.")] = "attn_16x16_d64",
    mask: Annotated[
        str, typer.Option(metavar="dense|causal|lambda:S+W", help="S keys of sink and a window of W, causal.")
    ] = "dense",
    kv: Annotated[str, typer.Option(metavar="FORMAT", help="Of K and V: int8 or int4, a scale a head.")] = "int8",
    engine: Annotated[str, typer.Option(help="model: the golden model. rtl: the gateware, held to it.")] = "model",
    scale: Annotated[float | None, typer.Option(help="Of the scores; 1/√d if not given.")] = None,
    p_bits: Annotated[
        int | None, typer.Option(help="Bits of probabilities, 8 or 9; the design's if not given.")
    ] = None,
    fraction_bits: Annotated[int, typer.Option(help="Of the outputs, 8 .. 16; 16 bits in all.")] = 8,
    first_tile: Annotated[
        str, typer.Option(metavar="auto|KEYS", help="Keys of a tile before all others; auto: 1 where key 0 is a sink.")
    ] = "auto",
    save_quantised: Annotated[
        Path | None, typer.Option(metavar="FILE.npz", help="q, k, v as the array saw them, float64.")
    ] = None,
) -> None:
    """softmax(Q K^T * scale) V on the array: outputs, cycles, words, and errors against float64."""
    from flows.attention.run import Asked, run

    emit(**run(Asked(q, k, v, out, design, mask, kv, engine, scale, p_bits, fraction_bits, first_tile, save_quantised)))


@attention.command("compare")
def attention_compare(
    design: Annotated[str, typer.Option(metavar="NAME", help="A design of attention.array.")] = "attn_16x16_d64",
    dim: Annotated[int, typer.Option(metavar="D", help="Dimension of a head.")] = 64,
    heads: Annotated[int, typer.Option(metavar="H", help="Heads back to back.")] = 16,
    most_keys: Annotated[int, typer.Option(metavar="N", help="Queries and keys, doubled from 1024 up to this.")] = 1
    << 20,
    plot: Annotated[Path | None, typer.Option(metavar="FILE.svg", help="Utilisation over the number of keys.")] = None,
) -> None:
    """Utilisation and words of dense attention on the array, and by FuseMax's published model."""
    from flows.attention.compare import compare

    emit(**compare(design, dim, heads, most_keys, plot))
