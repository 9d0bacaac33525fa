"""Netlists emulated in Verilator, held to the event model."""

from __future__ import annotations

import numpy as np
from amaranth.hdl import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import connect, flipped

from flows.verilog import emit, port_table
from hdl.sfq.config import EmulationConfig
from hdl.sfq.emulation import Emulation
from hdl.sfq.netlist import DEFAULT_LIBRARY, Instance, Netlist, parse_event_json
from hdl.sfq.netlist_json import event_json
from sim.common.harness import Harness, build_harness
from sim.sfq.emulation_beats import pack, unpack
from sim.sfq.event_model import run
from sim.sfq.random_netlist import random_cells, random_netlist, random_pulses

MOST_CAPTURES = 100_000

EDGES = 6
"""Clocks of a run in `skip` beside one for each event time: two buffers, the empty step, the end, the output slice."""


def together(netlists, library=DEFAULT_LIBRARY):
    """Event JSON of several netlists in one, every wire of it an output, so that one build serves all.

    Names get the number of their netlist, by `numbered`.
    """
    own = [
        Instance(numbered(number, one.name), one.cell, {pin: numbered(number, wire) for pin, wire in one.pins.items()})
        for number, netlist in enumerate(netlists)
        for one in netlist.instances
    ]
    inputs = tuple(numbered(number, wire) for number, netlist in enumerate(netlists) for wire in netlist.inputs)
    wires = dict.fromkeys(wire for one in own for wire in one.pins.values())
    return event_json(Netlist("together", tuple(own), inputs, tuple(wires)), {}, library)


def numbered(number, name):
    """A name of the netlist of this number in `together`."""
    return f"n{number}_{name}"


def random_group(rng, kinds, sizes):
    """Random netlists of these numbers of cells, every third one cyclic."""
    return [random_netlist(rng, kinds, size, cyclic=number % 3 == 2) for number, size in enumerate(sizes)]


def some_pulses(rng, netlists, number, pulses, spacing_ticks):
    """About so many at the inputs that the netlist of this number has in `together`."""
    wires = [numbered(number, wire) for wire in netlists[number].inputs]
    return random_pulses(rng, wires, pulses, spacing_ticks=spacing_ticks)


def few():
    """Ten cells in three netlists, of two random kinds. In both, the order of pulses that come together differs
    between states."""
    rng = np.random.default_rng(140)
    kinds = random_cells(rng, 2)
    assert all(len({*map(tuple, cell.states.values())}) > 1 for cell in kinds)
    return random_group(rng, kinds, [3, 3, 4])


class SideBySide(wiring.Component):
    """Several emulations in one module, to be compiled at once: each member's name has its emulation's before it."""

    def __init__(self, emulations):
        self._emulations = emulations
        super().__init__(
            {
                f"{name}_{member}": what
                for name, one in emulations.items()
                for member, what in one.signature.members.items()
            }
        )

    def elaborate(self, platform):
        m = Module()
        for name, one in self._emulations.items():
            m.submodules[name] = one
            connect(m, one.stimulus, flipped(getattr(self, f"{name}_stimulus")))
            connect(m, one.capture, flipped(getattr(self, f"{name}_capture")))
            connect(m, one.csr, flipped(getattr(self, f"{name}_csr")))
            m.d.comb += getattr(self, f"{name}_irq").eq(one.irq)
        return m


class Emulated:
    """Some configs by name, built into one library; `change`, if given, makes another Verilog of theirs."""

    def __init__(self, params, folder, change=None):
        self.configs = {name: EmulationConfig.parse(one) for name, one in params.items()}
        component = SideBySide({name: Emulation(config) for name, config in self.configs.items()})
        top = "niello_test"
        self.ports = {"top": top, "clock": "clk", "reset": "rst", "ports": port_table(component)}
        text = emit(component, top)
        folder.mkdir(exist_ok=True)
        verilog = folder / "design.v"
        verilog.write_text(change(text) if change else text)
        self.library = build_harness(verilog, self.ports, folder / "harness", optimise="-O0")
        self.harness = Harness(self.library, self.ports)

    def run(self, name, stimulus, until=None, *, stall=0.0, seed=0, **options):
        """Pulses, violations, and cycles from the first beat taken to the last given."""
        return self.run_beats(name, pack(self.configs[name], stimulus, until), stall=stall, seed=seed, **options)

    def run_beats(self, name, beats, *, stall=0.0, seed=0, **options):
        """The same of a packet."""
        result = self.harness.run(
            {f"{name}_stimulus": beats},
            {f"{name}_capture": MOST_CAPTURES},
            packets={f"{name}_capture": 1},
            stall_in=stall,
            stall_out=stall,
            seed=seed,
            max_idle_cycles=100_000,
            **options,
        )
        return *unpack(self.configs[name], result.outputs[f"{name}_capture"]), result.cycles

    def read(self, name, register):
        registers = self.configs[name].registers
        word = self.harness.read(registers[register].offset_bytes, f"{name}_csr")
        return registers[register].decode(word)

    def write(self, name, register, **fields):
        registers = self.configs[name].registers
        word = sum(value << registers[register][field].low for field, value in fields.items())
        self.harness.write(registers[register].offset_bytes, word, f"{name}_csr")


def modelled(config, stimulus, until=None):
    """What the event model says of it: the whole run, and the pulses at the outputs."""
    netlist = parse_event_json(config.document)[0]
    result = run(netlist, stimulus, policy=config.policy, seed=config.seed, until=until)
    return result, {wire: result.pulses[wire] for wire in netlist.outputs}


def event_times(result):
    """How many distinct times pulses travel at."""
    return len({time for times in result.pulses.values() for time in times})
