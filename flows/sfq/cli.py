"""The verbs of `niello sfq`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from flows.emit import emit

sfq = typer.Typer(help="Pulse logic: netlists of single-flux-quantum cells.")


@sfq.command("run")
def sfq_run(
    netlist: Annotated[Path, typer.Argument(metavar="FILE.json", help="A netlist with its input pulses: event JSON.")],
    policy: Annotated[
        str, typer.Option(help="What becomes of a pulse that comes too soon: flag obeys it, drop, or randomise.")
    ] = "flag",
    seed: Annotated[int, typer.Option(help="Of the coins of randomise.")] = 0,
    until: Annotated[float | None, typer.Option(metavar="PS", help="Stop at this time; a loop may never rest.")] = None,
    engine: Annotated[str, typer.Option(help="model.")] = "model",
) -> None:
    """Pulses at the outputs of a netlist, and every pulse that came too soon, exact to 0.1 ps."""
    from flows.sfq.run import run_file as command

    emit(**command(netlist, policy, seed, until, engine))
