"""No sum of the array overflows, of any operands and over any tiles; widths of a bit less are found out."""

import pytest

from flows.formal import prove
from hdl.attention.array_proof import ArrayProof
from hdl.attention.config import ArrayConfig
from hdl.attention.lanes_proof import LanesProof

SMALL = {"rows": 2, "lanes": 4, "dim": 8, "subtiles": 2, "bus_bits": 32, "guard_bits": 10}
LARGE = {"rows": 2, "lanes": 16, "dim": 64, "subtiles": 2, "bus_bits": 64}
WIDE = {"formats": ["int4"], "linear": True, "dual_issue": True, "sparse": True}
CYCLES = 12
"""All is decided by then."""


def narrower(name):
    """Configs, one width of which is a bit less than it should be."""

    def less(config):
        return getattr(ArrayConfig, name).fget(config) - 1

    return type("Narrower", (ArrayConfig,), {name: property(less)})


def test_no_sum_overflows(tmp_path):
    assert prove(ArrayProof(ArrayConfig.parse(SMALL)), tmp_path, depth=CYCLES).holds


@pytest.mark.parametrize("more", [{}, WIDE | {"dim": 16}], ids=["lanes", "wide lanes"])
def test_products_of_a_bit_less_overflow(tmp_path, more):
    built = narrower("product_bits").parse(SMALL | more)
    verdict = prove(LanesProof(ArrayConfig.parse(SMALL | more), built), tmp_path, depth=CYCLES)
    assert "lanes_proof.py" in verdict.failed


@pytest.mark.deep
@pytest.mark.parametrize(
    "more",
    [{}, {"p_bits": 9}, {"formats": ["mxfp4"]}, {"p_bits": 9, "formats": ["nvfp4"]}, WIDE],
    ids=["int8", "p of 9 bits", "blocks", "blocks and p of 9 bits", "wide jobs"],
)
def test_no_sum_overflows_in_the_widths_of_16_lanes(tmp_path, more):
    assert prove(ArrayProof(ArrayConfig.parse(LARGE | more)), tmp_path, depth=CYCLES).holds


@pytest.mark.deep
def test_outputs_of_a_bit_less_overflow(tmp_path):
    verdict = prove(ArrayProof(ArrayConfig.parse(SMALL), narrower("o_bits").parse(SMALL)), tmp_path, depth=CYCLES)
    assert "row_proof.py" in verdict.failed
