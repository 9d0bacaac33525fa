"""Synapse and neuron as circuits: a pair of junctions that lets a pulse pass by chance, a loop that leaks."""

from __future__ import annotations

from sim.sfq.circuit import FLUX_QUANTUM_UA_PH, Circuit, Value
from sim.sfq.decks import JTL_PH, jtl

SYNAPSE_UA = 200.0
SYNAPSE_IN_PH = 1.0
SYNAPSE_OUT_PH = 4.16
"""Of the lines to and from the pair: these two put the threshold at 66.8 uA."""

NEURON_UA = 200.0
NEURON_PH = FLUX_QUANTUM_UA_PH / (2 * NEURON_UA)
LOOP_PH, LOOP_OHM = 40.0, 0.3


def synapse(weight_ua: Value) -> Circuit:
    """A comparator: three JTL junctions, two junctions of `SYNAPSE_UA` in series, and two JTL junctions: 7.

    A pulse flips either the junction to ground, and passes, or the one in series, and is gone. `weight_ua` flows into
    their midpoint; near the threshold noise decides. Input `in`; `drive` flips with what comes, `q` with what passes.
    """
    circuit = Circuit()
    circuit.input("in")
    circuit.inductor("in", "in.0", JTL_PH)
    jtl(circuit, ["in.0", "in.1", "drive"])
    circuit.inductor("drive", "top", SYNAPSE_IN_PH)
    circuit.junction("top", SYNAPSE_UA, to="middle")
    circuit.junction("middle", SYNAPSE_UA)
    circuit.bias("middle", weight_ua)
    circuit.inductor("middle", "out.0", SYNAPSE_OUT_PH)
    jtl(circuit, ["out.0", "q"])
    return circuit


def neuron(bias_ua: Value, loop_ph: Value = LOOP_PH, loop_ohm: Value = LOOP_OHM) -> Circuit:
    """A leaky loop: three JTL junctions, `loop_ph` and `loop_ohm` in series, a junction with `bias_ua`, and two JTL
    junctions: 6, all of `NEURON_UA`.

    A pulse adds about a flux quantum over `loop_ph` to the loop's current, which dies away within `loop_ph / loop_ohm`.
    Input `in`; `drive` flips with what comes, `q` when the neuron fires.
    """
    circuit = Circuit()
    circuit.input("in")
    circuit.inductor("in", "in.0", NEURON_PH)
    jtl(circuit, ["in.0", "in.1", "drive"], ic_ua=NEURON_UA)
    circuit.inductor("drive", "fire", loop_ph, loop_ohm)
    circuit.junction("fire", NEURON_UA)
    circuit.bias("fire", bias_ua)
    circuit.inductor("fire", "out.0", NEURON_PH)
    jtl(circuit, ["out.0", "q"], ic_ua=NEURON_UA)
    return circuit
