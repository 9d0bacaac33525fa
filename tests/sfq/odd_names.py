"""Names that one or other format cannot take as they are."""

from __future__ import annotations

from dataclasses import replace

ODD_NAMES = (
    "a b",
    "naïve",
    'quo"te',
    "back\\slash",
    "3",
    "module",
    "x[3]",
    "x_3_",
    "$12",
    "a%20b",
    "Ünit/1",
    "'",
    "α,β;",
    "a.b",
)


def with_odd_names(netlist):
    """The same netlist, some of whose wires and instances have odd names."""
    wires = dict(zip(netlist.wires[::3], ODD_NAMES, strict=False))
    names = dict(zip((one.name for one in netlist.instances), (f"{name}!" for name in ODD_NAMES), strict=False))
    return replace(
        netlist,
        name=f"odd {netlist.name}",
        instances=tuple(
            replace(
                one,
                name=names.get(one.name, one.name),
                pins={pin: wires.get(wire, wire) for pin, wire in one.pins.items()},
            )
            for one in netlist.instances
        ),
        inputs=tuple(wires.get(wire, wire) for wire in netlist.inputs),
        outputs=tuple(wires.get(wire, wire) for wire in netlist.outputs),
    )
