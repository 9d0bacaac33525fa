"""The input stream of `sfq.network`: packets of words that load its memories, or are a window's slots."""

from __future__ import annotations

from amaranth.hdl import Cat, Module, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from hdl.common.axi import packet_stream
from hdl.sfq.network_config import StochasticConfig
from hdl.sfq.network_packets import Packet


def slot_signature(config: StochasticConfig) -> wiring.Signature:
    """Slots, in order.

    Payload: `pulses`, a bit a rail; `present`, there is a slot at all; `last`, the window ends. A window may end
    without a slot.
    """
    return stream.Signature(data.StructLayout({"pulses": config.rails, "present": 1, "last": 1}))


class NetworkLoader(wiring.Component):
    """Reads packets: a word that says which kind, then what it holds.

    A packet is begun only while nothing is at work, so that what is loaded holds from the next window on. A packet of
    no known kind, a word beyond a memory, and a slot that its packet cuts short do nothing but `bad`.

    Latency: 1 cycle from a slot's last word to the first that offers it. Throughput: a word a cycle; a slot's last word
    waits until nothing is at work.

    Parameters
    ----------
    config : StochasticConfig

    Members
    -------
    x : In(packet_stream(32))
    idle : nothing is at work, and nothing else can begin but by a slot
    slots : see `slot_signature`
    synapses_start, synapses_load, neurons_start, neurons_load, word : to the memories
    synapses_full, neurons_full : from them
    bad : a pulse
    """

    def __init__(self, config: StochasticConfig):
        self._config = config
        super().__init__(
            {
                "x": In(packet_stream(config.word_bits)),
                "idle": In(1),
                "slots": Out(slot_signature(config)),
                "synapses_start": Out(1),
                "synapses_load": Out(1),
                "synapses_full": In(1),
                "neurons_start": Out(1),
                "neurons_load": Out(1),
                "neurons_full": In(1),
                "word": Out(config.word_bits),
                "bad": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        word, last = self.x.payload.data, self.x.payload.last
        bad = Signal()
        taken = Signal()
        m.d.comb += [taken.eq(self.x.valid & self.x.ready), self.word.eq(word)]
        m.d.sync += self.bad.eq(bad)
        with m.If(self.slots.ready):
            m.d.sync += self.slots.valid.eq(0)

        with m.FSM():
            with m.State("KIND"):
                m.d.comb += self.x.ready.eq(self.idle & ~self.slots.valid)
                with m.If(taken), m.Switch(word):
                    with m.Case(Packet.WINDOW):
                        with m.If(last):
                            self._give(m, pulses=0, present=0, last=1)
                        with m.Else():
                            m.next = "SLOTS"
                    with m.Case(Packet.SYNAPSES):
                        m.d.comb += self.synapses_start.eq(1)
                        with m.If(~last):
                            m.next = "SYNAPSES"
                    with m.Case(Packet.NEURONS):
                        m.d.comb += self.neurons_start.eq(1)
                        with m.If(~last):
                            m.next = "NEURONS"
                    with m.Default():
                        m.d.comb += bad.eq(1)
                        with m.If(~last):
                            m.next = "SKIP"
            for kind in ("synapses", "neurons"):
                with m.State(kind.upper()):
                    m.d.comb += [
                        self.x.ready.eq(1),
                        getattr(self, f"{kind}_load").eq(self.x.valid),
                        bad.eq(taken & getattr(self, f"{kind}_full")),
                    ]
                    with m.If(taken & last):
                        m.next = "KIND"
            with m.State("SKIP"):
                m.d.comb += self.x.ready.eq(1)
                with m.If(taken & last):
                    m.next = "KIND"
            with m.State("SLOTS"):
                self._slot_words(m, word, last, taken)
            with m.State("CUT"), m.If(~self.slots.valid):  # the slots before it come first
                m.d.comb += bad.eq(1)
                self._give(m, pulses=0, present=0, last=1)
                m.next = "KIND"
        return m

    def _slot_words(self, m, word, last, taken):
        """Gathers a slot of words, the first the least significant. The last is taken when the slot can start."""
        words = self._config.slot_words
        start = self.idle & ~self.slots.valid
        parts = [Signal(self._config.word_bits, name=f"part_{number}", reset_less=True) for number in range(words - 1)]
        place = Signal(range(max(2, words)))
        m.d.comb += self.x.ready.eq((place != words - 1) | start)
        with m.If(taken):
            with m.Switch(place):
                for number, part in enumerate(parts):
                    with m.Case(number):
                        m.d.sync += part.eq(word)
            with m.If(place == words - 1):
                m.d.sync += place.eq(0)
                self._give(m, pulses=Cat(parts, word), present=1, last=last)
                with m.If(last):
                    m.next = "KIND"
            with m.Elif(last):
                m.d.sync += place.eq(0)
                m.next = "CUT"
            with m.Else():
                m.d.sync += place.eq(place + 1)

    def _give(self, m, *, pulses, present, last):
        payload = self.slots.payload
        m.d.sync += [
            payload.pulses.eq(pulses),
            payload.present.eq(present),
            payload.last.eq(last),
            self.slots.valid.eq(1),
        ]
