"""Frames on a byte line: octet stuffing and frame check sequence as in RFC 1662 (PPP in HDLC-like framing).

    0x7E  body and FCS, stuffed  0x7E

The flag 0x7E delimits. In the body and the FCS, 0x7E and 0x7D are sent as 0x7D and the octet XOR 0x20. The FCS is
CRC-16/IBM-SDLC (RFC 1662's 16-bit FCS) of the unstuffed body, low octet first.
"""

from __future__ import annotations

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.crc.catalog import CRC16_IBM_SDLC
from amaranth.lib.wiring import In, Out

from hdl.common.axi import packet_stream

FLAG = 0x7E
ESCAPE = 0x7D
ESCAPE_FLIP = 0x20


def frame_item() -> data.StructLayout:
    """What a received frame consists of: octets (`end` 0), then one item with `end` 1, which has no octet."""
    return data.StructLayout({"octet": 8, "end": 1, "good": 1})


class FrameReceiver(wiring.Component):
    """Finds frames in a byte stream, takes out the stuffing and checks the FCS.

    A frame begins after a flag; everything up to the first one is skipped. One flag may both end a frame and begin
    the next. Each octet is passed on in the cycle in which it comes, the two of the FCS among them; the closing flag
    becomes an item with `end`, `good` when the FCS is right and no escape was pending (RFC 1662's abort). The frame's
    length is the consumer's to judge: an empty one ends too, not `good`.

    Members
    -------
    i : In(stream.Signature(8))
        Bytes from the line.
    drop : In(1)
        Forgets the frame that is being received, and skips bytes up to the next flag.
    o : Out(stream.Signature(frame_item()))
        Items of frames.
    """

    def __init__(self):
        super().__init__(
            {"i": In(stream.Signature(8)), "drop": In(1), "o": Out(stream.Signature(frame_item()))},
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.crc = crc = CRC16_IBM_SDLC(8).create()
        hunting = Signal(init=1)
        escaped = Signal()
        flag = self.i.payload == FLAG
        escape = (self.i.payload == ESCAPE) & ~escaped
        silent = Mux(flag, hunting, hunting | escape)
        item = self.o.payload
        m.d.comb += [
            self.o.valid.eq(self.i.valid & ~silent),
            self.i.ready.eq(self.o.ready | silent),
            item.octet.eq(self.i.payload ^ Mux(escaped, ESCAPE_FLIP, 0)),
            item.end.eq(flag),
            item.good.eq(crc.match_detected & ~escaped),
            crc.data.eq(item.octet),
            crc.valid.eq(self.o.valid & self.o.ready & ~flag),
        ]
        with m.If(self.i.valid & self.i.ready):
            m.d.sync += escaped.eq(escape & ~flag)
            with m.If(flag):
                m.d.sync += hunting.eq(0)
                m.d.comb += crc.start.eq(1)
        with m.If(self.drop):
            m.d.sync += [hunting.eq(1), escaped.eq(0)]
        return m


class FrameSender(wiring.Component):
    """Sends each packet as a frame: flag, stuffed body, stuffed FCS, flag.

    Members
    -------
    i : In(packet_stream(8))
        Bodies, of at least one octet.
    o : Out(stream.Signature(8))
        Bytes for the line.
    """

    def __init__(self):
        super().__init__({"i": In(packet_stream(8)), "o": Out(stream.Signature(8))})

    def elaborate(self, platform):
        m = Module()
        m.submodules.crc = crc = CRC16_IBM_SDLC(8).create()
        octet = Signal(8)
        escaped = Signal()  # the escape is out, the octet itself is due
        special = ((octet == FLAG) | (octet == ESCAPE)) & ~escaped
        taken = Signal()  # the octet of this state goes out in this cycle

        def send_octet():
            m.d.comb += [
                self.o.payload.eq(Mux(special, ESCAPE, octet ^ Mux(escaped, ESCAPE_FLIP, 0))),
                taken.eq(self.o.valid & self.o.ready & ~special),
            ]
            with m.If(self.o.valid & self.o.ready):
                m.d.sync += escaped.eq(special)

        m.d.comb += crc.data.eq(self.i.payload.data)
        with m.FSM():
            with m.State("OPEN"):
                m.d.comb += [self.o.valid.eq(self.i.valid), self.o.payload.eq(FLAG), crc.start.eq(1)]
                with m.If(self.i.valid & self.o.ready):
                    m.next = "BODY"
            with m.State("BODY"):
                m.d.comb += [octet.eq(self.i.payload.data), self.o.valid.eq(self.i.valid)]
                m.d.comb += [self.i.ready.eq(taken), crc.valid.eq(taken)]
                send_octet()
                with m.If(taken & self.i.payload.last):
                    m.next = "FCS_LOW"
            with m.State("FCS_LOW"):
                m.d.comb += [octet.eq(crc.crc[:8]), self.o.valid.eq(1)]
                send_octet()
                with m.If(taken):
                    m.next = "FCS_HIGH"
            with m.State("FCS_HIGH"):
                m.d.comb += [octet.eq(crc.crc[8:]), self.o.valid.eq(1)]
                send_octet()
                with m.If(taken):
                    m.next = "CLOSE"
            with m.State("CLOSE"):
                m.d.comb += [self.o.valid.eq(1), self.o.payload.eq(FLAG)]
                with m.If(self.o.ready):
                    m.next = "OPEN"
        return m
