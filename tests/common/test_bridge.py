"""The host bridge in Verilator against the model of its protocol, and its parameters."""

from __future__ import annotations

import re

import pytest
from amaranth.hdl import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from flows.verilog import emit
from hdl.common.axi import AXI4LiteSignature
from hdl.common.bridge import Bridge
from hdl.common.decoder import AddressDecoder
from sim.common.bridge_harness import IDENTITY
from sim.common.runner import build_bench, run_bench

PARAMETERS = {
    "inputs": 2,
    "outputs": 2,
    "buffer_bytes": 128,
    "channel_bytes": 777,
    "bus_timeout_cycles": 300,
    "stream_timeout_cycles": 64,
    "frame_timeout_cycles": 200,
}


class BridgeEdge(wiring.Component):
    """The bridge with plain ports, named as at a Verilog edge."""

    def __init__(self, bridge: Bridge):
        self._bridge = bridge
        streams = {"s_axis_rx": bridge.rx, "m_axis_tx": bridge.tx}
        streams |= {f"m_axis_input{number}": port for number, port in enumerate(bridge.inputs)}
        streams |= {f"s_axis_output{number}": port for number, port in enumerate(bridge.outputs)}
        self._inside: list[tuple[str, wiring.Flow, object]] = []
        for name, port in streams.items():
            flow, back = (In, Out) if name.startswith("s_") else (Out, In)
            packets = not name.endswith("x")
            self._inside.append((f"{name}_tdata", flow, port.payload.data if packets else port.payload))
            if packets:
                self._inside.append((f"{name}_tlast", flow, port.payload.last))
            self._inside += [(f"{name}_tvalid", flow, port.valid), (f"{name}_tready", back, port.ready)]
        for name, member in AXI4LiteSignature(32).members.items():
            self._inside.append((f"m_axil_{name}", member.flow, getattr(bridge.bus, name)))
        super().__init__({name: flow(len(value)) for name, flow, value in self._inside})

    def elaborate(self, platform):
        m = Module()
        m.submodules.bridge = self._bridge
        for name, flow, value in self._inside:
            m.d.comb += value.eq(getattr(self, name)) if flow == In else getattr(self, name).eq(value)
        return m


@pytest.fixture(scope="module")
def build(tmp_path_factory):
    folder = tmp_path_factory.mktemp("bridge")
    verilog = folder / "bridge.v"
    verilog.write_text(emit(BridgeEdge(Bridge(identity=IDENTITY, **PARAMETERS)), "bridge"))
    build_bench(verilog, "bridge", folder / "build")
    return folder


def run(build, seed, commands):
    config, work = PARAMETERS | {"commands": commands}, build / f"run{seed}"
    result = run_bench(build / "build", "bridge", "sim.common.bridge_bench", work, seed=seed, config=config)
    assert result.passed, result.summary()
    assert len(result.tests) == 8


def test_bridge_answers_as_the_model(build):
    run(build, 1, 800)


@pytest.mark.deep
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_bridge_answers_as_the_model_for_long(build, seed):
    run(build, seed, 10_000)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"identity": b"short"}, "identity must be 8 bytes, not 5"),
        ({"buffer_bytes": 100}, "buffer_bytes must be a power of two in 64..32768, not 100"),
        ({"buffer_bytes": 65536}, "buffer_bytes must be a power of two in 64..32768, not 65536"),
        ({"inputs": 256}, "inputs must be in 0..255, not 256"),
        ({"channel_bytes": 0}, "channel_bytes must be in 1..65535, not 0"),
        ({"bus_timeout_cycles": 3}, "bus_timeout_cycles must be in 4..4294967295, not 3"),
    ],
)
def test_bridge_refuses_a_wrong_parameter(wrong, message):
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        Bridge(**({"identity": IDENTITY} | PARAMETERS | wrong))


@pytest.mark.parametrize(
    ("windows", "message"),
    [
        ([(0x8, 4)], "a window of 16 bytes cannot begin at 0x00000008"),
        ([(1 << 32, 4)], "a window of 16 bytes cannot begin at 0x100000000"),
        ([(0x0, 8), (0x40, 6)], "the window at 0x00000040 overlaps another"),
    ],
)
def test_decoder_refuses_wrong_windows(windows, message):
    with pytest.raises(ValueError, match=f"^{message}$"):
        AddressDecoder(windows)
