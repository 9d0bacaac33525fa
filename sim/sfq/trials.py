"""Many trials of a netlist, each with delays of its own: what is kept of them, and how the event model does them.

The compiled kernel does the same (`kernel.Simulator.trials`) and is judged by this.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from hdl.sfq.netlist import Netlist, Stimulus
from sim.sfq.event_model import Policy, Rule, Run, run
from sim.sfq.random_stream import instance_key, normal
from sim.sfq.spread import Spread, instance_scale, nearest, scaled_windows

RULES: tuple[Rule, ...] = ("transition_time", "prior_input")

Scales = npt.NDArray[np.float64]
"""Nominal scales of the delays, by instance."""


@dataclass(frozen=True)
class Trials:
    """What trials gave.

    Attributes
    ----------
    arrivals : int64 (trials, slots)
        Ticks of the pulses at the outputs that were asked for, output by output; -1 for an output with another number
        of pulses than expected.
    pulses : int64 (trials, outputs)
    violations : int64 (trials,)
    broken : int64 (pins, rules)
        Violations in all trials, by input pin, instance after instance, and by rule.
    deliveries : int
        In all trials.
    """

    arrivals: npt.NDArray[np.int64]
    pulses: npt.NDArray[np.int64]
    violations: npt.NDArray[np.int64]
    broken: npt.NDArray[np.int64]
    deliveries: int


class ModelSimulator:
    """The event model in the form of `kernel.Simulator`: what answers where there is no compiler."""

    def __init__(self, netlist: Netlist):
        self.netlist = netlist

    def run(self, stimulus: Stimulus, *, policy: Policy = "flag", seed: int = 0, until: int | None = None) -> Run:
        """What `event_model.run` gives, and what it raises."""
        return run(self.netlist, stimulus, policy=policy, seed=seed, until=until)

    def trials(
        self,
        stimulus: Stimulus,
        spread: Spread,
        scales: Scales,
        expected: Mapping[str, int],
        *,
        first: int = 0,
        count: int = 1,
        threads: int = 1,
        policy: Policy = "flag",
        coins: int = 0,
        until: int | None = None,
    ) -> Trials:
        """Trials `first` to `first + count - 1`.

        Parameters
        ----------
        expected : the number of pulses by wire that is looked at
        threads : that the kernel may use; here it is one
        coins : the seed of `randomise`

        Raises
        ------
        sim.sfq.event_model.NeverAtRest
            If a trial does not come to rest.
        """
        places = [(one.name, pin) for one in self.netlist.instances for pin in one.cell.inputs]
        place_of = {pin: place for place, pin in enumerate(places)}
        broken = np.zeros((len(places), len(RULES)), np.int64)
        arrivals, pulses, violations, deliveries = [], [], [], 0
        for trial in range(first, first + count):
            result = self._trial(stimulus, spread, trial, scales, policy=policy, seed=coins, until=until)
            found = [(result.pulses[wire], number) for wire, number in expected.items()]
            arrivals.append(
                [time for times, right in found for time in (times if len(times) == right else [-1] * right)]
            )
            pulses.append([len(times) for times, _ in found])
            violations.append(len(result.violations))
            deliveries += result.deliveries
            for one in result.violations:
                broken[place_of[one.instance, one.pin], RULES.index(one.rule)] += 1
        return Trials(
            np.array(arrivals, np.int64).reshape(count, sum(expected.values())),
            np.array(pulses, np.int64).reshape(count, len(expected)),
            np.array(violations, np.int64),
            broken,
            deliveries,
        )

    def _trial(self, stimulus: Stimulus, spread: Spread, trial: int, scales: Scales, **options: Any) -> Run:
        """One trial; the options are those of `event_model.run`."""
        factors = [instance_scale(spread, trial, index, scale) for index, scale in enumerate(scales.tolist())]
        keys = [instance_key(spread.seed, trial, index) for index in range(len(factors))]
        netlist, cells = self.netlist, [one.cell for one in self.netlist.instances]

        def delay_of(index: int, taken: int, output: str, ticks: int) -> int:
            drawn = ticks * factors[index]
            if spread.jitter > 0:
                number = taken * len(cells[index].outputs) + cells[index].outputs.index(output) + 1
                drawn += spread.jitter * normal(keys[index], number)
            return nearest(drawn, 1)

        if spread.windows:
            instances = zip(netlist.instances, factors, strict=True)
            scaled = tuple(replace(one, cell=scaled_windows(one.cell, factor)) for one, factor in instances)
            netlist = replace(netlist, instances=scaled)
        return run(netlist, stimulus, delay_of=delay_of, **options)
