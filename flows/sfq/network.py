"""`niello sfq network`: how well a trained network answers against bias, spread, temperature and window."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flows import run
from flows.array_files import npz_bytes
from flows.engines import Arrays
from flows.errors import BadInput
from flows.load import load_design
from flows.output import check_output, write_output
from flows.paths import shown
from flows.road import Route, results_or_error, travel
from flows.sfq.network_picture import network_picture
from flows.sfq.train import network_config
from hdl.sfq.network_config import StochasticConfig, load_currents
from sim.sfq.network_model import Program
from sim.sfq.network_program import NOMINAL, program
from sim.sfq.network_study import AXES, Counter, Point, Quality, model_counter, quality, ranges
from sim.sfq.network_tasks import task
from sim.sfq.network_vectors import arrays_of

MOST_SEEDS, MOST_SLOTS = 256, 65535
ENGINES = ("model", "rtl")


class Library:
    """The Verilated design as an engine; `differing` counts the windows that the golden model has otherwise."""

    def __init__(self, design_name: str, config: StochasticConfig):
        self._route = Route.of(load_design(design_name))
        needed = run.needs(self._route, "rtl")
        self._results = results_or_error(travel([self._route], lambda _: needed, plain=True))
        self._model = model_counter(config)
        self.windows = self.differing = self.cycles = 0

    def __call__(self, program: Program, pulses: NDArray[np.uint8]) -> NDArray[np.int64]:
        """See `sim.sfq.network_study.Counter`."""
        found = []
        for thresholds, neurons, states in zip(program.thresholds, program.neurons, program.states, strict=True):
            arrays: Arrays = arrays_of(Program(thresholds, neurons, states), pulses)
            outputs, metrics = run.execute(self._route, "rtl", self._results, arrays)
            found.append(outputs["counts"].astype(np.int64))
            self.cycles += metrics["cycles"]
        got, wanted = np.stack(found), self._model(program, pulses)
        self.windows += got.shape[0] * got.shape[1]
        self.differing += int((got != wanted).any(axis=-1).sum())
        return got


def network(
    design_name: str,
    engine: str,
    seeds: int,
    slots: int | None,
    examples: int | None,
    picture: Path | None,
    arrays: Path | None,
) -> dict[str, Any]:
    """Sweeps along every axis, and the ranges in which every seed answers right.

    `arrays` becomes what `niello run` takes: the trained network of the first seed, and the examples' windows.

    Raises
    ------
    BadInput
        If the design is no network, or an option is out of range.
    """
    config = network_config(design_name)
    slots = config.window_slots if slots is None else slots
    if engine not in ENGINES:
        raise BadInput(f"--engine must be one of {', '.join(ENGINES)}, not {engine}")
    for name, value, most in (("seeds", seeds, MOST_SEEDS), ("slots", slots, MOST_SLOTS)):
        if not 1 <= value <= most:
            raise BadInput(f"--{name} must be in 1..{most}, not {value}")
    shown_examples = task(config.task).test
    if examples is not None:
        most = len(shown_examples.labels)
        if not 1 <= examples <= most:
            raise BadInput(f"--examples must be in 1..{most}, not {examples}")
        shown_examples = shown_examples.first(examples)
    if config.outputs == 1 and not 0 < shown_examples.labels.sum() < len(shown_examples.labels):
        raise BadInput("--examples must leave true ones and false ones, or there is no margin")
    for path in (picture, arrays):
        if path is not None:
            check_output(path)
    counter: Counter = model_counter(config) if engine == "model" else Library(design_name, config)
    chips, nominal = np.arange(seeds) + config.seed, Point(NOMINAL, slots)

    def at(point: Point) -> Quality:
        return quality(config, shown_examples, point, chips, counter)

    sweeps = {axis: [(value, at(nominal.at(axis, value))) for value in of.values] for axis, of in AXES.items()}
    result = {
        "design": design_name,
        "engine": engine,
        "quality": "margin" if config.outputs == 1 else "accuracy",
        "seeds": seeds,
        "slots": slots,
        "examples": len(shown_examples.labels),
        "nominal": vars(at(nominal)),
        "sweeps": {axis: [{"at": value} | vars(one) for value, one in points] for axis, points in sweeps.items()},
    }
    if config.outputs == 1:
        result["positive"] = ranges(config, shown_examples, nominal, chips, counter)
    if isinstance(counter, Library):
        result |= {"windows": counter.windows, "differing": counter.differing, "cycles": counter.cycles}
    if arrays is not None:
        loaded = program(config, load_currents(config), NOMINAL, config.seed)
        write_output(arrays, npz_bytes(**arrays_of(loaded, shown_examples.pulses(slots))))
        result["arrays"] = shown(arrays)
    if picture is not None:
        drawn = network_picture(design_name, str(result["quality"]), sweeps, seeds, slots)
        write_output(picture, drawn.encode())
        result["picture"] = shown(picture)
    return result
