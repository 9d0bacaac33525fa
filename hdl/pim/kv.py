"""A KV cache in flash: tokens to pages, and attention out of them in two steps."""

from __future__ import annotations

from amaranth.hdl import Cat, Module, Mux
from amaranth.lib import stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out, connect, flipped

from hdl.common.arithmetic import wire
from hdl.common.axi import AXI4LiteSignature, packet, packet_stream
from hdl.common.csr_bank import CSRBank
from hdl.common.csr_wiring import count_events, interrupt
from hdl.common.stream import RegisterSlice
from hdl.pim import flash_config
from hdl.pim.kv_config import COMMAND_BITS, KvConfig, KvPages
from hdl.pim.kv_fetch import KvFetch
from hdl.pim.kv_mean import KvMean
from hdl.pim.kv_select import Select
from hdl.pim.kv_sequence import REFUSALS, KvSequence
from hdl.pim.kv_store import KvStore
from hdl.pim.kv_sum import KvSum
from hdl.pim.kv_walk import KvWalk
from hdl.pim.kv_weights import KvWeights

OUTPUT_BITS = 16


class Kv(wiring.Component):
    """Appends tokens to the caches of heads, and attends queries to them; see `KvSequence` for the order of things.

    A command is 64 bits: operation (3:0, a `KvOp`), head (15:8), and of QUERY r (23:16), k (39:24) and the scale of
    scores, in 2^-24 (63:40). `data` has the key and the value of every APPEND and the query of every QUERY, int8, in
    order.

    Parameters
    ----------
    config : KvConfig

    Members
    -------
    command : In(stream.Signature(64))
    data : In(stream.Signature(8))
    y : Out(packet_stream(16))
        Outputs, int16 with 8 fraction bits, a packet a query.
    flash_command : Out(stream.Signature(64)), flash_data : Out(stream.Signature(8)), flash_q : In(packet_stream(8))
        To `command` and `data` of `pim.flash`, and from its `q`.
    csr : In(AXI4LiteSignature(config.registers.address_bits))
        Registers of `kv.rdl`.
    irq : Out(1)
        High while an enabled status bit is set.
    """

    def __init__(self, config: KvConfig):
        self._config = config
        super().__init__(
            {
                "command": In(stream.Signature(COMMAND_BITS)),
                "data": In(stream.Signature(8)),
                "y": Out(packet_stream(OUTPUT_BITS)),
                "flash_command": Out(stream.Signature(flash_config.COMMAND_BITS)),
                "flash_data": Out(stream.Signature(8)),
                "flash_q": In(packet_stream(8)),
                "csr": In(AXI4LiteSignature(config.registers.address_bits)),
                "irq": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        config = self._config
        m.submodules.sequence = sequence = self._sequence = KvSequence(config)
        m.submodules.store = store = self._store = KvStore(config)
        m.submodules.reader = fetch = self._fetch = KvFetch(config)
        m.submodules.walker = walk = self._walk = KvWalk(config)
        m.submodules.sum = self._sum = KvSum(config)
        m.submodules.weights = self._weights = KvWeights(config)
        m.submodules.mean = mean = self._mean = KvMean(config)
        m.submodules.command_slice = command = RegisterSlice(COMMAND_BITS)
        m.submodules.data_slice = data = RegisterSlice(8)
        m.submodules.slice = out = RegisterSlice(packet(OUTPUT_BITS))
        m.submodules.flash_command_slice = flash_command = RegisterSlice(flash_config.COMMAND_BITS)
        m.submodules.flash_data_slice = flash_data = RegisterSlice(8)
        m.submodules.flash_q_slice = flash_q = RegisterSlice(packet(8))
        connect(m, flipped(self.command), command.i)
        connect(m, flipped(self.data), data.i)
        connect(m, flipped(self.flash_q), flash_q.i)
        connect(m, out.o, flipped(self.y))
        connect(m, flash_command.o, flipped(self.flash_command))
        connect(m, flash_data.o, flipped(self.flash_data))
        connect(m, command.o, sequence.command)
        connect(m, data.o, sequence.data)
        connect(m, flash_q.o, walk.q)
        connect(m, store.data, flash_data.i)
        connect(m, mean.y, out.i)

        # Reads and programs are never at the same time.
        m.d.comb += [
            flash_command.i.valid.eq(store.command.valid | fetch.command.valid),
            flash_command.i.payload.eq(Mux(fetch.busy, fetch.command.payload, store.command.payload)),
            store.command.ready.eq(flash_command.i.ready),
            fetch.command.ready.eq(flash_command.i.ready),
        ]
        self._tokens(m, data.o.payload)
        self._lists(m)
        self._sums(m, data.o.payload)
        asked = wire(m, fetch.command.valid & fetch.command.ready, "asked")
        programmed = wire(m, store.command.valid & store.command.ready & store.programs, "programmed")
        self._control(m, asked, programmed, wire(m, walk.q.valid & walk.q.ready, "came"))
        return m

    def _tokens(self, m, byte):
        """The buffer and the table of heads."""
        sequence, store, walk, fetch = self._sequence, self._store, self._walk, self._fetch
        token_bits = self._config.group_tokens.bit_length() - 1
        m.d.comb += [
            store.head.eq(sequence.head),
            store.write.eq(sequence.key_write),
            store.write_at.eq(sequence.at),
            store.byte.eq(byte),
            store.add.eq(sequence.add),
            store.program.eq(sequence.program),
            store.clear.eq(sequence.clear),
            store.token.eq(walk.buffer_token),
            store.channel.eq(walk.buffer_channel),
            store.value.eq(sequence.kind == KvPages.VALUES),
            store.group.eq(fetch.group),
            fetch.slot.eq(store.slot),
            sequence.length.eq(store.length),
            sequence.fills.eq(store.fills),
            sequence.room.eq(~store.full),
            sequence.stored.eq(store.done),
            walk.groups.eq(store.length[token_bits:]),
            walk.buffered.eq(store.length[:token_bits]),
            fetch.groups.eq(store.length[token_bits:]),
        ]

    def _lists(self, m):
        """The chosen channels and the chosen tokens: who finds them, and who reads them."""
        config, sequence, walk, fetch = self._config, self._sequence, self._walk, self._fetch
        capacity, places = config.list_entries, max(config.max_tokens, config.head_dim)
        m.submodules.select = self._select = select = Select(capacity, places, config.score_bits)
        entry_bits = (capacity - 1).bit_length()
        m.submodules.lists = lists = Memory(shape=range(places), depth=2 << entry_bits, init=[])
        write, walk_read, fetch_read = (
            lists.write_port(),
            lists.read_port(domain="comb"),
            lists.read_port(domain="comb"),
        )
        of_tokens = wire(m, sequence.kind != KvPages.KEYS_BY_CHANNEL, "of_tokens")
        m.d.comb += [
            select.restart.eq(sequence.restart),
            select.pick.eq(sequence.pick),
            select.count.eq(sequence.picks),
            sequence.picked.eq(select.picked),
            sequence.selected.eq(select.done),
            write.addr.eq(Cat(sequence.list_at[:entry_bits], of_tokens)),
            write.data.eq(select.place),
            write.en.eq(select.picked),
            walk_read.addr.eq(Cat(walk.entry[:entry_bits], of_tokens)),
            fetch_read.addr.eq(Cat(fetch.entry[:entry_bits], of_tokens)),
            walk.unit.eq(walk_read.data),
            fetch.unit.eq(fetch_read.data),
        ]
        for one in (walk, fetch):
            m.d.comb += [one.kind.eq(sequence.kind), one.count.eq(sequence.count)]
        m.d.comb += [
            walk.start.eq(sequence.walk),
            fetch.start.eq(sequence.fetch),
            sequence.walking.eq(walk.busy),
            sequence.fetching.eq(fetch.busy),
        ]

    def _sums(self, m, byte):
        """From bytes to scores, weights and means."""
        sequence, walk, total, weights, mean = self._sequence, self._walk, self._sum, self._weights, self._mean
        element = byte.as_signed()
        magnitude = wire(m, Mux(element < 0, -element, element), "magnitude")
        m.d.comb += [
            self._select.insert.eq(sequence.query_write | total.approximate),
            self._select.score.eq(Mux(sequence.query_write, magnitude, total.score)),
            total.query_write.eq(sequence.query_write),
            total.query_at.eq(sequence.at),
            total.query_element.eq(byte),
            total.step.eq(walk.step),
            total.kind.eq(sequence.kind),
            total.place.eq(walk.place),
            total.entry.eq(walk.entry),
            total.channel.eq(walk.unit),
            total.final.eq(walk.entry == sequence.count - 1),
            total.live.eq(walk.live),
            total.byte.eq(Mux(walk.buffered_byte, self._store.given, walk.byte)),
            sequence.adding.eq(total.busy),
            weights.restart.eq(sequence.restart),
            weights.write.eq(total.exact),
            weights.write_at.eq(total.exact_at),
            weights.score.eq(total.score),
            weights.start.eq(sequence.weigh),
            weights.count.eq(sequence.count),
            weights.scale.eq(sequence.scale),
            total.weight_write.eq(weights.valid),
            total.weight_at.eq(weights.at),
            total.weight.eq(weights.weight),
            sequence.weighed.eq(weights.done),
            mean.start.eq(sequence.divide),
            mean.total.eq(weights.total),
            total.look.eq(mean.look),
            mean.looked.eq(total.looked),
            sequence.divided.eq(mean.done),
        ]

    def _control(self, m, asked, programmed, came):
        """Registers, counters and interrupt."""
        sequence = self._sequence
        m.submodules.bank = bank = CSRBank(self._config.registers)
        connect(m, flipped(self.csr), bank.bus)
        m.d.comb += [getattr(bank.status, name).set.eq(getattr(sequence, name)) for name in REFUSALS]
        busy = wire(m, sequence.active | self.y.valid | self.flash_command.valid | self.flash_data.valid, "busy")
        m.d.comb += [bank.status.bad_page.set.eq(self._walk.misframed), bank.status.busy.next.eq(busy)]
        events = (
            (bank.tokens, sequence.add),
            (bank.queries, sequence.divided),
            (bank.programmed_pages, programmed),
            (bank.read_pages, asked),
            (bank.read_bytes, came),
            (bank.cycles, sequence.active),
        )
        count_events(m, bank.control.clear_counters.value, events)
        m.d.comb += self.irq.eq(interrupt(bank))
