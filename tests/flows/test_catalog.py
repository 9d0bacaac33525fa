"""The table of blocks."""

from flows.catalog import BLOCKS
from flows.load import load_design


def test_catalog_default_of_each_block_is_a_named_design_of_it():
    for block in BLOCKS.values():
        assert load_design(block.default).block is block
