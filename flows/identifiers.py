"""Plain names in generated Verilog.

Amaranth and Yosys write names that need Verilog's escapes: `\\a__payload.data[3] `, `\\$12 `. They are legal, but
Yosys' own technology mapping takes `data[3]` for a bit of `data` and stops at an assertion where both are there, and
people have to write them when they look at a waveform. Here every name becomes a plain one, unique in its module.
"""

from __future__ import annotations

import re

_ESCAPED = re.compile(r"\\(\S+)\s")
_MODULE = re.compile(r"^module .*?^endmodule$", re.MULTILINE | re.DOTALL)
_WORD = re.compile(r"[A-Za-z_][A-Za-z0-9_$]*")


def plain_identifiers(verilog: str, top: str) -> str:
    """The same Verilog without escaped names.

    Modules below `top`, which Amaranth names by their path (`top.core.bank`), become `top__core__bank`; a net
    `payload.data[3]` becomes `payload_data_3`; a nameless net `$12` becomes `n_12`.

    Expects Verilog as Yosys writes it, without comments or strings that hold backslashes.
    """
    modules = sorted(set(re.findall(rf"\\({re.escape(top)}\.\S+) ", verilog)), key=len, reverse=True)
    for name in modules:
        verilog = verilog.replace(f"\\{name} ", re.sub(r"\W", "__", name) + " ")
    return _MODULE.sub(lambda module: _plain(module[0]), verilog)


def _plain(module: str) -> str:
    taken = set(_WORD.findall(_ESCAPED.sub(" ", module)))
    names: dict[str, str] = {}
    for escaped in dict.fromkeys(_ESCAPED.findall(module)):
        name = wanted = _word(escaped)
        number = 1
        while name in taken:
            name, number = f"{wanted}_{number}", number + 1
        taken.add(name)
        names[escaped] = name
    # The white space that ends an escaped name is part of it; Yosys writes a further one where the text needs it.
    return _ESCAPED.sub(lambda match: names[match[1]] + match[0][-1].strip(" "), module)


def _word(escaped: str) -> str:
    if escaped.startswith("$auto$"):
        return "initial_event"  # a flag by which Yosys makes a combinational `always` run at time 0
    if _WORD.fullmatch(escaped):
        return f"{escaped}_"  # escaped because it is a keyword
    word = re.sub(r"\W+", "_", escaped).strip("_")
    return f"n_{word}" if escaped.startswith("$") or not word or word[0].isdigit() else word
