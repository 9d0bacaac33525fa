"""Formats of keys, values and weights of linear layers: a table that gateware and golden models both read.

Only facts stand here, no arithmetic. "Formats of keys, values and weights" in hdl/attention/README.md says what an
element's integer is, how rows lie in memory, and what the shifts do.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

Element = Literal["int", "e2m1", "e2m3"]
"""What an element's bits are: two's complement, or a sign, an exponent field and a mantissa (OCP MX 1.0)."""

Scale = Literal["none", "e8m0", "e4m3"]
"""What a block's scale is: a byte that is its exponent, or one with a sign, 4 bits of exponent and 3 of mantissa."""

FormatName = Literal["int4", "int2", "mxint8", "mxint4", "mxfp4", "nvfp4", "mxfp6", "bfp12"]
"""Those that a config can name; `int8` is always built."""

EXPONENT_BITS = 8
"""Of a scale's exponent x, and of a job's `k_exponent` and `v_exponent`."""

OPERAND_BITS = 14
"""Of an element of keys as an integer, and of a value on its job's exponent, two's complement, at most."""


class KvFormat(NamedTuple):
    """How keys, values or weights lie in memory.

    Attributes
    ----------
    code : int
        In a job's `k_format` and `v_format`.
    name : str
    bits : int
        Of an element in memory.
    element : Element
    block : int
        Elements of a row that share a scale, a byte; 0 without scales.
    scale : Scale
    key_shift, value_shift : int
        g_K and g_V: fraction bits that a chunk's sum, and a value, get before they are aligned.
    keys_of_linear_layers_only : bool
    """

    code: int
    name: str
    bits: int
    element: Element = "int"
    block: int = 0
    scale: Scale = "none"
    key_shift: int = 0
    value_shift: int = 0
    keys_of_linear_layers_only: bool = False


FORMATS = {
    one.name: one
    for one in [
        KvFormat(0, "int8", 8),
        KvFormat(1, "int4", 4),
        KvFormat(2, "int2", 2, keys_of_linear_layers_only=True),
        KvFormat(3, "mxint8", 8, "int", 32, "e8m0", 0, 6),
        KvFormat(4, "mxint4", 4, "int", 32, "e8m0", 4, 10),
        KvFormat(5, "mxfp4", 4, "e2m1", 32, "e8m0", 3, 9),
        KvFormat(6, "nvfp4", 4, "e2m1", 16, "e4m3", 0, 5),
        KvFormat(7, "mxfp6", 6, "e2m3", 32, "e8m0", 1, 7),
        KvFormat(8, "bfp12", 4, "int", 64, "e8m0", 4, 10),
    ]
}
"""All formats by name, in the order of their codes."""
