"""What a channel sees of a waveform, as a picture."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from flows.drawing import Drawing, Point, round_step, text_width

Floats = npt.NDArray[np.float64]

STYLE = """
text{font-family:system-ui,-apple-system,"Segoe UI",Roboto,"Helvetica Neue",Arial,sans-serif;font-size:12px}
text{fill:#222b33}
.page{fill:#fff}.title{font-weight:600;font-size:13px}.frame{fill:none;stroke:#7d8894}.grid{fill:none;stroke:#e3e8ec}
.window{fill:#d7f0f4;fill-opacity:.6}
.signal{fill:none;stroke:#343f4b;stroke-width:1}.sample{fill:#343f4b}
.baseline{fill:none;stroke:#2b7a43;stroke-width:1.5}
.fit{fill:none;stroke:#c2410c;stroke-width:2;stroke-opacity:.75}
.time{fill:none;stroke:#c2410c;stroke-dasharray:5 3}
.trigger{fill:none;stroke:#5b4b8a;stroke-dasharray:2 3}.trigger-mark{fill:#5b4b8a}
"""
"""The page is painted, so that dark text is read on dark pages too."""

WIDTH, HEIGHT = 820.0, 300.0
LEFT, RIGHT, TOP, BELOW = 64.0, 20.0, 44.0, 70.0
MARGIN = 0.04
"""Below the lowest and above the highest, as a share of what is between."""

MOST_DOTS = 400
MARKS = 6


@dataclass(frozen=True)
class Pulse:
    """A pulse that was found: onset, in samples of the view, and its height over time."""

    onset: float
    at: Floats
    height: Floats


@dataclass(frozen=True)
class View:
    """Samples `first` … of a waveform, all of them in codes.

    Attributes
    ----------
    signal, baseline : a value a sample
    triggers : their samples
    windows : first sample, and the first one after
    """

    first: int
    signal: Floats
    baseline: Floats
    triggers: list[int]
    windows: list[tuple[int, int]]
    pulses: list[Pulse]


def scope_picture(title: str, description: str, view: View) -> str:
    """An SVG file: signal, baseline, triggers, windows, and the pulses that were fitted."""
    picture = Drawing(
        "scope",
        LEFT + WIDTH + RIGHT,
        TOP + HEIGHT + BELOW,
        title=title,
        description=description,
        style=STYLE,
    )
    picture.rect(0, 0, LEFT + WIDTH + RIGHT, TOP + HEIGHT + BELOW, cls="page", radius=6)
    end = view.first + len(view.signal) - 1
    heights = np.concatenate([view.signal, view.baseline, *(pulse.height for pulse in view.pulses)])
    across, up = marks(view.first, end), marks(float(heights.min()), float(heights.max()))
    room = MARGIN * float(np.ptp(heights)) or 1.0
    low, span = float(heights.min()) - room, float(np.ptp(heights)) + 2 * room

    def at(sample: float, height: float) -> Point:
        x = LEFT + (sample - view.first) / max(1, end - view.first) * WIDTH
        return min(max(x, LEFT), LEFT + WIDTH), TOP + HEIGHT - (height - low) / span * HEIGHT

    for begin, after in view.windows:
        left, right = at(begin, 0)[0], at(after - 1, 0)[0]
        picture.rect(left, TOP, right - left, HEIGHT, cls="window")
    _axes(picture, across, up, at)
    numbers = [float(number) for number in range(view.first, end + 1)]
    track = [at(sample, height) for sample, height in zip(numbers, view.signal.tolist(), strict=True)]
    picture.line(track, cls="signal")
    if len(track) <= MOST_DOTS:
        for point in track:
            picture.dot(*point, 1.8, cls="sample")
    picture.line(
        [at(sample, height) for sample, height in zip(numbers, view.baseline.tolist(), strict=True)], cls="baseline"
    )
    for trigger in view.triggers:
        x, _ = at(trigger, 0)
        picture.line([(x, TOP), (x, TOP + HEIGHT)], cls="trigger")
    for pulse in view.pulses:
        picture.line(
            [at(sample, height) for sample, height in zip(pulse.at.tolist(), pulse.height.tolist(), strict=True)],
            cls="fit",
        )
        x, _ = at(pulse.onset, 0)
        picture.line([(x, TOP), (x, TOP + HEIGHT)], cls="time")
    picture.text(LEFT, TOP - 18, title, cls="title")
    _legend(picture)
    return f"{picture}\n"


def marks(first: float, last: float) -> list[float]:
    """About `MARKS` round numbers from the first to the last."""
    step = round_step(first, last, MARKS)
    return [step * number for number in range(math.ceil(first / step), math.floor(last / step) + 1)] or [first]


def _axes(picture: Drawing, across: list[float], up: list[float], at: Callable[[float, float], Point]) -> None:
    for mark in across:
        x, _ = at(mark, 0)
        picture.line([(x, TOP), (x, TOP + HEIGHT)], cls="grid")
        picture.text(x, TOP + HEIGHT + 16, f"{mark:g}", cls="mark", anchor="middle")
    for mark in up:
        _, y = at(across[0], mark)
        picture.line([(LEFT, y), (LEFT + WIDTH, y)], cls="grid")
        picture.text(LEFT - 6, y + 4, f"{mark:g}", cls="mark", anchor="end")
    picture.rect(LEFT, TOP, WIDTH, HEIGHT, cls="frame")
    picture.text(LEFT + WIDTH / 2, TOP + HEIGHT + 34, "samples; up: codes", cls="axis", anchor="middle")


def _legend(picture: Drawing) -> None:
    x, y = LEFT, TOP + HEIGHT + 56
    for name, cls in (
        ("waveform", "signal"),
        ("baseline", "baseline"),
        ("trigger", "trigger"),
        ("fitted pulse", "fit"),
        ("its onset", "time"),
    ):
        picture.line([(x, y - 4), (x + 22, y - 4)], cls=cls)
        picture.text(x + 28, y, name, cls="name")
        x += 48 + text_width(name, 12)
    picture.rect(x, y - 11, 22, 12, cls="window")
    picture.text(x + 28, y, "window", cls="name")
