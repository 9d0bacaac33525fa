"""One plane of a flash die that computes, as gateware: array, page register, cache register, multiplier."""

from __future__ import annotations

from amaranth.hdl import Cat, Const, Module, Mux, Signal, signed
from amaranth.lib import wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from hdl.common.arithmetic import wire
from hdl.pim.flash_config import SUM_BYTES, FlashConfig, FlashOp


class FlashPlane(wiring.Component):
    """What stands for a plane where there is no flash: it takes the time that flash takes, and does what flash does.

    READ (and READ_SLICE) copies a page to the page register in tR; READ_COMPUTE instead the sums of the page's rows
    with the vector. Then both registers change places, as soon as the cache register is free: the plane is ready for
    the next command, while the cache register is given out. PROGRAM copies the page register to a page, which must be
    the block's next, in tPROG; ERASE gives a block back in tBERS. A page that is not programmed reads 0xFF. Reset
    erases everything.

    Members
    -------
    start : In(1), op : In(4), page : In(range(config.pages))
        Begins an operation, in a cycle with `busy` low; `page` holds from the first byte of `data` on.
    busy : Out(1)
        From the cycle after `start` on, for the operation's time at least.
    in_order : Out(1)
        `page` is the next of its block to be programmed.
    open : In(1)
        The next byte of data is the first.
    data_valid : In(1), data : In(8), vector : In(1)
        A byte for the vector, or for the page register.
    full : Out(1)
        The cache register holds what a read gave.
    release : In(1)
        It is given out, from the next cycle on.
    get : In(1), place : In(range(config.page_bytes))
        Puts this byte of the cache register at `given`, from the next cycle on.
    given : Out(8)
    """

    def __init__(self, config: FlashConfig):
        self._config = config
        super().__init__(
            {
                "start": In(1),
                "op": In(4),
                "page": In(range(config.pages)),
                "busy": Out(1),
                "in_order": Out(1),
                "open": In(1),
                "data_valid": In(1),
                "data": In(8),
                "vector": In(1),
                "full": Out(1),
                "release": In(1),
                "get": In(1),
                "place": In(range(config.page_bytes)),
                "given": Out(8),
            }
        )

    def elaborate(self, platform):
        m = Module()
        config = self._config
        byte_bits = (config.page_bytes - 1).bit_length()
        bank = Signal()  # the page register's; the other is the cache register's
        op, page = Signal(4), Signal(range(config.pages))
        computes, programs = wire(m, op == FlashOp.READ_COMPUTE, "computes"), wire(m, op == FlashOp.PROGRAM, "programs")
        programmed = self._blocks(m, op, page)
        self._time(m, bank, op, page)

        # A byte is read in one cycle and written in the next.
        index = Signal(range(config.page_bytes + 1), init=config.page_bytes)
        moves = wire(m, ~index[-1], "moves")
        moved, moved_place = Signal(), Signal(byte_bits)
        m.d.sync += [moved.eq(moves), moved_place.eq(index)]
        with m.If(self.start):
            m.d.sync += index.eq((self.op == FlashOp.ERASE) << byte_bits)
        with m.Elif(moves):
            m.d.sync += index.eq(index + 1)

        m.submodules.array = array = Memory(shape=8, depth=config.pages * config.page_bytes, init=[])
        m.submodules.registers = registers = Memory(shape=8, depth=2 * config.page_bytes, init=[])
        m.submodules.vector_bytes = vector = Memory(shape=8, depth=config.columns, init=[])
        array_read, array_write = array.read_port(), array.write_port()
        page_read, cache_read, register_write = registers.read_port(), registers.read_port(), registers.write_port()
        vector_read, vector_write = vector.read_port(), vector.write_port()

        incoming = Signal(byte_bits)
        with m.If(self.open):
            m.d.sync += incoming.eq(0)
        with m.Elif(self.data_valid):
            m.d.sync += incoming.eq(incoming + 1)

        cell = wire(m, Mux(programmed, array_read.data, 0xFF), "cell")
        sum_valid, sum_byte, sum_place = self._sums(m, moved & computes, moved_place, cell, vector_read.data)
        m.d.comb += [
            array_read.addr.eq(Cat(index[:byte_bits], page)),
            array_write.addr.eq(Cat(moved_place, page)),
            array_write.data.eq(page_read.data),
            array_write.en.eq(moved & programs),
            page_read.addr.eq(Cat(index[:byte_bits], bank)),
            vector_read.addr.eq(index),
            vector_write.addr.eq(incoming),
            vector_write.data.eq(self.data),
            vector_write.en.eq(self.data_valid & self.vector),
            cache_read.addr.eq(Cat(self.place, ~bank)),
            cache_read.en.eq(self.get),
            self.given.eq(cache_read.data),
        ]
        with m.If(self.data_valid & ~self.vector):
            m.d.comb += [
                register_write.addr.eq(Cat(incoming, bank)),
                register_write.data.eq(self.data),
                register_write.en.eq(1),
            ]
        with m.Elif(sum_valid):
            m.d.comb += [
                register_write.addr.eq(Cat(sum_place, bank)),
                register_write.data.eq(sum_byte),
                register_write.en.eq(1),
            ]
        with m.Else():
            m.d.comb += [
                register_write.addr.eq(Cat(moved_place, bank)),
                register_write.data.eq(cell),
                register_write.en.eq(moved & ~programs & ~computes),
            ]
        return m

    def _time(self, m, bank, op, page):
        """How long an operation goes on, and the change of registers after a read."""
        config = self._config
        longest = max(config.read_cycles, config.program_cycles, config.erase_cycles)
        left = Signal(range(longest))
        reads = wire(m, (op != FlashOp.PROGRAM) & (op != FlashOp.ERASE), "reads")
        ends = Signal()
        m.d.comb += ends.eq(self.busy & ~left.any() & (~reads | ~self.full | self.release))
        cycles = Mux(
            self.op == FlashOp.PROGRAM,
            config.program_cycles,
            Mux(self.op == FlashOp.ERASE, config.erase_cycles, config.read_cycles),
        )
        with m.If(self.release):
            m.d.sync += self.full.eq(0)
        with m.If(self.start):
            m.d.sync += [op.eq(self.op), page.eq(self.page), left.eq(cycles - 1), self.busy.eq(1)]
        with m.Elif(left.any()):
            m.d.sync += left.eq(left - 1)
        with m.If(ends):
            m.d.sync += self.busy.eq(0)
            with m.If(reads):
                m.d.sync += [bank.eq(~bank), self.full.eq(1)]

    def _blocks(self, m, op, page):
        """How many pages of every block are programmed; whether that of the operation is among them."""
        config = self._config
        page_bits, width = (config.block_pages - 1).bit_length(), config.block_pages.bit_length()
        levels = Signal(config.blocks * width)

        def level_of(number):
            return levels.word_select(number[page_bits:] if config.blocks > 1 else Const(0, 1), width)

        m.d.comb += self.in_order.eq(level_of(self.page) == self.page[:page_bits])
        with m.If(self.start & (self.op == FlashOp.PROGRAM)):
            m.d.sync += level_of(self.page).eq(level_of(self.page) + 1)
        with m.If(self.start & (self.op == FlashOp.ERASE)):
            m.d.sync += level_of(self.page).eq(0)
        return wire(m, page[:page_bits] < level_of(page), "programmed")

    def _sums(self, m, valid, place, cell, element):
        """Row by row the sum of products, then its bytes, one a cycle: (valid, byte, place)."""
        config = self._config
        column_bits = (config.columns - 1).bit_length()
        product = Signal(signed(16), reset_less=True)
        product_valid, product_first, product_last = Signal(), Signal(), Signal()
        m.d.sync += [
            product.eq(cell.as_signed() * element.as_signed()),
            product_valid.eq(valid),
            product_first.eq(~place[:column_bits].any()),
            product_last.eq(place[:column_bits].all()),
        ]
        total = Signal(signed(8 * SUM_BYTES), reset_less=True)
        done = Signal()
        with m.If(product_valid):
            m.d.sync += total.eq(Mux(product_first, 0, total) + product)
        m.d.sync += done.eq(product_valid & product_last)
        rest, left = Signal(8 * SUM_BYTES, reset_less=True), Signal(range(SUM_BYTES + 1))
        target = Signal((config.page_bytes - 1).bit_length())
        with m.If(done):
            m.d.sync += [rest.eq(total), left.eq(SUM_BYTES)]
        with m.Elif(left.any()):
            m.d.sync += [rest.eq(rest >> 8), left.eq(left - 1)]
        with m.If(self.start):
            m.d.sync += target.eq(0)
        with m.Elif(left.any()):
            m.d.sync += target.eq(target + 1)
        return left.any(), rest[:8], target
