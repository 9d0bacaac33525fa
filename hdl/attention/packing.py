"""How rows of a format lie in memory words and in the buffers, and which formats a job can choose."""

from __future__ import annotations

from collections.abc import Callable
from functools import reduce
from operator import or_

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value, ValueLike
from amaranth.lib import data

from hdl.attention.config import ArrayConfig
from hdl.attention.formats import EXPONENT_BITS, KvFormat
from hdl.attention.job_words import FIELDS
from hdl.common.arithmetic import register, wire

FORMAT_BITS = FIELDS["k_format"].bits

ROW_WORD_BITS = 8
"""Of a row's memory words."""


def is_format(config: ArrayConfig, code: Value, such: Callable[[KvFormat], object]) -> Value:
    """Whether a code is that of a format that is built and is such a one."""
    return reduce(or_, (code == each.code for each in config.built_formats.values() if such(each)), Const(0, 1))


def folds(each: KvFormat) -> int:
    """How often a byte of the buffers halves: it holds 2**folds elements. Elements of 6 bits have a byte each."""
    return {8: 0, 6: 0, 4: 1, 2: 2}[each.bits]


def built_folds(config: ArrayConfig) -> list[int]:
    """Those of the formats that are built, 0 left out."""
    return sorted({folds(each) for each in config.built_formats.values()} - {0})


def folded(config: ArrayConfig, value: Value, code: Value, *, up: bool = False) -> Value:
    """`value` elements, or chunks of them, in bytes: floor, or with `up`, ceiling."""
    found = value
    for fold in built_folds(config):
        less = (value + (1 << fold) - 1 if up else value) >> fold
        found = Mux(is_format(config, code, lambda each, fold=fold: folds(each) == fold), less, found)
    return found


def block_logs(config: ArrayConfig) -> list[int]:
    """Of the blocks of formats that are built, log2 of their elements."""
    return sorted({each.block.bit_length() - 1 for each in config.built_formats.values() if each.block})


def by_block(config: ArrayConfig, elements: Value, code: Value) -> Value:
    """Whole blocks in so many elements; 0 where the format has none."""
    found = Const(0, 1)
    for log in block_logs(config):
        of_block = is_format(config, code, lambda each, log=log: each.block == 1 << log)
        found = Mux(of_block, elements >> log, found)
    return found


def chunks_of_word(config: ArrayConfig) -> int:
    """Wide chunks whose places, 2 bits for each of C kept elements, fill a memory word."""
    return config.bus_bits // (2 * config.lanes)


def most_place_words(config: ArrayConfig) -> int:
    """Memory words that the places of the longest sparse row, or part of one, take."""
    return -(-config.most_chunks // (2 * chunks_of_word(config)))


def most_blocks(config: ArrayConfig) -> int:
    """Scales of the longest row; configs with blocks only."""
    return -(-config.dim // (1 << block_logs(config)[0]))


def packing_layout(config: ArrayConfig) -> data.StructLayout:
    """What the words of a row are: format, the job's exponent, scales of the row, and memory words that they take."""
    most = most_blocks(config)
    words = -(-most // config.bus_bytes)
    return data.StructLayout(
        {
            "format": FORMAT_BITS,
            "exponent": EXPONENT_BITS,
            "scales": most.bit_length(),
            "scale_words": words.bit_length(),
        }
    )


class RowPacking:
    """Of a job's keys or values, two cycles after its fields.

    Attributes
    ----------
    row_words : memory words of a row less one
    place_words : of those, how many a sparse row's places take, a cycle after the fields
    layout : `packing_layout` of the row; None in configs without blocks

    Parameters
    ----------
    chunks, code, exponent : fields of the job
    sparse : of them where rows can be sparse
    name : of the signals
    """

    def __init__(
        self,
        m: Module,
        config: ArrayConfig,
        chunks: Value,
        code: Value,
        exponent: Value,
        name: str,
        sparse: ValueLike | None = None,
    ):
        parts = config.lanes // config.bus_bytes
        self.place_words: Value = Const(0, 1)
        if sparse is not None:
            wide_chunks, of_word = chunks >> 1, chunks_of_word(config)
            words = (wide_chunks + of_word - 1) >> (of_word.bit_length() - 1)
            self.place_words = register(m, Mux(sparse, words, 0)[:ROW_WORD_BITS], f"{name}_place_words")
            chunks = wire(m, Mux(sparse, wide_chunks, chunks), f"{name}_kept_chunks")
        whole = wire(m, (chunks << (parts.bit_length() - 1))[:ROW_WORD_BITS], f"{name}_whole")
        words = folded(config, whole, code, up=True)
        of_six = is_format(config, code, lambda each: each.bits == 6)
        elements = register(m, Mux(of_six, whole - (whole >> 2), words)[:ROW_WORD_BITS], f"{name}_element_words")
        if not config.has_blocks:
            words = elements + self.place_words - 1
            self.row_words, self.layout = register(m, words[:ROW_WORD_BITS], f"{name}_row_words"), None
            return
        self.layout = Signal(packing_layout(config), name=f"{name}_packing", reset_less=True)
        scales = register(
            m, by_block(config, chunks << config.lane_bits, code)[: len(self.layout.scales)], f"{name}_scales"
        )
        words = wire(m, (scales + config.bus_bytes - 1) >> (config.bus_bytes.bit_length() - 1), f"{name}_scale_words")
        self.row_words = register(m, (elements + words - 1)[:ROW_WORD_BITS], f"{name}_row_words")
        m.d.sync += [
            self.layout.format.eq(code),
            self.layout.exponent.eq(exponent),
            self.layout.scales.eq(scales),
            self.layout.scale_words.eq(words),
        ]


def cannot_be_packed(config: ArrayConfig, job: Value) -> Value:
    """Whether a job of attention has a format that is not built or not for it, a head that is not whole blocks, or an
    exponent without blocks."""
    reasons = []
    for name in ("k", "v"):
        code, exponent = getattr(job, f"{name}_format"), getattr(job, f"{name}_exponent")
        elements = job.chunks << config.lane_bits
        reasons += [
            ~is_format(config, code, lambda each: not each.keys_of_linear_layers_only),
            exponent.any() & ~is_format(config, code, lambda each: each.block),
        ]
        reasons += [
            is_format(config, code, lambda each, log=log: each.block == 1 << log) & elements[:log].any()
            for log in block_logs(config)
        ]
    if config.dual_issue:
        both = [is_format(config, getattr(job, f"{name}_format"), lambda each: folds(each) == 1) for name in "kv"]
        reasons.append(job.dual & ~Cat(both).all())
    return Cat(reasons, job.sparse).any()
