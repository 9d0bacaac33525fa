"""Where tokens wait for their group, and how a group goes to flash."""

from __future__ import annotations

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from hdl.common.arithmetic import wire
from hdl.pim.flash_config import COMMAND_BITS, FlashOp
from hdl.pim.kv_config import KvConfig, KvPages
from hdl.pim.kv_fetch import command_word, log2, page_number


class KvStore(wiring.Component):
    """The buffer, the tokens of each head, and the slots of flash.

    `program` writes the group of the head to the next free slot, page by page; `clear` erases every block that has a
    programmed page. A page's command goes out before its bytes.

    Members
    -------
    head : In(range(config.heads))
    length : Out(range(config.max_tokens + 1))
        Tokens of the head.
    fills : Out(1), full : Out(1)
        The next token of the head ends a group; there is no place for it.
    write : In(1), write_at : In, byte : In(8)
        A byte of the next token: of its key (`write_at` below head_dim) or of its value.
    add : In(1)
        The head has one token more.
    program : In(1), clear : In(1), done : Out(1)
        Begin; a pulse at the end.
    token, channel, value : In, given : Out(8)
        A byte of the head's buffer, a cycle later.
    group : In, slot : Out
        A group of the head, and a cycle later its slot.
    command : Out(stream.Signature(64)), data : Out(stream.Signature(8))
        To flash.
    programs : Out(1)
        A group is being programmed.
    """

    def __init__(self, config: KvConfig):
        self._config = config
        super().__init__(
            {
                "head": In(range(max(2, config.heads))),
                "length": Out(range(config.max_tokens + 1)),
                "fills": Out(1),
                "full": Out(1),
                "write": In(1),
                "write_at": In(range(2 * config.head_dim)),
                "byte": In(8),
                "add": In(1),
                "program": In(1),
                "clear": In(1),
                "done": Out(1),
                "token": In(range(config.group_tokens)),
                "channel": In(range(config.head_dim)),
                "value": In(1),
                "given": Out(8),
                "group": In(range(max(2, config.head_groups))),
                "slot": Out(range(max(2, config.slots))),
                "command": Out(stream.Signature(COMMAND_BITS)),
                "data": Out(stream.Signature(8)),
                "programs": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        config = self._config
        token_bits, dim_bits = log2(config.group_tokens), log2(config.head_dim)
        width = len(self.length)
        lengths = Signal(config.heads * width)
        used = Signal(range(config.slots + 1))
        length = lengths.word_select(self.head, width)
        waiting = wire(m, self.length[:token_bits], "waiting")
        m.d.comb += [
            self.length.eq(length),
            self.fills.eq(waiting.all()),
            self.full.eq((self.length == config.max_tokens) | (self.fills & (used == config.slots))),
        ]
        with m.If(self.add):
            m.d.sync += length.eq(self.length + 1)

        m.submodules.buffer = buffer = Memory(
            shape=8, depth=config.heads * 2 * config.group_tokens * config.head_dim, init=[]
        )
        write, read = buffer.write_port(), buffer.read_port()
        m.submodules.slots = slots = Memory(
            shape=range(max(2, config.slots)), depth=max(2, config.heads * config.head_groups), init=[]
        )
        slot_write, slot_read = slots.write_port(), slots.read_port()
        group_bits = log2(config.head_groups)
        kind, at = Signal(2), Signal(range(config.group_tokens * config.head_dim))  # the byte to program
        by_channel = wire(m, kind == KvPages.KEYS_BY_CHANNEL, "by_channel")
        moves = Signal()
        own_place = Mux(by_channel, Cat(at[token_bits:], at[:token_bits]), at)
        own = wire(m, Cat(own_place, kind == KvPages.VALUES), "own")
        asked = wire(m, Cat(self.channel, self.token, self.value), "asked")
        m.d.comb += [
            write.addr.eq(Cat(self.write_at[:dim_bits], waiting, self.write_at[dim_bits], self.head)),
            write.data.eq(self.byte),
            write.en.eq(self.write),
            read.addr.eq(Cat(Mux(self.programs, own, asked), self.head)),
            read.en.eq(~self.programs | moves),
            self.given.eq(read.data),
            self.data.payload.eq(read.data),
            slot_read.addr.eq(Cat(self.group[:group_bits], self.head)),
            self.slot.eq(slot_read.data),
            slot_write.addr.eq(Cat(self.length[token_bits:][:group_bits], self.head)),
            slot_write.data.eq(used),
        ]
        self._go(m, kind, at, moves, used, slot_write, lengths)
        return m

    def _go(self, m, kind, at, moves, used, slot_write, lengths):
        """What programs and erases."""
        config = self._config
        page_bits = log2(config.page_bytes)
        fetched = Signal()
        number = at[page_bits:]
        page = wire(m, page_number(config, used, kind, number), "page")
        end = wire(m, used * config.group_pages, "end")
        block = Signal(range(config.blocks * config.planes + 1))  # counted across the planes
        plane_bits, block_bits = log2(config.planes), log2(config.block_pages)
        block_page = wire(m, Cat(block[:plane_bits], (block[plane_bits:] << block_bits)), "block_page")
        there = wire(m, block_page < end, "there")
        every = wire(m, block == config.blocks * config.planes, "every")
        m.d.comb += [moves.eq(self.data.ready | ~fetched), self.data.valid.eq(fetched)]
        with m.If(moves):
            m.d.sync += fetched.eq(0)
        with m.FSM():
            with m.State("idle"):
                m.d.sync += [kind.eq(0), at.eq(0), block.eq(0)]
                with m.If(self.program):
                    m.next = "page"
                with m.Elif(self.clear):
                    m.next = "erase"
            with m.State("page"):
                m.d.comb += [
                    self.programs.eq(1),
                    self.command.valid.eq(1),
                    self.command.payload.eq(command_word(config, FlashOp.PROGRAM, page)),
                ]
                with m.If(self.command.ready):
                    m.next = "bytes"
            with m.State("bytes"):
                m.d.comb += self.programs.eq(1)
                with m.If(moves):
                    m.d.sync += [fetched.eq(1), at.eq(at + 1)]
                    with m.If(at[:page_bits].all()):
                        m.next = "page"
                        with m.If(at.all()):
                            m.d.sync += kind.eq(kind + 1)
                            with m.If(kind == KvPages.VALUES):
                                m.next = "drain"
            with m.State("drain"):
                m.d.comb += self.programs.eq(1)
                with m.If(~fetched):
                    m.d.comb += [self.done.eq(1), slot_write.en.eq(1)]
                    m.d.sync += used.eq(used + 1)
                    m.next = "idle"
            with m.State("erase"):
                m.d.comb += [
                    self.command.valid.eq(there & ~every),
                    self.command.payload.eq(command_word(config, FlashOp.ERASE, block_page)),
                ]
                with m.If(every):
                    m.d.comb += self.done.eq(1)
                    m.d.sync += [used.eq(0), lengths.eq(0)]
                    m.next = "idle"
                with m.Elif(self.command.ready | ~there):
                    m.d.sync += block.eq(block + 1)
