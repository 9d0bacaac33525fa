"""Simulated cycles a second of a channel: the golden model, and the compiled twin that `niello pim run` uses, on one
core, the best of five.

Programs are GEMVs of full rows. A channel stands for all channels that do the same: a cycle of a memory with eight of
them is one cycle here. The peer's figure is recorded, not measured: aim_simulator makes 73 thousand cycles a second
with 32 channels at work, 2.3 million channel cycles.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bench.common import one_core, say
from flows.pim.engine import load_kernel
from hdl.pim.channel_config import ChannelConfig
from hdl.pim.commands import ACC, BUF, GB, Instruction, Op, encode_program
from sim.pim.channel_kernel import KernelChannel
from sim.pim.channel_model import Channel
from sim.pim.channel_run import Run

PEER_CHANNEL_CYCLES_PER_S = 73_000 * 32
TARGET_PER_S = 5_000_000

CHUNKS, TILES, LONG_TILES = 4, 32, 320
"""Of a GEMV: inputs in chunks of a row, outputs in tiles of one a bank. 4096 by 4096 on 8 channels of 16 banks has 4
chunks and 32 tiles."""

MEASUREMENTS = 5

OVERLAP: dict[str, Any] = {"overlap": True, "gb_banks": 2, "accumulators": 2}
NO_MODES: dict[str, Any] = {"profile": {"base": "aim", "mode_switch_cycles": 0}}
CONFIGS: dict[str, dict[str, Any]] = {
    "aim": {"profile": "aim"},
    "aim, refreshed": {"profile": "aim", "refresh": True},
    "aim, no modes, overlap": NO_MODES | OVERLAP,
    "aim, no modes, two row buffers": NO_MODES | OVERLAP | {"row_buffers": 2},
    "pimgpt": {"profile": "pimgpt"},
    "pimgpt, overlap": {"profile": "pimgpt", **OVERLAP},
    "pimgpt, two row buffers": {"profile": "pimgpt", "row_buffers": 2, **OVERLAP},
}


def serial(tiles: int) -> list[Instruction]:
    """A GEMV as aim_simulator's traces have it."""
    program = []
    for chunk in range(CHUNKS):
        program.append(Instruction(Op.WR_GB, count=64))
        for tile in range(tiles):
            row = chunk * tiles + tile
            program += [Instruction(Op.WR_BIAS), Instruction(Op.MAC_ABK, row=row, count=64), Instruction(Op.RD_MAC)]
    return [*program, Instruction(Op.EOC)]


def overlapped(tiles: int, row_buffers: int) -> list[Instruction]:
    """A GEMV whose results are read while the next tile is worked on, which is given before that."""
    count = CHUNKS * tiles
    program = [Instruction(Op.WR_GB, count=64)]
    for row in range(count):
        chunk, tile = divmod(row, tiles)
        flags = ACC * (row % 2) | GB * (chunk % 2) | BUF * (row % 2 * (row_buffers - 1))
        program.append(Instruction(Op.MAC_ABK, row=row, count=64, flags=flags))
        if tile == 1 and chunk + 1 < CHUNKS:
            program.append(Instruction(Op.WR_GB, count=64, flags=GB * ((chunk + 1) % 2)))
        if row:
            program.append(Instruction(Op.RD_MAC, flags=ACC * ((row - 1) % 2)))
    return [*program, Instruction(Op.RD_MAC, flags=ACC * ((count - 1) % 2)), Instruction(Op.EOC)]


def model() -> dict[str, Any]:
    """Cycles a second by config and engine, with and without the list of commands, and what the GEMV takes."""
    library = load_kernel()
    if library is None:
        raise SystemExit("no C++ compiler: there is no kernel to measure")
    figures: dict[str, Any] = {"peer_channel_cycles_per_s": PEER_CHANNEL_CYCLES_PER_S}
    for name, params in CONFIGS.items():
        config = ChannelConfig.parse(params)
        run = Channel(config).run(gemv(config, TILES))
        say(name, run.cycles, "cycles", f"4096 by 4096, utilisation {run.utilisation(config):.3f}")
        rates = _rates(config, library)
        for what, rate in rates.items():
            target = f"at least {TARGET_PER_S / 1e6:g}" if what.startswith("kernel") else "-"
            say(f"  {what}", rate / 1e6, "Mcycle/s", target)
        figures[name] = {
            "gemv_4096x4096_cycles": run.cycles,
            "utilisation": round(run.utilisation(config), 4),
            "cycles_per_s": {what: round(rate) for what, rate in rates.items()},
        }
    return figures


def gemv(config: ChannelConfig, tiles: int) -> list[Instruction]:
    """As it is best for a config."""
    return overlapped(tiles, config.row_buffers) if config.overlap else serial(tiles)


def _rates(config: ChannelConfig, library: Path) -> dict[str, float]:
    """Cycles a second by engine; the kernel is given words, and ten times as many."""
    short, words = gemv(config, TILES), encode_program(gemv(config, LONG_TILES))

    def twin(commands: bool) -> Run:
        with KernelChannel(config, library) as channel:
            return channel.run(words, commands=commands)

    return {
        "model": _best(lambda: Channel(config).run(short, commands=False)),
        "model, commands listed": _best(lambda: Channel(config).run(short)),
        "kernel": _best(lambda: twin(False)),
        "kernel, commands listed": _best(lambda: twin(True)),
    }


def _best(work: Callable[[], Run]) -> float:
    """Simulated cycles a CPU second of the quickest run."""
    best = 0.0
    with one_core():
        for _ in range(MEASUREMENTS):
            start = time.process_time()
            cycles = work().cycles
            best = max(best, cycles / (time.process_time() - start))
    return best
