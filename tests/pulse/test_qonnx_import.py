"""Quantised ONNX models as networks, against QONNX's own executor: the same integers where nothing is in the middle
between two, at most a step away where something is."""

import json

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from qonnx.core.modelwrapper import ModelWrapper
from qonnx.core.onnx_exec import execute_onnx
from qonnx.transformation.infer_shapes import InferShapes
from typer.testing import CliRunner

from flows.cli import app
from flows.errors import BadInput
from flows.pulse.cli import pulse
from hdl.pulse.cnn_config import CnnConfig
from sim.pulse.cnn_compile import compile_network
from sim.pulse.cnn_graph import evaluate
from sim.pulse.cnn_model import run
from sim.pulse.cnn_network import NetworkError
from sim.pulse.cnn_qonnx import graph_of
from sim.pulse.cnn_quantise import inputs_of, quantise
from tests.pulse.quantise_bound import error_bound

ROOMY = {"samples": 32, "activations": 4096, "weight_words": 8192, "channel_words": 1024, "layers": 256}
SCALE = 64.0
"""Codes for 1.0."""


class Sketch:
    """A model that grows, node by node."""

    def __init__(self, shape=(1, 32)):
        self.nodes, self.constants, self.shape = [], [], shape
        self.head, self.count = "in", 0

    def constant(self, value):
        self.count += 1
        name = f"c{self.count}"
        self.constants.append(numpy_helper.from_array(np.asarray(value, np.float32), name))
        return name

    def node(self, kind, *inputs, **attributes):
        """Reads the inputs or, without any before them, what came last; its output's name."""
        self.count += 1
        domain = "qonnx.custom_op.general" if "Quant" in kind else ""
        made = helper.make_node(kind, list(inputs), [f"t{self.count}"], f"n{self.count}", domain=domain, **attributes)
        self.nodes.append(made)
        return f"t{self.count}"

    def then(self, kind, *inputs, **attributes):
        self.head = self.node(kind, self.head, *inputs, **attributes)
        return self.head

    def quant(self, name, scale, bits=8, signed=1, narrow=0, **attributes):
        others = [self.constant(one) for one in (scale, 0.0, bits)]
        return self.node("Quant", name, *others, signed=signed, narrow=narrow, **attributes)

    def rounded(self, *arguments, **options):
        self.head = self.quant(self.head, *arguments, **options)

    def model(self):
        given = helper.make_tensor_value_info("in", TensorProto.FLOAT, [1, *self.shape])
        last = helper.make_tensor_value_info(self.head, TensorProto.FLOAT, None)
        graph = helper.make_graph(self.nodes, "g", [given], [last], self.constants)
        sets = [helper.make_opsetid("", 13), helper.make_opsetid("qonnx.custom_op.general", 1)]
        return helper.make_model(graph, opset_imports=sets, ir_version=9)


def executed(model, inputs):
    """QONNX's executor, a window at a time, outputs (windows, values), those with positions channels last."""
    wrapped = ModelWrapper(model, make_deepcopy=True).transform(InferShapes())
    name = model.graph.output[0].name
    found = []
    for window in inputs.astype(np.float32):
        shape = [one.dim_value for one in model.graph.input[0].type.tensor_type.shape.dim]
        given = window.reshape(shape[2], shape[1]).T.reshape(shape) if len(shape) == 3 else window.reshape(shape)
        out = execute_onnx(wrapped, {"in": given})[name]
        found.append(np.moveaxis(out, 1, -1).ravel())
    return np.array(found)


def convolution(sketch, rng, outputs, channels, taps, even=False, bits=4, **attributes):
    """Weights of a scale each channel; with `even` they are even, and biases odd: no sum is in the middle."""
    exponents = rng.integers(5, 7, (outputs, 1, 1))
    whole = rng.integers(-(1 << bits - 1), 1 << bits - 1, (outputs, channels, taps)) // (2 if even else 1)
    scale = 2.0**-exponents
    weights = sketch.quant(sketch.constant(whole * (2 if even else 1) * scale), scale, 8)
    bias = (2 * rng.integers(-30, 30, outputs) + 1) * scale.ravel() * (1 / SCALE if even else 0.1)
    sketch.then("Conv", weights, sketch.constant(bias), kernel_shape=[taps], **attributes)


def windows_of(rng, count=12):
    return rng.integers(-128, 128, (count, 32)).astype(np.int16)


def held(sketch, rng, bits=16):
    """The graph as the executor has it; (integers' outputs, executor's), (windows, values)."""
    model, windows = sketch.model(), windows_of(rng)
    inputs = inputs_of(windows, SCALE)
    wanted = executed(model, inputs)
    graph = graph_of(model)
    found = evaluate(graph, inputs)[graph.last.name].reshape(wanted.shape)
    np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-5 * np.abs(wanted).max())
    made = quantise(graph, windows, input_scale=SCALE, activation_bits=bits)
    compile_network(made.network, CnnConfig.parse(ROOMY | {"activation_bits": bits}))
    return made.outputs(run(made.network, windows).values).reshape(wanted.shape), wanted, made


@pytest.mark.parametrize(
    ("width", "signed", "narrow", "relu", "bits"),
    [
        (8, 1, 0, False, 16),
        (8, 1, 1, False, 16),
        (8, 0, 0, True, 16),
        (8, 0, 0, True, 8),
        (8, 0, 1, False, 8),
        (4, 0, 0, True, 16),
        (4, 1, 0, False, 16),
        (4, 1, 1, False, 8),
        (9, 1, 0, False, 16),
        (12, 0, 0, True, 16),
        (2, 0, 0, True, 8),
    ],
)
def test_integers_are_the_executors(width, signed, narrow, relu, bits):
    """Input, convolutions and a dense layer, each rounded and cut off where the model says: bit for bit."""
    rng = np.random.default_rng(width + 20 * narrow + 40 * signed)
    sketch = Sketch()
    sketch.rounded(1 / SCALE)
    step = 2.0**-6 if width > 2 else 2.0**-5
    convolution(sketch, rng, 5, 1, 3, even=True, strides=[2], pads=[1, 1])
    if relu:
        sketch.then("Relu")
    sketch.rounded(8 * step, width, signed, narrow)
    sketch.then("Flatten")
    whole = rng.integers(-128, 128, (80, 3))
    weights = sketch.quant(sketch.constant(whole / 128), np.full((1, 3), 1 / 128), 8)
    sketch.then("MatMul", weights)
    sketch.then("Add", sketch.constant(rng.integers(-9, 9, 3) * 8 * step / 128))
    got, wanted, made = held(sketch, rng, bits)
    assert (got == wanted).all()
    rows = made.network.layers[-1].weights.reshape(3, 16, 5)
    assert (rows == whole.T.reshape(3, 5, 16).swapaxes(1, 2)).all()
    assert len(np.unique(wanted)) > 10


@pytest.mark.parametrize("leaky", [False, True])
def test_a_convolution_is_a_step_away_at_most(leaky):
    """With scales that are no powers of 2, sums that may be in the middle; a leak's shift rounds down."""
    rng = np.random.default_rng(3)
    sketch = Sketch()
    convolution(sketch, rng, 6, 1, 5, dilations=[2], pads=[2, 2])
    if leaky:
        sketch.then("LeakyRelu", alpha=0.25)
    sketch.rounded(0.013)
    got, wanted, made = held(sketch, rng)
    steps = np.rint((got - wanted) / 0.013)
    assert np.abs(got - wanted - 0.013 * steps).max() < 1e-6
    assert np.abs(steps).max() <= 1 and (steps == 0).mean() > (0.7 if leaky else 0.98)
    assert not made.network.raw and made.output_zero == 0


def test_all_nodes_that_are_read():
    """Branches, pools, affine nodes, groups, transposed convolutions, weights of 1 bit and of floats."""
    rng = np.random.default_rng(4)
    sketch = Sketch((2, 16))
    sketch.rounded(1 / SCALE)
    sketch.then("Mul", sketch.constant(2.0))
    sketch.then("Sub", sketch.constant(np.array([0.5, -0.25]).reshape(2, 1)))
    first = sketch.then("Conv", sketch.constant(rng.normal(0, 0.4, (4, 1, 3))), group=2, pads=[1, 1])
    scale, beta, mean, variance = rng.normal(0, 1, 4), rng.normal(0, 1, 4), rng.normal(0, 1, 4), rng.uniform(1, 2, 4)
    sketch.then("BatchNormalization", *(sketch.constant(one) for one in (scale, beta, mean, variance)))
    sketch.then("Relu")
    sketch.rounded(2.0**-5, 8, 0)
    kept = sketch.head
    signs = sketch.constant(rng.normal(0, 1, (4, 4, 3)))
    bipolar = sketch.node("BipolarQuant", signs, sketch.constant(2.0**-3))
    sketch.then("Conv", bipolar, pads=[1, 1])
    sketch.head = sketch.node("Add", sketch.head, kept)
    sketch.rounded(2.0**-4)
    sketch.head = sketch.node("Concat", sketch.head, kept, first, axis=1)
    sketch.then("MaxPool", kernel_shape=[3], strides=[2], pads=[1, 1])
    sketch.then("ConvTranspose", sketch.constant(rng.normal(0, 0.4, (12, 3, 4))), strides=[2], pads=[1, 1])
    sketch.then("AveragePool", kernel_shape=[2], strides=[2], pads=[1, 1], count_include_pad=1)
    sketch.then("Div", sketch.constant(np.array([1.0, 2, 4]).reshape(1, 3, 1)))
    sketch.then("GlobalAveragePool")
    sketch.then("Reshape", sketch.constant([1, -1]))
    sketch.then("Gemm", sketch.constant(rng.normal(0, 1, (2, 3))), sketch.constant([0.5, -1]), transB=1)
    sketch.constants = [
        numpy_helper.from_array(numpy_helper.to_array(one).astype(np.int64), one.name)
        if one.name == next(node.input[1] for node in sketch.nodes if node.op_type == "Reshape")
        else one
        for one in sketch.constants
    ]
    got, wanted, made = held(sketch, np.random.default_rng(41))
    inputs = inputs_of(windows_of(np.random.default_rng(41)), SCALE)
    bound = error_bound(made, inputs, 0).reshape(wanted.shape)
    assert (np.abs(got - wanted) <= bound + 1e-5).all()
    assert np.abs(got - wanted).max() < 0.05 * np.abs(wanted).max()


def test_import_reads_a_quantised_model(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(5)
    sketch = Sketch()
    convolution(sketch, rng, 4, 1, 3)
    sketch.then("Relu")
    sketch.rounded(2.0**-4, 8, 0)
    sketch.then("Flatten")
    sketch.then("MatMul", sketch.quant(sketch.constant(rng.normal(0, 0.3, (120, 2))), 2.0**-6))
    model, windows = sketch.model(), windows_of(rng)
    onnx.save(model, "model.onnx")
    np.save("waves.npy", windows)
    words = ["model.onnx", "--calibrate", "waves.npy", "-o", "net.npz", "--input-scale", "64", "--arrays", "in.npz"]
    result = CliRunner().invoke(pulse, ["import", *words])
    assert result.exit_code == 0, result.output
    told = json.loads(result.stdout.splitlines()[-1])
    ran = CliRunner().invoke(app, ["run", "pulse_cnn_r0", "in.npz", "-o", "out.npz", "--engine", "model"])
    assert ran.exit_code == 0, ran.output
    got = np.load("out.npz")["values"][:, 0] * told["output_scale"]
    wanted = executed(model, windows / SCALE)
    assert np.abs(got - wanted).max() == pytest.approx(told["largest_difference"] * np.ptp(wanted), rel=0.01, abs=1e-6)
    assert told["rms_difference"] < 0.01


def test_import_refuses_files_that_are_no_onnx(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    np.save("waves.npy", np.zeros((3, 32), np.int16))
    (tmp_path / "bad.onnx").write_bytes(b"no protobuf at all")
    for words, message in [
        (["bad.onnx"], "bad.onnx: no ONNX file"),
        (["none.onnx"], "none.onnx: No such file"),
        (["bad.onnx", "--weights", "waves.npy"], "--weights is for Keras models; an ONNX file has its own"),
    ]:
        given = [*words, "--calibrate", "waves.npy", "-o", "net.npz", "--normalise"]
        result = CliRunner().invoke(pulse, ["import", *given])
        assert isinstance(result.exception, BadInput) and str(result.exception).startswith(message)


def refused(grow):
    sketch = Sketch()
    grow(sketch)
    with pytest.raises(NetworkError) as caught:
        graph_of(sketch.model())
    return str(caught.value)


@pytest.mark.parametrize(
    ("grow", "message"),
    [
        (lambda s: s.then("Softmax"), "node n1: Softmax is not supported; what is: Quant, IntQuant, Conv,"),
        (
            lambda s: s.then("LeakyRelu"),
            "node n1: a leaky ReLU's slope must be 1 over a power of 2, not 0.01: 0.0078",
        ),
        (lambda s: s.rounded(0.5, 1), "node n4: its bit width must be a whole number in 2..16, not [1.0]"),
        (lambda s: s.rounded(0.5, 20), "node n4: its bit width must be a whole number in 2..16, not [20.0]"),
        (lambda s: s.rounded(-0.5), "node n4: scale must be above 0"),
        (lambda s: s.rounded(np.array([0.5, 1.0])), "node n4: a tensor's scale must be one number"),
        (lambda s: s.rounded(0.5, rounding_mode="FLOOR"), "node n4: rounding_mode must be ROUND, not FLOOR"),
        (lambda s: s.then("BipolarQuant", s.constant(1.0)), "node n2: BipolarQuant is not supported"),
        (lambda s: s.then("Mul", "in"), "node n1: two tensors of the same axes can only be added"),
        (lambda s: s.then("Div", s.constant(0.0)), "node n2: divides by 0"),
        (
            lambda s: s.then("Add", s.constant(np.ones(32))),
            "node n2: its constant must be one number, or one a",
        ),
        (lambda s: s.then("Add", "nowhere"), "node n1: reads nowhere, which nothing before it makes"),
        (lambda s: s.then("Conv", s.constant(np.ones((2, 3, 3)))), "node n2: its weights must be those of 1 channels"),
        (
            lambda s: s.then("Conv", s.quant(s.constant(np.full((1, 1, 3), 200.0)), 1.0, 9)),
            "node n6: its weights",
        ),
        (lambda s: s.then("MatMul", s.constant(np.ones((32, 2)))), "node n2: must read a tensor of one axis"),
        (lambda s: s.then("AveragePool", kernel_shape=[3], pads=[1, 1]), "node n1: count_include_pad must be 1"),
        (lambda s: s.then("MaxPool", kernel_shape=[2, 2]), "node n1: kernel_shape must be one number above 0"),
        (lambda s: None, "model: its output must be computed from its input"),
    ],
)
def test_nodes_are_refused_by_name(grow, message):
    assert refused(grow).startswith(message)
