"""The device as the top of a design, where no port may be called `buf`, a word of Verilog's own."""

from amaranth.hdl import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In

from hdl.pim.device import Device


class DeviceAtEdge(wiring.Component):
    """`Device` with `row_buffer` for `buf`."""

    def __init__(self, config):
        self.device = Device(config)
        members = self.device.signature.members
        super().__init__({"row_buffer" if name == "buf" else name: member for name, member in members.items()})

    def elaborate(self, platform):
        m = Module()
        m.submodules.device = self.device
        for name, member in self.device.signature.members.items():
            inner, outer = getattr(self.device, name), getattr(self, "row_buffer" if name == "buf" else name)
            m.d.comb += inner.eq(outer) if member.flow == In else outer.eq(inner)
        return m
