"""Energy of a channel's commands, modelled: published figures of a like memory and like arithmetic, not measurements.

DRAM: HBM2 in table 3 of "Fine-Grained DRAM", M. O'Connor et al., MICRO 2017: 909 pJ to open and close a row of 1 KiB;
1.51 pJ a bit from the row to behind the sense amplifiers, 1.17 from there to the edge, 0.80 over the bus. The numbers
were compared with two public projects that quote the table (find "909 pJ"), not with the paper. Arithmetic: figure
1.1.9 of M. Horowitz, ISSCC 2014, 45 nm, compared likewise: 1.1 pJ a product in fp16, 0.9 pJ a sum in fp32; 0.2 and 0.1
pJ in int8 and int32.

Assumed: that GDDR6 takes what HBM2 does (its bus takes more), a row in proportion to its bytes, a product in bf16 what
one in fp16 does, and a refresh what opening its rows does, as the paper has none. A multiplication in a memory's
process takes more; static power is left out.
"""

from __future__ import annotations

from collections.abc import Mapping

from hdl.pim.channel_config import ChannelConfig
from hdl.pim.commands import Command

OPEN_PJ_PER_BYTE = 909 / 1024
CELL_PJ_PER_BIT = 1.51
EDGE_PJ_PER_BIT = 1.17
BUS_PJ_PER_BIT = 0.80
MAC_PJ = {"bf16": 1.1 + 0.9, "int8": 0.2 + 0.1}

REFRESHES_PER_WINDOW = 8192
"""REFs that between them refresh every row once (JEDEC's usual number)."""


def command_pj(config: ChannelConfig) -> dict[Command, float]:
    """Picojoules of each command; PRE and TMOD are contained in the others."""
    column, word = config.column_bits, config.banks * config.result_element_bits
    row = config.columns * column / 8 * OPEN_PJ_PER_BYTE
    mac = column * CELL_PJ_PER_BIT + config.lanes * MAC_PJ[config.dtype]
    outward = EDGE_PJ_PER_BIT + BUS_PJ_PER_BIT
    return {
        Command.ACT: row,
        Command.ACTG: row * config.group_banks,
        Command.REF: row * config.banks * config.rows / REFRESHES_PER_WINDOW,
        Command.MAC: mac * config.banks,
        Command.MACB: mac,
        Command.RD: column * (CELL_PJ_PER_BIT + outward),
        Command.WR: column * (CELL_PJ_PER_BIT + outward),
        Command.WRGB: column * outward,
        Command.WRMAC: word * outward,
        Command.RDMAC: word * outward,
    }


def energy_pj(config: ChannelConfig, issued: Mapping[Command, int]) -> dict[str, float]:
    """Picojoules by purpose: `rows`, `multiply`, `bus` and `refresh`."""
    each = command_pj(config)
    purposes = {
        "rows": (Command.ACT, Command.ACTG),
        "multiply": (Command.MAC, Command.MACB),
        "bus": (Command.RD, Command.WR, Command.WRGB, Command.WRMAC, Command.RDMAC),
        "refresh": (Command.REF,),
    }
    return {name: sum(each[one] * issued.get(one, 0) for one in commands) for name, commands in purposes.items()}
