"""AXI4-Lite manager over the ports of a design in the bulk harness (IHI 0022, part B)."""

from __future__ import annotations

import random
from typing import Protocol

from sim.common.errors import BusError

RESPONSES = ("OKAY", "EXOKAY", "SLVERR", "DECERR")
LONGEST_SKEW_CYCLES = 3
ALL_BYTES = 0xF


class Pins(Protocol):
    """Ports by name, and a clock."""

    def peek(self, name: str) -> int: ...

    def poke(self, name: str, value: int) -> None: ...

    def step(self, cycles: int = 1) -> None: ...


class AxiLite:
    """Reads and writes one at a time; address, data and READY for the response come in seeded orders and distances."""

    def __init__(self, pins: Pins, prefix: str, *, timeout_cycles: int = 1000, seed: int = 0):
        self._pins = pins
        self._prefix = prefix
        self._timeout_cycles = timeout_cycles
        self._random = random.Random(seed)

    def read(self, address: int) -> int:
        """The word at a byte address.

        Raises
        ------
        BusError
            SLVERR or DECERR, or no answer within 1000 cycles.
        """
        what = f"read of 0x{address:x}"
        answer = self._transfer(what, {"ar": {"araddr": address}}, "r", ("rdata", "rresp"))
        self._refuse(what, answer["rresp"])
        return answer["rdata"]

    def write(self, address: int, value: int) -> None:
        """Write a word to a byte address, all bytes enabled.

        Raises
        ------
        BusError
            SLVERR or DECERR, or no answer within 1000 cycles.
        """
        what = f"write to 0x{address:x}"
        channels = {"aw": {"awaddr": address}, "w": {"wdata": value, "wstrb": ALL_BYTES}}
        self._refuse(what, self._transfer(what, channels, "b", ("bresp",))["bresp"])

    def idle(self) -> None:
        """Withdraw every request, as reset does."""
        for name in ("awvalid", "wvalid", "bready", "arvalid", "rready"):
            self._pins.poke(f"{self._prefix}_{name}", 0)

    def _transfer(
        self, what: str, requests: dict[str, dict[str, int]], response: str, fields: tuple[str, ...]
    ) -> dict[str, int]:
        """Give the requests on their channels and take the response; its fields."""
        start = {channel: self._random.randint(0, LONGEST_SKEW_CYCLES) for channel in requests}
        pending = set(requests)
        offered: dict[str, int] | None = None
        for cycle in range(self._timeout_cycles):
            for channel in pending:
                if cycle == start[channel]:
                    self._poke(requests[channel] | {f"{channel}valid": 1})
            ready = self._random.randint(0, 1)
            self._poke({f"{response}ready": ready})
            taken = {channel for channel in pending if cycle >= start[channel] and self._peek(f"{channel}ready")}
            pending -= taken
            if self._peek(f"{response}valid"):
                answer = {name: self._peek(name) for name in fields}
                if pending:
                    raise BusError(f"{what}: {response.upper()}VALID before the request was taken")
                if offered is not None and answer != offered:
                    raise BusError(f"{what}: the response changed before it was taken")
                offered = answer
            elif offered is not None:
                raise BusError(f"{what}: {response.upper()}VALID was withdrawn before the response was taken")
            self._pins.step()
            self._poke({f"{channel}valid": 0 for channel in taken})
            if offered is not None and ready:
                self._poke({f"{response}ready": 0})
                return offered
        waits = f"{', '.join(sorted(pending)).upper()}READY" if pending else f"{response.upper()}VALID"
        raise BusError(f"{what}: no {waits} for {self._timeout_cycles} cycles")

    def _refuse(self, what: str, code: int) -> None:
        if code:
            raise BusError(f"{what}: {RESPONSES[code]}")

    def _peek(self, name: str) -> int:
        return self._pins.peek(f"{self._prefix}_{name}")

    def _poke(self, values: dict[str, int]) -> None:
        for name, value in values.items():
            self._pins.poke(f"{self._prefix}_{name}", value)
