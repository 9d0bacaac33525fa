"""Window after window, layer after layer."""

from __future__ import annotations

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hdl.common.arithmetic import wire
from hdl.pulse.cnn_config import CnnConfig


class LayerControl(wiring.Component):
    """Begins a layer when it is there, what it reads has been written, and, a network's first, a window waits.

    Members
    -------
    activate, start : the network that begins with layer `start` is the active one
    active : there is one
    fetch, number : the layer that comes next is wanted
    ready : it is there
    window : a window waits
    room : its result may begin
    begin : the layer that is there is the one to be worked on from the next cycle on
    load, begins_window : that cycle; of a window's first layer
    running : the layer's reads
    ends, last : the layer's last read, and that it is the network's last layer
    busy : a window is in the layers
    release : the window is no longer read
    """

    def __init__(self, config: CnnConfig):
        self._config = config
        number = range(config.layers)
        super().__init__(
            {
                "activate": In(1),
                "start": In(number),
                "active": Out(1),
                "fetch": Out(1),
                "number": Out(number),
                "ready": In(1),
                "window": In(1),
                "room": In(1),
                "begin": Out(1),
                "load": Out(1),
                "begins_window": Out(1),
                "running": In(1),
                "ends": In(1),
                "last": In(1),
                "busy": Out(1),
                "release": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        start = Signal.like(self.start, name="start_of_active")
        with m.If(self.activate):
            m.d.sync += [self.active.eq(1), start.eq(self.start)]

        # A layer's last output is written before the next layer reads; the cycles of `begin` and `load` are two.
        wait = self._config.layer_cycles - 2
        left = Signal(range(wait + 1))
        with m.If(self.running | self.begin):
            m.d.sync += left.eq(wait)
        with m.Elif(left != 0):
            m.d.sync += left.eq(left - 1)

        # The next layer comes while the outputs of this one are on their way. One that waits, of a network that is no
        # longer the active one, is fetched anew.
        first, after = Signal(init=1), Signal.like(self.number, name="after")
        may_begin = wire(m, ~first | (self.active & self.window & self.room), "may_begin")
        m.d.comb += [
            self.number.eq(Mux(first, start, after)),
            self.begin.eq(self.ready & ~self.fetch & ~self.running & (left == 0) & may_begin),
            self.release.eq(self.ends & self.last),
        ]
        m.d.sync += [
            self.fetch.eq(self.ends | (self.activate & first & ~self.begin)),
            self.load.eq(self.begin),
            self.begins_window.eq(self.begin & first),
        ]
        with m.If(self.begin):
            m.d.sync += [first.eq(0), after.eq(self.number + 1)]
        with m.Elif(self.ends):
            m.d.sync += first.eq(self.last)
        with m.If(self.begins_window):
            m.d.sync += self.busy.eq(1)
        with m.Elif(self.release):
            m.d.sync += self.busy.eq(0)
        return m
