"""Arguments that several verbs of the command line share, and what the shell completes them with."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def _designs(incomplete: str) -> list[str]:
    from flows.load import named_designs

    folder, slash, stem = incomplete.rpartition("/")
    here = Path(folder + slash) if slash else Path()
    entries = sorted(here.iterdir()) if here.is_dir() else []
    files = [f"{folder}{slash}{entry.name}" for entry in entries if entry.suffix in (".yml", ".yaml")]
    folders = [f"{folder}{slash}{entry.name}/" for entry in entries if entry.is_dir() and stem]
    return [name for name in [*named_designs(), *files, *folders] if name.startswith(incomplete)]


def _boards(incomplete: str) -> list[str]:
    from boards.catalog import BOARDS

    return [name for name in BOARDS if name.startswith(incomplete)]


def _stages(incomplete: str) -> list[str]:
    from flows.road import STAGES

    return [name for name in STAGES if name.startswith(incomplete)]


def _engines(incomplete: str) -> list[str]:
    from flows.engines import ENGINES

    return [name for name in ENGINES if name.startswith(incomplete)]


DesignArgument = Annotated[
    str,
    typer.Argument(
        metavar="DESIGN",
        help="A named design, a YAML file, or a pulse netlist (JSON).",
        show_default=False,
        autocompletion=_designs,
    ),
]
DesignsArgument = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="[DESIGN]...",
        help="Named designs or YAML files; all named ones if none.",
        autocompletion=_designs,
    ),
]
BoardOption = Annotated[
    str | None,
    typer.Option(help="Board, as `niello boards` lists them; default: the design's.", autocompletion=_boards),
]
EngineOption = Annotated[str, typer.Option(help="model, rtl, netlist, board-sim or board.", autocompletion=_engines)]
FromOption = Annotated[
    str | None,
    typer.Option(
        "--from",
        metavar="STAGE",
        help="Run this stage and all after it again, results or not.",
        autocompletion=_stages,
    ),
]
ToOption = Annotated[
    str | None, typer.Option("--to", metavar="STAGE", help="Stop after this stage.", autocompletion=_stages)
]
PlainOption = Annotated[bool, typer.Option("--plain", help="Plain lines instead of a live display.")]
