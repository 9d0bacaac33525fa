"""The picture of `niello sfq margins`: when each output's pulses come, and the yield over what was swept."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial

from flows.drawing import Drawing, Point
from hdl.sfq.cells import ps
from sim.sfq.margins import SWEEPS, Margin
from sim.sfq.monte_carlo import Arrivals, Outcome, binned

STYLE = """
text{font-family:system-ui,-apple-system,"Segoe UI",Roboto,"Helvetica Neue",Arial,sans-serif}
text{font-size:11px;fill:#222b33}
.page{fill:#fff}.title{font-size:15px;font-weight:600}.head{font-size:12px;font-weight:600}.soft{fill:#5b6670}
.axis{fill:none;stroke:#7d8894}.bar{fill:#0b7285}.curve{fill:none;stroke:#0b7285;stroke-width:2}
.point{fill:#0b7285}.wanted{fill:none;stroke:#b3541e;stroke-dasharray:4 3}.range{fill:#d7f0f4}
"""
"""The page is painted, so that dark text is read on dark pages too."""

MOST_OUTPUTS = 12
"""That are drawn; the others are counted."""

COLUMNS = 2
WIDTH, HEIGHT, GAP, MARGIN, HEAD = 340.0, 110.0, 64.0, 44.0, 64.0


def margins_picture(name: str, outcome: Outcome, margins: Mapping[str, Margin], wanted: float) -> str:
    """An SVG file: a histogram for each output, then a curve for each sweep."""
    outputs = [*outcome.arrivals.items()][:MOST_OUTPUTS]
    more = len(outcome.arrivals) - len(outputs)
    panels: list[Callable[[Drawing, float, float], None]] = [
        partial(_histogram, wire=wire, arrivals=arrivals) for wire, arrivals in outputs
    ]
    panels += [partial(_curve, sweep=sweep, found=found, wanted=wanted) for sweep, found in margins.items()]
    rows = -(-len(panels) // COLUMNS)
    said = [f"{wire}: {_spread(arrivals)}" for wire, arrivals in outputs]
    said += [f"yield over {SWEEPS[sweep].what}: {_range(sweep, found)}" for sweep, found in margins.items()]
    picture = Drawing(
        "margins",
        2 * MARGIN + COLUMNS * WIDTH + GAP,
        HEAD + rows * (HEIGHT + GAP),
        title=f"Yield and margins of {name}",
        description="; ".join(said),
        style=STYLE,
    )
    picture.rect(0, 0, picture.width, picture.height, cls="page", radius=6)
    shown = f"yield {outcome.passing:.4g} of {outcome.trials:,} trials" + (f"; {more} more outputs" if more else "")
    picture.text(MARGIN, 26, name, cls="title")
    picture.text(MARGIN, 44, shown, cls="soft")
    for place, draw in enumerate(panels):
        row, column = divmod(place, COLUMNS)
        draw(picture, MARGIN + column * (WIDTH + GAP), HEAD + 20 + row * (HEIGHT + GAP))
    return f"{picture}\n"


def _spread(arrivals: Arrivals) -> str:
    """How late the pulses came, in words."""
    if not arrivals.histogram:
        return "no pulse in a trial with the right number of them"
    return f"{ps(min(arrivals.histogram)):+.1f} to {ps(max(arrivals.histogram)):+.1f} ps from when they are expected"


def _range(sweep: str, found: Margin) -> str:
    """The margin, in words."""
    if found.low is None or found.high is None:
        return f"too low at {found.nominal:.4g}"
    kind = SWEEPS[sweep]
    below = "≤ " if found.low_is_end and found.low > kind.floor else ""
    above = "≥ " if found.high_is_end and found.high < kind.ceiling else ""
    return f"{below}{found.low:.4g} to {above}{found.high:.4g}"


def _histogram(picture: Drawing, x: float, y: float, wire: str, arrivals: Arrivals) -> None:
    picture.text(x, y - 8, wire, cls="head")
    picture.text(x + WIDTH, y - 8, f"{arrivals.wrong} trials with a wrong number", cls="soft", anchor="end")
    first, step, counts = binned(arrivals.histogram)
    wide, tallest = WIDTH / max(1, len(counts)), max(counts, default=1)
    for place, count in enumerate(counts):
        tall = HEIGHT * count / tallest
        picture.rect(x + place * wide, y + HEIGHT - tall, max(wide - 1, 0.5), tall, cls="bar")
    _base(picture, x, y)
    if counts:
        picture.text(x, y + HEIGHT + 14, f"{ps(first):+.1f} ps", cls="soft")
        last = f"{ps(first + step * len(counts) - 1):+.1f} ps"
        picture.text(x + WIDTH, y + HEIGHT + 14, last, cls="soft", anchor="end")
    picture.text(x + WIDTH / 2, y + HEIGHT + 14, "later than expected", cls="soft", anchor="middle")


def _curve(picture: Drawing, x: float, y: float, sweep: str, found: Margin, wanted: float) -> None:
    values = [*found.curve]
    least, span = values[0], max(values[-1] - values[0], 1e-12)

    def place(value: float, share: float) -> Point:
        return x + WIDTH * (value - least) / span, y + HEIGHT * (1 - share)

    if found.low is not None and found.high is not None:
        left, right = place(found.low, 1)[0], place(found.high, 1)[0]
        picture.rect(left, y, right - left, HEIGHT, cls="range")
    picture.line([place(least, wanted), place(values[-1], wanted)], cls="wanted")
    points = [place(value, share) for value, share in found.curve.items()]
    picture.line(points, cls="curve")
    for across, down in points:
        picture.dot(across, down, 2, cls="point")
    _base(picture, x, y)
    modelled = " (modelled)" if SWEEPS[sweep].modelled else ""
    picture.text(x, y - 8, f"yield over {sweep}{modelled}", cls="head")
    picture.text(x + WIDTH, y - 8, _range(sweep, found), cls="soft", anchor="end")
    picture.text(x + WIDTH / 2, y + HEIGHT + 14, SWEEPS[sweep].what, cls="soft", anchor="middle")
    picture.text(x, y + HEIGHT + 14, f"{least:.4g}", cls="soft")
    picture.text(x + WIDTH, y + HEIGHT + 14, f"{values[-1]:.4g}", cls="soft", anchor="end")
    for share in (0, 1):
        picture.text(x - 6, y + HEIGHT * (1 - share) + 4, str(share), cls="soft", anchor="end")


def _base(picture: Drawing, x: float, y: float) -> None:
    picture.line([(x, y), (x, y + HEIGHT), (x + WIDTH, y + HEIGHT)], cls="axis")
