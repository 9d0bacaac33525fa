"""A job's descriptor, gathered from memory words and checked."""

from __future__ import annotations

from functools import reduce
from operator import or_

from amaranth.hdl import Cat, Module, Mux, Signal, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from hdl.attention.config import ArrayConfig
from hdl.attention.job_words import FIELDS, WORD_BITS, WORDS, reserved_masks
from hdl.attention.linear_job import impossible, parts_bits, parts_of
from hdl.attention.packing import cannot_be_packed
from hdl.attention.tile_size import bad_wide_job
from hdl.common.arithmetic import wire

DESCRIPTOR_BYTES = WORDS * WORD_BITS // 8


def job_layout() -> data.StructLayout:
    """All fields of a job."""
    return data.StructLayout(
        {name: signed(field.bits) if field.signed else field.bits for name, field in FIELDS.items()}
    )


class Descriptor(wiring.Component):
    """Members
    -------
    write, wrong, data : the next memory word of it; `wrong`, that it could not be read
    taken : it is not needed any more
    valid : it is complete
    job : its fields
    parts : where linear layers are built: of one's inputs; 1 of other jobs
    bad : it cannot be a job
    """

    def __init__(self, config: ArrayConfig):
        self._config = config
        super().__init__(
            {
                "write": In(1),
                "wrong": In(1),
                "data": In(config.bus_bits),
                "taken": In(1),
                "valid": Out(1),
                "job": Out(job_layout()),
                **({"parts": Out(parts_bits(config))} if config.linear else {}),
                "bad": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        config = self._config
        words = Signal(WORDS * WORD_BITS, reset_less=True)
        place = Signal(range(DESCRIPTOR_BYTES // config.bus_bytes))
        complete, unread = Signal(), Signal()
        with m.If(self.taken):
            m.d.sync += [self.valid.eq(0), unread.eq(0)]
        with m.If(self.write):
            m.d.sync += [
                words.eq(Cat(words, self.data)[config.bus_bits :]),
                place.eq(place + 1),
                unread.eq(unread | self.wrong),
            ]
        m.d.sync += complete.eq(self.write & place.all())
        with m.If(complete):
            m.d.sync += [self.valid.eq(1), self.bad.eq(self._bad(m, words) | unread)]
            if config.linear:
                m.d.sync += self.parts.eq(parts_of(m, config, self.job))
        for name, field in FIELDS.items():
            low = field.word * WORD_BITS + field.low
            m.d.comb += getattr(self.job, name).eq(words[low : low + field.bits])
        return m

    def _bad(self, m, words):
        """Reserved bits, ranges, what is not built, and alignment."""
        config, job = self._config, self.job
        low = (config.bus_bytes - 1).bit_length()
        reserved = [
            words[word * WORD_BITS + bit]
            for word, mask in enumerate(reserved_masks())
            for bit in range(WORD_BITS)
            if mask >> bit & 1
        ]
        ranges = []
        for name, field in FIELDS.items():
            if field.least:
                ranges.append(getattr(job, name) < field.least)
            if field.most is not None:
                ranges.append(getattr(job, name) > field.most)
        places = [getattr(job, f"{x}_{what}")[:low] for x in "qkvo" for what in ("address", "stride")]
        reasons = [
            Cat(reserved).any(),
            reduce(or_, ranges),
            job.rows > config.rows * config.subtiles,
            Cat(places).any(),
            self._bad_of_kind(),
            Cat(bad_wide_job(config, job)).any(),
        ]
        return wire(m, Cat(reasons).any(), "bad_job")

    def _bad_of_kind(self):
        """Of attention, or of a linear layer where there can be one."""
        config, job = self._config, self.job
        of_attention = cannot_be_packed(config, job) | (job.chunks > config.most_chunks) | job.relu | job.o_format[1]
        if not config.linear:
            return job.linear | of_attention
        return Mux(job.linear, Cat(impossible(config, job)).any(), of_attention)
