"""Superconducting circuits: junctions, inductors, bias currents and pulse inputs, assembled into matrices.

A junction is an RCSJ one of a process: critical current `ic_ua`, and in parallel a capacitance in proportion to it and
a resistance in inverse proportion (shunt and subgap). The state is the phase of each node; ground has phase 0. Units
that fit together: ps, uA, uV, ohm, pH, pF; the flux quantum over 2 pi is then `PHASE_FLUX` uA pH. Any value may be an
array, one entry a circuit: they are then simulated side by side.

Process constants: MIT-LL SFQ5ee, 10 kA/cm2 (Tolpygo et al., IEEE TAS 26, 1100110, 2016): 70 fF and a shunt of 6.86 ohm
at 100 uA, subgap 160 ohm.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from hdl.common.config import ConfigError, did_you_mean

Array = NDArray[np.float64]
Value = float | Array
"""One for all circuits, or an array with one for each."""

FLUX_QUANTUM_UA_PH = 2067.833848
PHASE_FLUX = FLUX_QUANTUM_UA_PH / (2 * np.pi)
BOLTZMANN = 13.80649
"""In units of uA^2 ohm ps / K, which are also uV^2 ps / (ohm K)."""

CAPACITANCE_PF_PER_UA = 0.7e-3
SHUNT_OHM_UA = 686.0
SUBGAP_OHM_UA = 16_000.0

GROUND = "0"


@dataclass
class Circuit:
    """A circuit under construction; nodes are named by use.

    Attributes
    ----------
    junctions : from node, to node, critical current in uA, whether a shunt is parallel to it
    inductors : from node, to node, pH, ohm in series
    biases : node, uA that flow into it once they are switched on
    inputs : nodes whose phase is given: it rises by 2 pi a pulse
    scale : factor on the bias currents that are added from now on
    """

    junctions: list[tuple[str, str, Value, bool]] = field(default_factory=list)
    inductors: list[tuple[str, str, Value, Value]] = field(default_factory=list)
    biases: list[tuple[str, Value]] = field(default_factory=list)
    inputs: list[str] = field(default_factory=list)
    scale: Value = 1.0

    def junction(self, node: str, ic_ua: Value, to: str = GROUND, *, shunted: bool = True) -> None:
        """A junction, with its shunt parallel to it or without."""
        self.junctions.append((node, to, ic_ua, shunted))

    def inductor(self, node: str, to: str, ph: Value, ohm: Value = 0.0) -> None:
        """An inductor, or an inductor and a resistor in series."""
        self.inductors.append((node, to, ph, ohm))

    def bias(self, node: str, ua: Value) -> None:
        """A current into a node."""
        self.biases.append((node, ua * self.scale))

    def input(self, node: str) -> None:
        """A node that pulses are put in at; only inductors may lead from it."""
        self.inputs.append(node)


@dataclass(frozen=True)
class System:
    """A circuit as matrices. Leading axis: circuits, or 1 if all are alike. n nodes with junctions, J junctions, m
    resistive branches, S inputs. Sum of currents at the nodes, t in ps:

        mass v' + damping v + stiffness x + junctions^T (ic sin(junctions x)) + branches^T i = force [on, inputs]
        branch_ph i' + branch_ohm i = PHASE_FLUX (branches v + moved [on, inputs]')

    Attributes
    ----------
    nodes : names of the n nodes
    inputs : names of the S inputs
    mass, damping, stiffness : (., n, n)
    force : (., n, 1 + S) currents by what drives: the biases' switch, and the phases of the inputs
    junctions : (J, n) -1, 0, 1
    ic, ohm : (., J) critical currents, and what is parallel to the junctions
    branches : (., m, n) how the phases across the branches follow those of the nodes
    moved : (., m, 1 + S) and how they follow what drives
    branch_ph : (., m, m)
    branch_ohm : (., m)
    """

    nodes: tuple[str, ...]
    inputs: tuple[str, ...]
    mass: Array
    damping: Array
    stiffness: Array
    force: Array
    junctions: Array
    ic: Array
    ohm: Array
    branches: Array
    moved: Array
    branch_ph: Array
    branch_ohm: Array

    @property
    def width(self) -> int:
        """Circuits side by side."""
        return len(self.stiffness)


def assemble(circuit: Circuit) -> System:
    """The matrices of a circuit. Nodes without junctions have no state of their own: they are eliminated.

    Raises
    ------
    ConfigError
        If a node hangs on resistive branches alone, or more than inductors leads from an input.
    """
    nodes = tuple(dict.fromkeys(node for a, b, *_ in circuit.junctions for node in (a, b) if node != GROUND))
    for node in circuit.inputs:
        if node in nodes:
            raise ConfigError(f"input {node} has a junction; an inductor must lead from it")
    bare = [node for a, b, _, _ in circuit.inductors for node in (a, b)] + [node for node, _ in circuit.biases]
    known = {GROUND, *nodes, *circuit.inputs}
    bare = [node for node in dict.fromkeys(bare) if node not in known]
    values = [ic for _, _, ic, _ in circuit.junctions] + [v for one in circuit.inductors for v in one[2:]]
    values += [v for _, v in circuit.biases]
    width = max(np.size(value) for value in values)

    def spread(column: list[Value]) -> Array:
        return (
            np.stack([np.broadcast_to(np.asarray(v, float), width) for v in column], -1)
            if column
            else (np.zeros((width, 0)))
        )

    junctions = _incidence([(a, b) for a, b, *_ in circuit.junctions], nodes)
    ic = spread([ic for _, _, ic, _ in circuit.junctions])
    shunted = np.array([shunted for *_, shunted in circuit.junctions], float)
    ohm = 1 / (ic * shunted / SHUNT_OHM_UA + ic / SUBGAP_OHM_UA)
    # Inductors without resistance pull like springs: all nodes at first, then the bare ones drop out.
    everything = (*nodes, *bare, *circuit.inputs)
    resistive = [np.any(np.asarray(one[3]) != 0) for one in circuit.inductors]
    springs = [one for one, has in zip(circuit.inductors, resistive, strict=True) if not has]
    branches = [one for one, has in zip(circuit.inductors, resistive, strict=True) if has]
    pulled = {node for a, b, *_ in springs for node in (a, b)}
    for a, b, *_ in branches:
        for node in (a, b):
            if node in circuit.inputs or (node in bare and node not in pulled):
                raise ConfigError(f"node {node} of a resistive branch needs a junction, or an inductor without ohms")
    ends = _incidence([(a, b) for a, b, *_ in springs], everything)
    pull = _laplacian(ends, PHASE_FLUX / spread([ph for _, _, ph, _ in springs]))
    push = np.zeros((width, len(everything)))
    for node, ua in circuit.biases:
        push[:, everything.index(node)] += ua
    n, free = len(nodes), len(nodes) + len(bare)
    drive = np.concatenate([push[:, :free, None], -pull[:, :free, free:]], 2)
    inner, onto = pull[:, n:free, n:free], pull[:, :n, n:free]
    give = np.linalg.inv(inner)  # phases of the bare nodes by currents into them
    drop = onto @ give
    across = np.broadcast_to(
        _incidence([(a, b) for a, b, *_ in branches], everything[:free]), (width, len(branches), free)
    )
    at_bare = across[:, :, n:] @ give
    branch_ph = spread([ph for _, _, ph, _ in branches])
    capacitance = PHASE_FLUX * CAPACITANCE_PF_PER_UA * ic
    return System(
        nodes=nodes,
        inputs=tuple(circuit.inputs),
        mass=_laplacian(junctions, capacitance),
        damping=_laplacian(junctions, PHASE_FLUX / ohm),
        stiffness=pull[:, :n, :n] - drop @ pull[:, n:free, :n],
        force=drive[:, :n] - drop @ drive[:, n:],
        junctions=junctions,
        ic=ic,
        ohm=ohm,
        branches=across[:, :, :n] - at_bare @ np.swapaxes(onto, 1, 2),
        moved=at_bare @ drive[:, n:],
        branch_ph=branch_ph[:, :, None] * np.eye(len(branches))
        + PHASE_FLUX * at_bare @ np.swapaxes(across[:, :, n:], 1, 2),
        branch_ohm=spread([value for *_, value in branches]),
    )


def node_index(system: System, node: str) -> int:
    """The place of a node that has a junction.

    Raises
    ------
    ConfigError
        If there is none of this name.
    """
    if node not in system.nodes:
        raise ConfigError(f"{node} is not a node with a junction{did_you_mean(node, [*system.nodes])}")
    return system.nodes.index(node)


def _incidence(ends: list[tuple[str, str]], nodes: tuple[str, ...]) -> Array:
    """1 where a branch leaves a node, -1 where it comes to one."""
    places: Mapping[str, int] = {node: index for index, node in enumerate(nodes)}
    found = np.zeros((len(ends), len(nodes)))
    for row, (a, b) in enumerate(ends):
        for node, sign in ((a, 1), (b, -1)):
            if node != GROUND:
                found[row, places[node]] += sign
    return found


def _laplacian(incidence: Array, weights: Array) -> Array:
    """Sum over the branches of what they weigh between their nodes: (., n, n)."""
    return np.asarray(np.einsum("ja,wj,jb->wab", incidence, weights, incidence, optimize=True))
