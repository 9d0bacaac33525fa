"""What every block's config tells the models, the flows and the docs, besides its fields."""

from __future__ import annotations

from abc import abstractmethod
from pathlib import Path
from typing import Any

from hdl.common.config import Config
from hdl.common.registers import RegisterMap, load_registers


class BlockConfig(Config):
    """Base of the configs of whole blocks, the ones that a design names."""

    @property
    @abstractmethod
    def latency_cycles(self) -> int:
        """From the cycle that takes an item's last input beat to the first that offers its result, without stalls."""

    @property
    @abstractmethod
    def multipliers(self) -> int:
        """Multipliers, each a DSP block where the device has them."""

    @property
    @abstractmethod
    def register_source(self) -> tuple[Path, dict[str, int]] | None:
        """The block's SystemRDL file, and the parameters that it is elaborated with; None if it has no registers."""

    @property
    def packages(self) -> tuple[str, ...]:
        """Distributions whose gateware is part of the block's."""
        return ()

    @property
    def identity(self) -> dict[str, Any]:
        """All that the gateware depends on, as plain data: the fields, and what they name."""
        return self.model_dump(mode="json")

    @property
    def registers(self) -> RegisterMap | None:
        """The control and status registers; None if it has none."""
        return None if self.register_source is None else load_registers(*self.register_source)
