"""A register file on AXI4-Lite, made from a block's register map."""

from __future__ import annotations

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hdl.common.axi import AXI4LiteSignature, Response
from hdl.common.registers import Field, RegisterMap


class CSRBank(wiring.Component):
    """The registers of `register_map`, an AXI4-Lite subordinate on one side and plain signals on the other.

    **Bus.** Address bits 1..0 are ignored; WSTRB chooses bytes. An address without a register answers DECERR, reads
    0 and changes nothing. What software cannot write is left as it is and answers OKAY; what it cannot read is 0. One
    write and one read may be outstanding, side by side. AW is taken first, then W, whichever became valid first; every
    READY is a function of registers alone.

    **Latency** (cycles, nothing stalling). Read: RVALID in the cycle after the one that takes AR. Write: W is taken in
    the cycle after AW; BVALID follows in the next, together with the field's new `value`.
    **Throughput.** A read every 2 cycles, a write every 3.

    **Order.** A read gives the values of the cycle in which AR is taken; a write in that same cycle is not in them.
    When several things change a field in one cycle they apply in this order, the later wins bit by bit: clear by read,
    write by software, `we`, `clear`, `set`. So an event that hardware reports is never lost to software that clears it.

    **Reset** returns every field to its reset value and drops what is in flight.

    Parameters
    ----------
    register_map : RegisterMap

    Members
    -------
    bus : In(AXI4LiteSignature(register_map.address_bits))
    <register>.<field>.<signal>
        For every field that hardware has to do with, of the field's width w where nothing else is said:

        value : Out(w), fields with hw = r or rw
            The stored value, or the pulse of a `singlepulse` field: high for one cycle.
        next : In(w), fields with hw = w or rw that are live or have `we`
            What software reads of a live field; with `we`, what is stored.
        we : In(1), fields with `we`
            Store `next` at the end of this cycle.
        set, clear : In(w), fields with `hwset`, `hwclr`
            Bits to set or to clear at the end of this cycle.
        written : Out(1), fields with `swmod`
            High for one cycle, the first in which `value` shows what software wrote, even if that was there before. A
            write whose strobes leave out all of the field's bytes does not count.
        read : Out(1), fields with `swacc`
            High in the cycle whose values software is given. Depends on the bus in that cycle.
    """

    def __init__(self, register_map: RegisterMap):
        self._map = register_map
        members = {"bus": In(AXI4LiteSignature(register_map.address_bits))}
        for register in register_map.registers:
            fields = {field.name: Out(_signature(field)) for field in register.fields if _members(field)}
            if fields:
                members[register.name] = Out(wiring.Signature(fields))
        super().__init__(members)

    def elaborate(self, platform):
        m = Module()
        bus = self.bus

        write_index = Signal(self._map.address_bits - 2)
        address_taken = Signal()
        write = Signal()
        m.d.comb += [
            bus.awready.eq(~address_taken & ~bus.bvalid),
            bus.wready.eq(address_taken),
            write.eq(bus.wvalid & address_taken),
        ]
        with m.If(bus.awvalid & bus.awready):
            m.d.sync += [address_taken.eq(1), write_index.eq(bus.awaddr[2:])]
        with m.If(bus.bready):
            m.d.sync += bus.bvalid.eq(0)
        with m.If(write):
            m.d.sync += [address_taken.eq(0), bus.bvalid.eq(1)]

        read_index = bus.araddr[2:]
        read = Signal()
        m.d.comb += [bus.arready.eq(~bus.rvalid), read.eq(bus.arvalid & ~bus.rvalid)]
        with m.If(bus.rready):
            m.d.sync += bus.rvalid.eq(0)
        with m.If(read):
            m.d.sync += bus.rvalid.eq(1)

        words, read_here, write_here = {}, {}, {}
        for register in self._map.registers:
            index = register.offset_bytes // 4
            words[index] = word = Signal(32, name=register.name)
            read_here[index] = Signal(name=f"{register.name}_read")
            write_here[index] = Signal(name=f"{register.name}_write")
            for field in register.fields:
                seen = self._field(m, register.name, field, write_here[index], read_here[index])
                if field.software_reads:
                    m.d.comb += word[field.low : field.low + field.width].eq(seen)

        with m.If(read), m.Switch(read_index):
            for index, word in words.items():
                with m.Case(index):
                    m.d.comb += read_here[index].eq(1)
                    m.d.sync += [bus.rdata.eq(word), bus.rresp.eq(Response.OKAY)]
            with m.Default():
                m.d.comb += Cat(*read_here.values()).eq(0)
                m.d.sync += [bus.rdata.eq(0), bus.rresp.eq(Response.DECERR)]
        with m.If(write), m.Switch(write_index):
            for index, selected in write_here.items():
                with m.Case(index):
                    m.d.comb += selected.eq(1)
                    m.d.sync += bus.bresp.eq(Response.OKAY)
            with m.Default():
                m.d.comb += Cat(*write_here.values()).eq(0)
                m.d.sync += bus.bresp.eq(Response.DECERR)
        return m

    def _field(self, m, register_name, field, write, read):
        """The field's storage and its hardware signals; returns what software reads of it."""
        port = getattr(getattr(self, register_name), field.name) if _members(field) else None
        strobe = Cat(self.bus.wstrb[bit // 8] for bit in range(field.low, field.low + field.width))
        if field.swacc:
            m.d.comb += port.read.eq(read)
        if field.swmod:
            m.d.sync += port.written.eq(write & strobe.any())
        if field.is_live:
            return port.next

        stored = Signal(field.width, init=field.reset, name=f"{register_name}_{field.name}")
        if "r" in field.hw:
            m.d.comb += port.value.eq(stored)
        if field.is_constant:
            return stored
        after = Mux(read, 0, stored) if field.rclr else stored
        if field.software_writes:
            data = self.bus.wdata[field.low : field.low + field.width]
            after = Mux(write, _written(field, after, data, strobe), 0 if field.singlepulse else after)
        if field.we:
            after = Mux(port.we, port.next, after)
        if field.hwclr:
            after &= ~port.clear
        if field.hwset:
            after |= port.set
        m.d.sync += stored.eq(after)
        return stored


def _written(field, before, data, strobe):
    """The field after a write by software of the bits that `strobe` has."""
    if field.woclr:
        return before & ~(data & strobe)
    if field.woset:
        return before | (data & strobe)
    if field.singlepulse:
        return data & strobe
    return (before & ~strobe) | (data & strobe)


def _members(field: Field) -> dict[str, wiring.Member]:
    """The signals between a field and the hardware; see `CSRBank`."""
    members = {
        "value": ("r" in field.hw, Out(field.width)),
        "next": (field.is_live or field.we, In(field.width)),
        "we": (field.we, In(1)),
        "set": (field.hwset, In(field.width)),
        "clear": (field.hwclr, In(field.width)),
        "written": (field.swmod, Out(1)),
        "read": (field.swacc, Out(1)),
    }
    return {name: member for name, (present, member) in members.items() if present}


def _signature(field: Field) -> wiring.Signature:
    return wiring.Signature(_members(field))
