"""`niello pulse train`: a network for a measurement, held to its limit."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.progress import Progress

from flows.array_files import npz_bytes
from flows.errors import BadInput
from flows.load import load_design
from flows.output import check_output, write_output
from flows.paths import shown
from flows.progress import console
from flows.pulse.setups import read_setup
from flows.store import disk_errors
from hdl.pulse.cnn_config import CnnConfig
from sim.pulse import cnn_vectors
from sim.pulse.cnn_compile import compile_network
from sim.pulse.cnn_network import NetworkError
from sim.pulse.cnn_train import FORMS, Bits, levels, resolution, train
from sim.pulse.fisher import bound
from sim.pulse.signals import records

MOST_STEPS, MOST_RECORDS = 1_000_000, 1_000_000
MOST_SEED = (1 << 62) - 1

JUDGED = 10_000
"""Records that the network is judged by, none of which it learnt from."""


@dataclass(frozen=True)
class Asked:
    """What the command line says, as it says it."""

    out: Path
    setup: str = "r0"
    design: str = "pulse_cnn_r0"
    form: str = "cnn"
    snr_db: float | None = None
    steps: int = 2000
    records: int = 20_000
    seed: int = 1
    arrays: Path | None = None


def train_network(asked: Asked) -> dict[str, Any]:
    """A network into a file; its errors on fresh records, beside the bound, and what it takes of the design.

    Raises
    ------
    BadInput
        If the set-up, the design or an option is wrong, or the design has no room for the network.
    """
    for name, value, low, high in (
        ("--steps", asked.steps, 1, MOST_STEPS),
        ("--records", asked.records, 100, MOST_RECORDS),
        ("--seed", asked.seed, 0, MOST_SEED),
    ):
        if not low <= value <= high:
            raise BadInput(f"{name} must be in {low}..{high}, not {value}")
    if asked.form not in FORMS:
        raise BadInput(f"--form must be one of {', '.join(FORMS)}, not {asked.form}")
    for path in (asked.out, asked.arrays):
        if path:
            check_output(path)
    config = load_design(asked.design).config
    if not isinstance(config, CnnConfig):
        raise BadInput(f"--design must be a design of pulse.cnn; {asked.design} is none")
    setup = read_setup(asked.setup, snr_db=asked.snr_db)
    if setup.samples != config.samples:
        raise BadInput(f"{asked.design} takes windows of {config.samples} samples, {asked.setup} has {setup.samples}")
    bits = Bits(config.weight_bits, config.activation_bits)
    try:  # what does not fit is known before it has learnt anything
        compile_network(train(setup, 0, 1, form=asked.form, bits=bits), config)
    except NetworkError as error:
        raise BadInput(f"{asked.design}: {error}", hint="a design with more of it, see `niello describe`") from None

    with Progress(console=console(), transient=True) as progress:
        bar = progress.add_task("training", total=asked.steps)
        options = (asked.steps, asked.records, asked.seed, asked.form)
        network = train(setup, *options, lambda _: progress.advance(bar), bits)
    found, limit = resolution(setup, network, JUDGED, asked.seed + 1), bound(setup)
    file, windows = cnn_vectors.file_of(network), levels(setup, records(setup, JUDGED, asked.seed + 1).codes)
    with disk_errors(asked.out, hint="make room, or name another file with -o"):
        write_output(asked.out, file.tobytes())
        if asked.arrays:
            write_output(asked.arrays, npz_bytes(windows=windows, network=file))
    image = compile_network(network, config)
    return {
        "setup": asked.setup,
        "form": asked.form,
        "seed": asked.seed,
        "steps": asked.steps,
        "weight_bits": bits.weights,
        "activation_bits": bits.activations,
        "time_ps": round(found.time_ps, 2),
        "energy_percent": round(100 * found.amplitude, 4),
        "time_over_bound": round(found.time_ps / limit.time_ps, 3),
        "energy_over_bound": round(found.amplitude / limit.amplitude, 3),
        "products": cnn_vectors.operations(config, {"windows": windows[:1], "network": file}) // 2,
        "image_bytes": 4 * len(image.words),
        "layers": len(image.program),
        "cycles": sum(image.read_cycles(config)) + len(image.program) * config.layer_cycles,
        "out": shown(asked.out),
    }
