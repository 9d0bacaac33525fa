"""The verbs of `niello pulse`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from flows.emit import emit

pulse = typer.Typer(help="Detector pulses: from samples to time and energy, held to the physical limit.")


@pulse.callback()
def verbs() -> None:
    """Detector pulses: from samples to time and energy, held to the physical limit."""


@pulse.command("crlb")
def pulse_crlb(
    setup: Annotated[
        str, typer.Argument(metavar="NAME|FILE.yml", help="r0, or a file with fields of sim/pulse/setup.py.")
    ] = "r0",
    snr_db: Annotated[
        float | None, typer.Option(metavar="DB", help="20 log10 of the largest peak over the noise; the set-up's.")
    ] = None,
    adc_bits: Annotated[int | None, typer.Option(metavar="B", help="Of the ADC; the set-up's.")] = None,
    plot: Annotated[Path | None, typer.Option(metavar="FILE.svg", help="The limit over 27 to 57 dB.")] = None,
) -> None:
    """How well time and energy of a pulse can be known at best: the Cramér–Rao bound of a measurement."""
    from flows.pulse.crlb import crlb

    emit(**crlb(setup, snr_db, adc_bits, plot))
