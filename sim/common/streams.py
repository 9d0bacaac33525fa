"""The edges of a design in a cocotb bench: cocotbext-axi's bus models, seeded stalls, a watch on every handshake.

edge = Edge(dut)                  # a source, a sink or a register bus on each interface that NIELLO_PORTS lists
await edge.reset()
edge.stall(0.3)
edge.send("a", beats)
received = await edge.receive("y", 100)
edge.latencies("a", "y")
"""

from __future__ import annotations

import itertools
import logging
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cocotb
import numpy as np
from cocotb.clock import Clock
from cocotb.triggers import ClockCycles, RisingEdge, with_timeout
from cocotbext.axi import AxiLiteBus, AxiLiteMaster, AxiStreamBus, AxiStreamSink, AxiStreamSource

from sim.common.beats import Beats
from sim.common.design_ports import DesignPorts
from sim.common.pauses import pauses
from sim.common.runner import CLOCK_PERIOD_NS

RESET_CYCLES = 3
RECEIVE_TIMEOUT_CYCLES = 10_000


@dataclass
class StreamWatch:
    """Watches one stream and holds it to AXI4-Stream's handshake (IHI 0051, 2.2): an offer neither changes nor goes
    away before it is taken, and there is none during reset.

    Attributes
    ----------
    offered, taken, lasts : list of int
        Cycles, counted from the start of the watch, in which an offer began, in which a beat was taken, and in
        which one with TLAST was.
    """

    prefix: str
    offered: list[int] = field(default_factory=list)
    taken: list[int] = field(default_factory=list)
    lasts: list[int] = field(default_factory=list)

    async def run(self, dut: Any, clock: Any, reset: Any) -> None:
        """Follow the stream for ever; an `AssertionError` here fails the test."""
        valid, ready, data = (getattr(dut, f"{self.prefix}_{name}") for name in ("tvalid", "tready", "tdata"))
        last = getattr(dut, f"{self.prefix}_tlast", None)
        held: tuple[int, int] | None = None
        was_reset = False
        for cycle in itertools.count():
            await RisingEdge(clock)
            in_reset = bool(int(reset.value))
            assert not (in_reset and was_reset and int(valid.value)), f"{self.prefix}: an offer in reset, cycle {cycle}"
            was_reset = in_reset
            if in_reset:
                held = None
                continue
            if not int(valid.value):
                assert held is None, f"{self.prefix}: an offer was withdrawn in cycle {cycle}"
                continue
            payload = (int(data.value), 0 if last is None else int(last.value))
            assert held in (None, payload), f"{self.prefix}: an offer changed in cycle {cycle}"
            if held is None:
                self.offered.append(cycle)
            held = payload
            if int(ready.value):
                held = None
                self.taken.append(cycle)
                if payload[1]:
                    self.lasts.append(cycle)


class Edge:
    """A design with a bus model on each of its interfaces, and its clock running.

    Attributes
    ----------
    sources, sinks : dict[str, AxiStreamSource], dict[str, AxiStreamSink]
        By role.
    registers : dict[str, AxiLiteMaster]
        By role; `csr` is the usual one.
    watches : dict[str, StreamWatch]
        By role.
    """

    def __init__(self, dut: Any, ports: DesignPorts | None = None):
        ports = ports or DesignPorts(Path(os.environ["NIELLO_PORTS"]))
        logging.getLogger("cocotb").setLevel(logging.WARNING)  # the bus models log every frame
        logging.getLogger("cocotb.regression").setLevel(logging.INFO)  # the runner reads where a simulation crashed
        self.dut, self.ports = dut, ports
        self.clock, self._reset = getattr(dut, ports.clock), getattr(dut, ports.reset)
        Clock(self.clock, CLOCK_PERIOD_NS, "ns").start()
        self.sources = {
            stream.role: AxiStreamSource(AxiStreamBus.from_prefix(dut, stream.prefix), self.clock, self._reset)
            for stream in ports.inputs
        }
        self.sinks = {
            stream.role: AxiStreamSink(AxiStreamBus.from_prefix(dut, stream.prefix), self.clock, self._reset)
            for stream in ports.outputs
        }
        self.registers = {
            role: AxiLiteMaster(AxiLiteBus.from_prefix(dut, prefix), self.clock, self._reset)
            for role, prefix in ports.buses.items()
        }
        self.watches = {stream.role: StreamWatch(stream.prefix) for stream in (*ports.inputs, *ports.outputs)}
        for watch in self.watches.values():
            cocotb.start_soon(watch.run(dut, self.clock, self._reset))

    async def reset(self) -> None:
        """Hold reset for three cycles, and wait two more."""
        self._reset.value = 1
        await ClockCycles(self.clock, RESET_CYCLES)
        self._reset.value = 0
        await ClockCycles(self.clock, 2)

    def stall(self, probability: float, *roles: str) -> None:
        """From now on, pause these streams (default: all) with this probability in every cycle. 0 ends it."""
        buses = self.sources | self.sinks
        for role in roles or buses:
            if probability:
                buses[role].set_pause_generator(pauses(probability))
            else:
                buses[role].clear_pause_generator()
                buses[role].pause = False

    def send(self, role: str, beats: Beats) -> None:
        """Queue beats on an input; each TLAST ends a packet, and so does the last beat given."""
        ends = np.arange(len(beats)) if beats.last is None else np.flatnonzero(beats.last)
        for packet in np.split(beats.data, ends + 1):
            if len(packet):
                self.sources[role].send_nowait(packet.tobytes())

    async def receive(self, role: str, packets: int, *, timeout_cycles: int = RECEIVE_TIMEOUT_CYCLES) -> list[bytes]:
        """The next packets (beats, on a stream without TLAST) of an output. Fails if one takes longer than that."""
        received = []
        for _ in range(packets):
            frame = await with_timeout(self.sinks[role].recv(), timeout_cycles * CLOCK_PERIOD_NS, "ns")
            received.append(bytes(frame.tdata))
        return received

    def latencies(self, source: str, sink: str) -> list[int]:
        """Cycles from each packet's last beat taken from `source` to the cycle in which `sink` first offers its result,
        when there is one result a packet, in order."""
        ends = self.watches[source].lasts or self.watches[source].taken
        return [offer - end for end, offer in zip(ends, self.watches[sink].offered, strict=False)]
