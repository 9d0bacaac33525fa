"""The channels that the compiler writes programs for: how much goes on at once, by name."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from flows.errors import BadInput, ToolError
from flows.paths import build_root
from flows.pim.profiles import read_profile
from hdl.common.config import ConfigError
from hdl.pim.channel_config import ChannelConfig
from hdl.pim.timing import load_profile
from sim.common.verilator import BuildError
from sim.pim.burst import Burst

TWO_SETS = {"overlap": True, "gb_banks": 2, "accumulators": 2}

ORDERS: dict[str, dict[str, Any]] = {
    "serial": {},
    "overlap": TWO_SETS,
    "two-rows": {**TWO_SETS, "row_buffers": 2},
}
"""`serial`: one instruction after the other, as AiM. `overlap`: two buffer banks and two accumulator sets, so that
registers are used beside MACs. `two-rows`: two row buffers, too."""

SWITCHES = "--no-mode-switch leaves them out"

REFRESH = {None: None, "on": True, "off": False}


def ordered_channel(profile: str, order: str, refresh: str | None, *, mode_switch: bool = True) -> ChannelConfig:
    """The channel of a profile with what an order needs.

    Parameters
    ----------
    mode_switch : false: without the profile's mode switches

    Raises
    ------
    BadInput
        If one of them is wrong, or the profile does not allow the order.
    """
    if order not in ORDERS:
        raise BadInput(f"--order must be one of {', '.join(ORDERS)}, not {order}")
    if refresh not in REFRESH:
        raise BadInput(f"--refresh must be on or off, not {refresh}")
    document = read_profile(profile)
    if not mode_switch:
        base = {"base": document} if isinstance(document, str) else document
        document = base | {"mode_switch_cycles": 0}
    params = {**ORDERS[order], "refresh": REFRESH[refresh]}
    try:
        if ORDERS[order] and load_profile(document).mode_switch_cycles:
            raise BadInput(f"--order {order} and the mode switches of {profile} exclude one another", hint=SWITCHES)
        return ChannelConfig.parse(
            {"profile": document} | {name: value for name, value in params.items() if value is not None}
        )
    except ConfigError as error:
        raise BadInput(str(error).removeprefix("params: ").removeprefix("params.")) from None


@contextmanager
def simulator(config: ChannelConfig) -> Iterator[Burst]:
    """The burst simulator of a channel, compiled once below the build folder.

    Raises
    ------
    ToolError
        If it cannot be compiled.
    """
    try:
        burst = Burst(config, build_root() / "pim")
    except BuildError as error:
        raise ToolError(error.tool, error.line, error.log, hint="install g++, or name a compiler by CXX") from None
    with burst:
        yield burst
