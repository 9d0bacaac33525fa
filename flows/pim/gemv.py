"""`niello pim gemv`: a matrix times a vector on channels."""

from __future__ import annotations

from typing import Any

from flows.errors import BadInput
from flows.pim.gpt import CHANNELS
from flows.pim.orders import ordered_channel, simulator
from hdl.common.config import ConfigError
from hdl.pim.commands import Command, Instruction, Op, encode_program
from sim.pim.energy import energy_pj
from sim.pim.gemv import Gemv

MOST = 1 << 20


def gemv(
    outputs: int, inputs: int, profile: str, order: str, refresh: str | None, channels: int, mode_switch: bool = True
) -> dict[str, Any]:
    """Cycles, row hits, utilisation and modelled energy of a product, and how it is laid out.

    Raises
    ------
    BadInput
        If a size, the profile or an option is wrong, or the matrix does not fit.
    """
    for name, value in (("M", outputs), ("N", inputs)):
        if not 1 <= value <= MOST:
            raise BadInput(f"{name} must be in 1..{MOST}, not {value}")
    if channels not in CHANNELS:
        raise BadInput(f"--channels must be one of {', '.join(map(str, CHANNELS))}, not {channels}")
    config = ordered_channel(profile, order, refresh, mode_switch=mode_switch)
    try:
        plan = Gemv(config, outputs, inputs, channels=channels)
    except ConfigError as error:
        raise BadInput(str(error)) from None
    with simulator(config) as burst:
        done = burst.run(encode_program([*plan.program.instructions, Instruction(Op.EOC)]))
    cycles, macs, issued = int(done.cycles[0]), int(done.macs[0]), done.counts.issued
    return {
        "outputs": outputs,
        "inputs": inputs,
        "profile": profile,
        "order": order,
        "channels": channels,
        "cycles": cycles,
        "time_ns": round(cycles * config.timing.tCK_ns, 3),
        "row_hit_rate": round(1 - int(done.row_misses[0]) / macs, 6),
        "utilisation": round(macs * config.timing.tCCD_cycles / cycles, 6),
        "refresh": config.refresh,
        "refreshes": issued[Command.REF],
        "vector_parts": plan.division,
        "blocks": [{"columns": one.columns, "copies": one.copies, "tiles": one.tiles} for one in plan.work],
        "rows_used": plan.rows,
        "commands_per_channel": {one.name: count for one, count in issued.items() if count},
        "modelled_energy_uj": {name: round(pj * channels / 1e6, 3) for name, pj in energy_pj(config, issued).items()},
    }
