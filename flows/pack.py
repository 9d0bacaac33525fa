"""A routed design becomes the file that a board is programmed with."""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path
from typing import Any

from boards.board import Board
from boards.dfu import add_suffix
from flows.plan import commands
from flows.tools import run_tool


def pack_board(plan_dir: Path, pnr_dir: Path, out_dir: Path, *, board: Board) -> dict[str, Any]:
    """The packer's step of a board's plan: leaves the bitstream and `pack.log` in `out_dir`.

    Returns
    -------
    bitstream (the file's name), bitstream_bytes, bitstream_sha256, seconds, peak_rss_bytes.

    Raises
    ------
    ToolError
        With the packer's own error line.
    """
    step = commands(plan_dir)[2]
    taken = [file for file in sorted(pnr_dir.iterdir()) if file.name in step]
    for file in taken:
        shutil.copyfile(file, out_dir / file.name)
    run = run_tool(step, cwd=out_dir, log=out_dir / "pack.log", description=f"{step[0]} for {board.name}")
    for file in taken:
        (out_dir / file.name).unlink()
    (packed,) = [file for file in out_dir.iterdir() if file.suffix in (".bit", ".bin", ".fs")]
    if board.dfu is not None:
        with_suffix = add_suffix(packed.read_bytes(), *board.dfu)
        packed.unlink()
        packed = packed.with_suffix(board.bitstream_suffix)
        packed.write_bytes(with_suffix)
    content = packed.read_bytes()
    return {
        "bitstream": packed.name,
        "bitstream_bytes": len(content),
        "bitstream_sha256": hashlib.sha256(content).hexdigest(),
        **run.metrics,
    }
