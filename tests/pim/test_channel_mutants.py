"""Mutants of a whole channel: its performance counters, and the banks that its device is told. Answers and counters of
random programs find each."""

from __future__ import annotations

import json

import numpy as np
import pytest

from flows.load import load_design
from flows.verilog import emit, port_table
from hdl.pim.channel import Channel
from hdl.pim.commands import Command, Instruction, Op, decode_program, encode_program
from sim.common.harness import Harness, HarnessError, build_harness
from sim.pim import channel_vectors as vectors
from sim.pim.channel_model import Channel as Model
from sim.pim.device_model import Device
from tests.pim.mutants import Mutants

TOP = "niello_test"
PROGRAMS, LENGTH = 12, 30
FIRST_CYCLE = 6
"""After reset the first in which an instruction that comes at once works."""

SETTLE_CYCLES = 6000
"""More than what a program does after its last answer; eight refreshes take 3,640."""

STALLS = ["stalls_refresh", "stalls_row", "stalls_input", "stalls_output", "stalls_idle", "stalls_timing"]


def changes():
    """Every counter that can count here stands still; two count what is not theirs; and what else is counted."""
    events = [f"issued_{one.name.lower()}" for one in Command if one != Command.NOP]
    events += [*STALLS, "row_hits", "cycles"]
    place = {name: f"counts_{number}" for number, name in enumerate(events)}
    found = {f"{name} stands still": (place[name], "1'h0") for name in events if name != "issued_tmod"}
    return found | {
        "misses are hits": (place["row_hits"], "issued[6] | issued[7] | issued[8] | issued[9]"),
        "time passes without a program": (place["cycles"], "1'h1"),
        "a program's cycles stand still": ("program_cycle", "program_cycle"),
        "what goes on after EOC is not counted": ("hold", "1'h0"),
        "bank 1 is in no mask": ("bank_mask", "{} & 4'hd"),
        "bank 2 is in every mask": ("bank_mask", "{} | 4'h4"),
        "no bank is in the mask": ("bank_mask", "4'h0"),
    }


CHANGES = changes()


@pytest.fixture(scope="module")
def mutants(tmp_path_factory):
    """The changed gateware of a small channel: its config, choice of mutants, library and ports."""
    folder = tmp_path_factory.mktemp("mutants")
    config = load_design("pim_ulx3s").config
    component = Channel(config)
    verilog, ports = folder / "design.v", folder / "ports.json"
    ports.write_text(json.dumps({"top": TOP, "clock": "clk", "reset": "rst", "ports": port_table(component)}))
    verilog.write_text(emit(component, TOP))
    of_core = {name: change for name, change in CHANGES.items() if change[0] == "bank_mask"}
    of_top = {name: change for name, change in CHANGES.items() if name not in of_core}
    choices = (Mutants(verilog, f"{TOP}__core", of_top), Mutants(verilog, f"{TOP}__core__core", of_core))
    return config, choices, build_harness(verilog, ports, folder / "harness", optimise="-O1"), ports


def figures(config, harness):
    """All counters, and a program's cycles."""
    named = ("issued_", "stalls_", "row_hits", "cycles", "program_cycles")
    registers = [one for one in config.registers.registers if one.name.startswith(named)]
    return {one.name: harness.read(one.offset_bytes) for one in registers}


def right_figures(config, arrays):
    """Those of the golden model; where data and room are always there nothing waits for them."""
    run = Model(config).run(decode_program(arrays["program"]), start=FIRST_CYCLE)
    found = {f"issued_{one.name.lower()}": run.issued.get(one, 0) for one in Command if one != Command.NOP}
    found |= {f"stalls_{cause}": cycles for cause, cycles in run.counters.stall_cycles.items()}
    found |= {"row_hits": run.row_hits, "cycles": run.end - run.start + 1, "program_cycles": run.cycles}
    return found | {"stalls_input": 0, "stalls_output": 0}


def columns(config):
    """A program of columns written and read, more than any queue holds."""
    both = [Instruction(op, bank_mask=1, count=config.columns) for op in (Op.WR, *[Op.RD] * 12)]
    written = np.arange(config.columns * config.column_bits // 8, dtype=np.uint8).reshape(config.columns, -1)
    return {"program": encode_program([*both, Instruction(Op.EOC)]), "write": written, "load": written[:0]}


def caught(config, library, ports):
    """Whether answers or counters of random programs are wrong; under stalls a cycle must be a command or a stall."""
    for seed in range(PROGRAMS):
        arrays = vectors.random_arrays(config, seed, LENGTH) if seed else columns(config)
        right = vectors.run(Device(config), config, arrays)
        # The device's memory outlives a reset.
        with Harness(library, ports) as harness:
            harness.reset()
            stall = 0.7 * (seed % 2) if seed else 0.9
            options = {"stall_in": stall, "stall_out": stall, "seed": seed, "max_idle_cycles": 20_000}
            try:
                result = harness.run(vectors.pack(config, arrays), vectors.expected_beats(config, arrays), **options)
            except HarnessError:
                return True
            got = vectors.unpack(config, arrays, result.outputs)
            if any(not np.array_equal(got[name], array) for name, array in right.items()):
                return True
            harness.step(SETTLE_CYCLES)
            found = figures(config, harness)
            if stall:
                counted = sum(count for name, count in found.items() if name.startswith(("issued_", "stalls_")))
                if counted != found["cycles"]:
                    return True
            elif found != right_figures(config, arrays):
                return True
    return False


@pytest.mark.deep
@pytest.mark.parametrize("name", CHANGES)
def test_changed_gateware_is_found(mutants, name):
    config, choices, library, ports = mutants
    for choice in choices:
        choice.choose(name)
    assert caught(config, library, ports)


@pytest.mark.deep
def test_unchanged_gateware_is_not(mutants):
    config, choices, library, ports = mutants
    for choice in choices:
        choice.choose(None)
    assert not caught(config, library, ports)
