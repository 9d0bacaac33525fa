"""What makes a descriptor a linear layer that can be done: its parts, and what it must not ask for."""

from __future__ import annotations

from functools import reduce
from operator import or_

from amaranth.hdl import Cat, Module, Mux, Value
from amaranth.lib import data

from hdl.attention.config import ArrayConfig
from hdl.attention.job_words import FIELDS, OUTPUT_BITS
from hdl.attention.packing import built_folds, folds, is_format
from hdl.attention.tile_size import whole_tiles
from hdl.common.arithmetic import wire

ZERO_FIELDS = ("v_address", "step", "sink", "lo", "hi", "fraction", "key")
ZERO_FIELDS += ("v_format", "k_exponent", "v_exponent")
"""Of a linear layer's job: they have no meaning there."""


def parts_bits(config: ArrayConfig) -> int:
    """Of a layer's number of parts, up to `subtiles`."""
    return config.subtiles.bit_length()


def part_counts(config: ArrayConfig) -> range:
    """Numbers of parts, from 2 on, whose chunks a descriptor can name."""
    most = FIELDS["chunks"].range[-1] // config.most_chunks
    return range(2, min(config.subtiles, most) + 1)


def parts_of(m: Module, config: ArrayConfig, job: data.View) -> Value:
    """P of a linear layer with more than `dim` inputs; 1 of any other job."""
    found = Cat(*(job.chunks == parts * config.most_chunks for parts in part_counts(config)))
    total = reduce(or_, (found[place].replicate(parts_bits(config)) & parts for place, parts in _numbered(config)))
    return wire(m, Mux(job.linear & found.any(), total, 1), "parts")


def _numbered(config: ArrayConfig):
    return enumerate(part_counts(config))


def impossible(config: ArrayConfig, job: data.View) -> list[Value]:
    """Reasons for which a linear layer's descriptor is a bad one, beside those of every job.

    A number of inputs that is neither up to `dim` nor a multiple of it; more rows than there is room for; outputs of
    which a tile's do not fill memory words; weights that are not built, or of which a part's do not; not all outputs of
    its tiles; a field that has no meaning.
    """
    whole = Cat(*(job.chunks == parts * config.most_chunks for parts in part_counts(config)))
    reasons = [
        (job.chunks > config.most_chunks) & ~whole.any(),
        ~job.first | ~job.last,
        Cat(getattr(job, name) for name in ZERO_FIELDS).any(),
        job.v_stride.any() & ~whole.any(),
        job.keys != whole_tiles(config, job.tiles, job.dual | job.sparse),
    ]
    reasons += [
        whole[place] & (job.rows > config.rows * (config.subtiles // parts)) for place, parts in _numbered(config)
    ]
    reasons += [~is_format(config, job.k_format, lambda each: not each.block)]
    reasons += [
        whole.any() & ~job.sparse & is_format(config, job.k_format, lambda each, fold=fold: folds(each) == fold)
        for fold in built_folds(config)
        if (config.dim >> fold) % config.bus_bytes
    ]
    reasons += [job.dual & ~is_format(config, job.k_format, lambda each: folds(each) > 0)]
    reasons += [job.o_format == code for code, bits in enumerate(OUTPUT_BITS) if config.lanes * bits % config.bus_bits]
    return reasons
