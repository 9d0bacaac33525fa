"""Binary trees of splitters: a pair is a splitter, anything else a leaf."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

Tree = Any
"""A leaf, or a pair of trees."""


def balanced(items: Sequence[Tree]) -> Tree:
    """The tree over one or more items whose depths differ by at most one; the first are the deeper ones."""
    level = list(items)
    whole = 1 << (len(level).bit_length() - 1)
    level = paired(level[: 2 * (len(level) - whole)]) + level[2 * (len(level) - whole) :]
    while len(level) > 1:
        level = paired(level)
    return level[0]


def paired(items: Sequence[Tree]) -> list[Tree]:
    """Neighbours as pairs; of an odd number the last stays alone."""
    pairs: list[Tree] = list(zip(items[::2], items[1::2], strict=False))
    return pairs + list(items[len(items) - len(items) % 2 :])


def leaves(tree: Tree) -> Iterator[tuple[Any, int]]:
    """Every leaf with its depth, in order."""
    ahead = [(tree, 0)]
    while ahead:
        node, depth = ahead.pop()
        if type(node) is tuple:
            ahead += [(node[1], depth + 1), (node[0], depth + 1)]
        else:
            yield node, depth
