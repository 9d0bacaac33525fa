"""`pim.vector` in Verilator: random programs and whole functions in bulk against the golden model, cycles among it."""

import numpy as np
import pytest

from hdl.pim.vector import Vector
from hdl.pim.vector_config import Illegal, VectorConfig, decode_vector_program, encode_vector_program
from sim.common.harness import HarnessError
from sim.pim import vector_vectors
from sim.pim.vector_model import VectorUnit
from sim.pim.vector_programs import VectorProgram, gelu, layer_norm, softmax

STALLS = [(0.0, 0.0), (0.4, 0.4), (0.7, 0.1), (0.1, 0.7)]
QUICK = {"four": {"lanes": 4, "words": 1024}}
DEEP = {
    "one": {"lanes": 1, "words": 64},
    "two": {"lanes": 2, "words": 1024},
    "sixteen": {"lanes": 16, "words": 16384},
}


def deep(names):
    return [pytest.param(name, marks=pytest.mark.deep) for name in names]


@pytest.fixture(scope="module")
def block():
    def of(name):
        params = (QUICK | DEEP)[name]
        config = VectorConfig.parse(params)
        return params, config, Vector(config)

    return of


def joined(parts):
    return {name: np.concatenate([part[name] for part in parts]) for name in vector_vectors.INPUTS}


@pytest.mark.parametrize(("stall_in", "stall_out"), STALLS)
@pytest.mark.parametrize("built", [*QUICK, *deep(DEEP)], indirect=True)
def test_vector_matches_the_model(built, stall_in, stall_out):
    config = built.config
    arrays = joined([vector_vectors.random_arrays(config, seed, 300) for seed in range(6)])
    want = VectorUnit(config).run(decode_vector_program(arrays["program"]), arrays["data"])
    harness = built.harness()
    result = harness.run(
        vector_vectors.pack(config, arrays),
        vector_vectors.expected_beats(config, arrays),
        stall_in=stall_in,
        stall_out=stall_out,
        seed=4,
    )
    got = vector_vectors.unpack(config, arrays, result.outputs)
    np.testing.assert_array_equal(got["q"], np.array(want.beats))
    assert result.outputs["q"].last.tolist() == want.last
    registers = config.registers
    read = {
        name: harness.read(registers[name].offset_bytes) for name in ("status", "skipped", "instructions", "cycles")
    }
    status = registers["status"].decode(read["status"])
    found = {reason for _, reason in want.illegal}
    assert {reason for reason in Illegal if status[reason.name.lower()]} == found
    assert found == set(Illegal) - ({Illegal.ALIGNMENT} if config.lanes == 1 else set())
    assert (status["ended"], status["busy"]) == (1, 0)
    assert read["skipped"] == want.illegal[0][0]
    assert read["instructions"] == len(arrays["program"])
    if not stall_in and not stall_out:
        assert read["cycles"] == want.cycles


@pytest.mark.parametrize("built", [*QUICK, *deep(["two"])], indirect=True)
def test_vector_functions_match_the_model(built):
    config = built.config
    program = VectorProgram(config)
    rng = np.random.default_rng(5)
    x, gain, bias = (program.load32(rng.standard_normal(100).astype(np.float32)) for _ in range(3))
    for function in (layer_norm, lambda p, x, *_: gelu(p, x), lambda p, x, *_: softmax(p, x)):
        program.store(function(program, x, gain, bias))
    instructions, data = program.finish()
    arrays = {"program": encode_vector_program(instructions), "data": data}
    harness = built.harness()
    result = harness.run(vector_vectors.pack(config, arrays), vector_vectors.expected_beats(config, arrays), seed=6)
    got = vector_vectors.unpack(config, arrays, result.outputs)
    np.testing.assert_array_equal(got["q"], vector_vectors.model(config, arrays)["q"])


@pytest.mark.parametrize("built", QUICK, indirect=True)
def test_vector_forgets_its_program_at_reset(built):
    arrays = vector_vectors.random_arrays(built.config, 9, 60)
    harness = built.harness()
    for reset_at in (2, 9, 400, 1501):
        result = harness.run(
            vector_vectors.pack(built.config, arrays),
            vector_vectors.expected_beats(built.config, arrays),
            seed=reset_at,
            reset_at=reset_at,
            stall_out=0.5,
        )
        got = vector_vectors.unpack(built.config, arrays, result.outputs)
        np.testing.assert_array_equal(got["q"], vector_vectors.model(built.config, arrays)["q"])


@pytest.mark.deep
@pytest.mark.parametrize("built", QUICK, indirect=True)
@pytest.mark.parametrize(("module", "operator", "other"), [("vectorarithmetic", "+", "-"), ("sequence", "&", "|")])
def test_vector_mutants_are_caught(built, module, operator, other, tmp_path):
    arrays = vector_vectors.random_arrays(built.config, 3, 600)
    mutant = built.mutant(module, operator, other, tmp_path)
    with pytest.raises((HarnessError, AssertionError)):
        expected = vector_vectors.expected_beats(built.config, arrays)
        result = mutant.run(vector_vectors.pack(built.config, arrays), expected)
        got = vector_vectors.unpack(built.config, arrays, result.outputs)
        np.testing.assert_array_equal(got["q"], vector_vectors.model(built.config, arrays)["q"])


@pytest.mark.parametrize("built", QUICK, indirect=True)
def test_vector_handshakes_do_not_wait_for_each_other_within_a_cycle(built):
    inputs = ["s_axis_program_tvalid", "s_axis_data_tvalid", "m_axis_q_tready"]
    inputs += ["s_axil_arvalid", "s_axil_awvalid", "s_axil_wvalid", "s_axil_rready", "s_axil_bready"]
    built.assert_handshakes_independent(inputs)


@pytest.mark.deep
@pytest.mark.parametrize("built", QUICK, indirect=True)
def test_vector_bench_passes(built, tmp_path):
    assert len(built.bench_tests("sim.pim.vector_bench", tmp_path)) == 7
