"""The register bank in Verilator, against a model written by hand and a bus model written by others."""

from __future__ import annotations

from pathlib import Path

import pytest
from amaranth.hdl import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from flows.verilog import emit
from hdl.common.axi import AXI4LiteSignature
from hdl.common.csr_bank import CSRBank
from hdl.common.edge import ports
from hdl.common.registers import load_registers
from sim.common.runner import build_bench, run_bench

HERE = Path(__file__).parent
BUILD = 0x5A


class FlatBank(wiring.Component):
    """A bank whose signals are ports `<register>_<field>_<signal>`."""

    def __init__(self, register_map):
        self._bank = CSRBank(register_map)
        self._signals = {}
        members = {"csr": In(AXI4LiteSignature(register_map.address_bits))}
        for path, member, value in self._bank.signature.flatten(self._bank):
            if path[0] != "bus":
                members["_".join(path)] = member
                self._signals["_".join(path)] = (member.flow, value)
        super().__init__(members)

    def elaborate(self, platform):
        m = Module()
        m.submodules.bank = self._bank
        connect(m, flipped(self.csr), self._bank.bus)
        for name, (flow, value) in self._signals.items():
            port = getattr(self, name)
            m.d.comb += port.eq(value) if flow == Out else value.eq(port)
        return m


@pytest.fixture(scope="module")
def bank():
    return FlatBank(load_registers(HERE / "kinds.rdl", {"BUILD": BUILD}))


@pytest.mark.parametrize("accesses", [2_400, pytest.param(12_000, marks=pytest.mark.deep)])
def test_csr_bank_obeys_the_model_on_the_bus(bank, accesses, tmp_path):
    verilog = tmp_path / "kinds.v"
    verilog.write_text(emit(bank, "kinds"))
    build_bench(verilog, "kinds", tmp_path / "build")
    env = {"NIELLO_BUILD": str(BUILD), "NIELLO_ACCESSES": str(accesses)}
    result = run_bench(tmp_path / "build", "kinds", "sim.common.csr_bench", tmp_path / "run", seed=2, env=env)
    assert result.passed, result.summary()
    assert len(result.tests) == 8


def test_csr_bank_has_the_signals_that_its_fields_need(bank):
    found = {port.name: (port.direction, port.width) for port in ports(bank) if port.interface == "signal"}
    assert found == {
        "constants_build_value": ("output", 8),
        "control_enable_value": ("output", 1),
        "control_enable_written": ("output", 1),
        "control_start_value": ("output", 1),
        "control_stop_value": ("output", 1),
        "control_gain_value": ("output", 8),
        "control_gain_written": ("output", 1),
        "control_command_value": ("output", 4),
        "control_command_written": ("output", 1),
        "status_events_value": ("output", 4),
        "status_events_set": ("input", 4),
        "status_armed_value": ("output", 2),
        "status_armed_clear": ("input", 2),
        "status_busy_next": ("input", 1),
        "status_seen_value": ("output", 8),
        "status_seen_set": ("input", 8),
        "status_both_value": ("output", 4),
        "status_both_set": ("input", 4),
        "status_both_clear": ("input", 4),
        "motion_position_value": ("output", 16),
        "motion_position_next": ("input", 16),
        "motion_position_we": ("input", 1),
        "motion_latched_next": ("input", 16),
        "motion_latched_we": ("input", 1),
        "data_word_next": ("input", 32),
        "data_word_read": ("output", 1),
        "marks_marks_value": ("output", 8),
        "marks_marks_set": ("input", 8),
        "marks_marks_read": ("output", 1),
    }
