"""Attention over any number of keys in one pass, by lists of jobs in memory."""

from __future__ import annotations

from amaranth.hdl import Cat, Const, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from hdl.attention.aligner import Aligner
from hdl.attention.commands import Commands, fill_layout, log2, read_layout
from hdl.attention.config import ArrayConfig
from hdl.attention.descriptor import Descriptor
from hdl.attention.filler import Filler
from hdl.attention.lanes import beat_members
from hdl.attention.linear_outputs import LinearOutputs
from hdl.attention.linear_writer import LinearWriter
from hdl.attention.loader import Loader
from hdl.attention.normaliser import Normaliser
from hdl.attention.packed_lanes import PackedLanes
from hdl.attention.passes import Passes
from hdl.attention.reciprocal import Reciprocal
from hdl.attention.row import Row
from hdl.attention.row_state import state_event
from hdl.attention.softmax import Softmax
from hdl.attention.tiles import Tiles
from hdl.attention.turns import Turns
from hdl.attention.write_port import WritePort
from hdl.attention.writer import Writer
from hdl.common.arithmetic import delayed, register, wire
from hdl.common.axi import AXI4LiteSignature, AXI4Signature, Response
from hdl.common.bursts import Bursts
from hdl.common.csr_bank import CSRBank
from hdl.common.repeated import Pattern
from hdl.common.stream import Fifo

OUTSTANDING_COMMANDS = 16
"""Reads that are asked for before the first of them has come."""

EVENTS = (
    "done",
    "empty_row",
    "logit_saturated",
    "output_saturated",
    "scale_underflow",
    "bus_error",
    "bad_job",
    "outside",
    "exponent_clipped",
)
"""Bits of the status register."""


class Array(wiring.Component):
    """O = softmax(Q * K^T) * V for blocks of queries against any range of keys; all operands in memory.

    Numerics, jobs, registers and throughput: `hdl/attention/README.md`.

    Members
    -------
    csr : In(AXI4LiteSignature(config.registers.address_bits))
        Registers of `array.rdl`.
    mem : Out(AXI4Signature(32, config.bus_bits))
        The memory: bursts of kind INCR, one ID, answers in order; several bursts before the first answer.
    irq : Out(1)
        High while an enabled status bit is set.
    """

    def __init__(self, config: ArrayConfig):
        self._config = config
        super().__init__(
            {
                "csr": In(AXI4LiteSignature(config.registers.address_bits)),
                "mem": Out(AXI4Signature(config.address_bits, config.bus_bits)),
                "irq": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        config = self._config
        m.submodules.bank = bank = CSRBank(config.registers)
        m.submodules.descriptor = descriptor = Descriptor(config)
        m.submodules.loader = loader = Loader(config)
        m.submodules.commands = commands = Commands(config)
        m.submodules.bursts = bursts = Bursts(read_layout(config), config.bus_bytes)
        m.submodules.fills = fills = Fifo(fill_layout(config), OUTSTANDING_COMMANDS + 1)
        m.submodules.filler = filler = Filler(config)
        m.submodules.passes = passes = Passes(config)
        m.submodules.tiles = tiles = Tiles(config)
        m.submodules.softmax = softmax = Softmax(config)
        # Blocks whose sums are known: they wait for the normaliser, or have probabilities that wait for their pass.
        m.submodules.sums = sums = Fifo(state_event(config), config.rows * (config.subtiles + config.banks) + 1)
        m.submodules.reciprocal = reciprocal = Reciprocal(config)
        m.submodules.normaliser = normaliser = Normaliser(config)
        m.submodules.writer = writer = Writer(config)
        written, layers = delayed(m, writer.idle, 1, "written"), None
        if config.linear:
            m.submodules.layers = layers = LinearWriter(config)
            self._layers(m, loader, softmax, layers)
            written = delayed(m, writer.idle & layers.idle, 1, "all_written")
        error = self._memory(m, bursts, filler, writer, layers)

        # Memory to buffers.
        connect(m, loader.item, commands.item)
        connect(m, commands.read, bursts.i)
        connect(m, commands.fill, fills.i)
        connect(m, fills.o, filler.fill)
        m.d.comb += [
            descriptor.write.eq(filler.write_descriptor),
            descriptor.wrong.eq(filler.wrong),
            descriptor.data.eq(filler.data),
            descriptor.taken.eq(loader.descriptor_taken),
            loader.descriptor_valid.eq(descriptor.valid),
            loader.descriptor.eq(descriptor.job),
            loader.descriptor_bad.eq(descriptor.bad),
            loader.written.eq(written),
            tiles.data.eq(filler.data),
        ]
        for name in ("write_key", "write_value", "write_slot", "key_place", "value_place"):
            m.d.comb += getattr(tiles, name).eq(getattr(filler, name))
        self._headers(m, filler, passes, tiles)
        for name in ("queries", "keys", "values"):
            m.d.comb += getattr(passes, f"{name}_there").eq(getattr(filler, f"{name}_there"))
            m.d.comb += getattr(loader, f"{name}_free").eq(getattr(passes, f"{name}_free"))
        connect(m, loader.walk, passes.job)
        connect(m, loader.write, writer.job)

        # Passes to sums.
        connect(m, passes.tile, softmax.tile)
        for name in ("score_bank_free", "ready"):
            m.d.comb += getattr(passes, name).eq(getattr(softmax, name))
        for name in ("scored", "bank_free"):
            m.d.comb += getattr(softmax, name).eq(getattr(passes, name))
        m.d.comb += [
            tiles.query.eq(passes.query_beat),
            tiles.slot.eq(passes.slot),
            tiles.key_word.eq(passes.key_word),
            tiles.column.eq(passes.column),
            tiles.chunk.eq(passes.chunk),
            tiles.format.eq(passes.format),
        ]
        self._rows(m, filler, passes, tiles, softmax, normaliser)

        # Sums to outputs.
        connect(m, sums.o, reciprocal.i)
        connect(m, reciprocal.o, normaliser.reciprocal)
        connect(m, passes.drain, normaliser.drain)
        m.d.comb += [
            sums.i.payload.eq(softmax.ended),
            sums.i.valid.eq(softmax.ended_valid),
            passes.drain_free.eq(normaliser.drain_free),
            normaliser.room.eq(writer.room),
            writer.given.eq(normaliser.words),
            writer.given_valid.eq(normaliser.word_valid),
        ]
        events = {
            "empty_row": softmax.ended_valid & ~softmax.ended.l.any(),
            "logit_saturated": softmax.saturated,
            "output_saturated": normaliser.saturated,
            "scale_underflow": loader.underflow,
            "bus_error": error,
            "bad_job": loader.bad,
            "outside": commands.outside | writer.outside,
            "exponent_clipped": tiles.clipped if config.has_blocks else 0,
        }
        if config.linear:
            events["output_saturated"] |= m.submodules.layer_outputs.saturated
            events["outside"] |= layers.outside
            m.d.comb += layers.window_words.eq(writer.window_words)
        at_rest = wire(m, ~loader.running & passes.idle & written, "at_rest")
        self._control(m, bank, (loader, passes, commands, writer), at_rest, events)
        return m

    def _layers(self, m, loader, softmax, layers):
        """Linear layers' scaled scores to their writer."""
        m.submodules.layer_outputs = outputs = LinearOutputs(self._config)
        connect(m, loader.layer, layers.job)
        m.d.comb += loader.descriptor_parts.eq(m.submodules.descriptor.parts)
        m.d.comb += [
            outputs.scaled.eq(softmax.scaled),
            outputs.logits.eq(softmax.logits),
            outputs.read.eq(layers.read),
            softmax.half_free.eq(layers.half_free),
            layers.complete.eq(outputs.complete),
            layers.words.eq(outputs.words),
        ]

    def _rows(self, m, filler, passes, tiles, softmax, normaliser):
        """All rows: they get the same operands and do the same, each with its own query."""
        config, step = self._config, passes.step
        rows = Pattern(Row, config)
        loads = self._loads(m, step)
        made = []
        for index in range(config.rows):
            m.submodules[f"row_{index}"] = row = rows.another()
            place, unit = divmod(index, config.units)
            m.d.comb += [
                row.write_query.eq(filler.write_query[index]),
                row.query_word.eq(filler.query_word),
                row.query_data.eq(filler.data),
                row.write_probability.eq(softmax.write & (softmax.place == place)),
                row.probability_address.key.eq(softmax.key),
                row.probability_address.bank.eq(softmax.bank),
                row.probability.eq(softmax.p.word_select(unit, config.p_bits + 1)),
                row.step.eq(step),
                row.score_beat.eq(passes.score_beat),
                row.score_address.eq(softmax.score_address),
            ]
            if config.has_blocks:
                m.d.comb += row.key_amount.eq(tiles.key_amount)
            made.append(row)
        beat = loads | {"swap": passes.swap, "streamed": tiles.streamed}
        beat |= {name: getattr(tiles, name) for name in ("seconds", "places") if name in beat_members(config)}
        of_beat = self._packed(m, made) if config.packed_rows else made
        m.d.comb += [getattr(lanes, name).eq(value) for lanes in of_beat for name, value in beat.items()]
        m.d.comb += softmax.scores.eq(Cat(row.score for row in made))
        self._aligners(m, made, passes, softmax, normaliser)

    def _headers(self, m, filler, passes, tiles):
        """What rows have before their elements, to its buffer; and of which kind wide beats are."""
        config = self._config
        if config.has_blocks:
            connect(m, filler.scales_out, tiles.scales_in)
        if config.sparse:
            connect(m, filler.places_out, tiles.places_in)
            m.d.comb += tiles.sparse.eq(passes.sparse)
        if config.dual_issue:
            m.d.comb += tiles.dual.eq(passes.dual)

    def _loads(self, m, step):
        """Which lanes take an operand; of a wide job a lane takes two, one after the other."""
        config = self._config
        step_1 = step.shape()(register(m, step.as_value(), "step_1"))
        element, which = step_1.probability_address.key, {"load": step_1.load}
        lane = element[: config.lane_bits]
        if config.wide:
            lane = wire(m, Mux(step_1.wide, element[1:], lane), "lane_of_step")
            second = wire(m, step_1.wide & element[0], "second_of_step")
            which = {"load": step_1.load & ~second, "load_second": step_1.load & second}
        return {
            name: register(m, Cat(one & (lane == index) for index in range(config.lanes)), name)
            for name, one in which.items()
        }

    def _packed(self, m, rows):
        """Lanes of a row of the first half and the one of the second half in the same place."""
        made, pairs = [], Pattern(PackedLanes, self._config)
        for index, (first, second) in enumerate(zip(rows[: len(rows) // 2], rows[len(rows) // 2 :], strict=True)):
            m.submodules[f"lanes_{index}"] = lanes = pairs.another()
            m.d.comb += [
                lanes.stationary_first.eq(first.stationary),
                lanes.stationary_second.eq(second.stationary),
                first.sum.eq(lanes.sum_first),
                second.sum.eq(lanes.sum_second),
            ]
            made.append(lanes)
        return made

    def _aligners(self, m, rows, passes, softmax, normaliser):
        """An aligner for a row of the first half and the one of the second half in the same place."""
        config = self._config
        m.submodules.turns = turns = Turns(config)
        m.d.comb += [turns.beat.eq(passes.output_beat), normaliser.drained.eq(turns.drained)]
        pairs, drains = config.rows // 2, []
        aligners = Pattern(Aligner, config)
        for index in range(pairs):
            m.submodules[f"aligner_{index}"] = aligner = aligners.another()
            mine = wire(m, softmax.write_plan & ((softmax.plan_row & (pairs - 1)) == index), f"plan_of_{index}")
            m.d.comb += [
                aligner.write_plan.eq(mine),
                aligner.plan_second.eq(softmax.plan_row[-1]),
                aligner.plan_bank.eq(softmax.plan_bank),
                aligner.plan.eq(softmax.plan),
                aligner.turn.eq(turns.turn),
                aligner.sum_first.eq(rows[index].sum),
                aligner.sum_second.eq(rows[index + pairs].sum),
                aligner.drain_address.eq(normaliser.drain_address),
            ]
            drains.append(aligner.drain_data)
        m.d.comb += normaliser.drain_data.eq(Cat(drains))

    def _memory(self, m, bursts, filler, writer, layers):
        """The memory port; returns whether an answer is an error."""
        mem, low = self.mem, log2(self._config.bus_bytes)
        written_bursts, words = self._writes(m, writer, layers)
        for channel, source in (("ar", bursts.o), ("aw", written_bursts)):
            fields = {
                "addr": Cat(Const(0, low), source.payload.address),
                "len": source.payload.beats,
                "size": low,
                "burst": 1,  # INCR
                "cache": 3,  # any memory: modifiable, bufferable
                "valid": source.valid,
            }
            m.d.comb += [getattr(mem, channel + name).eq(value) for name, value in fields.items()]
            m.d.comb += source.ready.eq(getattr(mem, f"{channel}ready"))
        m.d.comb += [
            filler.words.payload.eq(mem.rdata),
            filler.words.valid.eq(mem.rvalid),
            filler.words_wrong.eq(mem.rresp != Response.OKAY),
            mem.rready.eq(filler.words.ready),
            mem.wdata.eq(words.payload.data),
            mem.wstrb.eq(-1),
            mem.wlast.eq(words.payload.last),
            mem.wvalid.eq(words.valid),
            words.ready.eq(mem.wready),
            mem.bready.eq(1),
        ]
        self._read = register(m, mem.rvalid & mem.rready, "word_read")
        self._written = register(m, mem.wvalid & mem.wready, "word_written")
        error = Signal()
        m.d.sync += error.eq(
            (mem.rvalid & mem.rready & (mem.rresp != Response.OKAY)) | (mem.bvalid & (mem.bresp != Response.OKAY))
        )
        return error

    def _writes(self, m, writer, layers):
        """Bursts to write, and their words, of one writer or two. Which of both an answer is counted for does not
        matter: it is their sum that says that all is written."""
        if layers is None:
            m.d.comb += writer.answered.eq(self.mem.bvalid)
            return writer.bursts, writer.words
        m.submodules.write_port = port = WritePort(writer.bursts.payload.shape(), self._config.bus_bits)
        connect(m, writer.bursts, port.bursts_0)
        connect(m, writer.words, port.words_0)
        connect(m, layers.bursts, port.bursts_1)
        connect(m, layers.out, port.words_1)
        m.d.comb += [
            layers.answered.eq(self.mem.bvalid & layers.owes),
            writer.answered.eq(self.mem.bvalid & ~layers.owes),
        ]
        return port.bursts, port.words

    def _control(self, m, bank, modules, at_rest, events):
        """Registers, counters and interrupt."""
        connect(m, flipped(self.csr), bank.bus)
        loader, passes, commands, writer = modules
        low = log2(self._config.bus_bytes)
        running, started = Signal(), Signal()
        start = wire(m, bank.control.start.value & ~running, "start")
        quiet = wire(m, ~started & at_rest, "quiet")
        m.d.sync += started.eq(start)
        # What one of them has handed on is seen by the next one in the cycle after.
        ended = wire(m, running & quiet & delayed(m, quiet, 1, "quiet_before"), "ended")
        with m.If(start):
            m.d.sync += running.eq(1)
        with m.Elif(ended):
            m.d.sync += running.eq(0)
        events = {"done": ended} | events
        m.d.comb += [getattr(bank.status, name).set.eq(event) for name, event in events.items()]
        for module in (commands, writer):
            m.d.comb += module.window_words.eq(bank.window.bytes.value[low:])
        m.d.comb += [
            loader.start.eq(start),
            loader.list_address.eq(bank.list_address.bytes.value[low:]),
            loader.list_length.eq(bank.list_length.count.value),
            bank.status.busy.next.eq(running),
        ]
        counted = {
            "cycles": running,
            "macs": passes.multiplies,
            "stall_memory": running & passes.waits_memory,
            "stall_softmax": running & passes.waits_softmax,
            "stall_output": running & passes.waits_output,
            "words_read": self._read,
            "words_written": self._written,
            "jobs": loader.walk.valid & loader.walk.ready,
        }
        clear = bank.control.clear_counters.value
        for name, event in counted.items():
            register_ = getattr(bank, name)
            count = Signal.like(register_.count.next, name=f"count_{name}")
            m.d.comb += register_.count.next.eq(count)
            with m.If(clear):
                m.d.sync += count.eq(0)
            with m.Elif(event):
                m.d.sync += count.eq(count + 1)
        self._span(m, bank.span, passes.multiplies, clear)
        enabled = [getattr(bank.status, name).value & getattr(bank.irq_enable, name).value for name in EVENTS]
        m.d.comb += self.irq.eq(Cat(enabled).any())

    @staticmethod
    def _span(m, span, multiplies, clear):
        """From the first cycle that multiplied to the last."""
        passed = Signal.like(span.count.next, name="passed")
        kept = Signal.like(span.count.next, name="kept")
        m.d.comb += span.count.next.eq(kept)
        with m.If(clear):
            m.d.sync += [passed.eq(0), kept.eq(0)]
        with m.Else():
            with m.If(multiplies | passed.any()):
                m.d.sync += passed.eq(passed + 1)
            with m.If(multiplies):
                m.d.sync += kept.eq(passed + 1)
