"""The order of work in `sfq.network`."""

from __future__ import annotations

from amaranth.hdl import Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hdl.sfq.network_config import StochasticConfig

FIRING_CYCLES = 3
"""From the cycle in which the last neuron of a group starts to that in which it fires, or not."""


class NetworkSequence(wiring.Component):
    """Which row and which neuron is at work: a slot's layers, a layer's groups, a group's inputs and neurons.

    A group takes a cycle for each input, one until the last is counted, a cycle for each lane's neuron, three until the
    last has fired, and one to go on.

    Parameters
    ----------
    config : StochasticConfig

    Members
    -------
    slot_valid, slot_ready, slot : of the loader; `slot` is its payload as bits
    idle : waits for a slot
    slot_end : a pulse, a slot went through all layers
    row_step, row, pulse, clear : to the synapses
    unit_step, unit, lane, fresh : to the neurons; `lane` is the unit's place in its group
    done, fired : from the neurons
    output, output_fired : an output neuron fires
    give : a pulse, the window ends; comes only while `y_free`
    """

    def __init__(self, config: StochasticConfig):
        self._config = config
        super().__init__(
            {
                "idle": Out(1),
                "slot": In(config.rails + 2),
                "slot_valid": In(1),
                "slot_ready": Out(1),
                "slot_end": Out(1),
                "row_step": Out(1),
                "row": Out(range(max(2, config.rows))),
                "pulse": Out(1),
                "clear": Out(1),
                "unit_step": Out(1),
                "unit": Out(range(max(2, config.units))),
                "lane": Out(range(max(2, config.lanes))),
                "fresh": Out(1, init=1),
                "done": In(1),
                "fired": In(1),
                "output": Out(range(max(2, config.outputs + config.lanes))),
                "output_fired": Out(1),
                "give": Out(1),
                "y_free": In(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        config = self._config
        layers = len(config.shapes)
        widest = max(config.rails, *(groups * config.lanes for groups in config.groups))
        pulses, fires = self._pulses, self._fires = Signal(widest, reset_less=True), Signal(widest, reset_less=True)
        layer = self._layer = Signal(range(layers + 1))
        self._group = Signal(range(max(config.groups) + 1))
        place = self._place = Signal(range(max(widest, FIRING_CYCLES)))
        through = self._through = Signal(range(widest + 1))  # neurons of the layer that are through

        inputs = _of_layer(m, layer, [inputs for _, inputs in config.shapes], "inputs")
        groups = _of_layer(m, layer, config.groups, "groups")
        m.d.comb += [
            self.pulse.eq(pulses.bit_select(place, 1)),
            self.lane.eq(place),
            self.output.eq(through),
            self.output_fired.eq(self.fired & (layer == layers - 1)),
        ]
        with m.If(self.done):
            m.d.sync += [fires.bit_select(through, 1).eq(self.fired), through.eq(through + 1)]
        with m.If(self.row_step):
            m.d.sync += self.row.eq(self.row + 1)
        with m.If(self.unit_step):
            m.d.sync += self.unit.eq(self.unit + 1)

        self._states(m, inputs, groups)
        return m

    def _states(self, m, inputs, groups):
        """Steps through a slot; `inputs` and `groups` are those of the layer at work."""
        config = self._config
        layers = len(config.shapes)
        layer, group, place, through = self._layer, self._group, self._place, self._through
        ends = Signal(reset_less=True)
        with m.FSM():
            with m.State("IDLE"):
                m.d.comb += [self.idle.eq(1), self.slot_ready.eq(1), self.clear.eq(1)]
                m.d.sync += [self.row.eq(0), self.unit.eq(0), layer.eq(0), group.eq(0), place.eq(0), through.eq(0)]
                present = self.slot[config.rails]
                with m.If(self.slot_valid):
                    m.d.sync += [self._pulses.eq(self.slot[: config.rails]), ends.eq(self.slot[config.rails + 1])]
                    m.next = "ROWS"
                    with m.If(~present):
                        m.next = "GIVE"
            with m.State("ROWS"):
                m.d.comb += self.row_step.eq(1)
                m.d.sync += place.eq(place + 1)
                with m.If(place == inputs - 1):
                    m.d.sync += place.eq(0)
                    m.next = "COUNTED"
            with m.State("COUNTED"):  # the last row is
                m.next = "UNITS"
            with m.State("UNITS"):
                m.d.comb += self.unit_step.eq(1)
                m.d.sync += place.eq(place + 1)
                with m.If(place == config.lanes - 1):
                    m.d.sync += place.eq(0)
                    m.next = "FIRING"
            with m.State("FIRING"):  # the last neuron is on its way
                m.d.comb += self.clear.eq(1)
                m.d.sync += place.eq(place + 1)
                with m.If(place == FIRING_CYCLES - 1):
                    m.d.sync += [place.eq(0), group.eq(group + 1)]
                    m.next = "GROUP"
            with m.State("GROUP"):  # the next one's first
                m.next = "ROWS"
                with m.If(group == groups):
                    m.d.sync += [group.eq(0), through.eq(0), self._pulses.eq(self._fires), layer.eq(layer + 1)]
                    with m.If(layer == layers - 1):
                        m.d.comb += self.slot_end.eq(1)
                        m.d.sync += self.fresh.eq(0)
                        m.next = "IDLE"
                        with m.If(ends):
                            m.next = "GIVE"
            with m.State("GIVE"), m.If(self.y_free):
                m.d.comb += self.give.eq(1)
                m.d.sync += self.fresh.eq(1)
                m.next = "IDLE"


def _of_layer(m, layer, numbers, name):
    """The number of the layer that is at work."""
    found = Signal(range(max(numbers) + 1), name=name)
    with m.Switch(layer):
        for place, number in enumerate(numbers):
            with m.Case(place):
                m.d.comb += found.eq(number)
    return found
