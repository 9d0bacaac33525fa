"""Netlists emulated in Verilator, held to the event model."""

from __future__ import annotations

import numpy as np
from amaranth.hdl import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import connect, flipped

from flows.verilog import emit, port_table
from hdl.sfq.config import EmulationConfig
from hdl.sfq.emulation import Emulation
from hdl.sfq.netlist import parse_event_json
from sim.common.harness import Harness, build_harness
from sim.sfq.emulation_beats import pack, unpack
from sim.sfq.event_model import run
from sim.sfq.random_netlist import random_netlist, random_table

MOST_CAPTURES = 100_000

EDGES = 6
"""Clocks of a run in `skip` beside one for each event time: two buffers, the empty step, the end, the output slice."""


def together(netlists):
    """One netlist of several, every wire of it an output, so that one build serves all; and the inputs of each."""
    library = netlists[0].get("library")
    instances = [one for netlist in netlists for one in netlist["netlist"]]
    document = {
        "inputs": {wire: [] for netlist in netlists for wire in netlist["inputs"]},
        "outputs": list(dict.fromkeys(wire for one in instances for wire in one["pins"].values())),
        "netlist": instances,
    }
    return document | ({"library": library} if library else {})


def random_group(rng, library, sizes, tables=None):
    """Random netlists of these numbers of cells, every third one cyclic."""
    return [
        random_netlist(rng, size, library=library, cyclic=number % 3 == 2, prefix=f"n{number}_", tables=tables)
        for number, size in enumerate(sizes)
    ]


def few():
    """For `random_group`: ten cells in three netlists, of two kinds with random tables. In both, the order of pulses
    that come together differs between states."""
    rng = np.random.default_rng(134)
    return rng, None, [3, 3, 4], [random_table(rng) for _ in range(2)]


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


def as_ticks(pulses):
    return {wire: [round(time * 10) for time in times] for wire, times in pulses.items()}
