"""The order of events of `sfq.processor`."""

from __future__ import annotations

from amaranth.hdl import C, Cat, Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from hdl.common.axi import packet_stream
from hdl.sfq.processor_calendar import Calendar, first
from hdl.sfq.processor_cells import CellList
from hdl.sfq.processor_config import ProcessorConfig
from hdl.sfq.processor_reaction import Reaction, coin_after
from hdl.sfq.processor_tables import TABLE_OPCODES, Tables
from hdl.sfq.processor_words import (
    COUNT_BITS,
    DATA_BITS,
    PIN_BITS,
    POLICIES,
    STATUS_BITS,
    TIME_BITS,
    WORD_BITS,
    Answer,
    Limit,
    Opcode,
    Status,
)

FLAG, DROP, RANDOMISE = (POLICIES.index(name) for name in ("flag", "drop", "randomise"))


class Core(wiring.Component):
    """One tick with pulses after another: SEEK to DECIDE find it, OPEN to MARK write its pulses to their cells, GATHER
    to PUT let each of these cells take its pulses one by one, and put what it fires into the calendar.

    Members
    -------
    words : In(stream.Signature(64))
    answers : Out(packet_stream(64))
        A packet a run. See `hdl.sfq.processor_words`.
    running : a run is under way
    delivered : a pulse was taken by a cell
    wrong : what went wrong, a bit each as in `Status`, in the cycle in which it does
    """

    def __init__(self, config: ProcessorConfig):
        self._config = config
        super().__init__(
            {
                "words": In(stream.Signature(WORD_BITS)),
                "answers": Out(packet_stream(WORD_BITS)),
                "running": Out(1),
                "delivered": Out(1),
                "wrong": Out(STATUS_BITS),
            }
        )

    def elaborate(self, platform):
        m = Module()
        config = self._config
        item_bits = config.target_bits + 1  # {watched, pin}
        m.submodules.calendar = self._calendar = Calendar(
            horizon_bits=config.horizon_bits, slot_bits=config.slot_bits, item_bits=item_bits
        )
        m.submodules.tables = self._tables = Tables(config)
        m.submodules.reaction = self._reaction = Reaction(config)
        m.submodules.cells = self._cells = CellList(config.instance_bits)
        widths = {
            "now": config.time_bits,
            "until": config.time_bits,
            "policy": 2,
            "status": STATUS_BITS,
            "answered": COUNT_BITS,
            "most_answers": COUNT_BITS,
            "taken": COUNT_BITS,
            "most_taken": COUNT_BITS,
            "order": config.pins * config.pin_bits,  # in which the cell at hand takes its pulses,
            "rest": config.pins,  # where they still wait,
            "pin": config.pin_bits,  # and the one at hand
            "left": config.outputs,  # outputs that still fire after the one at hand
            "pending": config.outputs,  # that one, too
            "choice": max(1, config.output_bits),  # its number
            "due": config.time_bits + 1,  # when its pulse arrives
            "queue_time": config.time_bits,  # the calendar's next tick
            "sendable": 1,  # an answer can be given now
            "is_pulse": 1,
        }
        for name, width in widths.items():
            setattr(self, f"_{name}", Signal(width, name=name))
        self._limits = {
            Limit.UNTIL: self._until,
            Limit.ANSWERS: self._most_answers,
            Limit.DELIVERIES: self._most_taken,
        }
        self._decode(m)
        self._wire(m)
        m.d.sync += self._status.eq(self._status | self.wrong)
        with m.FSM():
            self._load(m)
            self._find(m)
            self._gather(m)
            self._deliver(m)
            self._end(m)
        return m

    def _decode(self, m):
        """What the first word says, if it is one of a run."""
        config, word = self._config, self.words.payload
        self._opcode = word[WORD_BITS - 4 :]
        self._is_end = self.words.valid & (word == Opcode.END << WORD_BITS - 4)
        self._pulse_at, pin = word[: config.time_bits], word[TIME_BITS:][: config.target_bits]
        self._pulse = Cat(pin, word[TIME_BITS + PIN_BITS])
        in_range = ~Cat(word[config.time_bits : TIME_BITS], word[TIME_BITS:][config.target_bits : PIN_BITS]).any()
        m.d.comb += self._is_pulse.eq(self.words.valid & (self._opcode == Opcode.PULSE) & in_range)
        self._is_bad = self.words.valid & ~self._is_pulse & ~self._is_end

    def _wire(self, m):
        """What stands beside the order of events."""
        calendar, tables, reaction = self._calendar, self._tables, self._reaction
        wire, delta = Signal(self._config.target_bits + 2), Signal(self._config.horizon_bits)
        m.d.comb += [
            calendar.now.eq(self._now),
            tables.word.eq(self.words.payload),
            tables.instance.eq(self._cells.cell),
            tables.waiting_at.eq(self._cells.cell),
            tables.mark_at.eq(self._cells.cell),
            tables.state_to.eq(tables.next_word),
            tables.history_to.eq(reaction.history_to),
            tables.coin_to.eq(coin_after(tables.coin)),
            reaction.now.eq(self._now),
            reaction.until.eq(self._until),
            reaction.pin.eq(self._pin),
            *(getattr(reaction, name).eq(getattr(tables, name)) for name in ("delays", "windows", "wires", "history")),
            self._sendable.eq(self.answers.ready | (self._answered >= self._most_answers)),
            self._choice.eq(first(self._pending) if self._config.outputs > 1 else 0),
            self._due.eq(reaction.due.word_select(self._choice, len(self._due))),
            wire.eq(reaction.wires.word_select(self._choice, len(wire))),
            calendar.bucket.eq(self._due),
            calendar.put_item.eq(wire),
            delta.eq(calendar.next - self._now),
            self._queue_time.eq(self._now + delta),
        ]

    def _take(self, m):
        m.d.comb += self.words.ready.eq(1)

    def _report(self, m, status):
        m.d.comb += self.wrong[status.value.bit_length() - 1].eq(1)

    def _answer(self, m, kind, rules, pin):
        """An answer about this tick; only where `_sendable`."""
        time, where = (
            Cat(value, C(0, bits - len(value))) for value, bits in ((self._now, TIME_BITS), (pin, PIN_BITS + 1))
        )
        m.d.comb += [
            self.answers.valid.eq(self._answered < self._most_answers),
            self.answers.payload.data.eq(Cat(time, where, rules, C(kind, 2))),
        ]
        with m.If(self._sendable):
            m.d.sync += self._answered.eq(self._answered + 1)

    def _load(self, m):
        data = self.words.payload[:DATA_BITS]
        lane = self.words.payload[WORD_BITS - 8 :][:4]
        with m.State("LOAD"):
            m.d.comb += self.words.ready.eq(1)
            with m.If(self.words.valid), m.Switch(self._opcode):
                with m.Case(*TABLE_OPCODES):
                    m.d.comb += self._tables.load.eq(1)
                    with m.If(~self._tables.fits):
                        self._report(m, Status.BAD_WORD)
                with m.Case(Opcode.LIMIT), m.Switch(lane):
                    for limit, register in self._limits.items():
                        with m.Case(limit):
                            with m.If(data[len(register) :].any()):
                                self._report(m, Status.BAD_WORD)
                            with m.Else():
                                m.d.sync += register.eq(data)
                    with m.Default():
                        self._report(m, Status.BAD_WORD)
                with m.Case(Opcode.RUN):
                    m.d.sync += self._policy.eq(data)
                    with m.If(data >= len(POLICIES)):
                        self._report(m, Status.BAD_WORD)
                        m.d.sync += self._policy.eq(FLAG)
                    m.d.comb += [self._calendar.clear.eq(1), self._cells.clear.eq(1)]
                    m.d.sync += [self._now.eq(0), self._answered.eq(0), self._taken.eq(0), self.running.eq(1)]
                    m.next = "DECIDE"
                with m.Default():
                    self._report(m, Status.BAD_WORD)

    def _find(self, m):
        """The next tick with pulses, in the calendar or among the words."""
        calendar = self._calendar
        with m.State("SEEK"):
            m.d.comb += calendar.seek.eq(1)
            m.next = "DECIDE"
            with m.If(~calendar.empty):
                m.next = "NEAR"
        with m.State("NEAR"):
            m.next = "FAR"
        with m.State("FAR"):
            m.next = "DECIDE"
        with m.State("DECIDE"):
            ahead = Signal()  # the calendar's tick comes, and is not after the first word's
            m.d.comb += calendar.peek.eq(1)
            m.d.comb += ahead.eq(~calendar.empty & (self._is_end | (self._queue_time <= self._pulse_at)))
            with m.If(self._is_bad):
                self._take(m)
                self._report(m, Status.BAD_WORD)
            with m.Elif(self._is_pulse & (self._pulse_at < self._now)):
                self._take(m)
                self._report(m, Status.LATE_PULSE)
            with m.Elif((self._is_pulse | self._is_end) & ahead):
                m.d.sync += self._now.eq(self._queue_time)
                m.next = "OPEN"
            with m.Elif(self._is_pulse & (self._pulse_at > self._until)):
                self._take(m)
            with m.Elif(self._is_pulse):
                m.d.sync += self._now.eq(self._pulse_at)
                m.next = "GATHER"
            with m.Elif(self._is_end):
                self._take(m)
                m.next = "FINISH"

    def _gather(self, m):
        """The pulses of this tick to the cells that they come to."""
        calendar, tables, config = self._calendar, self._tables, self._config
        with m.State("OPEN"):
            m.d.comb += calendar.open.eq(1)
            m.next = "FETCH"
        with m.State("FETCH"):
            m.d.comb += tables.waiting_at.eq(calendar.item[config.pin_bits : config.target_bits])
            m.next = "MARK"
        with m.State("MARK"):
            done = self._mark(m, calendar.item)
            with m.If(done):
                m.d.comb += calendar.step.eq(1)
                m.next = "FETCH"
                with m.If(calendar.last):
                    m.next = "GATHER"
        with m.State("GATHER"):
            # Another pulse of this tick from outside; if there is none, the first cell is read.
            with m.If(self._is_bad):
                self._take(m)
                self._report(m, Status.BAD_WORD)
            with m.Elif(self._is_pulse & (self._pulse_at == self._now)):
                m.d.comb += tables.waiting_at.eq(self._pulse[config.pin_bits : config.target_bits])
                m.next = "MARK_WORD"
            with m.Elif(self._is_pulse | self._is_end):
                m.d.sync += self._rest.eq(0)
                m.next = "PICK"
        with m.State("MARK_WORD"):
            done = self._mark(m, self._pulse)
            with m.If(done):
                self._take(m)
                m.next = "GATHER"

    def _mark(self, m, pulse):
        """A pulse to its pin, unless one waits there; whether that is done."""
        tables, config = self._tables, self._config
        pin, instance = pulse[: config.pin_bits], pulse[config.pin_bits : config.target_bits]
        watched, done = pulse[config.target_bits], Signal()
        fresh = ~tables.waiting.bit_select(pin, 1)
        m.d.comb += [
            done.eq(~(fresh & watched) | self._sendable),
            tables.waiting_at.eq(instance),  # so that it stands however long the answer waits
            tables.mark_at.eq(instance),
            tables.waiting_to.eq(tables.waiting | (C(1, config.pins) << pin)[: config.pins]),
            self._cells.pushed.eq(instance),
            self._cells.push.eq(done & ~tables.waiting.any()),
        ]
        with m.If(fresh & watched):
            self._answer(m, Answer.PULSE, C(0, 2), pulse[: config.target_bits])
        with m.If(done & fresh):
            m.d.comb += tables.mark.eq(1)
        return done

    def _deliver(self, m):
        """A cell takes its pulses, in the order of its state before the first."""
        calendar, tables, reaction, config = self._calendar, self._tables, self._reaction, self._config
        with m.State("READ"):
            m.next = "PICK"
        with m.State("PICK"):
            beginning = ~self._rest.any()
            waiting, order = Signal(config.pins), Signal(len(self._order))
            state = tables.state_word[: config.state_bits]
            m.d.comb += [
                waiting.eq(Mux(beginning, tables.waiting, self._rest)),
                order.eq(Mux(beginning, tables.state_word[config.state_bits :], self._order)),
            ]
            places = [order.word_select(place, config.pin_bits) for place in range(config.pins)]
            present = Cat(waiting.bit_select(pin, 1) for pin in places)
            pin = Signal(config.pin_bits)
            m.d.comb += [
                pin.eq(order.word_select(first(present), config.pin_bits)),
                tables.row.eq(Cat(pin, state)),
                tables.read_row.eq(1),
                tables.mark.eq(beginning),
            ]
            m.d.sync += [
                self._pin.eq(pin),
                self._order.eq(order),
                self._rest.eq(waiting & ~(C(1, config.pins) << pin)[: config.pins]),
            ]
            m.next = "WEIGH"
            with m.If(~present.any()):
                self._report(m, Status.BAD_ORDER)
                m.d.sync += self._rest.eq(0)
                self._next(m, C(0, 1))
        with m.State("WEIGH"):
            m.d.comb += reaction.weigh.eq(1)
            m.next = "JUDGE"
        with m.State("JUDGE"):
            m.d.comb += [self._pending.eq(reaction.candidates), reaction.judge.eq(1), calendar.look.eq(1)]
            m.next = "ACT"
        with m.State("ACT"):
            self._act(m)
        with m.State("LOOK"):
            m.d.comb += [self._pending.eq(self._left), calendar.look.eq(1)]
            m.next = "PUT"
        with m.State("PUT"):
            m.d.comb += self._pending.eq(self._left)
            self._put(m)

    def _act(self, m):
        """The pulse breaks rules or not, and is obeyed or not."""
        tables, reaction = self._tables, self._reaction
        broken, obeyed, toss = reaction.rules.any(), Signal(), Signal()
        m.d.comb += [
            self._pending.eq(reaction.candidates),
            toss.eq(broken & (self._policy == RANDOMISE)),
            obeyed.eq(~broken | Mux(toss, tables.coin_to[-1], self._policy != DROP)),
        ]
        with m.If(broken):
            self._answer(m, Answer.VIOLATION, reaction.rules, Cat(self._pin, self._cells.cell))
        with m.If(~broken | self._sendable):
            m.d.comb += [self.delivered.eq(1), tables.toss.eq(toss), tables.update.eq(obeyed)]
            m.d.sync += self._taken.eq(self._taken + 1)
            with m.If(obeyed):
                self._put(m)
            with m.Else():
                self._next(m, self._rest.any())

    def _put(self, m):
        """The lowest of the outputs that still fire does."""
        calendar, config = self._calendar, self._config
        left = self._pending & ~(C(1, config.outputs) << self._choice)[: config.outputs]
        m.d.sync += self._left.eq(left)
        with m.If(self._pending.any()):
            with m.If(self._reaction.in_time.bit_select(self._choice, 1)):
                m.d.comb += calendar.put.eq(1)
                with m.If(calendar.full):
                    self._report(m, Status.QUEUE_FULL)
            with m.Elif(self._due[-1] & (self._until == config.last_tick)):
                self._report(m, Status.TIME_OVERFLOW)
        with m.If(left.any()):
            m.next = "LOOK"
        with m.Else():
            self._next(m, self._rest.any())

    def _next(self, m, more):
        """On to the cell's next pulse, or the tick's next cell, or the next tick."""
        with m.If(more):
            m.next = "READ"
        with m.Elif(self._cells.more):
            m.d.comb += self._cells.step.eq(1)
            m.next = "READ"
        with m.Else():
            m.d.comb += self._cells.clear.eq(1)
            m.next = "SEEK"
            with m.If(self._taken > self._most_taken):
                m.next = "FLUSH"

    def _end(self, m):
        """The end of a run, at its last word."""
        with m.State("FLUSH"):
            m.d.comb += [self._calendar.clear.eq(1), self.words.ready.eq(1)]
            self._report(m, Status.UNFINISHED)
            with m.If(self._is_bad):
                self._report(m, Status.BAD_WORD)
            with m.If(self._is_end):
                m.next = "FINISH"
        with m.State("FINISH"):
            counts = Cat(self._answered, self._taken)
            m.d.comb += [
                self.answers.valid.eq(1),
                self.answers.payload.data.eq(Cat(counts, self._status, C(Answer.END, 2))),
                self.answers.payload.last.eq(1),
            ]
            with m.If(self.answers.ready):
                m.d.sync += [self._status.eq(self.wrong), self.running.eq(0)]
                m.next = "LOAD"
