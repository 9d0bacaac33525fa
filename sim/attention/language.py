"""The array's language model: its sizes, and where its weights lie."""

from __future__ import annotations

from pathlib import Path

LAYERS, WIDTH, HEADS, CONTEXT = 2, 64, 2, 128
MATRICES = {
    "q": (WIDTH, WIDTH),
    "k": (WIDTH, WIDTH),
    "v": (WIDTH, WIDTH),
    "out": (WIDTH, WIDTH),
    "up": (4 * WIDTH, WIDTH),
    "down": (WIDTH, 4 * WIDTH),
}
"""Outputs and inputs of a layer's matrices."""


def weights_file(mix: str) -> Path:
    """What `sim.attention.language_train` stores for a mix of formats."""
    return Path(__file__).with_name(f"language_{mix}.npz")
