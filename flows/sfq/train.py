"""`niello sfq train`: the bias currents of a stochastic network."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from flows.errors import BadInput
from flows.load import load_design
from flows.output import check_output, write_output
from flows.paths import shown
from hdl.sfq.network_config import Currents, StochasticConfig
from sim.sfq.network_tasks import task
from sim.sfq.network_training import as_currents, forward, train

MOST_SEED = 0xFFFF


def network_config(design_name: str) -> StochasticConfig:
    """The config of a design of `sfq.network`.

    Raises
    ------
    BadInput
        If it is another block's.
    """
    design = load_design(design_name)
    if not isinstance(design.config, StochasticConfig):
        raise BadInput(f"a network is a design of sfq.network; {design.name} is {design.block.name}")
    return design.config


def train_file(design_name: str, path: Path, seed: int) -> dict[str, Any]:
    """Train a design's currents for its task, and write them in the form that a design reads.

    Raises
    ------
    BadInput
        If the design is no network, the seed is out of range, or the file cannot be one.
    """
    config = network_config(design_name)
    if not 0 <= seed <= MOST_SEED:
        raise BadInput(f"--seed must be in 0..{MOST_SEED}, not {seed}")
    check_output(path)
    of = task(config.task)
    layers = train(config, of, seed)
    currents = as_currents(layers, f"niello sfq train {design_name} --seed {seed}")
    write_output(path, as_text(currents).encode())
    rates = forward(config, layers, of.test.rates)
    right = float((rates.argmax(axis=1) == of.test.labels).mean()) if config.outputs > 1 else None
    return {
        "design": design_name,
        "file": shown(path),
        "seed": seed,
        "surrogate_rates": np.round(rates, 4).ravel().tolist() if config.outputs == 1 else None,
        "surrogate_accuracy": right,
    }


def as_text(currents: Currents) -> str:
    """JSON, a line a neuron."""
    layers = []
    for layer in currents.layers:
        rows = ",\n".join(f"   {json.dumps(row)}" for row in layer.synapses_ua)
        layers.append(f'  {{"neurons_ua": {json.dumps(layer.neurons_ua)},\n   "synapses_ua": [\n{rows}]}}')
    every = ",\n".join(layers)
    return f'{{"source": {json.dumps(currents.source)},\n "layers": [\n{every}]}}\n'
