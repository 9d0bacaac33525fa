"""Dot products of signed INT8 vectors."""

from __future__ import annotations

from amaranth.hdl import Cat, Module, Mux, Signal, signed
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from hdl.common.axi import AXI4LiteSignature, packet_stream
from hdl.common.csr_bank import CSRBank
from hdl.common.csr_wiring import count_events, interrupt
from hdl.common.stream import RegisterSlice
from hdl.simd.config import DotConfig
from hdl.simd.operand_pair import OperandPair


class Dot(wiring.Component):
    """One result a vector: y = sum over k of a[k] * b[k].

    A vector is a packet: `lanes` elements a beat, `last` in its final beat; a vector whose length is no multiple of
    `lanes` is filled up with zeros. The two operands may arrive at different times and with any stalls; beats are
    taken in pairs.

    Latency: `config.latency_cycles`, from the cycle that takes the last beat of a vector (the later of the two
    operands') to the first cycle that offers its result, without stalls.

    Throughput: one beat a cycle on each operand, without a bubble between vectors: vectors of one beat give one
    result a cycle.

    Numerics: every product and every beat's sum is exact; they are added modulo 2**32, so y is the exact result
    wrapped to int32, and exactly the result whenever that fits. `status.overflow` is set when the running sum leaves
    int32 at some beat, even if a later beat brings it back. If one operand's packet ends first, it continues with
    zeros until the other's ends, and `status.length_mismatch` is set; the next vectors are not disturbed.

    Parameters
    ----------
    config : DotConfig

    Members
    -------
    a, b : In(packet_stream(config.operand_bits))
        Operands: `lanes` int8 a beat, element 0 in the least significant bits.
    y : Out(stream.Signature(signed(32)))
        Results, in order.
    csr : In(AXI4LiteSignature(config.registers.address_bits))
        Registers of `dot.rdl`. A status bit is set no later than the result that it speaks of is offered.
    irq : Out(1)
        High while an enabled status bit is set.
    """

    def __init__(self, config: DotConfig):
        self._config = config
        # Plain bits, no array layout: of one, Amaranth makes wires named x[0], which Yosys' abc9 takes for bits of x.
        super().__init__(
            {
                "a": In(packet_stream(config.operand_bits)),
                "b": In(packet_stream(config.operand_bits)),
                "y": Out(stream.Signature(signed(config.accumulator_bits))),
                "csr": In(AXI4LiteSignature(config.registers.address_bits)),
                "irq": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.pair = pair = OperandPair(self._config.operand_bits)
        m.submodules.array = array = _Array(self._config)
        m.submodules.accumulator = accumulator = _Accumulator(self._config)
        m.submodules.slice = out = RegisterSlice(signed(self._config.accumulator_bits))
        connect(m, flipped(self.a), pair.a)
        connect(m, flipped(self.b), pair.b)
        connect(m, out.o, flipped(self.y))

        # All stages move together, unless a result waits that the output slice cannot take. Both are registers.
        advance = Signal()
        m.d.comb += [
            advance.eq(out.i.ready | ~out.i.valid),
            pair.advance.eq(advance),
            array.advance.eq(advance),
            array.a.eq(pair.a_data),
            array.b.eq(pair.b_data),
            accumulator.advance.eq(advance),
            accumulator.lane_sum.eq(array.lane_sum),
            out.i.payload.eq(accumulator.total),
            out.i.valid.eq(accumulator.total_valid),
        ]

        # What travels beside the data: a beat is there, it ends its vector, one operand of it is zeros.
        valid, last, padding = pair.take, pair.last, pair.padding
        in_flight = [pair.open]
        for stage in range(1 + self._config.tree_stages):
            stage_valid = Signal(name=f"valid_{stage}")
            stage_last = Signal(name=f"last_{stage}", reset_less=True)
            stage_padding = Signal(name=f"padding_{stage}", reset_less=True)
            with m.If(advance):
                m.d.sync += [stage_valid.eq(valid), stage_last.eq(last), stage_padding.eq(padding)]
            valid, last, padding = stage_valid, stage_last, stage_padding
            in_flight.append(valid)
        m.d.comb += [accumulator.valid.eq(valid), accumulator.last.eq(last), accumulator.padding.eq(padding)]
        in_flight += [accumulator.total_valid, self.y.valid]

        self._control(m, pair, accumulator, Cat(in_flight).any())
        return m

    def _control(self, m, pair, accumulator, busy):
        """Registers, counters and interrupt."""
        m.submodules.bank = bank = CSRBank(self._config.registers)
        connect(m, flipped(self.csr), bank.bus)
        given = Signal()
        m.d.sync += given.eq(self.y.valid & self.y.ready)
        m.d.comb += [
            bank.status.overflow.set.eq(accumulator.overflow),
            bank.status.length_mismatch.set.eq(pair.mismatch),
            bank.status.busy.next.eq(busy),
        ]
        events = ((bank.vectors, given), (bank.beats, pair.take), (bank.cycles, busy))
        count_events(m, bank.control.clear_counters.value, events)
        m.d.comb += self.irq.eq(interrupt(bank))


class _Array(wiring.Component):
    """The sum of one beat's products: a multiplier a lane, then a balanced tree of adders.

    Latency: 1 + `config.tree_stages` cycles in which `advance` is high.
    """

    def __init__(self, config: DotConfig):
        self._config = config
        super().__init__(
            {
                "advance": In(1),
                "a": In(config.operand_bits),
                "b": In(config.operand_bits),
                "lane_sum": Out(signed(config.lane_sum_bits)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        config = self._config
        terms = []
        for lane in range(config.lanes):
            a, b = (beat.word_select(lane, config.element_bits).as_signed() for beat in (self.a, self.b))
            # No reset and no logic between buffer, multiplier and product: the registers can move into a DSP block.
            product = Signal(signed(config.product_bits), name=f"product_{lane}", reset_less=True)
            with m.If(self.advance):
                m.d.sync += product.eq(a * b)
            terms.append(product)
        for level in range(1, config.tree_levels + 1):
            sums = [left + right for left, right in zip(terms[::2], terms[1::2], strict=False)]
            sums += terms[len(sums) * 2 :]
            registered = level % config.tree_levels_per_stage == 0 or level == config.tree_levels
            terms = []
            for index, exact in enumerate(sums):
                name = f"sum_{level}_{index}"
                term = Signal(signed(config.product_bits + level), name=name, reset_less=registered)
                if not registered:
                    m.d.comb += term.eq(exact)
                else:
                    with m.If(self.advance):
                        m.d.sync += term.eq(exact)
                terms.append(term)
        m.d.comb += self.lane_sum.eq(terms[0])
        return m


class _Accumulator(wiring.Component):
    """Adds the sums of a vector's beats modulo 2**accumulator_bits.

    Latency: 1 cycle in which `advance` is high.

    Members
    -------
    valid, last, padding : of the beat whose sum `lane_sum` is; a padding beat adds nothing.
    total, total_valid : the result, in the cycle after its last beat.
    overflow : a pulse, the running sum left the range at some beat.
    """

    def __init__(self, config: DotConfig):
        self._config = config
        super().__init__(
            {
                "advance": In(1),
                "valid": In(1),
                "last": In(1),
                "padding": In(1),
                "lane_sum": In(signed(config.lane_sum_bits)),
                "total": Out(signed(config.accumulator_bits)),
                "total_valid": Out(1),
                "overflow": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        total = Signal(signed(self._config.accumulator_bits), reset_less=True)
        fresh = Signal(init=1)  # the next beat is the first of a vector
        running = Signal(signed(self._config.accumulator_bits))
        exact = Signal(signed(self._config.accumulator_bits + 1))
        adds = Signal()
        m.d.comb += [
            running.eq(Mux(fresh, 0, total)),
            exact.eq(running + self.lane_sum),
            adds.eq(self.advance & self.valid & ~self.padding),
            self.total.eq(total),
        ]
        # Registered before it reaches the status bit, and for one cycle only, however long the pipeline stands still.
        m.d.sync += self.overflow.eq(adds & (exact[-1] ^ exact[-2]))
        with m.If(adds):
            m.d.sync += total.eq(exact)
        with m.If(self.advance):
            m.d.sync += self.total_valid.eq(self.valid & self.last)
            with m.If(self.valid):
                m.d.sync += fresh.eq(self.last)
        return m
