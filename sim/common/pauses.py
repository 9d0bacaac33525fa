"""Seeded pauses on the channels of cocotbext-axi's models."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from typing import Any

RUN_CYCLES = (1, 1, 2, 5)


def pauses(share: float, run_cycles: Sequence[int] = RUN_CYCLES) -> Iterator[bool]:
    """For ever: whether a channel rests in a cycle; rests, and what lies between them, come in runs of these lengths.

    The generator is of its own, so that what else a bench draws does not move the pauses.
    """
    generator = random.Random(random.getrandbits(64))
    while True:
        resting = generator.random() < share
        for _ in range(generator.choice(run_cycles)):
            yield resting


def pause_all(model: Any, share: float, run_cycles: Sequence[int] = RUN_CYCLES) -> None:
    """Every channel of an AXI4 or AXI4-Lite manager or memory rests for that share of the cycles, each by itself."""
    write, read = model.write_if, model.read_if
    for channel in (write.aw_channel, write.w_channel, write.b_channel, read.ar_channel, read.r_channel):
        channel.set_pause_generator(pauses(share, run_cycles))
