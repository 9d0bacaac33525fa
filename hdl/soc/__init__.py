"""A processor that sets other blocks up."""
