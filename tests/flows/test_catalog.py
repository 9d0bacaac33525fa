"""The table of blocks."""

import ast

import pytest

from flows.catalog import BLOCKS
from flows.load import load_design
from flows.paths import ROOT


def test_catalog_default_of_each_block_is_a_named_design_of_it():
    for block in BLOCKS.values():
        assert load_design(block.default).block is block


@pytest.mark.parametrize("block", BLOCKS.values(), ids=BLOCKS)
def test_catalog_sources_are_all_that_a_block_imports(block):
    """A change of any of them makes its results anew."""
    gateware = reached([block.config.split(":")[0], block.component.split(":")[0]])
    assert gateware <= set(block.gateware_sources())
    simulation = reached([block.vectors, *block.bench.split(",")])
    assert {path for path in simulation if path.is_relative_to(ROOT / "sim")} <= set(block.simulation_sources())


def reached(modules):
    """The files of `hdl` and `sim` that these modules import, and what those import."""
    due, found = list(modules), set()
    while due:
        place = ROOT / due.pop().replace(".", "/")
        path = place / "__init__.py" if place.is_dir() else place.with_suffix(".py")
        if path in found or not path.is_file():
            continue
        found.add(path)
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] in ("hdl", "sim"):
                due += [node.module, *(f"{node.module}.{name.name}" for name in node.names)]
    return found
