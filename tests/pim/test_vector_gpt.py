"""A token of the tiny GPT in gateware: products on a channel with its device, functions on the vector unit.

Blocks of attention and MLP, keys and values among them; the test hands data from one to the other, and adds biases and
residuals. The logits are those of the golden models, to the last bit.
"""

import numpy as np
import pytest

from flows.verilog import emit, port_table
from hdl.pim.channel import Channel
from hdl.pim.channel_config import ChannelConfig
from hdl.pim.commands import Instruction, Op, encode_program
from hdl.pim.vector import Vector
from hdl.pim.vector_config import VectorConfig, encode_vector_program
from sim.common.harness import Harness, build_harness
from sim.pim import channel_vectors, vector_vectors
from sim.pim.tiny_gpt import DeviceProducts, PlainProducts, TinyGpt, encoded, load
from sim.pim.vector_model import VectorRun, VectorUnit
from sim.pim.vector_programs import VectorHost

CHANNEL = {"profile": "pimgpt", "banks": 8, "rows": 128, "columns": 32, "lanes": 8}
VECTOR = {"lanes": 4, "words": 4096}


def built(component, folder):
    top = "niello_test"
    ports = {"top": top, "clock": "clk", "reset": "rst", "ports": port_table(component)}
    folder.mkdir()
    (folder / "design.v").write_text(emit(component, top))
    return Harness(build_harness(folder / "design.v", ports, folder / "harness", optimise="-O0"), ports)


class ChannelInGateware:
    """A channel with the face of the golden model of its device."""

    def __init__(self, config, harness):
        self.config, self._harness = config, harness

    def run(self, program, inputs=()):
        rest, given = iter(inputs), {"write": [], "load": []}
        width = self.config.column_bits // 8
        for one in program:
            if one.op in (Op.WR, Op.WR_GB):
                columns = [np.ascontiguousarray(next(rest), np.uint16).view(np.uint8) for _ in range(one.count)]
                given["write" if one.op == Op.WR else "load"] += columns
        arrays = {name: np.array(columns, np.uint8).reshape(-1, width) for name, columns in given.items()}
        arrays["program"] = encode_program([*program, Instruction(Op.EOC)])
        expected = channel_vectors.expected_beats(self.config, arrays)
        made = self._harness.run(channel_vectors.pack(self.config, arrays), expected, max_idle_cycles=20_000)
        out = channel_vectors.unpack(self.config, arrays, made.outputs)
        reads, results = iter(out["read"]), iter(out["result"].reshape(-1, self.config.result_beats * width))
        answers = []
        for one in program:
            if one.op == Op.RD:
                answers += [next(reads).view(np.uint16) for _ in range(one.count)]
            elif one.op == Op.RD_MAC:
                answers.append(next(results)[: 2 * self.config.banks].view(np.uint16))
        return answers

    def fill(self, row, contents):
        banks, count, lanes = contents.shape
        program = [Instruction(Op.WR, bank_mask=1 << bank, row=row, count=count) for bank in range(banks)]
        self.run(program, contents.reshape(-1, lanes))


class VectorInGateware:
    """A vector unit with the face of its golden model."""

    def __init__(self, config, harness):
        self.config, self._harness = config, harness

    def run(self, program, data=None):
        arrays = {"program": encode_vector_program(program), "data": data}
        expected = vector_vectors.expected_beats(self.config, arrays)
        made = self._harness.run(vector_vectors.pack(self.config, arrays), expected)
        return VectorRun(beats=list(vector_vectors.unpack(self.config, arrays, made.outputs)["q"]))


@pytest.mark.deep
def test_tokens_of_the_tiny_gpt_in_gateware_are_those_of_the_golden_models(tmp_path):
    channel, vector = ChannelConfig.parse(CHANNEL), VectorConfig.parse(VECTOR)
    assert channel.dtype == "bf16"
    weights = load()
    products = DeviceProducts(channel)
    products.device = ChannelInGateware(channel, built(Channel(channel), tmp_path / "channel"))
    unit = VectorInGateware(vector, built(Vector(vector), tmp_path / "vector"))
    gateware = TinyGpt(weights, products, VectorHost(unit))
    golden = TinyGpt(weights, PlainProducts(channel), VectorHost(VectorUnit(vector)))
    for character in encoded("In"):
        logits = gateware.step(int(character))
        assert logits.view(np.uint32).tolist() == golden.step(int(character)).view(np.uint32).tolist()
        assert len(set(logits.tolist())) > 50, "of 96"
