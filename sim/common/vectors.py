"""The arrays a block's engines take and give: what they must be, and the one line that says when they are not.

Every block has a vectors module beside its golden model (`sim.simd.dot_vectors`) with

    INPUTS, OUTPUTS : dict[str, ArraySpec]
    check(config, arrays)                    ValueError with one line that names array, expected and received
    model(config, arrays) -> arrays          the golden model
    operations(config, arrays) -> int        useful operations; a multiplication and an addition count one each
    random_arrays(config, seed, items)       seeded inputs, extreme values among them

and, where the block's traffic is streams,

    pack(config, arrays) -> beats by role    arrays as traffic of the block's input streams
    expected_beats(config, arrays)           beats by role that the output streams will give
    unpack(config, arrays, beats) -> arrays  traffic of the output streams as arrays
    register_writes(config, arrays)          where registers come first: pairs of an address and the words written there
    register_reads(config, arrays)           where registers tell the rest: pairs of an address and how many reads of it
    unpack_registers(config, arrays, words)  and what these reads gave, a list each, as further arrays of OUTPUTS

or, where it works from memory to memory,

    job(config, arrays) -> MemoryJob         arrays as what its memory and its registers hold
    results(config, arrays, result)          what a job left, as arrays

so that an engine needs to know nothing about the block.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from hdl.common.config import describe_value, did_you_mean

Arrays = dict[str, npt.NDArray[Any]]
"""Arrays by name."""


@dataclass(frozen=True)
class ArraySpec:
    """One named array.

    Attributes
    ----------
    dtype : str
        numpy's name of the element type: `int8`.
    shape : str
        Named axes, `(n, length)` or `(n,)`. An axis named alike in two arrays has the same size in both.
    meaning : str
        What the array holds, in a few words.
    """

    dtype: str
    shape: str
    meaning: str

    @property
    def axes(self) -> tuple[str, ...]:
        """The axes' names, in order."""
        return tuple(axis.strip() for axis in self.shape.strip("()").split(",") if axis.strip())

    def __str__(self) -> str:
        return f"{self.dtype} {self.shape}"


def check_arrays(
    specs: Mapping[str, ArraySpec], arrays: Mapping[str, Any], *, may_be_empty: bool = False
) -> dict[str, int]:
    """The size of each named axis, once every array is there and is what its spec says, and no axis is empty.

    Nothing is converted: a float or a wider integer array is refused, not rounded or cut.

    Parameters
    ----------
    may_be_empty : for blocks whose program says how much there is of each array, which may be nothing

    Raises
    ------
    ValueError
        With one line that names the first wrong array, what it must be and what it is.
    """
    for name in arrays:
        if name not in specs:
            raise ValueError(f"{name} is not an array of this block{did_you_mean(name, list(specs))}")
    sizes: dict[str, int] = {}
    first: dict[str, str] = {}  # array in which an axis was met first
    for name, spec in specs.items():
        if name not in arrays:
            raise ValueError(f"{name} is missing; it must be {spec}")
        array = arrays[name]
        is_array = isinstance(array, np.ndarray)
        received = f"{array.dtype} {array.shape}" if is_array else describe_value(array)
        if not is_array or array.dtype != np.dtype(spec.dtype) or array.ndim != len(spec.axes):
            raise ValueError(f"{name} must be {spec}, not {received}")
        for axis, size in zip(spec.axes, array.shape, strict=True):
            if size == 0 and not may_be_empty:
                raise ValueError(f"{name} must be {spec} with {axis} at least 1, not {received}")
            if size != sizes.setdefault(axis, size):
                raise ValueError(
                    f"{name} must be {spec} with {axis} = {sizes[axis]} as in {first[axis]}, not {received}"
                )
            first.setdefault(axis, name)
    return sizes


def check_sizes(specs: Mapping[str, ArraySpec], arrays: Mapping[str, Any], known: Mapping[str, int]) -> None:
    """`check_arrays`, and that axes have the sizes that a config says.

    Raises
    ------
    ValueError
        As `check_arrays`.
    """
    sizes = check_arrays(specs, arrays)
    for axis, size in known.items():
        if sizes[axis] != size:
            name = next(name for name, spec in specs.items() if axis in spec.axes)
            raise ValueError(f"{name} must be {specs[name]} with {axis} = {size}, not {arrays[name].shape}")
