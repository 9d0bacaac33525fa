"""The loops of a layer: groups, positions, taps, chunks; a read each cycle."""

from __future__ import annotations

from amaranth.hdl import Module, Signal, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hdl.common.arithmetic import wire
from hdl.pulse.cnn_config import CnnConfig
from hdl.pulse.cnn_program import LAYER
from hdl.pulse.cnn_words import Op


class LayerSequence(wiring.Component):
    """Gives the addresses of a layer's elements and weights, from the cycle after `load` on.

    Members
    -------
    load : begins the layer
    layer : In(LAYER), from `load` on
    room : the outputs of one more position have room
    running : reads are left, or the last output's cycles are not over
    read : a cycle with a read
    address : of its first element in the source
    weight_address, channel_address : of its weights, and of its output channels' bias
    first, last : of an output's reads
    group_ends, layer_ends : with the last read of an output: which is the group's, the layer's last
    """

    def __init__(self, config: CnnConfig):
        self._config = config
        super().__init__(
            {
                "load": In(1),
                "layer": In(LAYER),
                "room": In(1),
                "running": Out(1),
                "read": Out(1),
                "address": Out(signed(config.address_bits)),
                "weight_address": Out(range(config.weight_words)),
                "channel_address": Out(range(config.channel_words)),
                "first": Out(1),
                "last": Out(1),
                "group_ends": Out(1),
                "layer_ends": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        layer = self.layer
        more = Signal()
        last, group_ends, ends = self._count(m)
        least = self._config.output_cycles
        pause = Signal(range(max(2, least)))  # cycles until the next output may begin
        m.d.comb += [
            self.read.eq(more & (~self.first | (self.room & (pause == 0)))),
            self.running.eq(self.load | more | (pause != 0)),
            self.last.eq(last),
            self.group_ends.eq(group_ends),
            self.layer_ends.eq(ends),
        ]
        if least > 1:
            with m.If(self.read & self.first):
                m.d.sync += pause.eq(least - 1)
            with m.Elif(pause != 0):
                m.d.sync += pause.eq(pause - 1)
        with m.If(self.load):
            m.d.sync += [more.eq(1), self.first.eq(1)]
        with m.Elif(self.read):
            m.d.sync += [more.eq(~(last & ends)), self.first.eq(last)]
        self._addresses(m, layer, last, group_ends)
        return m

    def _count(self, m):
        """Whether a read is the last of its output; its output the last of a group; its group the last."""
        ends = []
        step = self.read
        for name in ("chunk", "tap", "position", "group"):
            limit = getattr(self.layer, f"{name}s")
            count = Signal.like(limit, name=name)  # from 1 on
            end = wire(m, count == limit, f"last_{name}")
            with m.If(self.load | (step & end)):
                m.d.sync += count.eq(1)
            with m.Elif(step):
                m.d.sync += count.eq(count + 1)
            ends.append(end)
            step = wire(m, step & end, f"{name}_over")
        self._last_chunk = ends[0]
        last = wire(m, ends[0] & ends[1], "last_of_output")
        return last, ends[2], wire(m, ends[2] & ends[3], "last_output")

    def _addresses(self, m, layer, last, group_ends):
        config = self._config
        signed_address = signed(config.address_bits)
        of_tap, of_position, of_group = (
            Signal(signed_address, name=f"of_{part}", reset_less=True) for part in ("tap", "position", "group")
        )
        of_weights = Signal.like(self.weight_address, name="of_weights", reset_less=True)
        pools = wire(m, layer.op != Op.CONVOLVE, "pools")
        next_weight = wire(m, (self.weight_address + 1)[: len(of_weights)], "next_weight")

        def move(value, *registers):
            m.d.sync += [place.eq(value) for place in registers]

        with m.If(self.load):
            move(layer.base, self.address, of_tap, of_position, of_group)
            move(layer.weight_base, self.weight_address, of_weights)
            move(layer.channel_base, self.channel_address)
        with m.Elif(self.read & ~last):
            move(next_weight, self.weight_address)
            with m.If(self._last_chunk):
                move(of_tap + layer.tap_step, self.address, of_tap)
            with m.Else():
                move(self.address + config.products, self.address)
        with m.Elif(self.read & ~group_ends):
            move(of_position + layer.step, self.address, of_tap, of_position)
            move(of_weights, self.weight_address)
        with m.Elif(self.read):
            # A pool's channels lie beside one another; a convolution's outputs all begin at the same element.
            after = wire(m, of_group + (config.elements * pools), "after_group")
            move(after, self.address, of_tap, of_position, of_group)
            move(next_weight, self.weight_address, of_weights)
            move(self.channel_address + 1, self.channel_address)
