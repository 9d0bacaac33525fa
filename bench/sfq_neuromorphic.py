"""Figures of synapse and neuron: their circuits fitted, and held against stored curves."""

from __future__ import annotations

import json
from typing import Any

import numpy as np

from bench.common import ROOT, say
from flows.sfq.curves_picture import Curve, Panel, curves_picture
from hdl.sfq.neuromorphic import neuron_fit, synapse_fit
from sim.sfq.circuit import Array
from sim.sfq.fits import (
    fit_neuron,
    fit_transfer,
    measure_neuron,
    measure_synapse,
    neuron_delay_ps,
    synapse_delay_ps,
)
from sim.sfq.neuron_model import loop

PICTURE = "docs/sfq_neuromorphic.svg"
DATA = ROOT / "tests" / "sfq" / "data"
SYNAPSE_UA = np.arange(40.0, 90.0, 4.0)
SYNAPSE_PULSES = 4000
NEURON_UA = np.arange(0.0, 181.0, 12.0)
PERIODS_PS = (12, 15, 20, 30, 50, 80)


def trains() -> list[Array]:
    """Pulse trains for a neuron, 24 pulses each: even ones, and four of random distances of 8 ps and more."""
    even = [period * np.arange(24.0) for period in PERIODS_PS]
    return even + [np.cumsum(np.random.default_rng(seed).exponential(25, 24) + 8) for seed in range(4)]


def fit() -> dict[str, Any]:
    """What `hdl/sfq/neuromorphic.yml` holds, with errors."""
    synapse = fit_transfer(SYNAPSE_UA, *measure_synapse(SYNAPSE_UA, SYNAPSE_PULSES, seed=1))
    neuron = fit_neuron(NEURON_UA, trains(), measure_neuron(NEURON_UA, trains()))
    now, then = synapse_fit(), neuron_fit()
    say(
        "synapse, threshold", synapse.threshold_ua, f"uA, error {synapse.threshold_error_ua:.2f}", f"{now.threshold_ua}"
    )
    say(
        "synapse, gray zone", synapse.gray_zone_ua, f"uA, error {synapse.gray_zone_error_ua:.2f}", f"{now.gray_zone_ua}"
    )
    for name in ("tau_ps", "kick_ua", "threshold_ua", "drop_ua"):
        say(f"neuron, {name}", getattr(neuron, name), name.rpartition("_")[2], f"{getattr(then, name)}")
    say("neuron, firings that the loop misses or adds", 100 * neuron.miss, "% of pulses", "2")
    waits = {
        "synapse": synapse_delay_ps(now.threshold_ua + now.gray_zone_ua / 2),
        "neuron": neuron_delay_ps(NEURON_UA, 20 * np.arange(24.0)),
    }
    for name, wait in waits.items():
        say(f"{name}, delay", wait, "ps", f"{now.delay_ps if name == 'synapse' else then.delay_ps}")
    return {"synapse": vars(synapse), "neuron": vars(neuron), "delay_ps": waits}


def curves() -> dict[str, Any]:
    """The stored curves of a synapse and tables of a neuron, and ours at the same points."""
    found: dict[str, Any] = {}
    for name, stored in json.loads((DATA / "comparator_synapse_transfer.json").read_text()).items():
        period = float(name.partition("per")[2].removesuffix("ps"))
        currents = np.array(stored["Ix_uA"])
        ours = fit_transfer(currents, *measure_synapse(currents, 1000, period_ps=period, seed=2))
        say(f"synapse at {period:g} ps, threshold", ours.threshold_ua, "uA", f"{stored['threshold_uA']:.2f}")
        say(f"synapse at {period:g} ps, gray zone", ours.gray_zone_ua, "uA", f"{stored['gray_zone_uA']:.2f}")
        found[name] = vars(ours)
    for name, stored in json.loads((DATA / "neuron_transfer.json").read_text()).items():
        loop_ph, period = float(name[1:3]), float(name.partition("per")[2].removesuffix("ps"))
        counts = measure_neuron(np.array(stored["Ib_uA"]), [period * np.arange(24.0)], loop_ph=loop_ph)[0]
        off = np.abs(counts - stored["out"])
        say(f"neuron {name}, counts that differ", int((off > 0).sum()), f"of {len(off)}, by 1", "0")
        found[name] = {"counts": counts.tolist(), "largest_difference": int(off.max())}
    return found


def picture() -> dict[str, Any]:
    """`docs/sfq_neuromorphic.svg`: the fits as lines, the circuits as points."""
    synapse, neuron = synapse_fit(), neuron_fit()
    passed, came = measure_synapse(SYNAPSE_UA, 1000, seed=3)
    fine = np.arange(40.0, 90.1, 0.5)
    transfer = Panel(
        "Synapse at 4.2 K",
        "bias current, uA",
        "share of pulses that pass",
        range(40, 91, 10),
        (0, 0.25, 0.5, 0.75, 1),
        [
            Curve(
                "fit, and circuit",
                [(float(one), synapse.pass_probability(float(one))) for one in fine],
                [(float(one), float(share)) for one, share in zip(SYNAPSE_UA, passed / came, strict=True)],
            )
        ],
    )
    curves = []
    for period in (20, 30, 50):
        train = period * np.arange(24.0)
        counts = measure_neuron(NEURON_UA, [train])[0]
        fitted = loop(neuron.tau_ps, (neuron.kick_ua, neuron.threshold_ua, neuron.drop_ua), NEURON_UA, train)
        curves.append(Curve(f"{period} ps", _points(fitted), _points(counts)))
    fires = Panel(
        "Neuron: fit, and circuit",
        "bias current, uA",
        "firings of 24 pulses, by their distance",
        range(0, 181, 30),
        range(0, 25, 6),
        curves,
    )
    text = curves_picture(
        "sfq-neuromorphic",
        "Synapse and neuron",
        "Left: the share of pulses that a synapse lets pass rises with its bias current from 0 to 1 within about 12 uA "
        "around 66.8 uA. Right: how often a neuron fires rises with its bias current, and falls with the distance of "
        "the pulses.",
        [transfer, fires],
    )
    (ROOT / PICTURE).write_text(text)
    say("picture", PICTURE, "", "written")
    return {"file": PICTURE}


def _points(counts: Any) -> list[tuple[float, float]]:
    return [(float(bias), float(count)) for bias, count in zip(NEURON_UA, counts, strict=True)]
