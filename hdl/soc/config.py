"""Config of the processor: memory, firmware, what of the bus leads outward. No gateware here."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Literal, Self

from pydantic import Field, model_validator

from hdl.common.config import Config
from hdl.common.registers import RegisterMap, load_registers
from hdl.soc.image import load_image

WORD_BYTES = 4

RAM_BASE, SYSTEM_BASE, IO_BASE = 0x0000_0000, 0x8000_0000, 0xC000_0000
"""Where memory, the processor's own registers and the port `io` begin for it, in bytes."""

IDENTITY = b"SOC1"

RESET_CYCLES = 4
"""That the watchdog holds the processor in reset."""


CORE_PACKAGES = {
    "sentinel": "sentinel-cpu",
    "vexriscv": "pythondata-cpu-vexriscv",
    "picorv32": "pythondata-cpu-picorv32",
    "serv": "pythondata-cpu-serv",
}
"""The distributions that cores come in."""


class ProcessorConfig(Config):
    """A processor of RV32I, its memory and what it needs to live."""

    ram_bytes: int = Field(default=8192, ge=1024, le=65536)
    """Memory; a power of two."""

    core: Literal["sentinel", "vexriscv", "picorv32", "serv"] = "sentinel"
    """The core; all but Sentinel are of the extra `cores`."""

    firmware: str = Field(default="monitor", pattern="^[a-z][a-z0-9_]*$")
    """The image that the memory holds at first, a file of `firmware/`."""

    @model_validator(mode="after")
    def _check_core(self) -> Self:
        package = CORE_PACKAGES[self.core]
        if find_spec(package.replace("-", "_")) is None:
            raise ValueError(f"core {self.core} needs the package {package}: make setup EXTRAS=cores")
        return self

    @model_validator(mode="after")
    def _check_memory(self) -> Self:
        if self.ram_bytes & (self.ram_bytes - 1):
            raise ValueError(f"ram_bytes must be a power of 2, not {self.ram_bytes}")
        used = len(self.image) * WORD_BYTES
        if used > self.ram_bytes:
            raise ValueError(f"ram_bytes must be at least the {used} of firmware {self.firmware}, not {self.ram_bytes}")
        return self

    @property
    def image(self) -> list[int]:
        """Words of the memory from its first address on; software cannot change them."""
        return load_image(Path(__file__).with_name("firmware") / f"{self.firmware}.hex")

    @property
    def registers(self) -> RegisterMap:
        """The processor's own."""
        return load_registers(Path(__file__).with_name("system.rdl"), {"RAM_BYTES": self.ram_bytes})
