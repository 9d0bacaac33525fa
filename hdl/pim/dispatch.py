"""Experts of a mixture to the device on which each is done first."""

from __future__ import annotations

from amaranth.hdl import Cat, Const, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from hdl.common.arithmetic import wire
from hdl.common.axi import AXI4LiteSignature, packet, packet_stream
from hdl.common.csr_bank import CSRBank
from hdl.common.csr_wiring import count_events, interrupt
from hdl.common.stream import RegisterSlice
from hdl.pim.dispatch_config import MOST_DEVICES, NO_DEVICE, TIME_BITS, DispatchConfig

DEVICE_BITS = 8


class Dispatch(wiring.Component):
    """For every expert of a layer its device, and the time it takes there.

    An expert's time on a device is max(read, tokens * token), of the device's two times in the registers: its roofline.
    The least wins, of equal ones the lowest device. Times that do not fit 32 bits are the largest that does. An expert
    without tokens goes to no device (255) and takes no time.

    Throughput: an expert a cycle.

    Parameters
    ----------
    config : DispatchConfig

    Members
    -------
    tokens : In(packet_stream(16))
        Tokens of each expert, a packet a layer.
    y : Out(packet_stream(40))
        Device (7:0) and time in 1/256 cycles (39:8), a packet a layer.
    csr : In(AXI4LiteSignature(config.registers.address_bits))
        Registers of `dispatch.rdl`. Times that are written count for experts that are taken after the answer.
    irq : Out(1)
        High while an enabled status bit is set.
    """

    def __init__(self, config: DispatchConfig):
        self._config = config
        super().__init__(
            {
                "tokens": In(packet_stream(config.token_bits)),
                "y": Out(packet_stream(DEVICE_BITS + TIME_BITS)),
                "csr": In(AXI4LiteSignature(config.registers.address_bits)),
                "irq": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        config = self._config
        m.submodules.tokens_slice = given = RegisterSlice(packet(config.token_bits))
        m.submodules.slice = out = RegisterSlice(packet(DEVICE_BITS + TIME_BITS))
        m.submodules.bank = bank = CSRBank(config.registers)
        connect(m, flipped(self.tokens), given.i)
        connect(m, out.o, flipped(self.y))
        connect(m, flipped(self.csr), bank.bus)

        # All stages move together, unless a result waits that the output slice cannot take.
        advance = Signal()

        def held(value, name):
            kept = Signal.like(value, name=name, reset_less=not name.startswith("valid"))
            with m.If(advance):
                m.d.sync += kept.eq(value)
            return kept

        tokens, limit = given.o.payload.data, (1 << TIME_BITS) - 1
        products, reads = [], []
        for device in range(config.devices):
            token, read = getattr(bank, f"token_{device}").time.value, getattr(bank, f"read_{device}").time.value
            products.append(held(wire(m, tokens * token, f"product_{device}"), f"computes_{device}"))
            reads.append(held(read, f"reads_{device}"))
        idle = held(held(wire(m, ~tokens.any(), "idle"), "idle_0"), "idle_1")
        last = held(held(held(given.o.payload.last, "last_0"), "last_1"), "last_2")
        valids = [held(given.o.valid, "valid_0")]
        for stage in (1, 2):
            valids.append(held(valids[-1], f"valid_{stage}"))

        times, too_long = [], []
        for device, (product, read) in enumerate(zip(products, reads, strict=True)):
            fits = wire(m, Mux(product[TIME_BITS:].any(), limit, product[:TIME_BITS]), f"fits_{device}")
            times.append(held(wire(m, Mux(fits > read, fits, read), f"time_{device}"), f"roofline_{device}"))
            too_long.append(held(product[TIME_BITS:].any(), f"too_long_{device}"))
        best, best_time, saturated = Const(0, DEVICE_BITS), times[0], too_long[0]
        for device in range(1, config.devices):
            better = wire(m, times[device] < best_time, f"better_{device}")
            best = wire(m, Mux(better, device, best), f"best_{device}")
            best_time = wire(m, Mux(better, times[device], best_time), f"best_time_{device}")
            saturated = saturated & too_long[device]
        device = held(wire(m, Mux(idle, NO_DEVICE, best), "device"), "device_2")
        m.d.comb += [
            advance.eq(out.i.ready | ~valids[-1]),
            given.o.ready.eq(advance),
            out.i.valid.eq(valids[-1]),
            out.i.payload.data.eq(Cat(device, held(wire(m, Mux(idle, 0, best_time), "least"), "least_2"))),
            out.i.payload.last.eq(last),
        ]
        alarm = held(wire(m, saturated & ~idle, "alarm"), "alarm_2")
        done = wire(m, valids[-1] & out.i.ready, "done")
        self._control(m, bank, done, device, done & alarm, Cat(valids).any() | given.o.valid | self.y.valid)
        return m

    def _control(self, m, bank, done, device, alarm, busy):
        """Counters and interrupt."""
        m.d.comb += [bank.status.saturated.set.eq(alarm), bank.status.busy.next.eq(busy)]
        events = [(bank.idle_experts, done & (device == NO_DEVICE)), (bank.cycles, busy)]
        events += [(getattr(bank, f"experts_{d}"), done & (device == d)) for d in range(MOST_DEVICES)]
        count_events(m, bank.control.clear_counters.value, events)
        m.d.comb += self.irq.eq(interrupt(bank))
