"""`niello sfq margins`: yield of a netlist with spread delays, when its outputs come, and how far it may be pushed."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from math import isfinite
from pathlib import Path
from typing import Any

from flows.errors import BadInput
from flows.paths import shown
from flows.sfq.conditions import Conditions, not_at_rest
from flows.sfq.engine import load_kernel
from flows.sfq.margins_picture import margins_picture
from flows.sfq.netlists import MOST_CHARACTERS
from flows.text_files import read_json
from hdl.common.config import ConfigError, did_you_mean
from hdl.sfq.cells import TICKS_PER_PS, ps
from hdl.sfq.netlist import Netlist, Stimulus, parse_stimulus
from sim.sfq.event_model import NeverAtRest
from sim.sfq.margins import SWEEPS, Margin, Sweep, margin
from sim.sfq.monte_carlo import Arrivals, Experiment, Outcome, Point, Statistics, binned
from sim.sfq.spread import Spread
from sim.sfq.trials import ModelSimulator

MOST_TRIALS = 10_000_000
MOST_SEED = (1 << 64) - 1
MOST_THREADS = 256
MOST_SIGMA = 1.0
MOST_JITTER_PS = 1000.0
WORST = 10
"""Pins with violations that are listed."""

CHOICES = {"windows": ("scaled", "fixed"), "accept": ("order", "count"), "expect": ("nominal", "recorded")}


@dataclass(frozen=True)
class Options:
    """The command's options, as it documents them."""

    sigma: float
    global_sigma: float
    jitter_ps: float
    windows: str
    trials: int
    seed: int
    accept: str
    expect: str
    wanted: float
    sweeps: Sequence[str]
    least: float | None
    most: float | None
    policy: str
    until_ps: float | None
    library: str | None
    inputs: Path | None
    threads: int | None

    def check(self) -> None:
        """Raises BadInput if an option is wrong."""
        for name, value, most in (
            ("sigma", self.sigma, MOST_SIGMA),
            ("global-sigma", self.global_sigma, MOST_SIGMA),
            ("jitter-ps", self.jitter_ps, MOST_JITTER_PS),
            ("yield", self.wanted, 1.0),
        ):
            if not 0 <= value <= most:
                raise BadInput(f"--{name} must be in 0..{most:g}, not {value:g}")
        for name, whole, least, limit in (
            ("trials", self.trials, 1, MOST_TRIALS),
            ("seed", self.seed, 0, MOST_SEED),
            ("threads", 1 if self.threads is None else self.threads, 1, MOST_THREADS),
        ):
            if not least <= whole <= limit:
                raise BadInput(f"--{name} must be in {least}..{limit}, not {whole}")
        for name, allowed in CHOICES.items():
            if getattr(self, name) not in allowed:
                raise BadInput(f"--{name} must be one of {', '.join(allowed)}, not {getattr(self, name)}")
        for sweep in self.sweeps:
            if sweep not in SWEEPS:
                raise BadInput(f"--sweep {sweep} is not a quantity{did_you_mean(sweep, [*SWEEPS])}")
        if len(self.sweeps) != 1 and not (self.least is None and self.most is None):
            raise BadInput(f"--from and --to need one --sweep, not {len(self.sweeps)}")

    @property
    def point(self) -> Point:
        """Where the yield is asked for."""
        jitter = self.jitter_ps * TICKS_PER_PS
        return Point(Spread(self.sigma, self.global_sigma, jitter, self.windows == "scaled", self.seed))

    def ends(self, sweep: Sweep) -> tuple[float, float]:
        """Where a sweep begins and ends; the nominal value lies between.

        Raises
        ------
        BadInput
            If it does not, or an end is further than it can be.
        """
        nominal = sweep.of(self.point)
        least = min(sweep.least, nominal) if self.least is None else self.least
        most = max(sweep.most, nominal) if self.most is None else self.most
        for name, value, floor, ceiling in (
            ("from", least, sweep.floor, nominal),
            ("to", most, nominal, sweep.ceiling),
        ):
            if not (isfinite(value) and floor <= value <= ceiling):
                raise BadInput(f"--{name} must be in {floor:g}..{ceiling:g} for this sweep, not {value:g}")
        return least, most


def margins_of_file(path: Path, options: Options, picture: Path | None) -> dict[str, Any]:
    """Yield, arrivals, violations and margins of a netlist; times in ps. A picture of them goes into `picture`.

    Raises
    ------
    BadInput
        If the file or an option is wrong, or the netlist never comes to rest.
    """
    options.check()
    conditions = Conditions(options.policy, options.seed & 0xFFFF, options.until_ps, options.library, options.inputs)
    rules = conditions.rules()
    netlist, stimulus = conditions.read(path)
    if not netlist.outputs:
        raise BadInput(f"{shown(path)}: no output, so that nothing can be right or wrong")
    ends = {name: options.ends(SWEEPS[name]) for name in options.sweeps}
    kernel = load_kernel()
    try:
        experiment = Experiment(
            ModelSimulator(netlist) if kernel is None else kernel.load(netlist),
            stimulus,
            expected=_recorded(path, netlist) if options.expect == "recorded" else None,
            ordered=options.accept == "order",
            policy=rules["policy"],
            coins=rules["seed"],
            until=rules["until"],
            threads=options.threads or len(os.sched_getaffinity(0)),
        )
        outcome = experiment.outcome(options.point, options.trials)
        margins = {
            name: margin(
                experiment, SWEEPS[name], options.point, options.wanted, options.trials, least=least, most=most
            )
            for name, (least, most) in ends.items()
        }
    except NeverAtRest as error:
        raise not_at_rest(path, error) from None
    if picture is not None:
        _write(picture, margins_picture(netlist.name, outcome, margins, options.wanted))
    return {
        "netlist": netlist.name,
        "trials": options.trials,
        "seed": options.seed,
        "yield": outcome.passing,
        "violating": outcome.violating / outcome.trials,
        "disordered": outcome.disordered / outcome.trials,
        "nominal_violations": len(experiment.nominal.violations),
        "outputs": {wire: _arrivals(arrivals, outcome.trials) for wire, arrivals in outcome.arrivals.items()},
        "worst": _worst(netlist, outcome),
        "margins": {name: _margin(one, SWEEPS[name], options.wanted) for name, one in margins.items()},
        "deliveries": outcome.deliveries,
        "engine": "python" if kernel is None else "kernel",
    }


def _recorded(path: Path, netlist: Netlist) -> Stimulus:
    """The pulses that the file lists at its outputs, read as it lists those at inputs."""
    listed = read_json(path, MOST_CHARACTERS).get("outputs")
    if not isinstance(listed, dict):
        raise BadInput(f"{shown(path)}: --expect recorded needs a map of times at outputs, which is not there")
    try:
        return parse_stimulus({wire: listed[wire] for wire in netlist.outputs})
    except ConfigError as error:
        raise BadInput(f"{shown(path)}: outputs, read like inputs: {error}") from None


def _arrivals(arrivals: Arrivals, trials: int) -> dict[str, Any]:
    return {
        "wrong_count": arrivals.wrong / trials,
        "pulses": [
            {"expected_ps": ps(time), **_statistics(one)}
            for time, one in zip(arrivals.expected, arrivals.pulses, strict=True)
        ],
        "late_ps": _bins(arrivals.histogram),
    }


def _statistics(one: Statistics) -> dict[str, float | None]:
    figures = {"mean_ps": one.mean, "std_ps": one.std, "min_ps": one.least, "max_ps": one.most}
    return {name: None if value is None else round(value / TICKS_PER_PS, 4) for name, value in figures.items()}


def _bins(histogram: dict[int, int]) -> dict[str, Any]:
    first, step, counts = binned(histogram)
    return {"from_ps": ps(first), "step_ps": ps(step), "counts": counts}


def _worst(netlist: Netlist, outcome: Outcome) -> list[dict[str, Any]]:
    cells = {one.name: one.cell.name for one in netlist.instances}
    return [
        {"inst": name, "cell": cells[name], "pin": pin, "rule": rule, "per_trial": round(count / outcome.trials, 6)}
        for (name, pin, rule), count in [*outcome.broken.items()][:WORST]
    ]


def _margin(found: Margin, sweep: Sweep, wanted: float) -> dict[str, Any]:
    return {
        "what": sweep.what + (" (modelled)" if sweep.modelled else ""),
        "yield_wanted": wanted,
        "nominal": found.nominal,
        "low": _rounded(found.low),
        "high": _rounded(found.high),
        "low_is_end_of_sweep": found.low_is_end,
        "high_is_end_of_sweep": found.high_is_end,
        "curve": [[_rounded(value), share] for value, share in found.curve.items()],
    }


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 6)


def _write(path: Path, text: str) -> None:
    try:
        path.write_text(text)
    except OSError as error:
        raise BadInput(f"{shown(path)}: {(error.strerror or str(error)).lower()}") from None
