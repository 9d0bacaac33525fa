"""Networks of fewer bits: resolution over the bits of weights and activations, and what the gateware takes."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from bench.common import ROOT, say
from bench.ecp5 import synthesised
from bench.pulse_network import CASES, network_errors
from flows.curves_picture import Curve, Panel, curves_picture
from flows.verilog import emit
from hdl.pulse.cnn import Cnn
from hdl.pulse.cnn_config import CnnConfig
from sim.pulse.cnn_train import Bits, train
from sim.pulse.fisher import bound
from sim.pulse.setup import Setup
from sim.pulse.signals import records

PICTURE = ROOT / "docs" / "pulse_bits.svg"
WEIGHTS, ACTIVATIONS = (4, 6, 8), (8, 10, 12, 16)
PULSES = ("one amplitude", "stretches of 5 %")
SEEDS, STEPS, COUNT, FORM = (1, 2), 2000, 20_000, "mlp"
JUDGED, JUDGED_SEED = 20_000, 99
TOP = "niello_pulse_cnn_bits"


def bits() -> dict[str, Any]:
    """The 12 combinations: rms time and energy of two kinds of pulses, cells; draws the picture."""
    found = {"resolution": resolutions(), "gateware": gateware()}
    PICTURE.write_text(picture(found["resolution"]))
    return found


def resolutions() -> dict[str, Any]:
    """Rms errors about the median, the mean of the seeds, for each kind of pulses and each combination."""
    found: dict[str, Any] = {}
    for case in PULSES:
        setup = Setup.parse(CASES[case])
        limit, drawn = bound(setup), records(setup, JUDGED, JUDGED_SEED)
        found[case] = {"bound": {"time_ps": limit.time_ps, "energy_percent": 100 * limit.amplitude}}
        for weights in WEIGHTS:
            for activations in ACTIVATIONS:
                of = Bits(weights, activations)
                made = [train(setup, STEPS, COUNT, seed, FORM, bits=of) for seed in SEEDS]
                errors = [network_errors(setup, one, drawn) for one in made]
                each: dict[str, Any] = {name: float(np.mean([one[name] for one in errors])) for name in errors[0]}
                each |= {f"{name} of seeds": [round(one[name], 4) for one in errors] for name in errors[0]}
                found[case][name_of(of)] = each
                say(f"{case}, {name_of(of)}: time", f"{each['time_ps']:.1f}", "ps", "none")
                say(f"{case}, {name_of(of)}: energy", f"{each['energy_percent']:.4f}", "%", "none")
    return found


def gateware() -> dict[str, Any]:
    """Cells of pulse_cnn_r0 with so many bits, on an ECP5; not routed."""
    found = {}
    for weights in WEIGHTS:
        for activations in ACTIVATIONS:
            of = Bits(weights, activations)
            with tempfile.TemporaryDirectory() as place:
                each = built(of, Path(place))
            found[name_of(of)] = each
            say(f"{name_of(of)}: gateware", str(each), "", "none")
    return found


def built(of: Bits, folder: Path) -> dict[str, Any]:
    """Cells of one combination."""
    params = {"samples": 32, "weight_bits": of.weights, "activation_bits": of.activations}
    return synthesised(emit(Cnn(CnnConfig.parse(params)), TOP), TOP, folder)


def name_of(of: Bits) -> str:
    """Such as w4 a10."""
    return f"w{of.weights} a{of.activations}"


def picture(found: dict[str, Any]) -> str:
    """Time and energy of lone pulses of one amplitude over the bits of an activation, a line for each of a weight."""

    def panel(title: str, unit: str, figure: str, marks: list[float]) -> Panel:
        each, curves = found[PULSES[0]], []
        for weights in WEIGHTS:
            points = [(float(a), each[name_of(Bits(weights, a))][figure]) for a in ACTIVATIONS]
            curves.append(Curve(f"weights of {weights} bits", points, points))
        return Panel(title, "bits of an activation", f"{unit} rms", [8.0, 10.0, 12.0, 14.0, 16.0], marks, curves)

    panels = [
        panel("Time", "ps", "time_ps", [60.0, 70.0, 80.0, 90.0, 100.0, 110.0, 120.0]),
        panel("Energy", "%", "energy_percent", [0.2, 0.3, 0.4, 0.5]),
    ]
    what = (
        "Resolution of networks trained for r0 pulses over the bits of their activations, for three widths of weights"
    )
    return curves_picture("pulse_bits", "Networks of fewer bits", what, panels)
