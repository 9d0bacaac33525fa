"""What the behavioural device takes on an ECP5: cells, by part too, and the clock that it reaches."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from amaranth.lib.wiring import Component

from bench.common import made, say
from bench.ecp5 import LFE5U_85F, routed, synthesised
from flows.verilog import emit
from hdl.pim.channel_config import ChannelConfig
from hdl.pim.device_bank import Bank
from hdl.pim.device_checker import Checker
from hdl.pim.device_checksum import Checksum
from hdl.pim.device_mac_bf16 import MacBf16
from hdl.pim.device_mac_int8 import MacInt8

DESIGNS = ("device_int8", "device_bf16")
LUTS_85F = 83_640
SEED = 1
AIM_MHZ = 60


def device() -> dict[str, Any]:
    """Of each named design alone, streams and registers with it: cells, and the clock after place and route, out of
    context, on an LFE5U-85F of speed grade 6. `lut` is LUT4 + 2 CCU2C + 4 TRELLIS_DPR16X4."""
    figures = {}
    for name in DESIGNS:
        design, (rtl,) = made(name, "elaborate")
        found = placed(rtl[f"{name}.v"], design.top)
        figures[name] = found
        say(f"{name}: LUT4 + 2 CCU2C + 4 DPR16X4", found["lut"], "", f"60 % of {LUTS_85F} with channel and board top")
        for kind in ("ff", "bram", "dsp", "fmax_mhz"):
            say(f"{name}: {kind}", found[kind], "", "none")
    return figures


def placed(verilog: Path, top: str) -> dict[str, Any]:
    """Cells of a design on an ECP5, and its routed clock."""
    with tempfile.TemporaryDirectory() as folder:
        found: dict[str, Any] = synthesised(verilog.read_text(), top, Path(folder))
        found["fmax_mhz"] = routed(Path(folder), LFE5U_85F, AIM_MHZ, SEED)
    return found


CLOCKED = ("4 lanes of bf16, tCCD 1", "4 lanes of bf16, tCCD 2")
"""Pieces whose clock is asked for, too."""


def parts() -> dict[str, Any]:
    """Cells of one piece of each kind: a bank and its multipliers, what stands once in a device."""
    small = {"profile": "pimgpt", "banks": 4, "rows": 16}
    bf16, int8 = (ChannelConfig.parse(small | more) for more in ({"lanes": 4}, {"lanes": 8, "dtype": "int8"}))
    slow = ChannelConfig.parse(small | {"lanes": 4, "profile": "aim"})
    wide = ChannelConfig.parse({"profile": "aim", "banks": 16, "refresh": True})
    pieces: dict[str, Component] = {
        "bank of 64-bit columns": Bank(int8),
        "4 lanes of bf16, tCCD 1": MacBf16(bf16),
        "4 lanes of bf16, tCCD 2": MacBf16(slow),
        "8 lanes of int8": MacInt8(int8),
        "checksum of 4 banks of 8 lanes": Checksum(int8),
        "checker of 4 banks, pimgpt": Checker(int8),
        "checker of 16 banks, aim": Checker(wide),
    }
    figures = {}
    for name, piece in pieces.items():
        with tempfile.TemporaryDirectory() as folder:
            figures[name] = synthesised(emit(piece, "niello_part"), "niello_part", Path(folder))
            if name in CLOCKED:
                figures[name]["fmax_mhz"] = routed(Path(folder), LFE5U_85F, AIM_MHZ, SEED)
                say(f"{name}: clock", figures[name]["fmax_mhz"], "MHz", ">= 50")
        say(f"{name}: LUT4 + 2 CCU2C + 4 DPR16X4", figures[name]["lut"], "", "none")
    return figures
