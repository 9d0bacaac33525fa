"""Figures of synapse and neuron: their circuits fitted, and held against stored curves."""

from __future__ import annotations

import json
from typing import Any

import numpy as np

from bench.common import ROOT, say
from flows.curves_picture import Curve, Panel, curves_picture
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
STORED_PULSES = 1000
"""At each current of the stored shares."""

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
    """The stored curves of a synapse and tables of a neuron, and ours at the same points.

    The stored shares are fitted as ours are: the fits that are stored with them weigh all shares alike, and differ from
    these by as much as the two curves do.
    """
    found: dict[str, Any] = {}
    for name, stored in json.loads((DATA / "comparator_synapse_transfer.json").read_text()).items():
        period = float(name.partition("per")[2].removesuffix("ps"))
        currents, came = np.array(stored["Ix_uA"]), np.full(len(stored["Ix_uA"]), STORED_PULSES)
        ours = fit_transfer(currents, *measure_synapse(currents, SYNAPSE_PULSES, period_ps=period, seed=2))
        theirs = fit_transfer(currents, np.array(stored["p_pass"]) * STORED_PULSES, came)
        apart = {}
        for what in ("threshold", "gray_zone"):
            (one, error), (other, other_error) = (
                (getattr(fit, f"{what}_ua"), getattr(fit, f"{what}_error_ua")) for fit in (ours, theirs)
            )
            apart[what] = abs(one - other) / float(np.hypot(error, other_error))
            label = f"synapse at {period:g} ps, {what.replace('_', ' ')}"
            say(label, one, f"uA +- {error:.2f}", f"{other:.2f} +- {other_error:.2f}, the stored")
            say(f"{label}, apart", apart[what], "errors", "at most 2")
        found[name] = {"ours": vars(ours), "stored": vars(theirs), "errors_apart": apart}
    for name, stored in json.loads((DATA / "neuron_transfer.json").read_text()).items():
        loop_ph, period = float(name[1:3]), float(name.partition("per")[2].removesuffix("ps"))
        bias, train = np.array(stored["Ib_uA"]), period * np.arange(24.0)
        counts = measure_neuron(bias, [train], loop_ph=loop_ph)[0]
        off = counts - stored["out"]
        say(f"neuron {name}, counts that differ", int((off != 0).sum()), f"of {len(off)}, by 1", "0")
        away = {
            float(at): _bias_to(float(at), int(right), train, loop_ph)
            for at, right in zip(bias[off != 0], np.array(stored["out"])[off != 0], strict=True)
        }
        for at, change in away.items():
            say(f"neuron {name}, the stored count at {at:g} uA", change, "uA more", "0")
        found[name] = {"counts": counts.tolist(), "largest_difference": int(np.abs(off).max()), "bias_off_ua": away}
    return found


def _bias_to(bias_ua: float, count: int, train: Array, loop_ph: float) -> float | None:
    """The least change of a neuron's bias, in steps of 0.1 uA up to 12, with which it fires so often."""
    changes = np.arange(-120, 121) / 10
    found = changes[measure_neuron(bias_ua + changes, [train], loop_ph=loop_ph)[0] == count]
    return float(min(found, key=abs)) if len(found) else None


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
