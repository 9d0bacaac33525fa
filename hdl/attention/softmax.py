"""When the softmax units take which score: rows after rows, tiles after tiles, without a pause while there is work."""

from __future__ import annotations

from amaranth.hdl import Cat, Const, Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from hdl.attention.config import ArrayConfig
from hdl.attention.counter import Counter
from hdl.attention.job_words import FIELDS
from hdl.attention.linear_outputs import HALVES, scaled_layout
from hdl.attention.row_state import RowState, state_event
from hdl.attention.softmax_unit import (
    BOUND_BITS,
    EXPONENTIAL_CYCLES,
    LOGIT_CYCLES,
    SoftmaxUnit,
    key_bounds,
)
from hdl.attention.tile_size import last_key, next_key
from hdl.common.arithmetic import delayed, register, wire
from hdl.common.repeated import Pattern


def tile_layout(config: ArrayConfig) -> data.StructLayout:
    """A block's tile of scores: masks of its row 0, scale, which of the block's rows there are, and what its state is
    to do: begin anew (`first`), end (`final`). Of a linear layer (`linear`): what becomes of its outputs. A `wide` tile
    has 2C keys."""
    of_layer = {"linear": 1, "relu": 1, "o_format": FIELDS["o_format"].bits} if config.linear else {}
    of_layer |= {"wide": 1} if config.wide else {}
    return data.StructLayout(
        {
            **of_layer,
            "bounds": key_bounds(config),
            "step": FIELDS["step"].bits,
            "a": FIELDS["a"].bits,
            "h": FIELDS["h"].bits,
            "last_row": range(config.rows),
            "block": range(config.subtiles),
            "first": 1,
            "final": 1,
        }
    )


class Softmax(wiring.Component):
    """Scores of a block's tile to probabilities and plans, in banks of their own.

    Members
    -------
    tile : of each block's tile, in order, any time before its scores
    scored : a block's scores are complete
    score_bank_free, ready : pulses: a bank of scores can be written anew; a bank of probabilities is complete
    bank_free : a pulse: probabilities were loaded
    score_address, scores : of all rows
    place, bank, key, write, p : probabilities of the rows `place` * units + unit
    plan_row, plan_bank, write_plan, plan : of a row
    ended : `state_event` of rows that end
    saturated : a pulse
    scaled, logits, half_free : where linear layers are built: of `LinearOutputs`
    """

    def __init__(self, config: ArrayConfig):
        self._config = config
        super().__init__(
            {
                "tile": In(stream.Signature(tile_layout(config))),
                "scored": In(1),
                "score_bank_free": Out(1),
                "ready": Out(1),
                "bank_free": In(1),
                "score_address": Out(range(config.banks * config.tile_keys)),
                "scores": In(config.rows * config.score_bits),
                "place": Out(range(config.rows_per_unit)),
                "bank": Out(2),
                "key": Out(config.tile_key_bits),
                "write": Out(1),
                "p": Out(config.units * (config.p_bits + 1)),
                "plan_row": Out(range(config.rows)),
                "plan_bank": Out(2),
                "write_plan": Out(1),
                "plan": Out(8),
                "ended": Out(state_event(config)),
                "ended_valid": Out(1),
                "saturated": Out(1),
                **self._linear_members(),
            }
        )

    def _linear_members(self):
        config = self._config
        if not config.linear:
            return {}
        logits = Out(config.units * config.logit_bits)
        return {"scaled": Out(scaled_layout(config)), "logits": logits, "half_free": In(1)}

    def elaborate(self, platform):
        m = Module()
        config = self._config
        tile = self.tile.payload
        place_bits = len(self.place)

        # A tile is taken when its scores are there and a bank for its probabilities is free.
        waiting, free = Signal(3), Signal(3, init=config.banks)
        row, key, score_bank, bank = Signal(place_bits), Signal(config.tile_key_bits), Signal(2), Signal(2)
        busy = Signal()
        wide = tile.wide if config.wide else Const(0, 1)
        row_end = wire(m, last_key(config, key, wide), "row_end")
        end = wire(m, busy & row_end & (row == config.rows_per_unit - 1), "end")
        there = waiting.any() & self._rested(m, wide, end) & self._room(m, tile, free.any())
        go = wire(m, self.tile.valid & there, "go")
        take = wire(m, busy | go, "take")
        begins = wire(m, go & ~busy, "begins")
        of_attention = ~tile.linear if config.linear else 1
        m.d.sync += [
            waiting.eq(waiting + self.scored - begins),
            free.eq(free + self.bank_free - (begins & of_attention)),
        ]
        with m.If(take):
            m.d.sync += [key.eq(next_key(config, key, wide)), busy.eq(~end)]
            with m.If(row_end):
                m.d.sync += row.eq(Mux(end, 0, row + 1))
        with m.If(end):
            m.d.sync += [score_bank.eq(score_bank + 1), bank.eq(bank + of_attention)]
        m.d.comb += [
            self.tile.ready.eq(end),
            self.score_bank_free.eq(register(m, end, "score_bank_left")),
            self.score_address.eq(Cat(key, score_bank)),
        ]
        bounds = self._bounds(m, tile, take & row_end, end)
        a, h = (delayed(m, getattr(tile, name), 3, name, reset_less=True) for name in "ah")

        info = self._info()
        row_info = Signal(info)
        m.d.comb += [row_info.row.eq(row), row_info.bank.eq(bank)]
        m.d.comb += [
            getattr(row_info, name).eq(getattr(tile, name)) for name in info.members if name not in ("row", "bank")
        ]
        parity = Signal()
        with m.If(take & row_end):
            m.d.sync += parity.eq(~parity)
        reads, where, finished = self._exponentials(m, take & row_end, row_info)
        m.submodules.state = state = RowState(config)
        units = Pattern(SoftmaxUnit, config)
        saturated = []
        for index in range(config.units):
            m.submodules[f"unit_{index}"] = unit = units.another()
            rows = range(index, config.rows, config.units)
            given = {
                "scores": Cat(self.scores.word_select(r, config.score_bits) for r in rows),
                "take": take,
                "first": ~key.any(),
                "parity": parity,
                "key": key,
                "place": row,
                "exists": (row * config.units + index <= tile.last_row) & of_attention,
                "bounds": bounds[index],
                "a": a,
                "h": h,
                **reads,
            }
            m.d.comb += [getattr(unit, name).eq(value) for name, value in given.items()]
            m.d.comb += [getattr(state, f"{name}_{index}").eq(getattr(unit, name)) for name in ("m", "any", "l")]
            m.d.comb += self.p.word_select(index, config.p_bits + 1).eq(unit.p)
            saturated.append(unit.saturated)
        m.d.comb += self.saturated.eq(Cat(saturated).any())
        if config.linear:
            m.d.comb += self._halves.less.eq(begins & tile.linear)
            self._scaled(m, tile, take, key, row)
            m.d.comb += self.logits.eq(Cat(getattr(m.submodules, f"unit_{k}").logit for k in range(config.units)))
        self._state(m, state, delayed(m, finished, 1, "told"), info(register(m, where.as_value(), "told_row")))
        return m

    def _info(self):
        """What goes with a row to its state."""
        tile = self.tile.payload
        shapes = {"row": len(self.place), "bank": 2, "block": len(tile.block), "last_row": len(tile.last_row)}
        kinds = {name: 1 for name in ("linear", "wide") if getattr(self._config, name)}
        return data.StructLayout(shapes | {"first": 1, "final": 1} | kinds)

    def _rested(self, m, wide, end):
        """Whether a tile may begin: the exponentials of a wide one's last row take longer than the scores of a narrow
        one's first row."""
        if not self._config.wide:
            return Const(1, 1)
        left = Signal(self._config.lane_bits + 1, name="rest_left")
        with m.If(end & wide):
            m.d.sync += left.eq(self._config.lanes)
        with m.Elif(left.any()):
            m.d.sync += left.eq(left - 1)
        return wide | ~left.any()

    def _room(self, m, tile, banks):
        """Whether there is any for what comes of a tile: probabilities, or a linear layer's outputs."""
        if not self._config.linear:
            return banks
        m.submodules.halves = self._halves = halves = Counter(HALVES, HALVES)
        m.d.comb += halves.more.eq(self.half_free)
        return Mux(tile.linear, halves.any, banks)

    def _scaled(self, m, tile, take, key, row):
        """What goes with a linear layer's scaled scores."""
        begun = Signal(scaled_layout(self._config))
        m.d.comb += [
            begun.key.eq(key),
            begun.place.eq(row),
            begun.last_row.eq(tile.last_row),
            begun.relu.eq(tile.relu),
            begun.o_format.eq(tile.o_format),
            *([begun.wide.eq(tile.wide)] if self._config.wide else []),
        ]
        m.d.comb += self.scaled.eq(delayed(m, begun.as_value(), LOGIT_CYCLES, "scaled_with", reset_less=True))
        m.d.comb += self.scaled.valid.eq(delayed(m, take & tile.linear, LOGIT_CYCLES, "scaled_valid"))

    def _exponentials(self, m, row_end, row_info):
        """The exponentials of a row begin when its largest logit is known: what the units read, whose probability is
        written now, and that it is the row's last."""
        config, info = self._config, self._info()
        begin = delayed(m, row_end, LOGIT_CYCLES + 1, "read_begin")
        travelling = delayed(m, row_info.as_value(), LOGIT_CYCLES + 1, "info", reset_less=True)
        now, kept = Signal(info), Signal(info, reset_less=True)
        key, reading, parity = Signal(config.tile_key_bits), Signal(), Signal()
        m.d.comb += now.eq(Mux(begin, travelling, kept))
        with m.If(begin):
            m.d.sync += kept.eq(travelling)
        active = wire(m, begin | reading, "active")
        of_attention = ~now.linear if config.linear else 1
        wide = now.wide if config.wide else Const(0, 1)
        end = wire(m, active & last_key(config, key, wide), "read_end")
        with m.If(active):
            m.d.sync += [key.eq(next_key(config, key, wide)), reading.eq(~end)]
        with m.If(end):
            m.d.sync += parity.eq(~parity)
        written = delayed(m, Cat(key, now.as_value()), EXPONENTIAL_CYCLES, "written", reset_less=True)
        where = info(written[config.tile_key_bits :])
        m.d.comb += [
            self.write.eq(delayed(m, active & of_attention, EXPONENTIAL_CYCLES, "write")),
            self.key.eq(written[: config.tile_key_bits]),
            self.place.eq(where.row),
            self.bank.eq(where.bank),
        ]
        reads = {"read_begin": begin, "read_parity": parity, "read_key": key}
        return reads, where, delayed(m, end & of_attention, EXPONENTIAL_CYCLES, "finished")

    def _state(self, m, state, take, row):
        """Rows to their state, and its plans to the rows."""
        m.d.comb += [state.take.eq(take), state.place.eq(row.row)]
        m.d.comb += [
            getattr(state, name).eq(getattr(row, name)) for name in ("bank", "block", "first", "final", "last_row")
        ]
        for name in ("plan_row", "plan_bank", "write_plan", "plan", "ended", "ended_valid", "ready"):
            m.d.comb += getattr(self, name).eq(getattr(state, name))

    def _bounds(self, m, tile, row_end, end):
        """Of each unit's row at hand."""
        config = self._config
        past = Signal(BOUND_BITS)  # step times the rows before this place's first
        with m.If(row_end):
            m.d.sync += past.eq(Mux(end, 0, past + tile.step * config.units))
        found = []
        for index in range(config.units):
            of_row = Signal(key_bounds(config), name=f"bounds_{index}")
            risen = wire(m, past + tile.step * index, f"risen_{index}")
            m.d.comb += [
                of_row.lo.eq(tile.bounds.lo + risen),
                of_row.hi.eq(tile.bounds.hi + risen),
                of_row.sink.eq(tile.bounds.sink),
                of_row.keys.eq(tile.bounds.keys),
            ]
            found.append(of_row)
        return found
