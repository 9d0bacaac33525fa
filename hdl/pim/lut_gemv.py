"""Matrix times vector by tables of subset sums."""

from __future__ import annotations

from amaranth.hdl import Cat, Module, Mux, Signal, signed
from amaranth.lib import stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out, connect, flipped

from hdl.common.arithmetic import wire
from hdl.common.axi import AXI4LiteSignature, packet, packet_stream
from hdl.common.csr_bank import CSRBank
from hdl.common.csr_wiring import count_events, interrupt
from hdl.common.repeated import Pattern
from hdl.common.stream import RegisterSlice
from hdl.pim.lut_gemv_config import LutGemvConfig
from hdl.pim.lut_gemv_convert import LutGemvConvert
from hdl.pim.lut_gemv_sequence import LutGemvSequence
from hdl.pim.lut_gemv_table import SubsetTable


class LutGemv(wiring.Component):
    """y[n] = scale[n] * sum over k of table[k] * index[n, k], for jobs of up to `depth` index vectors.

    The table's elements (int8) come in groups, whose subset sums are tabled; an index vector (2 to 8 bits, as the job
    says) is taken plane by plane, each a pattern of bits that names a sum: no product but the one with the scale.

    A job is a packet at `table`: a header (index bits 3:0, result format 5:4, count 31:16), then a beat of
    `config.elements` int8 for every group. For each group `index` has `count` vectors, as many in a beat as its eight
    planes hold: plane p of the beat is the bits from p * config.elements on; a vector's planes stand from the least
    significant on; each group begins with a new beat. `scale` has `count` fp32 codes if the result is a float, none
    if it is int32.

    Throughput: a header, a table beat and every bit plane take a cycle each; planes that are all zeros take none, if
    another plane of their vector does. Sums are made meanwhile, one a cycle in every table; a plane waits for those
    that it needs. Without a pattern cache all are made before the group's first vector.

    Numerics: sums are exact modulo 2**32; `status.overflow` is set when the running sum leaves int32 after a plane.
    Conversion: see `LutGemvConvert`. A header out of range is taken for the nearest that is in it (format 3: fp32) and
    sets `status.bad_job`, as does a packet of a header alone, which gives no results.

    Parameters
    ----------
    config : LutGemvConfig

    Members
    -------
    table : In(packet_stream(config.beat_bits))
    index : In(stream.Signature(config.beat_bits))
    scale : In(stream.Signature(32))
    y : Out(packet_stream(32))
        Results, in order, a packet a job.
    csr : In(AXI4LiteSignature(config.registers.address_bits))
        Registers of `lut_gemv.rdl`. A status bit is set no later than the result that it speaks of is offered.
    irq : Out(1)
        High while an enabled status bit is set.
    """

    def __init__(self, config: LutGemvConfig):
        self._config = config
        super().__init__(
            {
                "table": In(packet_stream(config.beat_bits)),
                "index": In(stream.Signature(config.beat_bits)),
                "scale": In(stream.Signature(32)),
                "y": Out(packet_stream(32)),
                "csr": In(AXI4LiteSignature(config.registers.address_bits)),
                "irq": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        config = self._config
        m.submodules.table_slice = table = RegisterSlice(packet(config.beat_bits))
        m.submodules.index_slice = index = RegisterSlice(config.beat_bits)
        m.submodules.scale_slice = scale = RegisterSlice(32)
        m.submodules.slice = out = RegisterSlice(packet(32))
        for given, taken in ((self.table, table), (self.index, index), (self.scale, scale)):
            connect(m, flipped(given), taken.i)
        connect(m, out.o, flipped(self.y))

        # Up to the total all stages move together; so do those of the conversion, which need not wait for a scale.
        advance, converts = Signal(), Signal()
        m.submodules.sequence = sequence = LutGemvSequence(config)
        connect(m, table.o, sequence.table)
        connect(m, index.o, sequence.index)
        m.d.comb += sequence.advance.eq(advance)

        hits, values = [], []
        tables = Pattern(SubsetTable, config)
        for number in range(config.tables):
            m.submodules[f"table_{number}"] = one = tables.another()
            m.d.comb += [
                one.load.eq(sequence.load),
                one.fill.eq(sequence.fill),
                one.elements.eq(table.o.payload.data.word_select(number, config.group * config.element_bits)),
                one.pattern.eq(sequence.pattern.word_select(number, config.group)),
            ]
            hits.append(one.hit)
            values.append(one.value)
        m.d.comb += sequence.hit.eq(Cat(hits).all())

        totals = self._accumulate(m, sequence, advance, values)
        m.submodules.convert = convert = LutGemvConvert()
        scaled = totals["kind"].any()
        m.d.comb += [
            convert.advance.eq(converts),
            convert.total.eq(totals["total"]),
            convert.kind.eq(totals["kind"]),
            convert.scale.eq(scale.o.payload),
            scale.o.ready.eq(advance & totals["valid"] & scaled),
        ]
        valid, final = wire(m, totals["valid"] & advance, "enters"), totals["final"]
        in_flight = [totals["valid"]]
        for stage in range(convert.cycles):
            stage_valid, stage_final = Signal(name=f"result_{stage}"), Signal(name=f"final_{stage}", reset_less=True)
            with m.If(converts):
                m.d.sync += [stage_valid.eq(valid), stage_final.eq(final)]
            valid, final = stage_valid, stage_final
            in_flight.append(valid)
        m.d.comb += [
            converts.eq(out.i.ready | ~valid),
            advance.eq(converts & (~totals["valid"] | ~scaled | scale.o.valid)),
            out.i.valid.eq(valid),
            out.i.payload.data.eq(convert.code),
            out.i.payload.last.eq(final),
        ]
        busy = sequence.busy | totals["busy"] | Cat(in_flight).any() | self.y.valid
        self._control(m, sequence, advance, totals["overflow"], valid & convert.nonfinite, busy)
        return m

    def _accumulate(self, m, sequence, advance, values):
        """Lookups of all tables, added up, then added to their vector's sum. Three stages: values, sum, total."""
        config = self._config
        carried = ("shift", "negative", "first", "last", "place", "opens", "closes", "final", "kind")
        looked = [Signal(signed(config.entry_bits), name=f"value_{n}", reset_less=True) for n in range(len(values))]
        lookup_sum = Signal(signed(config.lookup_bits), reset_less=True)
        steps = []
        valid, fields = sequence.step, {name: getattr(sequence, name) for name in carried}
        for stage in range(2):
            stage_valid = Signal(name=f"step_{stage}")
            kept = {
                name: Signal.like(value, name=f"{name}_{stage}", reset_less=True, init=0)
                for name, value in fields.items()
            }
            with m.If(advance):
                m.d.sync += stage_valid.eq(valid)
                m.d.sync += [kept[name].eq(value) for name, value in fields.items()]
            valid, fields = stage_valid, kept
            steps.append((valid, fields))
        with m.If(advance):
            m.d.sync += [register.eq(value) for register, value in zip(looked, values, strict=True)]
            m.d.sync += lookup_sum.eq(sum(looked[1:], looked[0]))

        m.submodules.sums = sums = Memory(shape=config.accumulator_bits, depth=config.depth, init=[])
        write = sums.write_port()
        read = sums.read_port(transparent_for=(write,))
        m.d.comb += [read.addr.eq(steps[0][1]["place"]), read.en.eq(advance)]

        total = Signal(signed(config.accumulator_bits), reset_less=True)
        base = Signal.like(total)
        term = Signal(signed(config.lookup_bits + 8))
        shifted = wire(m, (lookup_sum << fields["shift"]), "shifted")
        exact = Signal(signed(config.accumulator_bits + 1))
        adds = Signal()
        m.d.comb += [
            base.eq(Mux(fields["first"], Mux(fields["opens"], 0, read.data.as_signed()), total)),
            term.eq(Mux(fields["negative"], -shifted, shifted)),
            exact.eq(base + term),
            adds.eq(advance & valid),
            write.addr.eq(fields["place"]),
            write.data.eq(exact),
            write.en.eq(adds & fields["last"]),
        ]
        result = {name: Signal(name=f"total_{name}") for name in ("valid", "final", "overflow")}
        kind = Signal(2, reset_less=True)
        with m.If(adds):
            m.d.sync += [total.eq(exact), kind.eq(fields["kind"]), result["final"].eq(fields["final"])]
        with m.If(advance):
            m.d.sync += result["valid"].eq(valid & fields["last"] & fields["closes"])
        m.d.sync += result["overflow"].eq(adds & (exact[-1] ^ exact[-2]))
        return result | {"total": total, "kind": kind, "busy": Cat(valid for valid, _ in steps).any()}

    def _control(self, m, sequence, advance, overflow, nonfinite, busy):
        """Registers, counters and interrupt."""
        m.submodules.bank = bank = CSRBank(self._config.registers)
        connect(m, flipped(self.csr), bank.bus)
        given = Signal()
        m.d.sync += given.eq(self.y.valid & self.y.ready)
        m.d.comb += [
            bank.status.overflow.set.eq(overflow),
            bank.status.bad_job.set.eq(sequence.bad),
            bank.status.nonfinite.set.eq(nonfinite),
            bank.status.busy.next.eq(busy),
        ]
        events = (
            (bank.results, given),
            (bank.lookups, sequence.looked_up),
            (bank.waits, sequence.waits),
            (bank.cycles, busy),
        )
        count_events(m, bank.control.clear_counters.value, events)
        m.d.comb += self.irq.eq(interrupt(bank))
