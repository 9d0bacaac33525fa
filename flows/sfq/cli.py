"""The verbs of `niello sfq`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from flows.emit import emit

sfq = typer.Typer(help="Pulse logic: netlists of single-flux-quantum cells.")

NetlistArgument = Annotated[
    Path,
    typer.Argument(
        metavar="FILE", help="A netlist: event JSON, or structural Verilog (.v) or BLIF (.blif) of a library's cells."
    ),
]
PolicyOption = Annotated[
    str, typer.Option(help="What becomes of a pulse that comes too soon: flag obeys it, drop, or randomise.")
]
SeedOption = Annotated[int, typer.Option(help="Of the coins of randomise.")]
UntilOption = Annotated[float | None, typer.Option(metavar="PS", help="Stop at this time; a loop may never rest.")]
LibraryOption = Annotated[
    str | None,
    typer.Option(
        metavar="NAME|FILE.yml", help="Cells; default: the library that the netlist names, rsfqlib if it names none."
    ),
]
InputsOption = Annotated[
    Path | None,
    typer.Option(metavar="FILE.json", help="Input pulses, not the netlist's: a map from wires to times in ps."),
]


@sfq.command("run")
def sfq_run(
    netlist: NetlistArgument,
    policy: PolicyOption = "flag",
    seed: SeedOption = 0,
    until: UntilOption = None,
    library: LibraryOption = None,
    inputs: InputsOption = None,
    engine: Annotated[
        str,
        typer.Option(
            help="model; rtl: gateware made of the netlist, in Verilator; processor: gateware that takes any netlist."
        ),
    ] = "model",
    mode: Annotated[
        str | None,
        typer.Option(
            metavar="skip|tick", help="Of rtl: a clock for each time at which pulses come (default), or for every tick."
        ),
    ] = None,
    port: Annotated[str | None, typer.Option(help="Of processor: serial port of a board that runs it.")] = None,
) -> None:
    """Pulses at the outputs of a netlist, and every pulse that came too soon, exact to 0.1 ps."""
    from flows.sfq.conditions import Conditions
    from flows.sfq.run import run_file

    emit(**run_file(netlist, Conditions(policy, seed, until, library, inputs), engine, mode, port))


@sfq.command("convert")
def sfq_convert(
    netlist: NetlistArgument,
    out: Annotated[
        Path,
        typer.Option("-o", "--out", metavar="OUT", help="OUT.json: event JSON; OUT.v: Verilog; OUT.cir: for JoSIM."),
    ],
    library: LibraryOption = None,
    inputs: InputsOption = None,
    include: Annotated[
        list[str] | None,
        typer.Option(metavar="FILE", help="With the cells' subcircuits, for OUT.cir; default: LSmitll_<CELL>.cir."),
    ] = None,
) -> None:
    """A netlist in another format, as the suffix of OUT says. Pulses go into event JSON and decks."""
    from flows.sfq.convert import convert_file

    emit(**convert_file(netlist, out, library, inputs, include or []))


@sfq.command("plot")
def sfq_plot(
    netlist: NetlistArgument,
    out: Annotated[
        Path | None,
        typer.Option(
            "-o",
            "--out",
            metavar="OUT",
            help="OUT.svg: a picture; OUT.vcd: VCD of all wires; OUT.json: WaveDrom. Default: a picture, FILE.svg.",
        ),
    ] = None,
    all_wires: Annotated[bool, typer.Option("--all", help="All wires, not only inputs and outputs.")] = False,
    pulses: Annotated[
        str | None,
        typer.Option(help="In VCD: strobe (default), the bit is 1 for 0.1 ps; or toggle, each pulse changes it."),
    ] = None,
    policy: PolicyOption = "flag",
    seed: SeedOption = 0,
    until: UntilOption = None,
    library: LibraryOption = None,
    inputs: InputsOption = None,
) -> None:
    """A run as a picture or as waveforms; pulses that came too soon are red, with the cell's name."""
    from flows.sfq.conditions import Conditions
    from flows.sfq.plot import plot_file

    emit(**plot_file(netlist, Conditions(policy, seed, until, library, inputs), out, all_wires, pulses))


@sfq.command("cells")
def sfq_cells(
    library: Annotated[
        str, typer.Argument(metavar="[LIBRARY|FILE.yml]", help="rsfqlib, pylse, or a file.")
    ] = "rsfqlib",
    cell: Annotated[str | None, typer.Argument(metavar="[CELL]", help="Only this one: its state machine.")] = None,
) -> None:
    """The cells of a library: junctions, pins, states, delays, windows, sources; or one cell's state machine."""
    from flows.sfq.cells import cells_of, one_cell

    emit(**(cells_of(library) if cell is None else one_cell(library, cell)))


@sfq.command("margins")
def sfq_margins(
    netlist: NetlistArgument,
    sigma: Annotated[float, typer.Option(help="Relative sigma of a cell's delays, fixed in a trial.")] = 0.05,
    global_sigma: Annotated[float, typer.Option(help="Relative sigma of all delays of a trial.")] = 0.0,
    jitter_ps: Annotated[float, typer.Option(metavar="PS", help="Sigma of each pulse's delay.")] = 0.0,
    windows: Annotated[str, typer.Option(help="scaled: windows grow with a cell's delays; fixed.")] = "scaled",
    trials: Annotated[int, typer.Option(help="At each point.")] = 1000,
    seed: Annotated[int, typer.Option(help="Of all random numbers.")] = 1,
    accept: Annotated[
        str, typer.Option(help="order: pulses of all outputs in their order; count: only so many.")
    ] = "order",
    expect: Annotated[
        str, typer.Option(help="nominal: as without a spread; recorded: the outputs in the file.")
    ] = "nominal",
    wanted: Annotated[float, typer.Option("--yield", help="That a margin's ends still have.")] = 0.99,
    sweep: Annotated[
        list[str] | None, typer.Option(help="scale, period, bias, sigma or jitter; several may be given.")
    ] = None,
    least: Annotated[float | None, typer.Option("--from", help="Where the sweep begins.")] = None,
    most: Annotated[float | None, typer.Option("--to", help="Where it ends.")] = None,
    policy: Annotated[
        str, typer.Option(help="As for run; a pulse that comes too soon fails the trial anyway.")
    ] = "flag",
    until: Annotated[float | None, typer.Option(metavar="PS", help="As for run; scales with the period.")] = None,
    library: LibraryOption = None,
    inputs: InputsOption = None,
    threads: Annotated[int | None, typer.Option(help="All cores unless given; the results are the same.")] = None,
    picture: Annotated[Path | None, typer.Option("-o", "--output", metavar="FILE.svg", help="A picture.")] = None,
) -> None:
    """Yield under spread delays, arrivals at the outputs, the pins that fail most, and how far a quantity may go."""
    from flows.sfq.margins import Options, margins_of_file

    options = Options(
        *(sigma, global_sigma, jitter_ps, windows, trials, seed, accept, expect, wanted),
        *(tuple(sweep or ()), least, most, policy, until, library, inputs, threads),
    )
    emit(**margins_of_file(netlist, options, picture))


@sfq.command("map")
def sfq_map(
    source: Annotated[Path, typer.Argument(metavar="FILE", help="Logic: Verilog (.v, .sv), BLIF or AIGER.")],
    top: Annotated[str | None, typer.Option(help="The top module of Verilog.")] = None,
    phases: Annotated[int, typer.Option(help="Phases of the clock.")] = 1,
    library: Annotated[str, typer.Option(help="The cell library.")] = "rsfqlib",
    scripts: Annotated[int | None, typer.Option(help="How many ways to map are tried; default: by size.")] = None,
    waves: Annotated[int | None, typer.Option(help="Waves of random inputs to simulate the netlist with.")] = None,
    full_adders: Annotated[
        str,
        typer.Option(
            metavar="auto|gates|t1",
            help="What full adders in the logic become: five gates, or two mergers and a T1 cell (24 junctions), or"
            " whichever makes the netlist cheaper. With T1 cells the clock is slower.",
        ),
    ] = "auto",
    slack_percent: Annotated[
        int,
        typer.Option(
            help="Of the fastest clock's period: time that every pulse has to spare at its cell. The clock gets slower,"
            " by more than that where pulses are kept apart, and delay cells may be added."
        ),
    ] = 0,
    out: Annotated[
        Path | None, typer.Option("-o", "--out", metavar="NETLIST.json", help="The netlist, for `sfq run`.")
    ] = None,
) -> None:
    """Maps logic to clocked pulse cells, balances its paths, and proves the netlist by SAT and by simulation."""
    from flows.sfq.map import map_file

    result = map_file(
        source,
        top=top,
        phases=phases,
        library=library,
        scripts=scripts,
        waves=waves,
        full_adders=full_adders,
        slack_percent=slack_percent,
        out=out,
    )
    emit(**result)


@sfq.command("train")
def sfq_train(
    design: Annotated[str, typer.Argument(metavar="DESIGN", help="A design of sfq.network.")],
    output: Annotated[Path, typer.Option("-o", "--out", metavar="OUT.json", help="Where the currents go.")],
    seed: Annotated[int, typer.Option(help="Of the training.")] = 1,
) -> None:
    """Train the bias currents of a stochastic network for its task."""
    from flows.sfq.train import train_file

    emit(**train_file(design, output, seed))


@sfq.command("network")
def sfq_network(
    design: Annotated[str, typer.Argument(metavar="DESIGN", help="A design of sfq.network.")],
    engine: Annotated[str, typer.Option(help="model, or rtl, which is held against the model.")] = "model",
    seeds: Annotated[int, typer.Option(help="Chips, each with its own spread and noise.")] = 32,
    slots: Annotated[int | None, typer.Option(help="Of a window; default: the design's.")] = None,
    examples: Annotated[int | None, typer.Option(help="The first of the test set; default: all.")] = None,
    picture: Annotated[Path | None, typer.Option(metavar="FILE.svg", help="Draw the sweeps.")] = None,
    arrays: Annotated[
        Path | None, typer.Option(metavar="FILE.npz", help="Write the network and its windows, for `niello run`.")
    ] = None,
) -> None:
    """Margin, or accuracy, of a trained network against bias, spread, temperature and window length."""
    from flows.sfq.network import network

    emit(**network(design, engine, seeds, slots, examples, picture, arrays))
