"""Power intent of a design as IEEE 1801-2013 (UPF 2.1): what can be switched off, in which modes, and what holds then.

The switches are driven from outside of the design: UPF adds two ports a domain to the top module, `<domain>_on` and
`<domain>_isolate`, which the Verilog does not have.
"""

from __future__ import annotations

import re
from fnmatch import fnmatchcase

from hdl.common.power import PowerDomain, PowerPlan

NOMINAL_V = 1.1
"""Of the supply where it is on: that of the library (Nangate, 45 nm) that areas are told for."""

EVERY_MODE = "every_mode"
"""Name of the state in which all is on: after a domain is switched on, until the design was reset."""


def instances(verilog: str, top: str) -> list[str]:
    """Paths of all instances below the top module of Verilog as `flows.verilog` writes it, parents first."""
    children: dict[str, list[tuple[str, str]]] = {
        name: [] for name in re.findall(r"^module ([\w$]+)", verilog, re.MULTILINE)
    }
    module = ""
    for line in verilog.splitlines():
        if opened := re.match(r"module ([\w$]+)", line):
            module = opened[1]
        elif (found := re.match(r" +([\w$]+) +([\w$]+) \($", line)) and found[1] in children:
            children[module].append((found[1], found[2]))

    def below(module: str, path: str) -> list[str]:
        return [each for kind, name in children[module] for each in (f"{path}{name}", *below(kind, f"{path}{name}/"))]

    return below(top, "")


def power_intent(plan: PowerPlan, verilog: str, top: str, *, header: str = "") -> str:
    """The UPF file of a design.

    Raises
    ------
    LookupError
        If a domain has no instance in the Verilog.
    """
    paths = instances(verilog, top)
    supplies = ["vdd", "vss", *(f"vdd_{domain.name}" for domain in plan.domains)]
    lines = [
        "upf_version 2.1",
        f"set_design_top {top}",
        *(f"create_supply_port {name} -direction in" for name in ("vdd", "vss")),
        *(f"create_supply_net {name}" for name in supplies),
        *(f"connect_supply_net {name} -ports {{{name}}}" for name in ("vdd", "vss")),
        "create_supply_set always_on_supply -function {power vdd} -function {ground vss}",
        "create_power_domain always_on -elements {.} -supply {primary always_on_supply}",
        f"add_port_state vdd -state {{on {NOMINAL_V}}}",
        "add_port_state vss -state {on 0.0}",
    ]
    for domain in plan.domains:
        lines += ["", *_domain(domain, paths)]
    lines += ["", f"create_pst modes -supplies {{{' '.join(supplies)}}}"]
    for mode in (*plan.modes, EVERY_MODE):
        states = ["on" if mode in (*domain.modes, EVERY_MODE) else "off" for domain in plan.domains]
        lines.append(f"add_pst_state {mode} -pst modes -state {{on on {' '.join(states)}}}")
    return header + "".join(f"{line}\n" for line in lines)


def _domain(domain: PowerDomain, paths: list[str]) -> list[str]:
    """A domain with its supply, its switch, what its outputs are while it is off, and the switch's states."""
    name = domain.name
    elements = [path for path in paths if any(fnmatchcase(path, pattern) for pattern in domain.instances)]
    if not elements:
        raise LookupError(f"the power domain {name} has no instance in the Verilog")
    controls = (f"{name}_on", f"{name}_isolate")
    return [
        f"# {name}: on in {', '.join(domain.modes)}",
        f"create_supply_set {name}_supply -function {{power vdd_{name}}} -function {{ground vss}}",
        f"create_power_domain {name} -supply {{primary {name}_supply}} -elements {{",
        *(f"    {path}" for path in elements),
        "}",
        *(f"create_logic_port {control} -direction in" for control in controls),
        *(f"create_logic_net {control}" for control in controls),
        *(f"connect_logic_net {control} -ports {{{control}}}" for control in controls),
        f"create_power_switch {name}_switch -domain {name} -input_supply_port {{in vdd}} "
        f"-output_supply_port {{out vdd_{name}}} -control_port {{control {name}_on}} "
        "-on_state {on in {control}} -off_state {off {!control}}",
        f"set_isolation {name}_isolation -domain {name} -applies_to outputs -clamp_value 0 "
        f"-isolation_supply_set always_on_supply -isolation_signal {name}_isolate -isolation_sense high "
        "-location parent",
        f"add_port_state {name}_switch/out -state {{on {NOMINAL_V}}} -state {{off off}}",
    ]
