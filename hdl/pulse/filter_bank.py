"""The coefficients of all phases."""

from __future__ import annotations

from amaranth.hdl import Cat, Const, Module, Signal, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hdl.common.arithmetic import wire
from hdl.common.ram import Ram
from hdl.pulse.config import MEMORIES, PHASES, ROW_NAMES, FilterConfig


def rows_of(config: FilterConfig) -> dict[str, tuple[str, ...]]:
    """Rows of each memory."""
    return dict(zip(MEMORIES, (config.weight_rows, config.template_rows), strict=True))


class CoefficientBank(wiring.Component):
    """A memory for each row of W and of T, all read at the same phase and tap.

    Members
    -------
    write, address, data : a coefficient is written; see `FilterConfig.bank_address`
    bad : it belongs to no tap, or to no row
    phase, tap : what is read
    weights_<row>, templates_<row> : a cycle later
    """

    def __init__(self, config: FilterConfig):
        self._config = config
        coefficient = signed(config.coefficient_bits)
        super().__init__(
            {
                "write": In(1),
                "address": In(config.bank_address_bits),
                "data": In(config.coefficient_bits),
                "bad": Out(1),
                "phase": In(range(PHASES)),
                "tap": In(range(config.taps)),
            }
            | {f"{name}_{row}": Out(coefficient) for name, rows in rows_of(config).items() for row in rows}
        )

    def elaborate(self, platform):
        m = Module()
        config = self._config
        place_bits = len(self.phase) + config.tap_bits
        place = self.address[:place_bits]
        is_tap = wire(m, self.address[: config.tap_bits] < config.taps, "is_tap")
        chosen = []
        for memory, (name, rows) in enumerate(rows_of(config).items()):
            for row in rows:
                code = Const(memory * len(ROW_NAMES) + ROW_NAMES.index(row), 3)
                hit = Signal(name=f"writes_{name}_{row}")
                ram = Ram(config.coefficient_bits, PHASES << config.tap_bits)
                m.submodules[f"{name}_{row}_words"] = ram
                m.d.comb += [
                    hit.eq(self.write & is_tap & (self.address[place_bits:] == code)),
                    ram.write.eq(hit),
                    ram.write_address.eq(place),
                    ram.write_data.eq(self.data),
                    ram.read_address.eq(Cat(self.tap, self.phase)),
                    getattr(self, f"{name}_{row}").eq(ram.read_data),
                ]
                chosen.append(hit)
        m.d.comb += self.bad.eq(self.write & ~Cat(chosen).any())
        return m
