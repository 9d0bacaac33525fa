"""When the array does what: a pass over queries and keys, or one over probabilities and values, without a pause."""

from __future__ import annotations

from amaranth.hdl import Cat, Const, Module, Mux, Signal
from amaranth.lib import data, fifo, stream, wiring
from amaranth.lib.wiring import In, Out

from hdl.attention.aligner import output_beat
from hdl.attention.config import LEAST_OPERAND_CYCLES, ArrayConfig
from hdl.attention.counter import Counter
from hdl.attention.linear_walk import Order, order_layout
from hdl.attention.packing import FORMAT_BITS, folded
from hdl.attention.row import power_bits, stationary_step
from hdl.attention.scores import score_beat
from hdl.attention.softmax import tile_layout
from hdl.attention.tile_size import last_key, next_key, tile_size
from hdl.attention.turns import TURN_CYCLES
from hdl.attention.walk import Walk
from hdl.attention.work import drain_layout, work_layout
from hdl.common.arithmetic import delayed, wire

QUEUED = 16
"""Blocks' tiles between their two passes: no more than banks of scores and of probabilities."""


class Passes(wiring.Component):
    """Chooses, loads stationary operands, and gives beats.

    A pass over values goes first when its probabilities are there; a pass over keys is not interrupted. Loading takes C
    cycles under the beats of the chunk or pass before.

    Members
    -------
    job : `order_layout`
    queries_there, keys_there, values_there : pulses: a job's queries, a tile, are complete
    queries_free, keys_free, values_free : pulses: they are not needed any more
    tile : for the softmax; `scored` when the scores of the next one are there, or will be when they are needed
    score_bank_free, ready, bank_free : of the softmax
    drain, drain_free : blocks that are finished or will be; `drain_free` when one is read
    step, swap : for the rows
    beat, value_beat, key_word, column, slot : what to read, keys or values
    score_beat, output_beat : for the rows' edges, two cycles before the sum, `TURN_CYCLES` more; with blocks,
        `score_beat` three cycles later
    chunk, format : of keys; of the beat's elements
    multiplies : a beat is given
    waits_memory, waits_softmax, waits_output : no beat, and why
    idle : nothing is under way
    """

    def __init__(self, config: ArrayConfig):
        self._config = config
        pulses_in = ("queries_there", "keys_there", "values_there", "score_bank_free", "ready", "drain_free")
        pulses_out = ("queries_free", "keys_free", "values_free", "scored", "bank_free", "swap", "idle")
        pulses_out += ("multiplies", "waits_memory", "waits_softmax", "waits_output", "query_beat")
        super().__init__(
            {
                "job": In(stream.Signature(order_layout(config))),
                **{name: In(1) for name in pulses_in},
                **{name: Out(1) for name in pulses_out},
                "tile": Out(stream.Signature(tile_layout(config))),
                "drain": Out(stream.Signature(drain_layout(config))),
                "step": Out(stationary_step(config)),
                "key_word": Out(range(config.lanes * config.most_chunks)),
                "column": Out(range(config.dim)),
                "slot": Out(config.slot_bits),
                "chunk": Out(power_bits(config.most_chunks)),
                "format": Out(FORMAT_BITS),
                **{name: Out(1) for name in ("dual", "sparse") if name in work_layout(config).members},
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
        lane, place = Signal(config.tile_key_bits), Signal(range(config.dim))
        last_lane = wire(m, loading & last_key(config, lane, load.wide if config.wide else 0), "last_lane")
        last_beat = wire(m, beating & (place == now.last_beat), "last_beat")
        fire = wire(m, (loaded | last_lane) & (~beating | last_beat), "fire")
        free = wire(m, fire | ~(loading | loaded), "free")
        self._queries_done = wire(m, fire & load.frees_queries, "queries_done")
        self._keys_done = wire(m, last_beat & now.query & now.frees_tile, "keys_done")
        self._values_done = wire(m, last_beat & ~now.query & now.frees_tile, "values_done")
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
            m.d.sync += lane.eq(next_key(config, lane, load.wide if config.wide else 0))
        step = Signal(stationary_step(config))
        m.d.comb += [
            # Shadows take what is next no sooner than the beats before have come to the lanes.
            self.step.eq(delayed(m, step.as_value(), config.operand_cycles - LEAST_OPERAND_CYCLES, "step")),
            step.load.eq(loading),
            step.query.eq(load.query),
            *([step.wide.eq(load.wide)] if config.wide else []),
            # A wide chunk is two, of which the first one's number is even.
            step.query_address.column.eq(Cat(lane[: config.lane_bits], load.chunk | lane[config.lane_bits :])),
            step.query_address.block.eq(load.block),
            step.query_address.half.eq(load.half),
            step.probability_address.key.eq(lane),
            step.probability_address.bank.eq(load.bank),
            self.bank_free.eq(fire & ~load.query),
        ]

        # Beats of what is loaded.
        word = Signal.like(self.key_word, name="word", reset_less=True)
        first_word, chunk_now = (load.stored, now.stored) if config.wide else (load.chunk, now.chunk)
        if config.formats:
            first_word = wire(m, folded(config, first_word, load.format), "first_word")
            m.d.comb += self.format.eq(now.format)
        if config.formats or config.wide:
            m.d.comb += self.chunk.eq(chunk_now)
        for name in ("dual", "sparse"):
            if name in now.shape().members:
                m.d.comb += getattr(self, name).eq(getattr(now, name))
        with m.If(fire):
            m.d.sync += [now.eq(load), beating.eq(1), place.eq(0), word.eq(first_word)]
        with m.Elif(beating):
            m.d.sync += [beating.eq(~last_beat), place.eq(place + 1), word.eq(word + now.step)]
        m.d.comb += [
            self.multiplies.eq(beating),
            self.query_beat.eq(now.query),
            self.key_word.eq(word),
            self.column.eq(place),
            self.slot.eq(now.slot),
            self.swap.eq(delayed(m, beating & ~place.any(), config.operand_cycles - 1, "swap")),
        ]
        edge_cycles = config.latency_cycles - 2
        of_score, of_output = Signal(score_beat(config)), Signal(output_beat(config))
        m.d.comb += [
            of_score.take.eq(beating & now.query),
            of_score.key.eq(place),
            of_score.first.eq(now.first),
            of_score.last.eq(now.last),
            of_score.bank.eq(now.bank),
            *([of_score.block.eq(now.sums)] if config.linear else []),
            of_output.take.eq(beating & ~now.query),
            of_output.begin.eq(beating & ~now.query & ~place.any()),
            of_output.last.eq(last_beat),
            of_output.column.eq(place),
            of_output.block.eq(now.block),
            of_output.bank.eq(now.bank),
            of_output.final.eq(now.final),
            of_output.slot.eq(now.drain),
            self.score_beat.eq(delayed(m, of_score.as_value(), edge_cycles + config.score_cycles, "score_beat")),
            self.output_beat.eq(delayed(m, of_output.as_value(), edge_cycles - TURN_CYCLES, "output_beat")),
        ]
        # Scores of the last chunk come as fast as the softmax takes them: it begins with the first.
        scored = delayed(m, beating & ~place.any() & now.query & now.last, edge_cycles, "scored_edge")
        m.d.comb += self.scored.eq(delayed(m, scored, 4 + config.score_cycles, "scored"))
        busy = Signal()
        m.d.comb += busy.eq(loading | loaded | beating)
        m.d.comb += self.idle.eq(~busy & ~self._pending)
        return m

    def _choose(self, m, chosen, free):
        """What to load next, if there is anything."""
        config = self._config
        walk = self._walk(m)
        values = data.StructLayout(
            {
                "block": len(walk.tile.block),
                "last_row": len(walk.tile.last_row),
                "chunks": len(walk.chunks),
                "fraction": len(walk.fraction),
                "o_format": len(walk.o_format),
                "final": 1,
                "last_block": 1,
                "unneeded": 1,
                **({"format": FORMAT_BITS} if config.formats else {}),
                **({"dual": 1} if config.dual_issue else {}),
            }
        )
        m.submodules.tiles = tiles = fifo.SyncFIFO(width=tile_layout(config).size, depth=QUEUED)
        m.submodules.values = queue = fifo.SyncFIFO(width=values.size, depth=QUEUED)
        m.submodules.drains = drains = fifo.SyncFIFO(width=drain_layout(config).size, depth=config.subtiles)
        counters = self._counters(m)
        there = {name: counter.any for name, counter in counters.items()}
        head = values(queue.r_data)

        chunk, drain, half = Signal(range(config.most_chunks)), Signal(power_bits(config.subtiles)), Signal()
        key_slot, value_slot, score_bank, bank = (
            Signal(config.slot_bits if name.endswith("slot") else 2, name=name)
            for name in ("key_slot", "value_slot", "score_bank", "bank")
        )
        inside = wire(m, chunk.any(), "inside")
        kept, last_chunk, following, wide = self._chunks(m, walk, chunk)
        room = wire(m, ~head.final | there["drains"], "room")
        values_wait = wire(m, queue.r_rdy & ~head.unneeded & there["probabilities"] & there["values"], "values_wait")
        values_can = wire(m, values_wait & room, "values_can")
        loaded_keys = wire(m, there["queries"] & there["keys"], "loaded_keys")
        keys_wait = wire(m, walk.valid & ~walk.unneeded & loaded_keys, "keys_wait")
        scores_room = there["scores"] | ~walk.last_part if config.linear else there["scores"]
        keys_can = wire(m, keys_wait & scores_room & tiles.w_rdy & queue.w_rdy, "keys_can")
        take_values = wire(m, free & ~inside & values_can, "take_values")
        take_keys = wire(m, free & (inside | (keys_can & ~values_can)), "take_keys")
        opens = wire(m, take_keys & ~inside, "opens")
        closes = wire(m, take_keys & last_chunk, "closes")
        opens_scores, closes_scores, opens_values = self._ends(m, walk, opens, closes)
        # A tile that no block needs is freed when those before it are: buffers are rings.
        left_keys = wire(m, walk.valid & walk.unneeded & loaded_keys & ~there["keys_leaving"], "left_keys")
        drops_keys = wire(m, left_keys & queue.w_rdy, "drops_keys")
        drops_values = wire(m, queue.r_rdy & head.unneeded & there["values"] & ~there["values_leaving"], "drops_values")
        last_keys = wire(m, closes & walk.last_block, "last_keys")
        last_values = wire(m, take_values & head.last_block, "last_values")
        leaves_tile = wire(m, last_keys | drops_keys, "leaves_tile")
        leaves_values = wire(m, last_values | drops_values, "leaves_values")
        ends_block = wire(m, take_values & head.final, "ends_block")
        m.d.comb += [
            self.keys_free.eq(self._keys_done | drops_keys),
            self.values_free.eq(self._values_done | drops_values),
            self.queries_free.eq(self._queries_done | (drops_keys & walk.last_tile)),
        ]
        pulses = {
            "queries": (self.queries_there, leaves_tile & walk.last_tile),
            "keys": (self.keys_there, leaves_tile),
            "scores": (self.score_bank_free, opens_scores),
            "probabilities": (self.ready, take_values),
            "values": (self.values_there, leaves_values),
            "drains": (self.drain_free, ends_block),
            "keys_leaving": (last_keys, self._keys_done),
            "values_leaving": (last_values, self._values_done),
        }
        for name, (more, less) in pulses.items():
            m.d.comb += [counters[name].more.eq(more), counters[name].less.eq(less)]

        of_tile = Signal(values)
        m.d.comb += [
            of_tile.block.eq(walk.tile.block),
            of_tile.last_row.eq(walk.tile.last_row),
            of_tile.chunks.eq(walk.chunks),
            of_tile.fraction.eq(walk.fraction),
            of_tile.o_format.eq(walk.o_format),
            of_tile.final.eq(walk.tile.final),
            of_tile.last_block.eq(walk.last_block),
            of_tile.unneeded.eq(walk.unneeded),
            walk.next.eq(closes | drops_keys),
            queue.w_data.eq(of_tile),
            queue.w_en.eq(opens_values | drops_keys),
            queue.r_en.eq(take_values | drops_values),
            tiles.w_data.eq(walk.tile),
            tiles.w_en.eq(opens_scores),
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
            ended.o_format.eq(head.o_format),
            drains.w_data.eq(ended),
            drains.w_en.eq(ends_block),
            self.drain.payload.eq(drains.r_data),
            self.drain.valid.eq(drains.r_rdy),
            drains.r_en.eq(self.drain.ready),
        ]

        m.d.comb += [
            chosen.query.eq(~take_values),
            chosen.block.eq(Mux(take_values, head.block, walk.queries if config.linear else walk.tile.block)),
            *([chosen.sums.eq(walk.tile.block)] if config.linear else []),
            chosen.chunk.eq(chunk),
            chosen.first.eq(~inside & walk.first_part if config.linear else ~inside),
            chosen.last.eq(last_chunk & walk.last_part if config.linear else last_chunk),
            chosen.half.eq(half),
            chosen.slot.eq(Mux(take_values, value_slot, key_slot)),
            chosen.bank.eq(Mux(take_values, bank, score_bank)),
            chosen.final.eq(head.final),
            chosen.drain.eq(drain),
            chosen.frees_tile.eq(Mux(take_values, head.last_block, last_keys)),
            chosen.frees_queries.eq(last_keys & walk.last_tile),
            chosen.step.eq(folded(config, kept, walk.k_format, up=True)),
            chosen.last_beat.eq(Mux(take_values, last_column, tile_size(config, wide) - 1)),
            *self._formats(walk, of_tile, head, chosen, take_values),
            *self._of_wide(walk, of_tile, head, chosen, take_values, wide),
        ]
        with m.If(take_keys):
            m.d.sync += chunk.eq(Mux(last_chunk, 0, following))
        for pointer, moves in (
            (score_bank, closes_scores),
            (key_slot, leaves_tile),
            (half, leaves_tile & walk.last_tile),
            (bank, take_values),
            (value_slot, leaves_values),
            (drain, ends_block),
        ):
            if len(pointer):
                with m.If(moves):
                    m.d.sync += pointer.eq(pointer + 1)

        self._waits(
            m,
            stuck=free & ~take_keys & ~take_values,
            output=values_wait & ~room,
            softmax=Mux(walk.valid, keys_wait & ~scores_room, queue.r_rdy & ~there["probabilities"]),
        )
        self._pending = wire(m, walk.valid | ~walk.job.ready | queue.r_rdy | tiles.r_rdy, "pending")
        return wire(m, take_keys | take_values, "choose")

    def _walk(self, m):
        """The order of passes."""
        m.submodules.walk = walk = Order(self._config) if self._config.linear else Walk(self._config)
        wiring.connect(m, wiring.flipped(self.job), walk.job)
        return walk

    def _chunks(self, m, walk, chunk):
        """Chunks of a key's row that lie in the buffer; whether the pass's chunk is its last, and which one follows;
        whether it is a wide one, which are two."""
        if not self._config.wide:
            return walk.chunks, wire(m, chunk == walk.chunks - 1, "last_chunk"), chunk + 1, Const(0, 1)
        self._sparse = sparse = walk.sparse if self._config.sparse else Const(0, 1)
        self._stored = wire(m, Mux(sparse, chunk >> 1, chunk), "stored")
        wide = wire(m, walk.dual | sparse, "wide")
        kept = wire(m, Mux(sparse, walk.chunks >> 1, walk.chunks), "kept")
        step = Mux(wide, 2, 1)
        return kept, wire(m, chunk == walk.chunks - step, "last_chunk"), chunk + step, wide

    def _of_wide(self, walk, of_tile, head, chosen, take_values, wide):
        """What a wide job is, of a tile's values, which wait for their pass, and of what is chosen."""
        config = self._config
        if not config.wide:
            return []
        made = [chosen.wide.eq(Mux(take_values, head.dual if config.dual_issue else 0, wide))]
        made.append(chosen.stored.eq(self._stored))
        if config.dual_issue:
            made += [of_tile.dual.eq(walk.dual), chosen.dual.eq(Mux(take_values, head.dual, walk.dual))]
        return made + ([chosen.sparse.eq(self._sparse & ~take_values)] if config.sparse else [])

    def _ends(self, m, walk, opens, closes):
        """Of what opens and closes: what ends in scores, and what values follow. Of a linear layer only the last part
        does, and none do."""
        if not self._config.linear:
            return opens, closes, opens
        opens_scores = wire(m, opens & walk.last_part, "opens_scores")
        return (
            opens_scores,
            wire(m, closes & walk.last_part, "closes_scores"),
            wire(m, opens & ~walk.linear, "opens_values"),
        )

    def _counters(self, m):
        """What there is, or there is room for; and tiles whose last pass is chosen and not over."""
        counters = {
            "queries": Counter(2),
            "keys": Counter(self._config.tile_slots),
            "scores": Counter(self._config.banks, self._config.banks),
            "probabilities": Counter(self._config.banks),
            "values": Counter(self._config.tile_slots),
            "drains": Counter(self._config.subtiles, self._config.subtiles),
            "keys_leaving": Counter(2),
            "values_leaving": Counter(2),
        }
        for name, counter in counters.items():
            m.submodules[f"count_{name}"] = counter
        return counters

    def _waits(self, m, stuck, output, softmax):
        """Why nothing is chosen, until something is."""
        cause = Signal(2)
        with m.If(stuck):
            m.d.sync += cause.eq(Mux(output, 2, Mux(softmax, 1, 0)))
        for code, wait in enumerate((self.waits_memory, self.waits_softmax, self.waits_output)):
            m.d.comb += wait.eq(~self.multiplies & (cause == code))

    def _formats(self, walk, of_tile, head, chosen, take_values):
        """Formats of a tile's values, which wait for their pass, and of what is chosen."""
        if not self._config.formats:
            return []
        return [of_tile.format.eq(walk.v_format), chosen.format.eq(Mux(take_values, head.format, walk.k_format))]
