"""When the array does what: a pass over queries and keys, or one over probabilities and values, without a pause."""

from __future__ import annotations

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import data, fifo, stream, wiring
from amaranth.lib.wiring import In, Out

from hdl.attention.aligner import ALIGN_CYCLES, output_beat
from hdl.attention.config import ArrayConfig
from hdl.attention.job_words import FIELDS
from hdl.attention.row import OPERAND_CYCLES, power_bits, stationary_step
from hdl.attention.scores import score_beat
from hdl.attention.softmax import tile_layout
from hdl.attention.walk import Walk, walk_layout
from hdl.common.arithmetic import delayed, wire

QUEUED = 16
"""Blocks' tiles between their two passes: no more than banks of scores and of probabilities."""

SLOT_BITS = 2
"""Of a slot of a tile in the buffers."""


def drain_layout(config: ArrayConfig) -> data.StructLayout:
    """A finished block for the normaliser: its last row, columns less one, fraction bits of its outputs."""
    return data.StructLayout({"last_row": range(config.rows), "last_column": range(config.dim), "fraction": 5})


def work_layout(config: ArrayConfig) -> data.StructLayout:
    """What the array does at a time: a chunk of a pass over keys (`query`), or a pass over values."""
    return data.StructLayout(
        {
            "query": 1,
            "block": power_bits(config.subtiles),
            "chunk": power_bits(config.most_chunks),
            "first": 1,
            "last": 1,
            "half": 1,
            "slot": SLOT_BITS,
            "bank": 2,
            "final": 1,
            "drain": power_bits(config.subtiles),
            "frees_tile": 1,
            "frees_queries": 1,
            "step": FIELDS["chunks"].bits,
            "last_beat": range(config.dim),
        }
    )


class Counter(wiring.Component):
    """How many of something there are: `more` and `less` are pulses."""

    def __init__(self, most: int, init: int = 0):
        self._most, self._init = most, init
        super().__init__({"more": In(1), "less": In(1), "any": Out(1)})

    def elaborate(self, platform):
        m = Module()
        count = Signal(range(self._most + 1), init=self._init)
        m.d.sync += count.eq(count + self.more - self.less)
        m.d.comb += self.any.eq(count.any())
        return m


class Passes(wiring.Component):
    """Chooses, loads stationary operands, and gives beats.

    A pass over values goes first when its probabilities are there; a pass over keys is not interrupted. Loading takes C
    cycles under the beats of the chunk or pass before.

    Members
    -------
    job : `walk_layout`
    queries_there, keys_there, values_there : pulses: a job's queries, a tile, are complete
    queries_free, keys_free, values_free : pulses: they are not needed any more
    tile : for the softmax; `scored` when the scores of the next one are there
    score_bank_free, ready, bank_free : of the softmax
    drain, drained, drain_free : finished blocks; `drained` when the next is complete, `drain_free` when it is read
    step, swap : for the rows
    beat, value_beat, key_word, column, slot : what to read, keys or values
    score_beat, output_beat : for the rows' edges
    multiplies : a beat is given
    waits_memory, waits_softmax, waits_output : no beat, and why
    idle : nothing is under way
    """

    def __init__(self, config: ArrayConfig):
        self._config = config
        pulses_in = ("queries_there", "keys_there", "values_there", "score_bank_free", "ready", "drain_free")
        pulses_out = ("queries_free", "keys_free", "values_free", "scored", "bank_free", "drained", "swap", "idle")
        pulses_out += ("multiplies", "waits_memory", "waits_softmax", "waits_output", "query_beat")
        super().__init__(
            {
                "job": In(stream.Signature(walk_layout())),
                **{name: In(1) for name in pulses_in},
                **{name: Out(1) for name in pulses_out},
                "tile": Out(stream.Signature(tile_layout(config))),
                "drain": Out(stream.Signature(drain_layout(config))),
                "step": Out(stationary_step(config)),
                "key_word": Out(range(config.lanes * config.most_chunks)),
                "column": Out(range(config.dim)),
                "slot": Out(SLOT_BITS),
                "score_beat": Out(score_beat(config)),
                "output_beat": Out(output_beat(config)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        config = self._config
        chosen, load = Signal(work_layout(config)), Signal(work_layout(config), reset_less=True)
        now = Signal(work_layout(config), reset_less=True)
        loading, loaded, beating = Signal(), Signal(), Signal()
        lane, place = Signal(config.lane_bits), Signal(range(config.dim))
        last_lane = wire(m, loading & (lane == config.lanes - 1), "last_lane")
        last_beat = wire(m, beating & (place == now.last_beat), "last_beat")
        fire = wire(m, (loaded | last_lane) & (~beating | last_beat), "fire")
        free = wire(m, fire | ~(loading | loaded), "free")
        choose = self._choose(m, chosen, free)

        # Stationary operands of what is next.
        with m.If(fire):
            m.d.sync += loaded.eq(0)
        with m.Elif(last_lane):
            m.d.sync += loaded.eq(1)
        with m.If(choose):
            m.d.sync += [load.eq(chosen), loading.eq(1)]
        with m.Elif(last_lane):
            m.d.sync += loading.eq(0)
        with m.If(loading):
            m.d.sync += lane.eq(lane + 1)
        plan_read, plan_bank = Signal(), Signal(2, reset_less=True)
        m.d.sync += [plan_read.eq(last_lane & ~load.query), plan_bank.eq(load.bank)]
        step = self.step
        m.d.comb += [
            step.load.eq(loading),
            step.plan.eq(plan_read),
            step.query.eq(load.query),
            step.query_address.column.eq(Cat(lane, load.chunk)),
            step.query_address.block.eq(load.block),
            step.query_address.half.eq(load.half),
            step.plan_bank.eq(plan_bank),
            step.probability_address.key.eq(lane),
            step.probability_address.bank.eq(load.bank),
            self.bank_free.eq(fire & ~load.query),
            self.queries_free.eq(fire & load.frees_queries),
        ]

        # Beats of what is loaded.
        word = Signal.like(self.key_word, name="word", reset_less=True)
        with m.If(fire):
            m.d.sync += [now.eq(load), beating.eq(1), place.eq(0), word.eq(load.chunk)]
        with m.Elif(beating):
            m.d.sync += [beating.eq(~last_beat), place.eq(place + 1), word.eq(word + now.step)]
        m.d.comb += [
            self.multiplies.eq(beating),
            self.query_beat.eq(now.query),
            self.key_word.eq(word),
            self.column.eq(place),
            self.slot.eq(now.slot),
            self.keys_free.eq(last_beat & now.query & now.frees_tile),
            self.values_free.eq(last_beat & ~now.query & now.frees_tile),
            self.swap.eq(delayed(m, beating & ~place.any(), OPERAND_CYCLES - 1, "swap")),
        ]
        edge_cycles = config.latency_cycles - 2
        of_score, of_output = Signal(score_beat(config)), Signal(output_beat(config))
        m.d.comb += [
            of_score.take.eq(beating & now.query),
            of_score.key.eq(place),
            of_score.first.eq(now.first),
            of_score.last.eq(now.last),
            of_score.bank.eq(now.bank),
            of_output.take.eq(beating & ~now.query),
            of_output.begin.eq(beating & ~now.query & ~place.any()),
            of_output.column.eq(place),
            of_output.block.eq(now.block),
            of_output.final.eq(now.final),
            of_output.slot.eq(now.drain),
            self.score_beat.eq(delayed(m, of_score.as_value(), edge_cycles, "score_beat")),
            self.output_beat.eq(delayed(m, of_output.as_value(), edge_cycles, "output_beat")),
        ]
        scored = delayed(m, last_beat & now.query & now.last, edge_cycles, "scored_edge")
        drained = delayed(m, last_beat & ~now.query & now.final, edge_cycles, "drained_edge")
        m.d.comb += [
            self.scored.eq(delayed(m, scored, 4, "scored")),
            self.drained.eq(delayed(m, drained, 3 + ALIGN_CYCLES, "drained")),
        ]
        busy = Signal()
        m.d.comb += busy.eq(loading | loaded | beating)
        m.d.comb += self.idle.eq(~busy & ~self._pending)
        return m

    def _choose(self, m, chosen, free):
        """What to load next, if there is anything."""
        config = self._config
        m.submodules.walk = walk = Walk(config)
        wiring.connect(m, wiring.flipped(self.job), walk.job)
        values = data.StructLayout(
            {
                "block": len(walk.tile.block),
                "last_row": len(walk.tile.last_row),
                "chunks": len(walk.chunks),
                "fraction": len(walk.fraction),
                "final": 1,
                "last_block": 1,
            }
        )
        m.submodules.tiles = tiles = fifo.SyncFIFO(width=tile_layout(config).size, depth=QUEUED)
        m.submodules.values = queue = fifo.SyncFIFO(width=values.size, depth=QUEUED)
        m.submodules.drains = drains = fifo.SyncFIFO(width=drain_layout(config).size, depth=config.subtiles)
        counters = {
            "queries": Counter(2),
            "keys": Counter(config.tile_slots),
            "scores": Counter(config.banks, config.banks),
            "probabilities": Counter(config.banks),
            "values": Counter(config.tile_slots),
            "drains": Counter(config.subtiles, config.subtiles),
        }
        for name, counter in counters.items():
            m.submodules[f"count_{name}"] = counter
        there = {name: counter.any for name, counter in counters.items()}
        head = values(queue.r_data)

        chunk = Signal(range(config.most_chunks))
        key_slot, value_slot, score_bank, bank = (
            Signal(2, name=name) for name in ("key_slot", "value_slot", "score_bank", "bank")
        )
        drain, half = Signal(power_bits(config.subtiles)), Signal()
        inside = wire(m, chunk.any(), "inside")
        last_chunk = wire(m, chunk == walk.chunks - 1, "last_chunk")
        room = wire(m, ~head.final | there["drains"], "room")
        values_can = wire(m, queue.r_rdy & there["probabilities"] & there["values"] & room, "values_can")
        loaded_keys = wire(m, there["queries"] & there["keys"], "loaded_keys")
        keys_can = wire(m, walk.valid & loaded_keys & there["scores"] & tiles.w_rdy & queue.w_rdy, "keys_can")
        take_values = wire(m, free & ~inside & values_can, "take_values")
        take_keys = wire(m, free & (inside | (keys_can & ~values_can)), "take_keys")
        opens = wire(m, take_keys & ~inside, "opens")
        closes = wire(m, take_keys & last_chunk, "closes")
        leaves_tile = wire(m, closes & walk.last_block, "leaves_tile")
        leaves_values = wire(m, take_values & head.last_block, "leaves_values")
        ends_block = wire(m, take_values & head.final, "ends_block")
        pulses = {
            "queries": (self.queries_there, leaves_tile & walk.last_tile),
            "keys": (self.keys_there, leaves_tile),
            "scores": (self.score_bank_free, opens),
            "probabilities": (self.ready, take_values),
            "values": (self.values_there, leaves_values),
            "drains": (self.drain_free, ends_block),
        }
        for name, (more, less) in pulses.items():
            m.d.comb += [counters[name].more.eq(more), counters[name].less.eq(less)]

        of_tile = Signal(values)
        m.d.comb += [
            of_tile.block.eq(walk.tile.block),
            of_tile.last_row.eq(walk.tile.last_row),
            of_tile.chunks.eq(walk.chunks),
            of_tile.fraction.eq(walk.fraction),
            of_tile.final.eq(walk.tile.final),
            of_tile.last_block.eq(walk.last_block),
            walk.next.eq(closes),
            queue.w_data.eq(of_tile),
            queue.w_en.eq(opens),
            queue.r_en.eq(take_values),
            tiles.w_data.eq(walk.tile),
            tiles.w_en.eq(opens),
            self.tile.payload.eq(tiles.r_data),
            self.tile.valid.eq(tiles.r_rdy),
            tiles.r_en.eq(self.tile.ready),
        ]
        last_column = wire(m, (head.chunks << config.lane_bits) - 1, "last_column")
        ended = Signal(drain_layout(config))
        m.d.comb += [
            ended.last_row.eq(head.last_row),
            ended.last_column.eq(last_column),
            ended.fraction.eq(head.fraction),
            drains.w_data.eq(ended),
            drains.w_en.eq(ends_block),
            self.drain.payload.eq(drains.r_data),
            self.drain.valid.eq(drains.r_rdy),
            drains.r_en.eq(self.drain.ready),
        ]

        m.d.comb += [
            chosen.query.eq(~take_values),
            chosen.block.eq(Mux(take_values, head.block, walk.tile.block)),
            chosen.chunk.eq(chunk),
            chosen.first.eq(~inside),
            chosen.last.eq(last_chunk),
            chosen.half.eq(half),
            chosen.slot.eq(Mux(take_values, value_slot, key_slot)),
            chosen.bank.eq(Mux(take_values, bank, score_bank)),
            chosen.final.eq(head.final),
            chosen.drain.eq(drain),
            chosen.frees_tile.eq(Mux(take_values, head.last_block, leaves_tile)),
            chosen.frees_queries.eq(leaves_tile & walk.last_tile),
            chosen.step.eq(walk.chunks),
            chosen.last_beat.eq(Mux(take_values, last_column, config.lanes - 1)),
        ]
        with m.If(take_keys):
            m.d.sync += chunk.eq(Mux(last_chunk, 0, chunk + 1))
        for pointer, moves in (
            (score_bank, closes),
            (key_slot, leaves_tile),
            (half, leaves_tile & walk.last_tile),
            (bank, take_values),
            (value_slot, leaves_values),
            (drain, ends_block),
        ):
            if len(pointer):
                with m.If(moves):
                    m.d.sync += pointer.eq(pointer + 1)

        # Why nothing is chosen, until something is.
        cause = Signal(2)
        blocked_output = queue.r_rdy & there["probabilities"] & there["values"] & ~room
        blocked_softmax = Mux(walk.valid, loaded_keys & ~there["scores"], queue.r_rdy & ~there["probabilities"])
        with m.If(free & ~take_keys & ~take_values):
            m.d.sync += cause.eq(Mux(blocked_output, 2, Mux(blocked_softmax, 1, 0)))
        waits = (self.waits_memory, self.waits_softmax, self.waits_output)
        for code, wait in enumerate(waits):
            m.d.comb += wait.eq(~self.multiplies & (cause == code))
        self._pending = wire(m, walk.valid | queue.r_rdy | tiles.r_rdy, "pending")
        return wire(m, take_keys | take_values, "choose")
