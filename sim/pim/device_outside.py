"""A memory at the port of a channel that has none inside: the golden model of the device, in a cocotb bench."""

from __future__ import annotations

from collections import deque
from typing import Any

import numpy as np
from cocotb.triggers import ReadOnly, RisingEdge

from hdl.pim.channel_config import ChannelConfig
from hdl.pim.commands import Command
from sim.pim.device_model import Device

FIELDS = {"bank": "bank", "bank_mask": "bank_mask", "row": "row", "col": "col", "gb": "gb", "acc": "acc"} | {
    "buf": "row_buffer"
}
"""The model's name of a command's field, and the port's."""

ANSWERS = {Command.RD: ("read_valid", "read_data"), Command.RDMAC: ("result_valid", "result_word")}


class OutsideDevice:
    """Obeys the commands of a channel's port, and answers `device_latency_cycles` later; asserts that each is legal."""

    def __init__(self, dut: Any, clock: Any, reset: Any, config: ChannelConfig):
        self.dut, self.clock, self.reset, self.config = dut, clock, reset, config
        self.device = Device(config)
        self.pending: deque[tuple[Command, int] | None] = deque()
        """Answers of the next cycles, the first of them the next."""

    async def run(self) -> None:
        """Works until the end of the simulation."""
        self._forget()
        while True:
            await ReadOnly()
            in_reset = bool(int(self.reset.value))
            answer = None if in_reset else self._obey(Command(int(self.dut.command.value)))
            await RisingEdge(self.clock)
            if in_reset:
                self._forget()
            self.pending.append(answer)
            self._drive(self.pending.popleft())

    def _forget(self) -> None:
        self.device.reset()
        self.pending = deque([None] * (self.config.device_latency_cycles - 1))
        self._drive(None)

    def _obey(self, command: Command) -> tuple[Command, int] | None:
        """The answer to what the port says in this cycle."""
        if command in (Command.NOP, Command.TMOD):
            return None
        fields = {name: int(getattr(self.dut, port).value) for name, port in FIELDS.items()}
        found = self.device.issue(command, **fields, data=self._data(command))
        assert self.device.first_illegal is None, self.device.first_illegal
        if found is None:
            return None
        data = np.asarray(found).astype(self._result_type if command == Command.RDMAC else found.dtype).tobytes()
        if command == Command.RDMAC and self.config.checksum:
            data += int(self.device.checksum).to_bytes(4, "little")
        return command, int.from_bytes(data, "little")

    def _data(self, command: Command) -> Any:
        if command in (Command.WR, Command.WRGB):
            return self._elements(self.dut.data, self.config.column_bits, self.device.element)
        if command == Command.WRMAC:
            return self._elements(self.dut.bias, self.config.bias_bits, self._result_type)
        return None

    @property
    def _result_type(self) -> Any:
        return np.uint16 if self.config.dtype == "bf16" else np.int32

    @staticmethod
    def _elements(port: Any, bits: int, dtype: Any) -> Any:
        return np.frombuffer(int(port.value).to_bytes(bits // 8, "little"), dtype)

    def _drive(self, answer: tuple[Command, int] | None) -> None:
        for command, (valid, data) in ANSWERS.items():
            given = answer is not None and answer[0] == command
            getattr(self.dut, valid).value = int(given)
            if given and answer:
                getattr(self.dut, data).value = answer[1]
