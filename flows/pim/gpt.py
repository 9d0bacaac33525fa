"""`niello pim gpt`: what one token of a GPT model takes on channels."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from flows.drawing import Drawing
from flows.errors import BadInput
from flows.output import check_output, write_output
from flows.pim.orders import ordered_channel, simulator
from flows.store import disk_errors
from hdl.common.config import ConfigError
from hdl.pim.channel_config import ChannelConfig
from sim.pim.energy import energy_pj
from sim.pim.gpt_models import model
from sim.pim.gpt_token import CACHE, KINDS, REFRESHES, Token, token

CHANNELS = (1, 2, 4, 8)

CLAIMED_SPEEDUPS = (41, 137)
"""Of PIM-GPT over a GPU (T4), as its abstract claims them over its eight models."""

STYLE = """
text{font-family:system-ui,-apple-system,"Segoe UI",Roboto,"Helvetica Neue",Arial,sans-serif}
text{font-size:12px;fill:#222b33}
.page{fill:#fff}.title{font-size:15px;font-weight:600}.soft{fill:#5b6670}.bar{fill:#0b7285}.idle{fill:#d7f0f4}
"""


def gpt_token(
    name: str,
    context: int,
    profile: str,
    order: str,
    refresh: str | None,
    channels: int,
    mode_switch: bool = True,
    pack: bool = False,
    plot: Path | None = None,
) -> dict[str, Any]:
    """A token's latency, cycles by product, row hits, utilisation and modelled energy.

    Raises
    ------
    BadInput
        If model, context, profile or an option is wrong, or the model does not fit.
    """
    if channels not in CHANNELS:
        raise BadInput(f"--channels must be one of {', '.join(map(str, CHANNELS))}, not {channels}")
    config = ordered_channel(profile, order, refresh, mode_switch=mode_switch)
    if plot:
        check_output(plot, inputs=())
    try:
        gpt = model(name, context)
        with simulator(config) as burst:
            done = token(burst, gpt, context, channels, tight=pack)
    except ConfigError as error:
        raise BadInput(str(error)) from None
    if plot:
        with disk_errors(plot, hint="make room, or name another file"):
            write_output(plot, _picture(f"{name}, context {context}, {profile} {order}", config, done).encode())
    return {"model": name, "context": context, "profile": profile, "order": order, "channels": channels} | figures(
        config, done, channels
    )


def figures(config: ChannelConfig, done: Token, channels: int) -> dict[str, Any]:
    """A token as JSON. The host's time is not in it."""
    nanoseconds = done.total_cycles * config.timing.tCK_ns
    energy = {name: pj * channels / 1e6 for name, pj in energy_pj(config, done.issued).items()}
    return {
        "cycles": done.total_cycles,
        "product_cycles": done.product_cycles,
        "token_us": round(nanoseconds / 1e3, 3),
        "cycles_by_product": done.cycles,
        "row_hit_rate": round(done.row_hits, 6),
        "utilisation": round(done.utilisation(config), 6),
        "utilisation_with_refresh": round(done.utilisation(config, REFRESHES), 6),
        "utilisation_with_cache": round(done.utilisation(config, REFRESHES, CACHE), 6),
        "refresh": config.refresh,
        "rows_used": done.rows,
        "commands_per_channel": {one.name: count for one, count in done.issued.items() if count},
        "modelled_energy_uj": {name: round(value, 3) for name, value in energy.items()},
        "implied_gpu_us": [round(nanoseconds * times / 1e3, 1) for times in CLAIMED_SPEEDUPS],
        "note": "host time excluded but for refreshes; energy modelled; implied_gpu_us is ours times PIM-GPT's claims",
    }


def _picture(name: str, config: ChannelConfig, done: Token) -> str:
    """An SVG file: a bar for each product, the MACs' part of it dark."""
    kinds = [*KINDS, CACHE, REFRESHES]
    most = max(done.cycles.values())
    said = "; ".join(f"{kind}: {done.cycles[kind]} cycles" for kind in kinds)
    picture = Drawing("gpt", 760, 76 + 30 * len(kinds), title=f"A token of {name}", description=said, style=STYLE)
    picture.rect(0, 0, picture.width, picture.height, cls="page", radius=6)
    picture.text(24, 28, name, cls="title")
    share = (
        f"{done.total_cycles:,} cycles; multipliers busy (dark) {100 * done.utilisation(config):.1f} % of the products"
    )
    picture.text(24, 47, share, cls="soft")
    for place, kind in enumerate(kinds):
        top = 62 + 30 * place
        busy = done.macs[kind] * config.timing.tCCD_cycles if kind in KINDS else 0
        picture.text(112, top + 15, kind, cls="soft", anchor="end")
        picture.rect(122, top, 500 * done.cycles[kind] / most, 20, cls="idle")
        picture.rect(122, top, 500 * busy / most, 20, cls="bar")
        picture.text(130 + 500 * done.cycles[kind] / most, top + 15, f"{done.cycles[kind]:,}", cls="soft")
    return f"{picture}\n"
