"""A config's Verilog in Verilator, for the tests of every block of the family."""

from __future__ import annotations

import json
import re

import numpy as np
import pytest

from flows.verilog import emit, port_table
from sim.common.harness import Harness, build_harness
from sim.common.runner import build_bench, run_bench


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
