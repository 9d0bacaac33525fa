"""The verbs of `niello pim`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from flows.emit import emit

pim = typer.Typer(help="Processing in memory: a channel of DRAM whose banks multiply.")

ProfileOption = Annotated[
    str, typer.Option(metavar="NAME|FILE.yml", help="Timing: aim, pimgpt, ddr4, lpddr4, or a file.")
]


@pim.command("run")
def pim_run(
    trace: Annotated[Path, typer.Argument(metavar="FILE.trace", help="Lines `AiM OP …`, the last ISR_EOC.")],
    profile: ProfileOption = "aim",
    engine: Annotated[str, typer.Option(help="model: the golden model. rtl: the gateware, held to it.")] = "model",
    refresh: Annotated[
        str | None, typer.Option(metavar="on|off", help="Default: off for aim, whose peer never refreshes, else on.")
    ] = None,
    plot: Annotated[Path | None, typer.Option(metavar="FILE.svg", help="A time line of the first commands.")] = None,
) -> None:
    """Cycles, commands, row hits, utilisation and stalls of a command trace; every command's time is checked."""
    from flows.pim.run import run_file

    emit(**run_file(trace, profile, engine, refresh, plot))


@pim.command("profile")
def pim_profile(
    profile: Annotated[str, typer.Argument(metavar="NAME|FILE.yml", help="aim, pimgpt, ddr4, lpddr4, or a file.")],
    act_group: Annotated[int | None, typer.Option(help="Banks opened at once: 1, 2, 4, or 16 for all.")] = None,
    overlap: Annotated[bool, typer.Option(help="Registers are used beside MACs.")] = False,
) -> None:
    """A timing profile in cycles, and the rules that it is compiled to: which command waits for which."""
    from flows.pim.profiles import show_profile

    emit(**show_profile(profile, act_group, overlap))


OrderOption = Annotated[
    str,
    typer.Option(
        metavar="serial|overlap|two-rows",
        help="One instruction after the other; registers used beside MACs, with two buffer banks and accumulator sets; "
        "two row buffers, too.",
    ),
]
RefreshOption = Annotated[str | None, typer.Option(metavar="on|off", help="Default: as the profile says.")]
ChannelsOption = Annotated[int, typer.Option(metavar="1|2|4|8", help="Channels that share the work.")]
ModeSwitchOption = Annotated[bool, typer.Option(help="Whether the profile's mode switches are made.")]


@pim.command("gemv")
def pim_gemv(
    outputs: Annotated[int, typer.Argument(metavar="M", help="Rows of the matrix.")],
    inputs: Annotated[int, typer.Argument(metavar="N", help="Columns of the matrix.")],
    profile: ProfileOption = "aim",
    order: OrderOption = "serial",
    refresh: RefreshOption = None,
    channels: ChannelsOption = 8,
    mode_switch: ModeSwitchOption = True,
) -> None:
    """Cycles, row hits and utilisation of a matrix times a vector, as the compiler lays it out."""
    from flows.pim.gemv import gemv

    emit(**gemv(outputs, inputs, profile, order, refresh, channels, mode_switch))


@pim.command("gpt")
def pim_gpt(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="gpt2- or gpt3-, then small, medium, large or xl.")],
    context: Annotated[int, typer.Option(metavar="N", help="Tokens that the token sees, itself included.")] = 512,
    profile: ProfileOption = "pimgpt",
    order: OrderOption = "serial",
    refresh: RefreshOption = None,
    channels: ChannelsOption = 8,
    mode_switch: ModeSwitchOption = True,
    pack: Annotated[
        bool, typer.Option("--pack", help="In as few memory rows as can be, not in as few cycles.")
    ] = False,
    plot: Annotated[Path | None, typer.Option(metavar="FILE.svg", help="A bar for each product.")] = None,
) -> None:
    """What one token of a GPT model takes: cycles by product, row hits, utilisation, modelled energy."""
    from flows.pim.gpt import gpt_token

    emit(**gpt_token(model, context, profile, order, refresh, channels, mode_switch, pack, plot))


@pim.command("generate")
def pim_generate(
    prompt: Annotated[str, typer.Option(metavar="TEXT", help="What the text goes on from.")] = "The ",
    tokens: Annotated[int, typer.Option(metavar="N", help="Characters to write.")] = 64,
    engine: Annotated[
        str, typer.Option(help="model: numpy. rtl: one program on the gateware of pim_tiny_gpt, held to it.")
    ] = "model",
    temperature: Annotated[float, typer.Option(help="0: always the likeliest; the more, the freer.")] = 0.7,
    seed: Annotated[int, typer.Option(help="Of what is drawn.")] = 1,
    plain: Annotated[bool, typer.Option("--plain", help="Plain lines instead of a live display.")] = False,
) -> None:
    """Text of a GPT-2 of two layers, trained on Python's manual, a character a token; gateware chooses each itself."""
    from flows.pim.generate import generate

    emit(**generate(prompt, tokens, engine, temperature, seed, plain))
