"""`pim.system` in Verilator: random programs of both units, with transfers between them, against the golden models."""

import re

import numpy as np
import pytest

from flows.verilog import emit, port_table
from hdl.pim.system import System
from hdl.pim.system_config import SystemConfig, decode_system_program
from hdl.pim.vector_config import Illegal, VectorInstruction
from sim.common.harness import Harness, HarnessError, build_harness
from sim.common.language import encoded
from sim.pim import system_vectors, tiny_gpt_vectors
from sim.pim.system_model import System as SystemModel

STALLS = [(0.0, 0.0), (0.5, 0.5), (0.8, 0.1), (0.1, 0.8)]


def params(lanes, vector_lanes, **channel):
    channel = {"profile": "pimgpt", "banks": 2, "rows": 3, "columns": 8, "lanes": lanes} | channel
    return {"channel": channel, "vector": {"lanes": vector_lanes, "words": 256}, "queue_depth": 2, "link_beats": 4}


TINY_GPT = {
    "channel": {"profile": "pimgpt", "banks": 2, "rows": 1024, "columns": 64, "lanes": 2},
    "vector": {"lanes": 2, "words": 8192},
    "link_beats": 128,
}
"""The smallest system that holds the tiny GPT: four multipliers in the banks, two parts of a long input."""
TOKENS = 64

MUTANTS = {
    "words go by another bit": (r"(o__payload\S*)\[63\]", r"\1[62]"),
    "columns of rows go to the global buffer": (
        r"(assign load__valid = \S+ & )(\S+);((?:.*\n)*?.*assign write__valid = \S+ & )(\S+);",
        r"\1\4;\3\2;",
    ),
    "loads from rows take results": (r"(o__ready\S* = beat_ready & source)\[2\]", r"\1[1]"),
}
"""What is wrong, and how its Verilog differs."""

OVERLAP = {"accumulators": 2, "gb_banks": 2, "row_buffers": 2, "overlap": True, "banks": 4, "checker": True}
CONFIGS = {
    "equal": params(2, 2, checker=True),
    "wider": params(4, 1),
    "narrower, overlap": params(2, 4, **OVERLAP) | {"queue_depth": 16, "link_beats": 2},
}


@pytest.fixture(scope="module")
def block():
    def of(name):
        config = SystemConfig.parse(CONFIGS[name])
        return CONFIGS[name], config, System(config)

    return of


def run(config, harness, arrays, **options):
    expected = system_vectors.expected_beats(config, arrays)
    made = harness.run(system_vectors.pack(config, arrays), expected, **options)
    return system_vectors.unpack(config, arrays, made.outputs)["q"], made.outputs["q"].last


@pytest.mark.deep
@pytest.mark.parametrize("built", CONFIGS, indirect=True)
def test_system_matches_the_model(built):
    config, registers = built.config, built.config.registers
    for seed in range(8):
        stall_in, stall_out = STALLS[seed % len(STALLS)]
        arrays = system_vectors.random_arrays(config, seed, 120)
        want = SystemModel(config).run(decode_system_program(arrays["program"]), arrays["data"])
        harness = built.harness()
        got, last = run(config, harness, arrays, stall_in=stall_in, stall_out=stall_out, seed=seed)
        np.testing.assert_array_equal(got, np.array(want.beats))
        assert last.tolist() == want.last
        read = {one.name: harness.read(one.offset_bytes) for one in registers.registers}
        status = registers["vector_status"].decode(read["vector_status"])
        assert {one for one in Illegal if status[one.name.lower()]} == {reason for _, reason in want.illegal}
        assert read["vector_skipped"] == want.illegal[0][0]
        status = registers["channel_status"].decode(read["channel_status"])
        assert status == {"illegal": int(bool(want.channel_illegal)), "ended": 1, "busy": 0}
        assert not read["channel_device_status"] & registers["channel_device_status"]["timing"].mask
        words = decode_system_program(arrays["program"])
        of_vector = sum(isinstance(one, VectorInstruction) for one in words)
        assert (read["vector_words"], read["channel_words"]) == (of_vector, len(words) - of_vector)
        assert read["status"] == 0


@pytest.mark.deep
@pytest.mark.parametrize("built", ["equal"], indirect=True)
def test_system_forgets_its_program_at_reset(built):
    arrays = system_vectors.random_arrays(built.config, 20, 40)
    harness = built.harness()
    for reset_at in (3, 700, 2901, 6007):
        got, _ = run(built.config, harness, arrays, seed=reset_at, reset_at=reset_at, stall_out=0.5)
        np.testing.assert_array_equal(got, system_vectors.model(built.config, arrays)["q"])


@pytest.mark.deep
@pytest.mark.parametrize("built", ["equal"], indirect=True)
def test_system_bench_passes(built, tmp_path):
    assert len(built.bench_tests("sim.pim.system_bench", tmp_path)) == 8


@pytest.mark.deep
@pytest.mark.parametrize("name", MUTANTS)
@pytest.mark.parametrize("built", ["equal"], indirect=True)
def test_system_mutants_are_caught(built, name, tmp_path):
    """Data that goes astray is seen in what is stored, or leaves somebody waiting."""
    wrong, text = tmp_path / "wrong.v", built.verilog.read_text()
    pattern, other = MUTANTS[name]
    changed = re.sub(pattern, other, text)
    assert changed != text
    wrong.write_text(changed)
    arrays = system_vectors.random_arrays(built.config, 3, 60)
    with Harness(built.library(wrong, tmp_path / "harness"), built.ports) as mutant, pytest.raises(Caught):
        try:
            got, _ = run(built.config, mutant, arrays)
        except HarnessError as error:
            raise Caught(str(error)) from None
        if not np.array_equal(got, system_vectors.model(built.config, arrays)["q"]):
            raise Caught("the results differ")


class Caught(Exception):
    """A mutant was."""


@pytest.mark.deep
def test_the_tiny_gpt_writes_in_gateware_what_it_writes_in_numpy(tmp_path):
    """64 characters: prompt and noise in, text and logits out, in one program, to the last bit."""
    config = SystemConfig.parse(TINY_GPT)
    component, top = System(config), "niello_test_tiny_gpt"
    ports = {"top": top, "clock": "clk", "reset": "rst", "ports": port_table(component)}
    (tmp_path / "design.v").write_text(emit(component, top))
    library = build_harness(tmp_path / "design.v", ports, tmp_path / "harness", optimise="-O1")
    noise = tiny_gpt_vectors.gumbel(np.random.default_rng(1), TOKENS, 0.7)
    arrays = {"prompt": encoded("The ").astype(np.uint8), "noise": noise}
    with Harness(library, ports) as harness:
        expected = tiny_gpt_vectors.expected_beats(config, arrays)
        made = harness.run(tiny_gpt_vectors.pack(config, arrays), expected, stall_in=0, stall_out=0)
        status = config.registers["channel_device_status"]
        assert not harness.read(status.offset_bytes) & status["timing"].mask
    got, want = tiny_gpt_vectors.unpack(config, arrays, made.outputs), tiny_gpt_vectors.model(config, arrays)
    assert tiny_gpt_vectors.text_of(got["text"]) == tiny_gpt_vectors.text_of(want["text"])
    assert got["logits"].view(np.uint32).tolist() == want["logits"].view(np.uint32).tolist()
    assert len(set(want["text"].tolist())) > 10, "a text, not one character"
