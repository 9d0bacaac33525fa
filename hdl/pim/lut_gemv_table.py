"""A table of the sums of all subsets of a few numbers, filled one sum a cycle."""

from __future__ import annotations

from amaranth.hdl import Cat, Const, Module, Mux, Signal, signed
from amaranth.lib import wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from hdl.common.arithmetic import wire
from hdl.pim.lut_gemv_config import LutGemvConfig


class SubsetTable(wiring.Component):
    """Entry p is the sum of the elements whose bits are set in p.

    An entry is the one without p's lowest set bit, plus that bit's element: one addition. Entries of one element are
    the elements themselves and need no place. With `config.pattern_cache` every cycle with `fill` set makes one entry:
    if that of `pattern` is missing, the first that is missing on the way to it, else the lowest that is missing; the
    table knows which are there. Without, whoever fills goes through all patterns in ascending order.

    Members
    -------
    load : In(1)
        Take `elements`, forget all entries.
    elements : In(config.group * 8)
    pattern : In(config.group)
    fill : In(1)
        Make an entry.
    hit : Out(1)
        The entry of `pattern` is there; always, without a pattern cache.
    value : Out(signed(config.entry_bits))
        The entry, in the same cycle, if `hit`.
    """

    def __init__(self, config: LutGemvConfig):
        self._config = config
        super().__init__(
            {
                "load": In(1),
                "elements": In(config.group * config.element_bits),
                "pattern": In(config.group),
                "fill": In(1),
                "hit": Out(1),
                "value": Out(signed(config.entry_bits)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        config, group = self._config, self._config.group
        held = Signal(len(self.elements), reset_less=True)
        with m.If(self.load):
            m.d.sync += held.eq(self.elements)
        elements = [held.word_select(place, config.element_bits).as_signed() for place in range(group)]
        m.submodules.entries = entries = Memory(shape=config.entry_bits, depth=1 << group, init=[])
        write = entries.write_port()

        def entry(pattern, name):
            """What is stored for a pattern, or the element that it is."""
            read = entries.read_port(domain="comb")
            single = Signal(signed(config.element_bits), name=f"{name}_single")
            found = Signal(signed(config.entry_bits), name=f"{name}_entry")
            m.d.comb += [
                read.addr.eq(pattern),
                single.eq(_chosen(pattern, elements)),
                found.eq(Mux(_several(pattern), read.data.as_signed(), single)),
            ]
            return found

        target = Signal(group)
        room = Signal()
        if config.pattern_cache:
            self._find(m, target, room)
        else:
            m.d.comb += [target.eq(self.pattern), self.hit.eq(1), room.eq(1)]
        lowest = [wire(m, target[place] & ~target[:place].any(), f"lowest_{place}") for place in range(group)]
        parent = wire(m, Cat(target[place] & ~lowest[place] for place in range(group)), "parent")
        added = Signal(signed(config.element_bits))
        m.d.comb += [
            added.eq(_chosen(lowest, elements)),
            write.addr.eq(target),
            write.data.eq(entry(parent, "parent") + added),
            write.en.eq(self.fill & room),
            self.value.eq(entry(self.pattern, "asked")),
        ]
        return m

    def _find(self, m, target, room):
        """The chain of `pattern`: what is left of it without 0, 1, 2, ... of its low bits. Whatever is there has all
        that follows in the chain, and so has the lowest that is missing."""
        group = self._config.group
        known = Signal(1 << group)
        entries = [pattern for pattern in range(1 << group) if pattern & (pattern - 1)]
        chain = [wire(m, Cat(Const(0, drop), self.pattern[drop:]), f"chain_{drop}") for drop in range(group)]
        there = [wire(m, known.bit_select(p, 1) | ~_several(p), f"there_{drop}") for drop, p in enumerate(chain)]
        m.d.comb += [self.hit.eq(there[0]), room.eq(~Cat(known[pattern] for pattern in entries).all())]
        for pattern in reversed(entries):  # the later wins
            with m.If(~known[pattern]):
                m.d.comb += target.eq(pattern)
        for drop in range(group):
            with m.If(~there[drop]):
                m.d.comb += target.eq(chain[drop])
        with m.If(self.load):
            m.d.sync += known.eq(0)
        with m.Elif(self.fill & room):
            m.d.sync += known.bit_select(target, 1).eq(1)


def _several(pattern):
    """Two bits or more are set."""
    return Cat(pattern[place] & pattern[place + 1 :].any() for place in range(len(pattern) - 1)).any()


def _chosen(one_hot, elements):
    """The element whose bit is set, 0 if none is."""
    found = Const(0, len(elements[0]))
    for chosen, element in zip(one_hot, elements, strict=True):
        found |= Mux(chosen, element, 0)
    return found
