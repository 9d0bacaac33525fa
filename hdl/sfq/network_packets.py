"""Kinds of packets that `sfq.network` takes: what stands in their first word."""

from __future__ import annotations

from enum import IntEnum


class Packet(IntEnum):
    """The words after the first are of 32 bits; a packet may stop short of what a memory holds."""

    WINDOW = 0
    """Slot by slot, a bit a rail, rail 0 the least significant, filled up to whole words."""

    SYNAPSES = 1
    """Row by row, lane by lane: threshold, 0..65536, then the generator's state."""

    NEURONS = 2
    """Neuron by neuron: kick in the lower half and drop in the upper, then leak and threshold."""
