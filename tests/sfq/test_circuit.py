"""The circuit integrator: delays of a JTL against JoSIM, the method against scipy's, noise against thermodynamics."""

import json
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from scipy.integrate import solve_ivp

from hdl.common.config import ConfigError
from sim.sfq.circuit import Circuit, assemble
from sim.sfq.circuit_solver import RISE_PS, simulate
from sim.sfq.deck_timing import HOP_PS
from sim.sfq.decks import JTL_PH, JTL_UA, drawn_jtl, jtl

JOSIM_PS = {0.6: 2.497, 0.7: 2.080, 0.75: 1.910, 0.8: 1.760, 0.9: 1.493}
"""Of JoSIM 2.7: from one junction of a JTL to the next, by bias."""


def line(junctions, bias=0.7):
    circuit = Circuit()
    circuit.input("in")
    circuit.inductor("in", "n0", JTL_PH)
    jtl(circuit, [f"n{number}" for number in range(junctions)], bias)
    return circuit


def hop_ps(bias, step_ps=0.1):
    flips = simulate(line(24, np.array(bias)), {"in": [40.0]}, 110, ["n8", "n18"], step_ps=step_ps)
    return (flips.times_ps["n18"][:, 0] - flips.times_ps["n8"][:, 0]) / 10


@pytest.mark.parametrize("step_ps", [0.2, 0.1])
def test_jtl_is_as_fast_as_in_josim(step_ps):
    np.testing.assert_allclose(hop_ps([*JOSIM_PS], step_ps), [*JOSIM_PS.values()], rtol=0.004)


def test_jtl_cell_with_parasitics_is_as_fast_as_in_josim_at_any_bias():
    """RSFQlib's cell between others of its kind, its bias alone scaled."""
    wanted = {0.7: 7.14, 0.8: 6.46, 0.9: 5.91, 1.0: 5.46, 1.1: 5.06, 1.2: 4.71, 1.3: 4.39}
    circuit, names = Circuit(), ["in", "p", "a", "q", "r", "end"]
    circuit.input("in")
    for start, end in pairwise(names):
        circuit.scale = np.array([*wanted]) if start == "a" else 1.0
        drawn_jtl(circuit, start, end)
    stored = json.loads((Path(__file__).parent / "data" / "josim_vectors.json").read_text())["cells"]["JTL"]
    flips = simulate(circuit, {"in": [40.0, 90.0]}, 130, ["p.y", "q.x"]).times_ps
    times = flips["q.x"] - flips["p.y"]
    np.testing.assert_allclose(times[:, 0], [*wanted.values()], rtol=0.01)
    np.testing.assert_allclose(times[3], np.subtract(stored["out"]["q"], stored["in"]["a"]), rtol=0.01)


def test_hop_of_the_delays_is_that_of_a_jtl():
    assert abs(hop_ps([0.7])[0] - HOP_PS) < 0.005


def test_integrator_follows_solve_ivp():
    """Two junctions, the second with a resistive branch to a third: written out anew, integrated by another method."""
    ic, series_ph, branch_ph, branch_ohm = 200.0, 5.0, 20.0, 0.4
    bias = np.array([120.0, 130.0, 100.0])
    circuit = Circuit()
    circuit.input("in")
    circuit.inductor("in", "a", series_ph)
    circuit.inductor("a", "b", series_ph)
    circuit.inductor("b", "c", branch_ph, branch_ohm)
    for node, ua in zip("abc", bias, strict=True):
        circuit.junction(node, ic)
        circuit.bias(node, ua)
    farad, siemens = 70e-15 * ic / 100, ic / 100 / 6.86 + ic / 100 / 160
    flux = 2.067833848e-15 / (2 * np.pi)

    def smooth(share):
        share = min(max(share, 0.0), 1.0)
        return share * share * (3 - 2 * share)

    def slope(t_ps, y):
        x, v, current = y[:3], y[3:6], y[6]
        drive = 2 * np.pi * smooth((t_ps - 40) / RISE_PS + 0.5)
        force = bias * 1e-6 * smooth(t_ps / 15) - ic * 1e-6 * np.sin(x) - flux * v * 1e12 * siemens
        spring = flux / (series_ph * 1e-12)
        force += [spring * (drive - 2 * x[0] + x[1]), spring * (x[0] - x[1]) - current, current]
        across = flux * 1e12 * (v[1] - v[2]) - branch_ohm * current
        return [*v, *(force / (flux * farad)) * 1e-24, across / (branch_ph * 1e-12) * 1e-12]

    right = solve_ivp(slope, (0, 90), np.zeros(7), rtol=1e-9, atol=1e-10, max_step=0.5, dense_output=True)
    now = np.linspace(0, 90, 90_001)
    for step_ps, most in ((0.1, 0.02), (0.05, 0.005)):
        flips = simulate(circuit, {"in": [40.0]}, 90, ["a", "b"], step_ps=step_ps)
        for row, node in enumerate("ab"):
            wanted = now[np.argmax(right.sol(now)[row] > np.pi)]
            assert flips.times_ps[node].shape == (1, 1)
            assert abs(flips.times_ps[node][0, 0] - wanted) < most


def test_noise_lets_a_junction_flip_as_in_a_langevin_equation():
    """A junction at its critical current, in SI units by the Euler-Maruyama method: the same times to flip."""
    ic, bias, temperature, copies, duration = 100.0, 100.0, 4.2, 1500, 60
    circuit = Circuit()
    circuit.junction("a", ic)
    circuit.bias("a", bias)
    flips = simulate(circuit, {}, duration, ["a"], copies=copies, temperature_k=temperature, seed=5)
    times = flips.times_ps["a"][:, 0]

    rng, step = np.random.default_rng(6), 0.02e-12
    flux, farad, ohm = 2.067833848e-15 / (2 * np.pi), 70e-15, 1 / (1 / 6.86 + 1 / 160)
    x, v, first = np.zeros(copies), np.zeros(copies), np.full(copies, np.inf)
    kick = np.sqrt(2 * 1.380649e-23 * temperature / ohm * step)
    for number in range(int(duration * 1e-12 / step)):
        ramp = min(number * step / 15e-12, 1.0)
        push = bias * 1e-6 * ramp * ramp * (3 - 2 * ramp) - ic * 1e-6 * np.sin(x) - flux * v / ohm
        v += (push * step + kick * rng.standard_normal(copies)) / (flux * farad)
        x += v * step
        first[(x > np.pi) & np.isinf(first)] = number * step * 1e12
    both = np.isfinite(times).sum(), np.isfinite(first).sum()
    assert both[1] > 100 and abs(both[0] - both[1]) < 4 * np.sqrt(copies / 2)
    for quantile in (0.2, 0.5):
        wanted = np.quantile(first, quantile)
        share = (times < wanted).sum() / copies
        assert abs(share - quantile) < 4 * np.sqrt(2 * quantile * (1 - quantile) / copies)


def test_circuits_side_by_side_are_as_alone():
    bias = np.array([0.6, 0.7, 0.8])
    together = simulate(line(4, bias), {"in": [40.0, 60.0]}, 90, ["n3"]).times_ps["n3"]
    for row, one in enumerate(bias):
        alone = simulate(line(4, one), {"in": [40.0, 60.0]}, 90, ["n3"]).times_ps["n3"]
        np.testing.assert_allclose(together[row], alone[0], rtol=0, atol=1e-9)


def test_noise_is_seeded_and_differs_by_copy():
    def times(seed):
        return simulate(line(4), {"in": [40.0]}, 70, ["n3"], copies=5, temperature_k=4.2, seed=seed).times_ps["n3"]

    first = times(1)
    np.testing.assert_array_equal(first, times(1))
    assert len({*first[:, 0], *times(2)[:, 0]}) == 10
    assert np.ptp(first) < 1


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda c: c.junction("in", JTL_UA), "input in has a junction; an inductor must lead from it"),
        (
            lambda c: c.inductor("n0", "loose", 4.0, 0.3),
            "node loose of a resistive branch needs a junction, or an inductor without ohms",
        ),
        (
            lambda c: c.inductor("n0", "in", 4.0, 0.3),
            "node in of a resistive branch needs a junction, or an inductor without ohms",
        ),
    ],
)
def test_circuit_without_sense_is_refused(change, message):
    circuit = line(2)
    change(circuit)
    with pytest.raises(ConfigError, match=f"^{message}$"):
        assemble(circuit)


def test_pulses_for_another_number_of_circuits_are_refused():
    with pytest.raises(ConfigError, match="^pulses must be for 3 circuits or for one, not for 2$"):
        simulate(line(2, np.array([0.6, 0.7, 0.8])), {"in": [[40.0], [41.0]]}, 60, ["n1"])


@pytest.mark.parametrize(
    ("pulses", "probes", "step_ps", "message"),
    [
        ({"im": [40.0]}, ["n1"], 0.1, 'im is not an input; did you mean "in"?'),
        ({"in": [40.0]}, ["m1"], 0.1, 'm1 is not a node with a junction; did you mean "n1"?'),
        ({"in": [40.0]}, ["n1"], 2.0, "step_ps must be shorter than 2 for this circuit: it did not stay stable"),
    ],
)
def test_bad_run_is_refused(pulses, probes, step_ps, message):
    with pytest.raises(ConfigError) as error:
        simulate(line(2), pulses, 5000 * step_ps, probes, step_ps=step_ps)
    assert str(error.value) == message
