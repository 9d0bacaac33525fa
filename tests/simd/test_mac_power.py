"""Parts of `simd.mac` that stand still: their switching activity, and what happens when they have no power."""

from __future__ import annotations

import re
from fnmatch import fnmatchcase

import numpy as np
import pytest

from flows.load import load_design
from flows.upf import instances
from hdl.simd.config import MacConfig
from hdl.simd.mac import build
from hdl.simd.power import core_path, part_of, power_plan
from sim.common.errors import HarnessError
from sim.common.harness import Harness, build_harness
from sim.simd import mac_vectors
from sim.simd.mac_activity import beats_activity

pytestmark = pytest.mark.deep
BEATS = 256
DOTS = 400  # of a mode
SMALL = {"modes": ["p8_0", "int4", "e5m2", "nvfp4"], "outputs": ["fp4", "int32"], "core_only": True}
WHOLE = {"modes": ["p16_1", "fp4", "mxint8"], "outputs": ["p16_1", "fp32"]}
CONFIGS = {name: load_design(name).config.model_dump(mode="json") for name in ("mac_quad_core", "mac_full_core")}
CONFIGS |= {"small": SMALL, "whole": WHOLE}
LARGE = ["mac_quad_core", "mac_full_core"]


@pytest.fixture(scope="module")
def block():
    def of(name):
        config = MacConfig.parse(CONFIGS[name])
        return CONFIGS[name], config, build(config)

    return of


@pytest.fixture(scope="module")
def libraries():
    """Harnesses that are built once, by name."""
    return {}


def parts_and_toggles(harness, config, mode, folder, stall):
    """(part, path below the core, toggles) of every instance of the core while beats come in."""
    activity = beats_activity(harness, config, mode, BEATS, folder, stall=stall)
    assert activity.cycles >= BEATS
    core = core_path(config)
    for path, instance in activity.instances.items():
        if path == core or path.startswith(f"{core}/"):
            below = path[len(core) + 1 :]
            yield part_of(below), below, instance.toggles


def wrong_instances(library, ports, config, folder, stall=0.0):
    """Modes and parts, with an instance that toggles though the part is idle, or is still though the part works."""
    with Harness(library, ports) as harness:
        return {
            (mode, part.name): path
            for mode in config.modes
            for part, path, toggles in parts_and_toggles(harness, config, mode, folder, stall)
            if (toggles > 0) != (mode in part.modes)
        }


def traced(verilog, ports, folder):
    return build_harness(verilog, ports, folder, optimise="-O0", extra_args=["--trace-saif"])


@pytest.mark.parametrize("stall", [0.0, 0.4])
@pytest.mark.parametrize("built", ["small", *LARGE], indirect=True)
def test_mac_idle_parts_do_not_toggle_and_others_do(built, stall, libraries, tmp_path):
    if built.top not in libraries:
        libraries[built.top] = traced(built.verilog, built.ports, tmp_path / "traced")
    assert wrong_instances(libraries[built.top], built.ports, built.config, tmp_path, stall) == {}


ISOLATION = [
    ("core__lanes", r"code\S* = a\[7:0\]"),
    ("core__accumulator", r"\S+ = segment"),
    ("core", r"\S+ = op__payload\[95:80\]"),
    ("core", r"value\S* = \{[^}]*\}"),
]
"""Modules, and the operands of ANDs that keep parts still."""
KEPT_STILL = {
    "decode_p8_0": {"int4", "e5m2", "nvfp4"},
    "decode_floats": {"p8_0", "int4", "nvfp4"},
    "high": {"p8_0", "int4"},
    "scales": {"p8_0", "int4", "e5m2"},
    "drain": {"p8_0", "int4", "e5m2"},
}
"""By these ANDs: parts, and the modes in which they are idle."""


@pytest.mark.parametrize("built", ["small"], indirect=True)
def test_mac_without_isolation_is_caught(built, tmp_path):
    """The ANDs are taken out: what they kept still toggles, and nothing else."""
    text = built.verilog.read_text()
    for module, operand in ISOLATION:
        start = re.search(rf"^module {built.top}__{module} ?\(", text, re.MULTILINE).start()
        end = text.index("\nendmodule", start)
        gate = re.compile(rf"( assign {operand}) & \{{ (\S+)(, \2)+ \}};")
        body, count = gate.subn(r"\1;", text[start:end])
        assert count >= 1
        text = text[:start] + body + text[end:]
    mutated = tmp_path / "mutated.v"
    mutated.write_text(text)
    wrong = wrong_instances(traced(mutated, built.ports, tmp_path / "traced"), built.ports, built.config, tmp_path)
    assert set(wrong) <= {(mode, part) for part, modes in KEPT_STILL.items() for mode in modes}
    assert {part for _, part in wrong} == set(KEPT_STILL)


def with_switches(verilog, top, plan):
    """The Verilog with a port `<domain>_on` for each domain. In one that is off, every module gets complements for
    inputs, and gives zeros: what it holds is wrong, and the isolation cells clamp it."""
    paths = instances(verilog, top)
    for domain in plan.domains:
        for path in paths:
            if any(fnmatchcase(path, pattern) for pattern in domain.instances):
                verilog = switched_module(verilog, f"{top}__{path.replace('/', '__')}", f"{top}.{domain.name}_on")
    head = re.search(rf"^module {top} ?\(", verilog, re.MULTILINE)
    names = [f"{domain.name}_on" for domain in plan.domains]
    body = verilog.index(";\n", head.end()) + 2
    inputs = "".join(f"  input {name} /* verilator public_flat_rd */;\n" for name in names)
    return verilog[: head.end()] + ", ".join(names) + ", " + verilog[head.end() : body] + inputs + verilog[body:]


def switched_module(verilog, module, power):
    """A shell under the module's name, and the module inside it under another."""
    start = re.search(rf"^module {re.escape(module)} ?\(", verilog, re.MULTILINE).start()
    text = verilog[start : verilog.index("endmodule", start)]
    ports = re.findall(r"^  (input|output) (\[\d+:0\] )?(\S+);$", text, re.MULTILINE)
    assert ports
    lines, pins = [], []
    for direction, width, name in ports:
        lines += [f"  {direction} {width}{name};", f"  wire {width}inner_{name};"]
        pins.append(f".{name}(inner_{name})")
        given = f"~{name}" if name not in ("clk", "rst") else name
        lines.append(
            f"  assign inner_{name} = {power} ? {name} : {given};"
            if direction == "input"
            else f"  assign {name} = {power} ? inner_{name} : 0;"
        )
    head = f"module {module} ({', '.join(name for _, _, name in ports)});"
    shell = [head, *lines, f"  {module}__shelled shelled ({', '.join(pins)});", "endmodule", "", ""]
    inside = text.replace(f"module {module}", f"module {module}__shelled", 1)
    return verilog[:start] + "\n".join(shell) + inside + verilog[start + len(text) :]


def differs(harness, config, arrays):
    """Whether results are not the model's, or none come."""
    right = mac_vectors.model(config, arrays)
    try:
        result = harness.run(mac_vectors.pack(config, arrays), mac_vectors.expected_beats(config, arrays), seed=3)
    except HarnessError:
        return True
    got = mac_vectors.unpack(config, arrays, result.outputs)
    return any((got[name] != right[name]).any() for name in right)


@pytest.mark.parametrize("built", ["small", "whole", *LARGE], indirect=True)
def test_mac_needs_no_power_where_its_plan_says_so(built, tmp_path):
    """In each mode with nothing on but its domains the results are right; without any one of those they are not."""
    config, plan = built.config, power_plan(built.config)
    verilog = tmp_path / "switched.v"
    verilog.write_text(with_switches(built.verilog.read_text(), built.top, plan))
    switches = [{"name": f"{one.name}_on", "direction": "input", "width": 1, "interface": "signal", "role": one.name}
                for one in plan.domains]  # fmt: skip
    ports = built.ports | {"ports": [*built.ports["ports"], *switches]}
    library = build_harness(verilog, ports, tmp_path / "switched", optimise="-O0")
    rng = np.random.default_rng(4)
    for mode in config.modes:
        needed = [domain.name for domain in plan.domains if mode in domain.modes]
        job = np.full(DOTS, mac_vectors.job_of(mode, config.outputs[-1]), np.uint16)
        arrays = {"job": job} | mac_vectors.random_operands(config, rng, job, 40)
        for missing in (None, *needed):
            with Harness(library, ports) as harness:
                for domain in plan.domains:
                    harness.poke(f"{domain.name}_on", int(domain.name in needed and domain.name != missing))
                harness.reset()
                assert differs(harness, config, arrays) == (missing is not None), (mode, missing)
