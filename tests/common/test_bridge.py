"""The host bridge in Verilator against the model of its protocol, and its parameters."""

from __future__ import annotations

import pytest
from amaranth.hdl import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from flows.verilog import emit
from hdl.common.axi import AXI4LiteSignature
from hdl.common.bridge import Bridge
from sim.common.bridge_bench import IDENTITY
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


def test_bridge_answers_as_the_model(build):
    config = PARAMETERS | {"commands": 10_000}
    result = run_bench(build / "build", "bridge", "sim.common.bridge_bench", build / "run", seed=1, config=config)
    assert result.passed, result.summary()
    assert len(result.tests) == 8
