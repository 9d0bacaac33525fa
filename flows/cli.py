"""The command `niello`.

Every command ends with one JSON object on the last line of standard output; all else goes to standard error.
Exit 0: done and right. 1: a failure. 2: bad input, one line on standard error.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import traceback
from pathlib import Path
from typing import Annotated

import typer

from flows.arguments import (
    BoardOption,
    DesignArgument,
    DesignsArgument,
    EngineOption,
    FromOption,
    PlainOption,
    ToOption,
)
from flows.attention.cli import attention
from flows.emit import emit
from flows.errors import Interrupted, NielloError
from flows.pim.cli import pim
from flows.pulse.cli import pulse
from flows.sfq.cli import sfq

EXAMPLES = """\b
Examples:
  niello describe dot_int8x16                         what it is and how to use it
  niello rtl my_dot.yml -o rtl/                       Verilog of a design of your own
  niello bitstream dot_int8x4 --board icebreaker      all the way to a bitstream
  niello run dot_int8x16 in.npz -o out.npz --engine rtl

Every command ends with one line of JSON on standard output. Exit 0: done and
right; 1: a failure; 2: bad input, said in one line.
"""

app = typer.Typer(
    epilog=EXAMPLES,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


@app.callback(invoke_without_command=True)
def version(
    show: Annotated[bool, typer.Option("--version", help="Show the version and exit.", is_eager=True)] = False,
) -> None:
    """A small YAML file into verified hardware. DESIGN is a named design (`niello list`) or a YAML file."""
    if show:
        from flows.verilog import VERSION

        emit(version=VERSION)
        raise typer.Exit()


@app.command("list")
def list_designs() -> None:
    """The named designs."""
    from flows.show import designs_table

    emit(designs=designs_table())


@app.command()
def describe(design: DesignArgument) -> None:
    """Ports, latency, parameters, arrays and registers of a design."""
    from flows.load import load_design
    from flows.show import description

    emit(**description(load_design(design)))


@app.command()
def rtl(
    designs: DesignsArgument = None,
    out: Annotated[Path | None, typer.Option("-o", "--out", help="Folder to write the files into.")] = None,
    plain: PlainOption = False,
) -> None:
    """Verilog, ports.json, C header, FuseSoC core and power domains (UPF) of a design."""
    from flows.commands import rtl as command

    emit(**command(designs or [], out, plain))


ROAD_VERBS = {
    "lint": ("lint", "Read the generated Verilog with Verilator's warnings on, but for those the file waives."),
    "sim": ("simulate", "Hold the Verilog to the golden model: the cocotb bench, and random vectors in bulk."),
    "synth": ("synth", "Netlists of the block and of the board top."),
    "bitstream": ("pack", "The whole way to a bitstream: elaborate, lint, simulate, synth, pnr, pack."),
    "report": ("report", "The whole road, with metrics.json and report.html at its end."),
}
"""Verbs that take designs along the road: up to which stage, and what the help says."""


def _add_road_verb(verb: str, stage: str, summary: str) -> None:
    @app.command(verb, help=summary)
    def _(
        designs: DesignsArgument = None,
        board: BoardOption = None,
        first: FromOption = None,
        last: ToOption = None,
        plain: PlainOption = False,
    ) -> None:
        from flows.commands import road

        emit(**road(designs or [], board, first, stage if last is None else last, plain))


for _verb, (_stage, _summary) in ROAD_VERBS.items():
    _add_road_verb(_verb, _stage, _summary)


@app.command()
def formal(
    designs: DesignsArgument = None,
    depth: Annotated[int, typer.Option(metavar="CYCLES", help="From reset, in which nothing may fail.")] = 16,
    unbounded: Annotated[
        bool, typer.Option("--unbounded", help="Prove it for any number of cycles; may find no end.")
    ] = False,
    plain: PlainOption = False,
) -> None:
    """Prove what designs assert of themselves, whatever comes in; by default of all that assert anything."""
    from flows.commands import formal as command

    emit(**command(designs or [], depth, unbounded, plain))


@app.command()
def firmware(
    name: Annotated[str, typer.Argument(help="A C file of hdl/soc/firmware.")] = "monitor",
    out: Annotated[Path | None, typer.Option("-o", "--out", help="The image; default: beside its source.")] = None,
) -> None:
    """Compile firmware of the SoC's processor into an image of its memory. Images come with niello."""
    from flows.firmware import build_firmware

    emit(**build_firmware(name, out))


@app.command()
def program(
    design: DesignArgument,
    board: BoardOption = None,
    flash: Annotated[bool, typer.Option("--flash", help="Into the board's flash, so that it stays.")] = False,
    plain: PlainOption = False,
) -> None:
    """Load a design into a board, by default until it loses power."""
    from flows.commands import program as command

    emit(**command(design, board, flash, plain))


@app.command()
def run(
    design: DesignArgument,
    inputs: Annotated[Path, typer.Argument(metavar="IN.npz", help="Input arrays; `niello describe` names them.")],
    engine: EngineOption = "model",
    out: Annotated[Path | None, typer.Option("-o", "--out", metavar="OUT.npz", help="Where the outputs go.")] = None,
    board: BoardOption = None,
    port: Annotated[str | None, typer.Option(help="Serial port of the board, for --engine board.")] = None,
    baud: Annotated[int | None, typer.Option(help="Symbol rate of the serial port; default: the board's.")] = None,
    stalls: Annotated[float, typer.Option(help="Chance of a stall in a cycle, 0..0.95; rtl and netlist.")] = 0.0,
    seed: Annotated[int, typer.Option(help="Seed of the stalls.")] = 0,
    plain: PlainOption = False,
) -> None:
    """Run arrays through a design, on the engine of your choice. All engines give the same bytes."""
    from flows.commands import run_arrays as command

    emit(**command(design, inputs, engine, out, board, port, baud, stalls, seed, plain))


@app.command()
def demo(
    design: Annotated[str, typer.Argument(metavar="[DESIGN]", help="Of simd.dot or simd.matmul.")] = "dot_int8x16",
    board: BoardOption = None,
    plain: PlainOption = False,
) -> None:
    """Handwritten digits through a design on every engine, its bitstream and its report. What `make` does."""
    from flows.demo import demo as command

    emit(**command(design, board, plain))


simd = typer.Typer(help="What only the simd family's designs do.")
app.add_typer(simd, name="simd")


@simd.command("dot")
def simd_dot(
    design: Annotated[str, typer.Option(metavar="DESIGN", help="A simd.mac design: its name, or a YAML file.")],
    format_name: Annotated[str, typer.Option("--format", help="What the codes mean: p8_0, e4m3, int8, mxfp4, …")],
    inputs: Annotated[
        Path,
        typer.Option(
            "--in",
            metavar="FILE.json",
            help='A list of {"a": [codes], "b": [codes]}; of block formats with "scale_a" and "scale_b", too.',
        ),
    ],
    out_format: Annotated[
        str | None,
        typer.Option(help="Format of the results. Default: the operands' own; int32 of integers; fp32 of blocks."),
    ] = None,
    overflow: Annotated[
        str, typer.Option(help="What too large a number becomes: saturate, or inf where there is infinity.")
    ] = "saturate",
    engine: Annotated[str, typer.Option(help="model or rtl.")] = "model",
) -> None:
    """Dot products in any number format, exact and rounded once; all numbers are given and shown as codes."""
    from flows.simd import dot as command

    emit(**command(design, format_name, inputs, out_format, overflow, engine))


app.add_typer(sfq, name="sfq")
app.add_typer(pim, name="pim")
app.add_typer(attention, name="attention")
app.add_typer(pulse, name="pulse")


@app.command()
def boards() -> None:
    """The boards, what they have, and which named designs fit."""
    from flows.show import boards_table

    emit(boards=boards_table())


@app.command()
def doctor() -> None:
    """What is installed, what is missing, and the command that mends it."""
    from flows.doctor import examine

    result = examine()
    emit(**result)
    if not result["ok"]:
        raise typer.Exit(1)


@app.command()
def clean(
    design: Annotated[str | None, typer.Argument(metavar="[DESIGN]", help="Only this design's results.")] = None,
) -> None:
    """Remove results from the build folder."""
    from flows.commands import clean as command

    emit(**command(design))


def main() -> None:
    """Entry point: exit codes and one-line errors."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:  # closed by whoever called us
            setattr(sys, name, open(os.devnull, "w"))  # noqa: SIM115  for the life of the process
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _interrupt)
    try:
        code = app(args=sys.argv[1:] or ["--help"], standalone_mode=False)
    except NielloError as error:
        code = _failed(str(error), error.exit_code)
    except typer.Abort:
        code = _failed("interrupted", 1)
    except typer.TyperException as error:
        # What the command line itself refuses: unknown option, missing argument, wrong type.
        text = " ".join(getattr(error, "format_message", error.__str__)().split())
        code = _failed(text, 2, hint="--help explains") if text else 2
    except Interrupted:
        code = _failed("interrupted", 1)
    except BrokenPipeError:
        _silence()
        code = 1
    except OSError as error:
        where = f": {error.filename}" if error.filename else ""
        code = _failed(f"{(error.strerror or str(error)).lower()}{where}", 1)
    except Exception as error:
        if os.environ.get("NIELLO_DEBUG"):
            traceback.print_exc()
        code = _failed(f"internal error: {type(error).__name__}: {error}", 1, hint="NIELLO_DEBUG=1 shows where")
    sys.exit(code if isinstance(code, int) else 0)


def _interrupt(number: int, frame: object) -> None:
    raise Interrupted


def _failed(message: str, code: int, *, hint: str | None = None) -> int:
    line = f"{message} (hint: {hint})" if hint else message
    # A name or a value in it may hold anything; the line must stay one, and must not steer a terminal.
    line = "".join(char if char.isprintable() else repr(char)[1:-1] for char in line)
    try:
        print(f"niello: {line}", file=sys.stderr)
        emit(error=line, exit=code)
    except OSError:
        _silence()
    return code


def _silence() -> None:
    """Nobody reads what we write; what Python still has to say at its end goes nowhere."""
    with contextlib.suppress(OSError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        for number in (1, 2):
            os.dup2(nowhere, number)
