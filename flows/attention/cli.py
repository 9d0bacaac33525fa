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
    kv: Annotated[
        str,
        typer.Option(
            metavar="FORMAT",
            help="Of K and V: int8 or int4, a scale a head; mxint8, mxint4, mxfp4, nvfp4, mxfp6, bfp12, one a block.",
        ),
    ] = "int8",
    rearrange: Annotated[
        bool, typer.Option("--rearrange", help="Put channels of K of like size into a block, and Q's likewise.")
    ] = False,
    engine: Annotated[str, typer.Option(help="model: the golden model. rtl: the gateware, held to it.")] = "model",
    scale: Annotated[float | None, typer.Option(help="Of the scores; 1/√d if not given.")] = None,
    p_bits: Annotated[
        int | None, typer.Option(help="Bits of probabilities, 8 or 9; the design's if not given.")
    ] = None,
    fraction_bits: Annotated[
        int | None,
        typer.Option(help="Of the outputs, 0 .. 16; if not given 8, 12 for int4, 2 for formats with blocks."),
    ] = None,
    first_tile: Annotated[
        str, typer.Option(metavar="auto|KEYS", help="Keys of a tile before all others; auto: 1 where key 0 is a sink.")
    ] = "auto",
    save_quantised: Annotated[
        Path | None, typer.Option(metavar="FILE.npz", help="q, k, v as the array saw them, float64.")
    ] = None,
) -> None:
    """softmax(Q K^T * scale) V on the array: outputs, cycles, words, and errors against float64."""
    from flows.attention.run import Asked, run

    asked = Asked(
        *(q, k, v, out, design, mask, kv, engine, scale, p_bits),
        rearrange=rearrange,
        fraction_bits=fraction_bits,
        first_tile=first_tile,
        save_quantised=save_quantised,
    )
    emit(**run(asked))


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


@attention.command("generate")
def attention_generate(
    design: Annotated[str, typer.Option(metavar="NAME", help="A design with linear layers.")] = "attn_16x16_lm",
    mix: Annotated[
        str, typer.Option(metavar="int8|w2a8kv4", help="Formats of weights, and of keys and values.")
    ] = "int8",
    prompt: Annotated[str, typer.Option(metavar="TEXT", help="What the text goes on from.")] = "The ",
    tokens: Annotated[int, typer.Option(metavar="N", help="Characters to write, the likeliest each time.")] = 64,
    engine: Annotated[str, typer.Option(help="model: the golden model. rtl: the gateware, held to it.")] = "model",
) -> None:
    """Text of a transformer of two layers, trained on Python's manual, a character a token; perplexities beside it."""
    from flows.attention.generate import generate

    emit(**generate(design, mix, prompt, tokens, engine))
