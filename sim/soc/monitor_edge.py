"""The monitor at a processor's console, in a cocotb bench."""

from __future__ import annotations

from sim.common.streams import Edge
from sim.soc import monitor

REQUEST_CYCLES = 40_000
"""In which Sentinel answers any request."""

SLOWER = {"serv": 8}
"""Cores that take so many times as long."""


class MonitorEdge(Edge):
    """An `Edge` with streams `console_in` and `console_out`."""

    slower = 1
    """How many times as long the core may take."""

    async def lines(self, text: bytes, count: int) -> list[bytes]:
        """The answers, as lines, to what is sent."""
        self.sources["console_in"].send_nowait(text)
        received = []
        for _ in range(count):
            octets = await self.receive("console_out", monitor.REPLY_BYTES, timeout_cycles=REQUEST_CYCLES * self.slower)
            received.append(b"".join(octets))
        return received

    async def ask(self, command: str, address: int, data: int | None = None) -> int:
        """What the monitor answers to a request. Raises as `monitor.answer`."""
        (line,) = await self.lines(monitor.request(command, address, data), 1)
        return monitor.answer(line)

    async def peek(self, address: int) -> int:
        """A word."""
        return await self.ask("r", address)

    async def poke(self, address: int, data: int) -> None:
        """Change a word."""
        assert await self.ask("w", address, data) == data

    async def refused(self, text: bytes, reason: int) -> None:
        """The one answer to that is this error."""
        (line,) = await self.lines(text, 1)
        try:
            monitor.answer(line)
        except monitor.MonitorError as error:
            assert str(error) == monitor.ERRORS[reason], error
        else:
            raise AssertionError(f"{text!r} was answered by {line!r}")

    async def fault(self, address: int, data: int | None = None) -> None:
        """Reading there, or writing, is a fault."""
        await self.refused(monitor.request("r" if data is None else "w", address, data), 3)
