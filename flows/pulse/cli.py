"""The verbs of `niello pulse`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from flows.emit import emit

pulse = typer.Typer(help="Detector pulses: from samples to time and energy, held to the physical limit.")

SHAPES = "int16 (events, samples) or (samples,); of a design with several channels behind an axis of these"


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


@pulse.command("daq")
def pulse_daq(
    rate_hz: Annotated[float, typer.Option(metavar="HZ", help="Pulses a second in a channel, at random.")],
    design: Annotated[str, typer.Option(metavar="NAME", help="A design of pulse.channel.")] = "pulse_r0",
    setup: Annotated[str, typer.Option(metavar="NAME|FILE.yml", help="The measurement: how long pulses are.")] = "r0",
    clock_hz: Annotated[float, typer.Option(metavar="HZ", help="Of the block; a beat of samples a cycle.")] = 50e6,
    channels: Annotated[
        int | None, typer.Option(metavar="N", help="Channels that share the link; as many as the design has.")
    ] = None,
    baud: Annotated[
        float | None, typer.Option(metavar="BAUD", help="Of a serial link; without, the host is always ready.")
    ] = None,
    accepted: Annotated[float, typer.Option(metavar="SHARE", help="Of records, what is sent.")] = 1.0,
    seed: Annotated[int, typer.Option(help="Of the pulses' times.")] = 0,
    plot: Annotated[Path | None, typer.Option(metavar="FILE.svg", help="Records and dead time over the rate.")] = None,
) -> None:
    """What each stage of a channel takes and gives at a rate of pulses: events, bytes, dead time, losses."""
    from flows.pulse.daq import Asked, daq

    emit(**daq(Asked(rate_hz, design, setup, clock_hz, channels, baud, accepted, seed, plot)))


@pulse.command("import")
def pulse_import(
    model: Annotated[
        Path, typer.Argument(metavar="MODEL.json|MODEL.onnx", help="A Keras model's to_json(); an ONNX file.")
    ],
    calibrate: Annotated[
        Path, typer.Option(metavar="WAVES.npy", help="Codes, int16 (windows, samples): what ranges are made of.")
    ],
    out: Annotated[Path, typer.Option("--out", "-o", metavar="NET.npz", help="The network, its weights in 8 bits.")],
    weights: Annotated[
        Path | None,
        typer.Option(
            metavar="W.npz", help="np.savez(file, **{v.path: np.asarray(v) for v in model.weights}) writes it."
        ),
    ] = None,
    design: Annotated[str, typer.Option(metavar="NAME", help="A design of pulse.cnn.")] = "pulse_cnn_r0",
    input_scale: Annotated[
        float | None,
        typer.Option(metavar="CODES", help="What 1.0 of its inputs is; 1 if it begins by scaling."),
    ] = None,
    normalise: Annotated[bool, typer.Option("--normalise", help="Windows over their peak are its inputs.")] = False,
    raw: Annotated[
        bool, typer.Option(help="Outputs are the last layer's sums, of 32 bits, if it has no activation.")
    ] = True,
    arrays: Annotated[
        Path | None, typer.Option(metavar="IN.npz", help="Windows and network, for `niello run DESIGN IN.npz`.")
    ] = None,
) -> None:
    """A network trained elsewhere, as integers for a design, with its distance from the floats."""
    from flows.pulse.import_network import Asked, import_network

    emit(**import_network(Asked(model, calibrate, out, weights, design, input_scale, normalise, raw, arrays)))


@pulse.command("run")
def pulse_run(
    waves: Annotated[Path, typer.Option("--in", metavar="WAVES.npy", help=f"Codes, {SHAPES}.")],
    out: Annotated[
        Path, typer.Option("--out", "-o", metavar="EVENTS.npz", help="Pulses: record, time, energy, flags, channel.")
    ],
    design: Annotated[str, typer.Option(metavar="NAME", help="A design of pulse.channel.")] = "pulse_r0",
    engine: Annotated[
        str, typer.Option(help="model: the golden model. rtl, board-sim: the gateware, held to it.")
    ] = "model",
    setup: Annotated[
        str, typer.Option(metavar="NAME|FILE.yml", help="The measurement: shape of pulses, noise.")
    ] = "r0",
    threshold: Annotated[
        int | None, typer.Option(metavar="CODES", help="Of the trigger, above the baseline; 6 sigma of the noise.")
    ] = None,
) -> None:
    """Time and energy of each pulse in recorded waveforms.

    Records of as many samples as the design's windows are taken for windows; in all others pulses are looked for.
    """
    from flows.pulse.run import Asked, run

    emit(**run(Asked(waves, out, design, setup, engine, threshold)))


@pulse.command("scope")
def pulse_scope(
    waves: Annotated[Path, typer.Option("--in", metavar="WAVES.npy", help=f"Codes, {SHAPES}.")],
    out: Annotated[Path, typer.Option("--out", "-o", metavar="PICTURE.svg", help="The picture.")],
    record: Annotated[int, typer.Option(metavar="N", help="Which record.")] = 0,
    first: Annotated[int, typer.Option(metavar="N", help="The first sample that is shown.")] = 0,
    samples: Annotated[
        int | None, typer.Option(metavar="N", help="How many are; all of a record, 1000 of a stream.")
    ] = None,
    design: Annotated[str, typer.Option(metavar="NAME", help="A design of pulse.channel.")] = "pulse_r0",
    setup: Annotated[
        str, typer.Option(metavar="NAME|FILE.yml", help="The measurement: shape of pulses, noise.")
    ] = "r0",
    threshold: Annotated[
        int | None, typer.Option(metavar="CODES", help="Of the trigger, above the baseline; 6 sigma of the noise.")
    ] = None,
    channel: Annotated[int, typer.Option(metavar="N", help="Which channel, of a design with several.")] = 0,
) -> None:
    """A waveform as a channel sees it: baseline, triggers, windows, and the pulses that it fits."""
    from flows.pulse.scope import Asked, scope

    emit(**scope(Asked(waves, out, record, first, samples, design, setup, threshold, channel)))


@pulse.command("spectrum")
def pulse_spectrum(
    events: Annotated[Path, typer.Argument(metavar="EVENTS.npz", help="Pulses, as `run` writes them.")],
    of: Annotated[
        str,
        typer.Option(
            metavar="WHAT",
            help="energy, codes; time or interval (to the record's or channel's pulse before), samples; shape, apart.",
        ),
    ] = "energy",
    low: Annotated[float | None, typer.Option(metavar="X", help="Where bins begin; a round number below all.")] = None,
    high: Annotated[float | None, typer.Option(metavar="X", help="Where they end; a round number above all.")] = None,
    bins: Annotated[int, typer.Option(metavar="N", help="How many.")] = 200,
    without: Annotated[
        str, typer.Option(metavar="FLAG,...", help="Pulses with one of these flags are left out; names as `run` has.")
    ] = "no_pulse",
    channel: Annotated[int | None, typer.Option(metavar="N", help="Of this channel only.")] = None,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", metavar="SPECTRUM.csv", help="low,high,count, a line a bin.")
    ] = None,
    plot: Annotated[Path | None, typer.Option(metavar="FILE.svg", help="The histogram as a picture.")] = None,
) -> None:
    """A histogram of pulses: how many of which energy, time or distance; centre and width of its highest peak."""
    from flows.pulse.spectrum import Asked, spectrum

    emit(**spectrum(Asked(events, of, low, high, bins, without, channel, out, plot)))


@pulse.command("train")
def pulse_train(
    out: Annotated[Path, typer.Option("--out", "-o", metavar="NET.npz", help="The network, its weights in 8 bits.")],
    setup: Annotated[str, typer.Argument(metavar="NAME|FILE.yml", help="r0, or a file as for `crlb`.")] = "r0",
    design: Annotated[str, typer.Option(metavar="NAME", help="A design of pulse.cnn.")] = "pulse_cnn_r0",
    form: Annotated[
        str, typer.Option(help="cnn: two convolutions, two dense layers. mlp: three dense layers.")
    ] = "cnn",
    snr_db: Annotated[
        float | None, typer.Option(metavar="DB", help="20 log10 of the largest peak over the noise.")
    ] = None,
    steps: Annotated[int, typer.Option(metavar="N", help="Of training, 256 records each.")] = 2000,
    records: Annotated[int, typer.Option(metavar="N", help="Records that are drawn to learn from.")] = 20_000,
    seed: Annotated[int, typer.Option(help="The same seed gives the same network.")] = 1,
    arrays: Annotated[
        Path | None,
        typer.Option(metavar="IN.npz", help="Fresh windows and the network, for `niello run DESIGN IN.npz`."),
    ] = None,
) -> None:
    """Trains a small network for time and energy of a measurement's pulses, quantised all the while."""
    from flows.pulse.train import Asked, train_network

    emit(**train_network(Asked(out, setup, design, form, snr_db, steps, records, seed, arrays)))


@pulse.command("waves")
def pulse_waves(
    out: Annotated[Path, typer.Option("--out", "-o", metavar="WAVES.npy", help="Codes, int16 (events, samples).")],
    setup: Annotated[str, typer.Argument(metavar="NAME|FILE.yml", help="r0, or a file as for `crlb`.")] = "r0",
    events: Annotated[int, typer.Option(metavar="N", help="Records of a pulse each.")] = 10_000,
    samples: Annotated[
        int | None, typer.Option(metavar="N", help="Of a record, the set-up's if not given; more come after the pulse.")
    ] = None,
    rate_hz: Annotated[
        float | None, typer.Option(metavar="HZ", help="One stream with so many pulses a second, at random, instead.")
    ] = None,
    snr_db: Annotated[
        float | None, typer.Option(metavar="DB", help="20 log10 of the largest peak over the noise.")
    ] = None,
    seed: Annotated[int, typer.Option(help="The same seed gives the same signals.")] = 0,
    truth: Annotated[
        Path | None,
        typer.Option(metavar="TRUTH.npz", help="Onset, in samples, and amplitude, in codes, of each pulse."),
    ] = None,
) -> None:
    """Signals of a measurement, with the truth about them, to try `run` with."""
    from flows.pulse.waves import waves

    emit(**waves(out, setup, events, samples, rate_hz, snr_db, seed, truth))
