"""A processor's Verilog in Verilator, and runs on it."""

from __future__ import annotations

import json
import re

import numpy as np

from flows.verilog import emit, port_table
from hdl.sfq.processor import Processor
from hdl.sfq.processor_config import ProcessorConfig
from hdl.sfq.processor_image import make_program, read_answers, run_words
from hdl.sfq.processor_words import Answer
from sim.common.harness import Harness, build_harness
from sim.common.runner import build_bench, run_bench
from sim.sfq import event_model
from sim.sfq.processor_vectors import as_arrays, beats_of, results_as_arrays, words_of

MAX_IDLE_CYCLES = 1_000_000
"""A run whose answers are only counted is silent to its end."""


class Built:
    """One config's Verilog and its harness."""

    def __init__(self, params, folder, optimise):
        self.params, self.config, self.folder = params, ProcessorConfig.parse(params), folder
        self._optimise = optimise
        component = Processor(self.config)
        self.ports = {"top": "niello_test", "clock": "clk", "reset": "rst", "ports": port_table(component)}
        self.verilog = folder / "design.v"
        self.verilog.write_text(emit(component, "niello_test"))
        self._library = None

    def harness(self):
        if self._library is None:
            self._library = self.library(self.verilog, self.folder / "harness")
        return Harness(self._library, self.ports)

    def library(self, verilog, folder):
        return build_harness(verilog, self.ports, folder, optimise=self._optimise)

    def mutant(self, module, old, place, new, folder):
        """The harness around a Verilog in which a text in a submodule, at one of its places, is another."""
        text = self.verilog.read_text()
        start = re.search(rf"^module niello_test__{module}\b", text, re.MULTILINE).start()
        body = text[start : text.index("endmodule", start)]
        at = start + [match.start() for match in re.finditer(re.escape(old), body)][place]
        mutated = folder / "mutated.v"
        mutated.write_text(f"{text[:at]}{new}{text[at + len(old) :]}")
        return Harness(self.library(mutated, folder / "harness"), self.ports)

    def bench_tests(self, module, folder):
        """The tests of a cocotb bench, once they have passed."""
        ports = self.folder / "ports.json"
        ports.write_text(json.dumps(self.ports))
        build_bench(self.verilog, "niello_test", self.folder / "bench")
        options = {"seed": 20, "config": self.params, "ports": ports}
        result = run_bench(self.folder / "bench", "niello_test", module, folder, **options)
        assert result.passed, result.summary()
        return result.tests

    def answers(self, words, count, **options):
        """What the processor answers to these words."""
        with self.harness() as harness:
            given = {"words": beats_of(words)}
            outputs = harness.run(given, {"answers": count}, max_idle_cycles=MAX_IDLE_CYCLES, **options).outputs
        assert outputs["answers"].last.tolist() == [word >> 62 == Answer.END for word in words_of(outputs["answers"])]
        return words_of(outputs["answers"])

    def results(self, netlist, stimulus, **options):
        """The results of a netlist: first it is asked how many answers there are, then for all of them."""
        program = make_program(netlist, self.config)
        counted = run_words(program, stimulus, **(options | {"most_answers": 0}))
        count = read_answers(program, self.answers(counted, 1)).finish.answers
        return read_answers(program, self.answers(run_words(program, stimulus, **options), count + 1))

    def assert_as_model(self, netlist, stimulus, *, status=0, **options):
        """The processor does what the golden model does; returns the model's run."""
        results = self.results(netlist, stimulus, **options)
        expected = event_model.run(netlist, stimulus, **options)
        assert results.finish.status == status
        got, right = results_as_arrays(netlist, results), as_arrays(netlist, expected)
        for name, array in right.items():
            np.testing.assert_array_equal(got[name], array, name)
        return expected
