"""Where a network's activations are kept in `pulse.cnn`: places and addresses by lifetimes.

What is added to, and what a concatenation is made of, lies where the result will lie: each such group of tensors is one
*block* of addresses, live from its first write to its last read.
"""

from __future__ import annotations

from dataclasses import dataclass

from hdl.pulse.cnn_config import CnnConfig
from hdl.pulse.cnn_words import Place
from sim.pulse.cnn_network import INPUT, Concat, Layer, Network, NetworkError


@dataclass(frozen=True)
class View:
    """A tensor in a place: position x, channel c at `base + x * stride + c`; all of its block in `low` to `high`."""

    place: Place
    base: int
    stride: int
    low: int
    high: int


@dataclass(frozen=True)
class Block:
    """Addresses of one place, and the layers by number, first to last, while which they are in use."""

    name: str
    size: int
    first: int
    last: int


def views(network: Network, config: CnnConfig) -> dict[str, View]:
    """Where each tensor is, the last layer's apart, which is nowhere.

    Raises
    ------
    NetworkError
        Naming the layer that finds no room, or what of it cannot be kept so.
    """
    homes = _homes(network)
    blocks = _blocks(network, homes)
    rules = _rules(network, homes)
    settled = _settle(blocks, rules, config.activations)
    found = {}
    for name, (owner, offset) in homes.items():
        length, channels = network.shapes[owner]
        place, low = (Place.INPUT, 0) if owner == INPUT else settled[owner]
        found[name] = View(place, low + offset, channels, low, low + length * channels)
    return found


def _homes(network: Network) -> dict[str, tuple[str, int]]:
    """The tensor in whose block each one lies, and from which channel on."""
    into: dict[str, tuple[str, int]] = {}

    def lies(name: str, layer: str, offset: int) -> None:
        if name == INPUT:
            raise NetworkError(f"layer {layer}: the input cannot be overwritten; a layer must copy it first")
        if name in into:
            raise NetworkError(f"layer {layer}: {name} lies in {into[name][0]} already; a layer must copy it first")
        into[name] = layer, offset

    for number, layer in enumerate(network.layers):
        if isinstance(layer, Concat):
            offset = 0
            for part in layer.parts:
                lies(part, layer.name, offset)
                offset += network.shapes[part][1]
        elif layer.add:
            lies(layer.add, layer.name, 0)
            later = [one.name for one in network.layers[number + 1 :] if layer.add in one.reads]
            if later:
                raise NetworkError(f"layer {layer.name}: {layer.add}, which it overwrites, is read by {later[0]}")
    homes = {}
    for name in network.shapes:
        owner, offset = name, 0
        while owner in into:
            owner, more = into[owner]
            offset += more
        if owner != network.last.name:
            homes[name] = owner, offset
    return homes


def _blocks(network: Network, homes: dict[str, tuple[str, int]]) -> list[Block]:
    """In the order of their first writes."""
    numbers = {layer.name: number for number, layer in enumerate(network.layers)}
    uses: dict[str, list[int]] = {}
    for name, (owner, _) in homes.items():
        if owner != INPUT:
            readers = [number for number, layer in enumerate(network.layers) if name in layer.reads]
            uses.setdefault(owner, []).extend([numbers[name], *readers])
    sizes = {owner: network.shapes[owner][0] * network.shapes[owner][1] for owner in uses}
    made = [Block(owner, sizes[owner], min(used), max(used)) for owner, used in uses.items()]
    return sorted(made, key=lambda block: block.first)


def _rules(network: Network, homes: dict[str, tuple[str, int]]) -> list[tuple[str, str]]:
    """Pairs of blocks that must be in different places: what is read and what is added to."""
    rules = []
    for layer in network.layers:
        if isinstance(layer, Layer) and layer.add:
            source, target = homes[layer.source][0], homes[layer.name][0]
            if source == target:
                raise NetworkError(f"layer {layer.name}: {layer.source} lies where it adds; a layer must copy it first")
            rules.append((source, target))
    return rules


def _settle(blocks: list[Block], rules: list[tuple[str, str]], room: int) -> dict[str, tuple[Place, int]]:
    """A place and a first address for each block: the lowest that is free, in one place or, failing that, the other."""
    settled: dict[str, tuple[Place, int]] = {}
    deepest = 0

    def free(block: Block, place: Place, before: list[Block]) -> int:
        start = 0
        busy = [one for one in before if settled[one.name][0] == place and one.last >= block.first]
        for one in sorted(busy, key=lambda one: settled[one.name][1]):
            low = settled[one.name][1]
            if start + block.size <= low:
                break
            start = max(start, low + one.size)
        return start

    def fits(number: int) -> bool:
        nonlocal deepest
        if number == len(blocks):
            return True
        deepest = max(deepest, number)
        block = blocks[number]
        recent = settled[blocks[number - 1].name][0] if number else Place.SECOND
        for place in (Place.SECOND, Place.FIRST) if recent == Place.FIRST else (Place.FIRST, Place.SECOND):
            start = free(block, place, blocks[:number])
            pairs = [set(pair) - {block.name} for pair in rules if block.name in pair]
            apart = all(settled.get(other, (None,))[0] != place for pair in pairs for other in pair)
            if start + block.size <= room and apart:
                settled[block.name] = place, start
                if fits(number + 1):
                    return True
                del settled[block.name]
        return False

    if not fits(0):
        block = blocks[deepest]
        raise NetworkError(f"layer {block.name}: its {block.size} elements find no room in two places of {room}")
    return settled
