"""The UPF files of designs: their structure, held against the emitted Verilog and the table of parts."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from flows.load import load_design
from flows.upf import EVERY_MODE, instances, power_intent
from flows.verilog import write_rtl
from hdl.common.power import PowerDomain, PowerPlan

DESIGNS = [
    "mac_quad",
    *(pytest.param(name, marks=pytest.mark.deep) for name in ("mac_quad_core", "mac_full_core", "mac_full")),
]
WITHOUT = ["mac_quad_fpga_core", "mac_int8_core", "dot_int8x4"]


def commands(text: str) -> list[tuple[str, list[str]]]:
    """Every command with its words; a word in braces, which may hold others, is one."""
    joined = "\n".join(line for line in text.splitlines() if not line.startswith("#"))
    found = []
    for command in re.findall(r"^\S(?:\{(?:[^{}]|\{[^{}]*\})*\}|[^\n{}])*$", joined, re.MULTILINE):
        name, *words = re.findall(r"\{((?:[^{}]|\{[^{}]*\})*)\}|(\S+)", command)
        found.append((name[1], [inner or plain for inner, plain in words]))
    return found


def of_domain(found: list[tuple[str, list[str]]], command: str, domain: str) -> list[str]:
    """The words of the one command of this name that is for a domain."""
    (words,) = [words for name, words in found if name == command and words[words.index("-domain") + 1] == domain]
    return words


def option(words: list[str], name: str) -> str:
    return words[words.index(name) + 1]


@pytest.mark.parametrize("name", DESIGNS)
def test_upf_names_what_the_verilog_has(name: str, tmp_path: Path) -> None:
    design = load_design(name)
    files = write_rtl(design, tmp_path)
    plan = design.block.power_plan(design.config)
    assert plan
    text = files["upf"].read_text()
    assert text.count("{") == text.count("}")
    found = commands(text)
    assert len(found) == len([line for line in text.splitlines() if re.match(r"[a-z]", line)])
    assert ("set_design_top", [design.top]) in found
    paths = instances(files["v"].read_text(), design.top)
    modules = re.findall(r"^module ", files["v"].read_text(), re.MULTILINE)
    assert len(paths) == len(set(paths)) == len(modules) - 1  # each module but the top is instantiated once

    domains = {words[0]: words for kind, words in found if kind == "create_power_domain"}
    assert list(domains) == ["always_on", *(domain.name for domain in plan.domains)]
    elements = {name: option(words, "-elements").split() for name, words in domains.items()}
    switched = [path for name, inside in elements.items() for path in inside if name != "always_on"]
    assert set(switched) <= set(paths)
    assert len(switched) == len(set(switched))
    assert elements["always_on"] == ["."]

    ports = [words[0] for kind, words in found if kind == "create_logic_port"]
    nets = [words[0] for kind, words in found if kind == "create_supply_net"]
    for domain in plan.domains:
        switch = of_domain(found, "create_power_switch", domain.name)
        assert option(switch, "-input_supply_port") == "in vdd"
        output = option(switch, "-output_supply_port").split()[1]
        assert output in nets
        assert option(switch, "-control_port").split()[1] in ports
        supply = option(domains[domain.name], "-supply").split()[1]
        assert ("create_supply_set", [supply, "-function", f"power {output}", "-function", "ground vss"]) in found
        isolation = of_domain(found, "set_isolation", domain.name)
        assert (option(isolation, "-applies_to"), option(isolation, "-clamp_value")) == ("outputs", "0")
        assert option(isolation, "-isolation_signal") in ports

    (table,) = [words for kind, words in found if kind == "create_pst"]
    supplies = option(table, "-supplies").split()
    states = {words[0]: option(words, "-state").split() for kind, words in found if kind == "add_pst_state"}
    assert list(states) == [*design.config.modes, EVERY_MODE]  # type: ignore[attr-defined]
    for mode, state in states.items():
        told = dict(zip(supplies, state, strict=True))
        assert told.pop("vdd") == told.pop("vss") == "on"
        for domain in plan.domains:
            assert told.pop(f"vdd_{domain.name}") == ("on" if mode in (*domain.modes, EVERY_MODE) else "off")
        assert not told


@pytest.mark.parametrize("name", WITHOUT)
def test_upf_is_not_written_where_nothing_can_be_switched(name: str, tmp_path: Path) -> None:
    design = load_design(name)
    assert design.block.power_plan(design.config) is None
    assert set(write_rtl(design, tmp_path)) == {"v", "ports.json", "h", "core"}


def test_upf_of_a_domain_without_instances_is_refused() -> None:
    plan = PowerPlan(("a", "b"), (PowerDomain("lost", ("core/nowhere_?",), ("a",)),))
    with pytest.raises(LookupError, match="the power domain lost has no instance in the Verilog"):
        power_intent(plan, "module top (clk);\nendmodule\n", "top")
