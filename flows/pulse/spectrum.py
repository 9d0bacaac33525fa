"""`niello pulse spectrum`: a histogram of the pulses that were found."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from flows.array_files import read_npz
from flows.curves_picture import Curve, Panel, curves_picture
from flows.drawing import round_step
from flows.errors import BadInput
from flows.output import check_output, write_output
from flows.paths import shown
from flows.pulse.run import FLAGS
from flows.store import disk_errors

Floats = npt.NDArray[np.float64]

UNITS = {"energy": "codes", "time": "samples", "interval": "samples", "shape": "relative", "apart": "samples"}
"""What a histogram can be of."""

MOST_BINS = 1 << 16
STEPS = 5


@dataclass(frozen=True)
class Asked:
    """What the command line says, as it says it."""

    events: Path
    of: str = "energy"
    low: float | None = None
    high: float | None = None
    bins: int = 200
    without: str = "no_pulse"
    channel: int | None = None
    out: Path | None = None
    plot: Path | None = None


def spectrum(asked: Asked) -> dict[str, Any]:
    """The histogram's figures; its bins and its picture into files, where they are asked for.

    Raises
    ------
    BadInput
        If an option or the file of pulses is wrong, or no pulse is left.
    """
    if asked.of not in UNITS:
        raise BadInput(f"--of must be one of {', '.join(UNITS)}, not {asked.of}")
    if not 1 <= asked.bins <= MOST_BINS:
        raise BadInput(f"--bins must be in 1..{MOST_BINS}, not {asked.bins}")
    for path in (asked.out, asked.plot):
        if path:
            check_output(path, inputs=(asked.events,))
    pulses = _read(asked)
    kept = _kept(asked, pulses)
    values = _values(asked, {name: column[kept] for name, column in pulses.items()})
    if not len(values):
        raise BadInput(
            f"{shown(asked.events)}: no pulse is left of {len(kept)}", hint="--without '' and no --channel keep all"
        )
    low, high = _range(asked, values)
    counts, edges = np.histogram(values, asked.bins, (low, high))
    if asked.out:
        lines = (f"{a:.9g},{b:.9g},{n}\n" for a, b, n in zip(edges, edges[1:], counts, strict=False))
        with disk_errors(asked.out, hint="make room, or name another file with -o"):
            write_output(asked.out, ("low,high,count\n" + "".join(lines)).encode())
    if asked.plot:
        with disk_errors(asked.plot, hint="make room, or name another file"):
            write_output(asked.plot, _picture(asked, counts, edges).encode())
    return (
        {"events": shown(asked.events), "of": asked.of, "unit": UNITS[asked.of]}
        | {"pulses": len(kept), "counted": len(values), "under": int((values < low).sum())}
        | {"over": int((values > high).sum()), "low": low, "high": high, "bins": asked.bins}
        | {"mean": _told(values.mean()), "rms_about_mean": _told(values.std()), "median": _told(np.median(values))}
        | dict(zip(("peak", "fwhm"), peak(counts, edges), strict=True))
    )


def peak(counts: npt.NDArray[np.integer[Any]], edges: Floats) -> tuple[float | None, float | None]:
    """Centre of the highest bin, and the full width at half its height, between bins by straight lines; None where
    there is no count, or where counts do not fall to the half on both sides."""
    if not counts.any():
        return None, None
    centres, top = (edges[1:] + edges[:-1]) / 2, int(np.argmax(counts))
    half, ends = counts[top] / 2, []
    for step, last in ((-1, 0), (1, len(counts) - 1)):
        below = next((place for place in range(top, last + step, step) if counts[place] <= half), None)
        if below is None:
            return _told(centres[top]), None
        above = below - step
        share = (counts[above] - half) / (counts[above] - counts[below])
        ends.append(centres[above] + share * (centres[below] - centres[above]))
    return _told(centres[top]), _told(ends[1] - ends[0])


def _read(asked: Asked) -> dict[str, npt.NDArray[Any]]:
    """The columns, an entry a pulse."""
    pulses = read_npz(asked.events)
    of = "time" if asked.of == "interval" else asked.of
    for name in (of, "flags", "channel", "record"):
        column = pulses.get(name)
        if column is None or column.ndim != 1 or column.dtype.kind not in "iuf" or len(column) != len(pulses[of]):
            had = ", ".join(pulses) or "nothing"
            raise BadInput(
                f"{shown(asked.events)}: must have {name}, a number a pulse; it has {had}",
                hint="`niello pulse run` writes such a file",
            )
    return {name: pulses[name] for name in {of, "flags", "channel", "record"}}


def _kept(asked: Asked, pulses: dict[str, npt.NDArray[Any]]) -> npt.NDArray[np.bool_]:
    """Which pulses are counted."""
    named = [name.strip() for name in asked.without.split(",") if name.strip()]
    for name in named:
        if name not in FLAGS:
            raise BadInput(f"--without must be of {', '.join(FLAGS)}, not {name}")
    mask = sum(1 << FLAGS.index(name) for name in set(named))
    kept: npt.NDArray[np.bool_] = pulses["flags"].astype(np.int64) & mask == 0
    return kept if asked.channel is None else kept & (pulses["channel"] == asked.channel)


def _values(asked: Asked, pulses: dict[str, npt.NDArray[Any]]) -> Floats:
    """What is counted; of intervals one fewer than there are pulses, in each channel of each record."""
    if asked.of != "interval":
        values: Floats = pulses[asked.of].astype(np.float64)
    else:
        order = np.lexsort([pulses["time"], pulses["channel"], pulses["record"]])
        record, channel, time = (pulses[name][order] for name in ("record", "channel", "time"))
        together = (np.diff(record) == 0) & (np.diff(channel) == 0)
        values = np.diff(time)[together].astype(np.float64)
    if not np.isfinite(values).all():
        raise BadInput(f"{shown(asked.events)}: {asked.of} has values that are no numbers")
    return values


def _range(asked: Asked, values: Floats) -> tuple[float, float]:
    """First and last edge: round numbers about all values, where they are not given."""
    first = float(values.min()) if asked.low is None else asked.low
    last = float(values.max()) if asked.high is None else asked.high
    if not (math.isfinite(first) and math.isfinite(last)):
        raise BadInput(f"--low and --high must be numbers, not {first:g} and {last:g}")
    step = round_step(first, last, STEPS * 2)
    low = step * math.floor(first / step) if asked.low is None else asked.low
    high = step * (math.floor(last / step) + 1) if asked.high is None else asked.high
    if not low < high:
        raise BadInput(f"--low must be below --high, not {low:g} and {high:g}")
    return low, high


def _picture(asked: Asked, counts: npt.NDArray[np.integer[Any]], edges: Floats) -> str:
    """The counts as steps."""
    steps = np.repeat(counts, 2).tolist()
    line = list(zip(np.repeat(edges, 2)[1:-1].tolist(), steps, strict=True))
    first, last, most = float(edges[0]), float(edges[-1]), max(1.0, float(counts.max()))
    panel = Panel(
        f"{int(counts.sum())} pulses", f"{asked.of}, {UNITS[asked.of]}", "pulses a bin", _marks(first, last),
        _marks(0, most), [Curve(asked.of, [(first, 0), *line, (last, 0)], [])],
    )  # fmt: skip
    what = f"Histogram of {asked.of} in {UNITS[asked.of]}, {asked.bins} bins from {first:g} to {last:g}"
    return curves_picture("spectrum", shown(asked.events), what, [panel])


def _marks(first: float, last: float) -> list[float]:
    """Round numbers, the first not above the first and the last not below the last."""
    step = round_step(first, last, STEPS)
    return [step * number for number in range(math.floor(first / step), math.ceil(last / step) + 1)]


def _told(value: float) -> float:
    """To six digits."""
    return float(f"{value:.6g}")
