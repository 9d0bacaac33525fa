"""The netlist at work: cells, queues of pulses on their way, and the choice of the next step. A step a clock."""

from __future__ import annotations

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hdl.sfq.config import EmulationConfig
from hdl.sfq.emulation_cells import CellArray
from hdl.sfq.emulation_queue import DelayQueue
from hdl.sfq.emulation_schedule import SkipChoice, TickChoice
from hdl.sfq.netlist import coin_seed


class EmulationCore(wiring.Component):
    """Every clock is a step, and chooses the next one; the first, before all time, is empty.

    Parameters
    ----------
    config : EmulationConfig

    Members
    -------
    time : In(config.time_bits), last : In(1), inputs : In(inputs), near : In(1), rival_<index> : In(inner bits)
        The next stimulus, which must be there: its step, whether it ends the run, the pulses that it brings. `near`:
        the step is less than half of the inner times' modulus after `now`, as it was in this clock or the one before. A
        rival is the step less one of the delays, modulo that.
    taken : Out(1)
        This step is that of the stimulus before it, and brings its pulses or ends the run.
    now : Out(config.time_bits)
        This step.
    captured : Out(config.captured_bits)
        Pulses at the outputs and violations of this step, and the orders of the instances.
    active : Out(1)
        Pulses come in this step.
    ends : Out(1)
        The run ended before this step.
    slot_overflow, time_overflow : Out(1)
        A pulse was lost, as its queue was full; `now` has passed its range.
    """

    def __init__(self, config: EmulationConfig):
        self._config, plan = config, config.plan
        super().__init__(
            {
                "time": In(config.time_bits),
                "last": In(1),
                "inputs": In(len(plan.netlist.inputs)),
                "near": In(1),
                "taken": Out(1),
                "now": Out(config.time_bits),
                "captured": Out(config.captured_bits),
                "active": Out(1),
                "ends": Out(1),
                "slot_overflow": Out(1),
                "time_overflow": Out(1),
            }
            | {f"rival_{index}": In(plan.time_modulus_bits) for index, _ in enumerate(plan.delays)}
        )

    def elaborate(self, platform):
        m = Module()
        plan, bits = self._config.plan, self._config.plan.time_modulus_bits
        now, jumped, begun = Signal(bits), Signal(), Signal()
        brought = Signal(len(self.inputs), reset_less=True)

        arrays, place = self._arrays(m, now, jumped)
        wires = dict(zip(plan.netlist.inputs, Mux(self.taken & ~self.ends, brought, 0), strict=True))
        queues = self._queues(m, now, arrays, place, wires)
        broken, order = self._connect(m, arrays, place, wires)
        m.d.comb += self.captured.eq(Cat([wires[wire] for wire in plan.netlist.outputs], broken, order))

        choice_class = SkipChoice if self._config.mode == "skip" else TickChoice
        m.submodules.choice = choice = choice_class(plan.delays, bits)
        due = [Signal(name=f"due_{queue.delay}") for queue in queues]
        m.d.comb += [
            choice.now.eq(now),
            choice.begun.eq(begun),
            choice.stimulus_time.eq(self.time),
            choice.near.eq(self.near),
            choice.last.eq(self.last),
            self.active.eq(Cat(due).any() | (self.taken & ~self.ends)),
            self.slot_overflow.eq(Cat(queue.overflow for queue in queues).any()),
        ]
        for index, queue in enumerate(queues):
            m.d.comb += [
                choice.waits[index].eq(queue.waits),
                choice.times[index].eq(queue.time),
                choice.comes[index].eq(queue.comes),
                choice.afters[index].eq(queue.after),
                Cat(choice.rivals[index]).eq(Cat(queue.rivals)),
                choice.stimulus_rivals[index].eq(getattr(self, f"rival_{index}")),
                queue.due.eq(due[index]),
            ]
            m.d.sync += due[index].eq(choice.due[index])
        m.d.sync += [
            now.eq(choice.next_now),
            begun.eq(1),
            self.taken.eq(choice.take),
            jumped.eq(choice.take & ~self.near),
            self.ends.eq(choice.take & self.last),
            brought.eq(self.inputs),
        ]
        self._count_time(m, now)
        return m

    def _arrays(self, m, now, jumped):
        """An array for each kind of cell, and where each instance is in them."""
        config, plan = self._config, self._config.plan
        members = [[n for n, kind in enumerate(plan.kind_of) if kind == index] for index in range(len(plan.cells))]
        arrays = []
        for index, (cell, instances) in enumerate(zip(plan.cells, members, strict=True)):
            coins = [coin_seed(config.seed, instance) for instance in instances]
            array = CellArray(cell, coins, config.policy, len(now))
            m.submodules[f"cells_{index}"] = array
            m.d.comb += [array.now.eq(now), array.jumped.eq(jumped)]
            arrays.append(array)
        place = {instance: (kind, n) for kind, instances in enumerate(members) for n, instance in enumerate(instances)}
        return arrays, place

    def _queues(self, m, now, arrays, place, wires):
        """A queue for each delay; adds the wires that cells drive to `wires`."""
        plan = self._config.plan
        entries = {delay: [] for delay in plan.delays}  # (what fires, wires that then pulse)
        for number, instance in enumerate(plan.netlist.instances):
            kind, n = place[number]
            for index, firing in enumerate(plan.cells[kind].firings):
                driven = [instance.pins[pin] for pin in firing.outputs if pin in instance.pins]
                if driven:
                    entries[firing.steps].append((getattr(arrays[kind], f"fired_{index}")[n], driven))
        queues = []
        for delay, fired in entries.items():
            queue = DelayQueue(len(fired), delay, plan.delays, self._config.slots, len(now))
            m.submodules[f"queue_{delay}"] = queue
            m.d.comb += [queue.now.eq(now), queue.fired.eq(Cat(bit for bit, _ in fired))]
            for n, (_, driven) in enumerate(fired):
                for wire in driven:
                    # An output that has several delays is in several queues.
                    wires[wire] = wires[wire] | queue.pulses[n] if wire in wires else queue.pulses[n]
            queues.append(queue)
        return queues

    def _connect(self, m, arrays, place, wires):
        """Wires to the cells' inputs; from the cells, the bits of violations and orders, instance by instance."""
        plan = self._config.plan
        pulses = {(kind, pin): [] for kind, cell in enumerate(plan.cells) for pin in cell.cell.inputs}
        broken, order = [], []
        for number, instance in enumerate(plan.netlist.instances):
            kind, n = place[number]
            for pin in instance.cell.inputs:
                pulses[kind, pin].append(wires[instance.pins[pin]] if pin in instance.pins else 0)
            broken += [getattr(arrays[kind], f"broken_{index}")[n] for index, _ in enumerate(plan.cells[kind].checks)]
            order += [getattr(arrays[kind], f"order_{bit}")[n] for bit in range(plan.cells[kind].order_bits)]
        for (kind, pin), bits in pulses.items():
            m.d.comb += getattr(arrays[kind], f"pulse_{pin}").eq(Cat(bits))
        return broken, order

    def _count_time(self, m, now):
        """Time in full: that of a stimulus if one was taken; else `now` has gone on by less than half of its range."""
        bits = len(now)
        upper, stimulus_upper = (
            Signal(self._config.time_bits - bits, name=name) for name in ("upper", "brought_upper")
        )
        top = Signal()
        passed, past = Signal(), Signal(len(upper) + 1)
        m.d.comb += [
            passed.eq(top & ~now[-1]),
            past.eq(upper + passed),
            self.now.eq(Cat(now, Mux(self.taken, stimulus_upper, past))),
            self.time_overflow.eq(past[-1] & ~self.taken),
        ]
        m.d.sync += [upper.eq(self.now[bits:]), top.eq(now[-1]), stimulus_upper.eq(self.time[bits:])]
