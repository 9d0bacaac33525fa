"""The processor's cores, each behind one interface."""

from __future__ import annotations

from collections.abc import Callable

from amaranth.lib import wiring

from hdl.soc.cores.picorv32 import PicoRV32
from hdl.soc.cores.sentinel import Sentinel
from hdl.soc.cores.serv import Serv
from hdl.soc.cores.vexriscv import VexRiscv

CORES: dict[str, Callable[[], wiring.Component]] = {
    "sentinel": Sentinel,
    "vexriscv": VexRiscv,
    "picorv32": PicoRV32,
    "serv": Serv,
}
"""By the names that a config has for them."""
