"""The compiled event kernel: runs netlists as the event model does, and trials with spread delays, many times as fast.

    kernel = Kernel(build_kernel(build_dir))
    simulator = kernel.load(netlist)
    simulator.run(stimulus)                    # what event_model.run gives
    simulator.trials(stimulus, spread, ...)    # what ModelSimulator.trials gives

Instances are taken in an order in which those that feed an instance come before it: outside of loops no queue is
needed, and pulses at an instance's inputs are merged. kernel.cpp and the headers beside it hold the other end.
"""

from __future__ import annotations

import ctypes
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from hdl.sfq.netlist import Netlist, Stimulus, coin_seed
from sim.common.closing import Closing
from sim.common.compiled import compile_library
from sim.common.verilate import Signature, load_library
from sim.sfq import event_model
from sim.sfq.event_model import POLICIES, NeverAtRest, Policy, Run, Violation, check_options
from sim.sfq.flat_netlist import flatten
from sim.sfq.random_stream import normal_table
from sim.sfq.spread import Spread
from sim.sfq.trials import RULES, Scales, Trials

SOURCES = ("kernel.cpp", "kernel_trial.h", "kernel_machine.h", "kernel_netlist.h", "kernel_random.h")
OPTIONS = ("-pthread", "-fno-math-errno", "-ffp-contract=off")
"""Numbers that the event model's twin of a trial has too: no fused multiply-add."""

DONE, NOT_AT_REST, NO_MEMORY = range(3)
NEVER = (1 << 63) - 1

VIOLATION = np.dtype([("time", np.int64), *((name, np.int32) for name in ("instance", "pin", "rule", "spare"))])


class _Arrays(ctypes.Structure):
    """A structure whose pointers are given as arrays, which it keeps."""

    def __init__(self, **fields: Any):
        self.kept = [value for value in fields.values() if isinstance(value, np.ndarray)]
        plain = {name: value.ctypes.data if isinstance(value, np.ndarray) else value for name, value in fields.items()}
        super().__init__(**plain)


class NetlistArrays(_Arrays):
    """`Netlist` of kernel_netlist.h."""

    _fields_ = [
        *((name, ctypes.c_int64) for name in ("instance_count", "wire_count", "input_count")),
        *((name, ctypes.c_void_p) for name in ("cells", "reactions", "blocks", "ages", "delays", "instances")),
        *((name, ctypes.c_void_p) for name in ("input_wires", "output_wires")),
    ]


class StimulusArrays(_Arrays):
    """`Stimulus` of kernel.cpp."""

    _fields_ = [("pulses", ctypes.c_void_p), ("counts", ctypes.c_void_p)]


class RulesArrays(_Arrays):
    """`Rules` of kernel_machine.h."""

    _fields_ = [
        *((name, ctypes.c_int64) for name in ("until", "most")),
        ("coins", ctypes.c_void_p),
        *((name, ctypes.c_int32) for name in ("policy", "spare")),
    ]


class SpreadArrays(_Arrays):
    """`Spread` of kernel_machine.h."""

    _fields_ = [
        *((name, ctypes.c_void_p) for name in ("normals", "scales")),
        *((name, ctypes.c_double) for name in ("sigma", "global_sigma", "jitter")),
        ("seed", ctypes.c_uint64),
        *((name, ctypes.c_int32) for name in ("windows", "spare")),
    ]


class TrialArrays(_Arrays):
    """`Trials` of kernel.cpp."""

    _fields_ = [
        *((name, ctypes.c_int64) for name in ("first", "count", "threads", "outputs")),
        *((name, ctypes.c_void_p) for name in ("wires", "expected")),
        ("slots", ctypes.c_int64),
        *((name, ctypes.c_void_p) for name in ("arrivals", "pulses", "violations", "broken")),
        *((name, ctypes.c_int64) for name in ("pins", "deliveries")),
    ]


FUNCTIONS: dict[str, Signature] = {
    "sfq_new": (ctypes.c_void_p, [ctypes.c_void_p]),
    "sfq_delete": (None, [ctypes.c_void_p]),
    "sfq_run": (ctypes.c_int, [ctypes.c_void_p] * 4),
    "sfq_read": (None, [ctypes.c_void_p] * 3),
    "sfq_trials": (ctypes.c_int, [ctypes.c_void_p] * 5),
}


def build_kernel(build_dir: Path) -> Path:
    """The kernel's library below `build_dir`.

    Raises
    ------
    sim.common.verilator.BuildError
        As `compile_library`.
    """
    return compile_library([Path(__file__).with_name(name) for name in SOURCES], build_dir, "kernel", OPTIONS)


class Kernel:
    """A kernel's library, loaded."""

    def __init__(self, library: Path):
        self.functions = load_library(library, FUNCTIONS)

    def load(self, netlist: Netlist) -> Simulator:
        """A netlist in the kernel."""
        return Simulator(self, netlist)


class Simulator(Closing):
    """A netlist in the kernel. One thread may use it at a time; calls release Python's global lock."""

    def __init__(self, kernel: Kernel, netlist: Netlist):
        self._functions, self._handle = kernel.functions, None
        self.netlist, self.flat = netlist, flatten(netlist)
        flat = self.flat
        self._arrays = NetlistArrays(
            instance_count=len(flat.instances),
            wire_count=len(flat.wires),
            input_count=len(netlist.inputs),
            cells=flat.cells,
            reactions=flat.reactions,
            blocks=flat.blocks,
            ages=flat.ages,
            delays=flat.delays,
            instances=flat.instances,
            input_wires=flat.input_wires,
            output_wires=flat.output_wires,
        )
        self._handle = self._functions.sfq_new(ctypes.byref(self._arrays))
        if not self._handle:
            raise MemoryError

    def close(self) -> None:
        """Free the netlist. Further calls are errors."""
        if self._handle:
            self._functions.sfq_delete(self._handle)
            self._handle = None

    def run(self, stimulus: Stimulus, *, policy: Policy = "flag", seed: int = 0, until: int | None = None) -> Run:
        """What `event_model.run` gives, and what it raises."""
        wires, netlist = self.flat.wires, self.netlist
        given, rules = self._stimulus(stimulus, until), self._rules(policy, seed, until)
        counts = np.empty(len(wires) + 2, np.int64)
        self._check(
            self._functions.sfq_run(
                self._handle, ctypes.byref(given), ctypes.byref(rules), ctypes.c_void_p(counts.ctypes.data)
            )
        )
        ends = np.cumsum(counts[:-2])
        pulses = np.empty(int(ends[-1]) if len(ends) else 0, np.int64)
        found = np.empty(int(counts[-2]), VIOLATION)
        self._functions.sfq_read(self._handle, ctypes.c_void_p(pulses.ctypes.data), ctypes.c_void_p(found.ctypes.data))
        parts = np.split(pulses, ends[:-1]) if len(ends) else []
        instances = netlist.instances
        violations = [
            Violation(time, one.name, one.cell.name, one.cell.inputs[pin], RULES[rule])
            for time, number, pin, rule, _ in found.tolist()
            for one in (instances[number],)
        ]
        return Run({wire: part.tolist() for wire, part in zip(wires, parts, strict=True)}, violations, int(counts[-1]))

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
        """What `trials.ModelSimulator.trials` gives, on so many threads.

        Raises
        ------
        sim.sfq.event_model.NeverAtRest
            If a trial does not come to rest.
        """
        outputs, pins, slots = len(expected), len(self.flat.input_wires), sum(expected.values())
        number_of = {wire: number for number, wire in enumerate(self.flat.wires)}
        made = Trials(
            np.empty((count, slots), np.int64),
            np.empty((count, outputs), np.int64),
            np.empty(count, np.int64),
            np.zeros((pins, len(RULES)), np.int64),
            0,
        )
        arrays = TrialArrays(
            first=first,
            count=count,
            threads=threads,
            outputs=outputs,
            wires=np.array([number_of[wire] for wire in expected], np.int32),
            expected=np.array([*expected.values()], np.int64),
            slots=slots,
            arrivals=made.arrivals,
            pulses=made.pulses,
            violations=made.violations,
            broken=made.broken,
            pins=pins,
        )
        drawn = SpreadArrays(
            normals=normal_table(),
            scales=np.ascontiguousarray(scales, np.float64),
            sigma=spread.sigma,
            global_sigma=spread.global_sigma,
            jitter=spread.jitter,
            seed=spread.seed,
            windows=spread.windows,
        )
        given, rules = self._stimulus(stimulus, until), self._rules(policy, coins, until)
        pointers = [ctypes.byref(one) for one in (given, rules, drawn, arrays)]
        self._check(self._functions.sfq_trials(self._handle, *pointers))
        return Trials(made.arrivals, made.pulses, made.violations, made.broken, arrays.deliveries)

    def _stimulus(self, stimulus: Stimulus, until: int | None) -> StimulusArrays:
        def seen(times: Sequence[int]) -> npt.NDArray[np.int64]:
            array = np.unique(np.array(times, np.int64))
            return array if until is None else array[array <= until]

        given = [seen(stimulus.get(wire, ())) for wire in self.netlist.inputs]
        end = np.array([NEVER])
        pulses = np.concatenate([part for times in given for part in (times, end)] or [end])
        return StimulusArrays(pulses=pulses, counts=np.array([len(times) for times in given], np.int64))

    def _rules(self, policy: Policy, seed: int, until: int | None) -> RulesArrays:
        check_options(policy, seed)
        # Only these toss coins.
        tossers = len(self.flat.instances) if policy == "randomise" else 0
        coins = np.array([coin_seed(seed, index) for index in range(tossers)], np.uint16)
        last = NEVER if until is None else min(until, NEVER)
        return RulesArrays(until=last, most=event_model.MOST_DELIVERIES, coins=coins, policy=POLICIES.index(policy))

    def _check(self, code: int) -> None:
        if code == NOT_AT_REST:
            raise NeverAtRest(self.netlist, event_model.MOST_DELIVERIES)
        if code == NO_MEMORY:
            raise MemoryError
