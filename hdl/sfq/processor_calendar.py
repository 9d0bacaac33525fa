"""The calendar of `sfq.processor`: pulses under way, by the tick in which they arrive."""

from __future__ import annotations

from amaranth.hdl import C, Cat, Module, Mux, Signal, Value
from amaranth.lib import memory, wiring
from amaranth.lib.wiring import In, Out


class Calendar(wiring.Component):
    """A bucket for every tick of the next 2**horizon_bits - 1, each a linked list of pulses.

    Putting: `look` with the bucket, and in any later cycle `put`, the bucket unchanged. Searching: three cycles after a
    `seek`, `next` is the first bucket after `now` that is not empty, once around if need be. Emptying: `peek`, when
    `next` is known, which changes nothing; right after a `peek`, `open`. From the next cycle on, `item` is the
    first pulse of that bucket, until `step`, and in the cycle after that it is the one behind it, unless `last` was
    high. Only one of the three may be under way.

    Parameters
    ----------
    horizon_bits : int
        2 or more.
    slot_bits : int
        There is room for 2**slot_bits pulses.
    item_bits : int
        Of what is kept of a pulse.

    Members
    -------
    clear : forget everything
    empty : no pulse is under way
    bucket, look, put, put_item : of a pulse to keep
    full : there is no room; `put` does nothing
    now, seek, next : of a search
    peek, open, item, last, step : of emptying
    """

    def __init__(self, *, horizon_bits: int, slot_bits: int, item_bits: int):
        self._sizes = horizon_bits, slot_bits, item_bits
        pulses = {name: In(1) for name in ("clear", "look", "put", "seek", "peek", "open", "step")}
        buckets = {"bucket": In(horizon_bits), "now": In(horizon_bits), "next": Out(horizon_bits)}
        items = {"put_item": In(item_bits), "item": Out(item_bits)}
        super().__init__(pulses | buckets | items | {"empty": Out(1), "full": Out(1), "last": Out(1)})

    def elaborate(self, platform):
        m = Module()
        horizon_bits, slot_bits, item_bits = self._sizes
        m.submodules.bitmap = bitmap = Bitmap(horizon_bits)
        m.submodules.slots = slots = Slots(slot_bits, item_bits)
        m.submodules.heads = heads = memory.Memory(shape=slot_bits, depth=1 << horizon_bits, init=[])
        head_at, head_to = heads.read_port(), heads.write_port()
        put = Signal()
        m.d.comb += [
            put.eq(self.put & ~slots.full),
            head_at.en.eq(self.look | self.peek),
            head_at.addr.eq(Mux(self.look, self.bucket, self.next)),
            head_to.en.eq(put),
            head_to.addr.eq(self.bucket),
            head_to.data.eq(slots.free),
            bitmap.clear.eq(self.clear),
            bitmap.look.eq(self.look),
            bitmap.set.eq(put),
            bitmap.place.eq(self.bucket),
            bitmap.seek.eq(self.seek),
            bitmap.now.eq(self.now),
            bitmap.reset.eq(self.open),
            self.next.eq(bitmap.next),
            self.empty.eq(bitmap.zero),
            slots.clear.eq(self.clear),
            slots.put.eq(put),
            slots.put_item.eq(self.put_item),
            slots.put_last.eq(~bitmap.is_set),
            slots.put_behind.eq(head_at.data),
            slots.begin.eq(self.open),
            slots.head.eq(head_at.data),
            slots.step.eq(self.step),
            self.full.eq(slots.full),
            self.item.eq(slots.item),
            self.last.eq(slots.last),
        ]
        return m


class Bitmap(wiring.Component):
    """2**place_bits bits in words of a memory, and a summary bit a word, without which the word counts as zeros: so
    reset, or `clear`, makes all of them zero at once.

    Members
    -------
    clear : all bits become 0
    zero : all bits are 0
    place, look, is_set : from the cycle after `look` on, whether the bit is set
    set : sets the bit, in a later cycle than `look`
    now, seek, next : three cycles after `seek`, the first place after `now` that is set, once around
    reset : the bit at `next` becomes 0
    """

    def __init__(self, place_bits: int):
        self._index_bits = (place_bits + 1) // 2  # of a bit in its word
        pulses = {name: In(1) for name in ("clear", "look", "set", "seek", "reset")}
        places = {"place": In(place_bits), "now": In(place_bits), "next": Out(place_bits)}
        super().__init__(pulses | places | {"zero": Out(1), "is_set": Out(1)})

    def elaborate(self, platform):
        m = Module()
        word_bits, words = 1 << self._index_bits, 1 << len(self.place) - self._index_bits
        m.submodules.words = bits = memory.Memory(shape=word_bits, depth=words, init=[])
        word_at, word_to = bits.read_port(), bits.write_port()
        summary = Signal(words)
        index, word = self.place[: self._index_bits], self.place[self._index_bits :]
        now_index, now_word = self.now[: self._index_bits], self.now[self._index_bits :]
        next_index, next_word = self.next[: self._index_bits], self.next[self._index_bits :]

        # The search: the word of `now` from the bit after it on, and the next word that is not zeros.
        sought, known, near, found = Signal(2), Signal(), Signal(), Signal(word_bits)
        near_index, far_word, near_word = Signal.like(index), Signal.like(word), Signal(word_bits)
        later, behind = Signal(word_bits), Signal(words)
        m.d.comb += [
            later.eq(Mux(known, word_at.data, 0) & _above(now_index, word_bits)),
            behind.eq(summary & _above(now_word, words)),
            word_at.en.eq(self.look | self.seek | sought[0]),
            word_at.addr.eq(Mux(self.look, word, Mux(self.seek, now_word, far_word))),
        ]
        m.d.sync += sought.eq(Cat(self.seek, sought[0]))
        with m.If(self.seek):
            m.d.sync += known.eq(summary.bit_select(now_word, 1))
            m.d.sync += far_word.eq(first(Mux(behind.any(), behind, summary)))
        with m.If(sought[0]):
            m.d.sync += [near.eq(later.any()), near_index.eq(first(later)), near_word.eq(word_at.data)]
        with m.If(sought[1]):
            far = Cat(first(word_at.data), far_word)
            m.d.sync += self.next.eq(Mux(near, Cat(near_index, now_word), far))
            m.d.sync += found.eq(Mux(near, near_word, word_at.data))

        looked, rest = Signal(word_bits), Signal(word_bits)
        m.d.comb += [
            self.zero.eq(~summary.any()),
            looked.eq(Mux(summary.bit_select(word, 1), word_at.data, 0)),
            self.is_set.eq(looked.bit_select(index, 1)),
            rest.eq(found & ~_one(next_index, word_bits)),
            word_to.en.eq(self.set | self.reset),
            word_to.addr.eq(Mux(self.reset, next_word, word)),
            word_to.data.eq(Mux(self.reset, rest, looked | _one(index, word_bits))),
        ]
        with m.If(self.clear):
            m.d.sync += summary.eq(0)
        with m.Elif(self.reset):
            m.d.sync += summary.bit_select(next_word, 1).eq(rest.any())
        with m.Elif(self.set):
            m.d.sync += summary.bit_select(word, 1).eq(1)
        return m


class Slots(wiring.Component):
    """Linked lists of items in one memory. Slots that were used go onto a stack of free ones; those that never were are
    counted off, so that reset, or `clear`, frees all at once.

    Members
    -------
    clear : all slots are free
    full : none is free
    free : the slot that `put` takes; known from the cycle after the next `put` or `step` on
    put, put_item, put_last, put_behind : the item goes to the slot `free`, as the last of a list or before a slot
    begin, head : the list that begins at slot `head` is read; its first item is there in the next cycle
    item, last : an item of that list, and whether it is the last
    step : its slot becomes free, and the next item is there in the next cycle
    """

    def __init__(self, slot_bits: int, item_bits: int):
        pulses = {name: In(1) for name in ("clear", "put", "put_last", "begin", "step")}
        items = {"put_item": In(item_bits), "item": Out(item_bits)}
        slots = {"put_behind": In(slot_bits), "head": In(slot_bits), "free": Out(slot_bits)}
        super().__init__(pulses | items | slots | {"last": Out(1), "full": Out(1)})

    def elaborate(self, platform):
        m = Module()
        bits = len(self.free)
        shape = len(self.item) + 1 + bits
        m.submodules.store = slots = memory.Memory(shape=shape, depth=1 << bits, init=[])
        m.submodules.stack = stack = memory.Memory(shape=bits, depth=1 << bits, init=[])
        item_at, item_to = slots.read_port(), slots.write_port()
        free_at, free_to = stack.read_port(), stack.write_port()
        used, stacked = Signal(bits + 1), Signal(bits + 1)  # slots that were ever used; of those, the free ones
        behind, slot = Signal(bits), Signal(bits)
        m.d.comb += [
            self.full.eq(used[bits] & ~stacked.any()),
            free_at.addr.eq((stacked - 1)[:bits]),
            self.free.eq(Mux(stacked.any(), free_at.data, used[:bits])),
            item_to.en.eq(self.put),
            item_to.addr.eq(self.free),
            item_to.data.eq(Cat(self.put_item, self.put_last, self.put_behind)),
            item_at.en.eq(self.begin | self.step),
            item_at.addr.eq(Mux(self.begin, self.head, behind)),
            Cat(self.item, self.last, behind).eq(item_at.data),
            free_to.en.eq(self.step),
            free_to.addr.eq(stacked[:bits]),
            free_to.data.eq(slot),
        ]
        with m.If(item_at.en):
            m.d.sync += slot.eq(item_at.addr)
        with m.If(self.clear):
            m.d.sync += [used.eq(0), stacked.eq(0)]
        with m.Elif(self.step):
            m.d.sync += stacked.eq(stacked + 1)
        with m.Elif(self.put & stacked.any()):
            m.d.sync += stacked.eq(stacked - 1)
        with m.Elif(self.put):
            m.d.sync += used.eq(used + 1)
        return m


def first(bits: Value) -> Value:
    """The number of the lowest bit that is set, of a power of two of bits; the highest number if none is."""
    found: list[tuple[Value, list[Value]]] = [(bit, []) for bit in bits]
    while len(found) > 1:
        found = [
            (low | high, [*(Mux(low, a, b) for a, b in zip(low_index, high_index, strict=True)), ~low])
            for (low, low_index), (high, high_index) in zip(found[::2], found[1::2], strict=True)
        ]
    return Cat(*found[0][1])


def _one(index, width):
    """The bit of that number alone."""
    return (C(1, width) << index)[:width]


def _above(index, width):
    """All bits above that number."""
    return (C((1 << width) - 2, width) << index)[:width]
