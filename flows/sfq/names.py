"""Names that may hold anything, as the formats of other tools take them.

In Verilog a name that is no plain identifier is escaped, and what an escaped name cannot hold (blanks, quotes, letters
beyond ASCII) is percent-encoded in it: reading it back gives the same name. SPICE knows letters, digits and `_`, in one
case, so names are replaced there.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterable
from urllib.parse import quote, unquote

_WORDS = """
    accept_on alias always always_comb always_ff always_latch and assert assign assume automatic before begin bind
    bins binsof bit break buf bufif0 bufif1 byte case casex casez cell chandle checker class clocking cmos config const
    constraint context continue cover covergroup coverpoint cross deassign default defparam design disable dist do edge
    else end endcase endchecker endclass endclocking endconfig endfunction endgenerate endgroup endinterface endmodule
    endpackage endprimitive endprogram endproperty endspecify endsequence endtable endtask enum event eventually expect
    export extends extern final first_match for force foreach forever fork forkjoin function generate genvar global
    highz0 highz1 if iff ifnone ignore_bins illegal_bins implements implies import incdir include initial inout input
    inside instance int integer interconnect interface intersect join join_any join_none large let liblist library local
    localparam logic longint macromodule matches medium modport module nand negedge nettype new nexttime nmos nor
    noshowcancelled not notif0 notif1 null or output package packed parameter pmos posedge primitive priority program
    property protected pull0 pull1 pulldown pullup pulsestyle_ondetect pulsestyle_onevent pure rand randc randcase
    randsequence rcmos real realtime ref reg reject_on release repeat restrict return rnmos rpmos rtran rtranif0
    rtranif1 s_always s_eventually s_nexttime s_until s_until_with scalared sequence shortint shortreal showcancelled
    signed small soft solve specify specparam static string strong strong0 strong1 struct super supply0 supply1
    sync_accept_on sync_reject_on table tagged task this throughout time timeprecision timeunit tran tranif0 tranif1
    tri tri0 tri1 triand trior trireg type typedef union unique unique0 unsigned until until_with untyped use uwire var
    vectored virtual void wait wait_order wand weak weak0 weak1 while wildcard wire with within wor xnor xor
"""
KEYWORDS = frozenset(_WORDS.split())
"""Reserved words of SystemVerilog, IEEE 1800-2017, those of Verilog among them."""

_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_$]*")
_KEPT = "$.[]:<>+-=@!"
"""What stays as it is in an escaped name, besides letters, digits and `_~`; readers take some others for syntax."""

TWIN = "%"
"""Ends the name of an instance where a wire has the same: in Verilog they share one name space."""


def verilog_name(name: str, *, twin: bool = False) -> str:
    """A name as Verilog text, with the blank that an escaped name ends in."""
    if _PLAIN.fullmatch(name) and name not in KEYWORDS and not twin:
        return name
    return f"\\{encoded(name)}{TWIN if twin else ''} "


def name_of(identifier: str) -> str:
    """The name that was written as this identifier (without backslash and blank)."""
    for word in (identifier, identifier.removesuffix(TWIN)):
        with contextlib.suppress(UnicodeDecodeError):
            name = unquote(word, errors="surrogatepass")
            if encoded(name) == word:
                return name
    return identifier


def encoded(name: str) -> str:
    """A name in one word of printable ASCII, the same for no other name."""
    return quote(name, safe=_KEPT, errors="surrogatepass")


def spice_names(names: Iterable[str]) -> list[str]:
    """A name of letters, digits and `_` for each, all different in more than case; none is a ground (`0`, `GND`)."""
    found = []
    taken = {"0", "GND"}
    for name in names:
        plain = wanted = re.sub(r"[^A-Za-z0-9_]", "_", name)
        number = 1
        while plain.upper() in taken:
            number += 1
            plain = f"{wanted}_{number}"
        taken.add(plain.upper())
        found.append(plain)
    return found
