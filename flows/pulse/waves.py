"""`niello pulse waves`: signals of a measurement, with the truth about them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from flows.array_files import npy_bytes, npz_bytes
from flows.errors import BadInput
from flows.output import check_output, write_output
from flows.paths import shown
from flows.pulse.setups import read_setup
from flows.store import disk_errors
from sim.pulse.signals import records, stream

MOST_SAMPLES = 1 << 28


def waves(
    out: Path,
    name: str,
    events: int,
    samples: int | None,
    rate_hz: float | None,
    snr_db: float | None,
    seed: int,
    truth: Path | None,
) -> dict[str, Any]:
    """Records of a pulse each, or with `rate_hz` one stream of as many samples, into a file.

    Raises
    ------
    BadInput
        If the set-up or an option is wrong.
    """
    for path in (out, truth):
        if path:
            check_output(path)
    setup = read_setup(name, snr_db=snr_db, samples=samples)
    if not 1 <= events <= MOST_SAMPLES // setup.samples:
        raise BadInput(
            f"--events must be in 1..{MOST_SAMPLES // setup.samples} of {setup.samples} samples, not {events}"
        )
    if not 0 <= seed < 1 << 63:
        raise BadInput(f"--seed must be in 0..2^63 - 1, not {seed}")
    if rate_hz is None:
        drawn = records(setup, events, seed)
        codes, pulses = drawn.codes, drawn.first
    else:
        if not 0 < rate_hz <= setup.sample_rate_hz:
            raise BadInput(f"--rate-hz must be above 0 and at most {setup.sample_rate_hz:g}, not {rate_hz:g}")
        row = stream(setup, events * setup.samples, rate_hz, seed)
        codes, pulses = row.codes, row.pulses
    with disk_errors(out, hint="make room, or name another file with -o"):
        write_output(out, npy_bytes(codes))
        if truth:
            write_output(truth, npz_bytes(onset=pulses.onset, amplitude=pulses.amplitude, stretch=pulses.stretch))
    return {"setup": name, "shape": list(codes.shape), "pulses": int(np.size(pulses.onset)), "out": shown(out)}
