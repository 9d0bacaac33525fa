"""A matrix times a vector on channels: where weights lie, what goes in, what the answers mean.

    plan = Gemv(config, outputs=768, inputs=768, channels=8)
    plan.run(memories, vector)      # on devices that hold `plan.contents(weights, channel)`

The vector is cut into D parts of whole columns, each for G = C / D channels. Within them output `o` belongs to bank
o mod B of channel o / B mod G, tile o / (B·G), for B banks and C channels.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from hdl.common.config import ConfigError
from hdl.pim.channel_config import ChannelConfig
from sim.pim import arithmetic
from sim.pim.compiler import Block, Program, blocks, divided, schedule
from sim.pim.device_model import Device

Array = npt.NDArray[Any]


class Gemv:
    """The plan for a matrix (outputs, inputs), from a memory row on; `tight`: in as few rows as can be."""

    def __init__(
        self, config: ChannelConfig, outputs: int, inputs: int, *, channels: int = 1, row: int = 0, tight: bool = False
    ):
        if min(outputs, inputs) < 1:
            raise ConfigError(f"outputs and inputs must be at least 1, not {outputs} and {inputs}")
        self.config, self.outputs, self.inputs, self.channels, self.row = config, outputs, inputs, channels, row
        whole = -(-inputs // config.lanes)
        self.division = divided(config, whole, outputs, channels, tight=tight)
        self.columns = -(-whole // self.division)
        """Of a channel's part of the vector."""
        self.group = channels // self.division
        self.tiles = -(-outputs // (self.group * config.banks))
        self.work: list[Block] = blocks(config, self.columns, self.tiles, row, tight=tight)
        self.rows = sum(block.rows for block in self.work)
        if row + self.rows > config.rows:
            raise ConfigError(f"rows {row}..{row + self.rows - 1} do not fit into banks of {config.rows} rows")

    @cached_property
    def program(self) -> Program:
        """The same for every channel."""
        return schedule(self.config, self.work)

    def contents(self, weights: Array, channel: int = 0) -> dict[int, Array]:
        """Memory rows of a channel: (outputs, inputs) of elements -> (banks, columns, lanes) by row."""
        config = self.config
        length = self.columns * config.lanes
        part = weights[:, channel // self.group * length :][:, :length]
        whole = np.zeros((self.tiles, self.group, config.banks, length), weights.dtype)
        whole.reshape(-1, length)[: self.outputs, : part.shape[1]] = part
        own = whole[:, channel % self.group].reshape(self.tiles, config.banks, self.columns, config.lanes)
        shape = (config.banks, config.columns, config.lanes)
        made = {self.row + row: np.zeros(shape, weights.dtype) for row in range(self.rows)}
        for block in self.work:
            for tile in range(block.tiles):
                row, column = block.place(tile)
                made[row][:, column : column + block.columns] = own[tile, :, block.first : block.first + block.columns]
        return made

    def beats(self, vector: Array, channel: int = 0) -> list[Array]:
        """What WR_GB takes, in the program's order: (inputs,) elements -> columns (lanes,)."""
        length = self.columns * self.config.lanes
        part = vector[channel // self.group * length :][:length]
        padded = np.pad(part, (0, length - len(part))).reshape(self.columns, -1)
        return [padded[self.work[place].first + column] for place, column in self.program.inputs]

    def gathered(self, answers: Sequence[Sequence[Array]]) -> Array:
        """The product from all channels' RD_MAC answers: (outputs,) float32 or int32.

        bf16: the parts of an output, one a block, are added in fp32 in the order of the vector. int8: mod 2^32.
        """
        floating = self.config.dtype == "bf16"
        shape = (self.division, len(self.work), self.tiles, self.group, self.config.banks)
        parts = np.zeros(shape, np.uint16 if floating else np.int32)
        for channel, results in enumerate(answers):
            for (place, tile), result in zip(self.program.results, results, strict=True):
                parts[channel // self.group, place, tile, channel % self.group] = result
        flat = parts.reshape(self.division * len(self.work), -1)[:, : self.outputs]
        if not floating:
            return arithmetic.wrapped(flat.astype(np.int64).sum(axis=0))
        total = arithmetic.widened(flat[0])
        for part in flat[1:]:
            total = arithmetic.added(total, arithmetic.widened(part))
        return total

    def run(self, devices: Sequence[Device], vector: Array) -> Array:
        """The product, by the program on devices that hold the weights, one a channel."""
        program = self.program.instructions
        return self.gathered(
            [device.run(program, self.beats(vector, channel)) for channel, device in enumerate(devices)]
        )

    def direct(self, weights: Array, vector: Array) -> Array:
        """The product in plain numpy, by the same arithmetic and the same order of columns, without channels."""
        lanes = self.config.lanes
        if self.config.dtype == "int8":
            return arithmetic.wrapped(arithmetic.dot_int8(weights, vector))
        return arithmetic.gemv_bf16(weights, vector, lanes, [block.columns for block in self.work] * self.division)
