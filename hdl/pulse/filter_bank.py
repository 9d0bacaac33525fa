"""The coefficients of all stretches and phases."""

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
    """A memory for each row of W and of T, all read at the same place and tap.

    Members
    -------
    write, address, data : a coefficient is written; see `FilterConfig.bank_address`
    bad : it belongs to no tap, place or row
    place, tap : what is read
    weights_<row>, templates_<row> : a cycle later
    second_phase, second_tap, second_<row> : the same of a second pulse's templates, with `pairs`
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
                "place": In(range(config.places)),
                "tap": In(range(config.taps)),
            }
            | {f"{name}_{row}": Out(coefficient) for name, rows in rows_of(config).items() for row in rows}
            | (
                {"second_phase": In(range(PHASES)), "second_tap": In(range(config.taps))}
                | {f"second_{row}": Out(coefficient) for row in config.template_rows}
                if config.pairs
                else {}
            )
        )

    def elaborate(self, platform):
        m = Module()
        config = self._config
        tap, rest = self.address[: config.tap_bits], self.address[config.tap_bits :]
        place, row_code = rest[: config.place_bits], rest[config.place_bits :]
        is_there = wire(m, (tap < config.taps) & (place < config.places), "is_there")
        chosen = []
        for memory, (name, rows) in enumerate(rows_of(config).items()):
            for row in rows:
                code = Const(memory * len(ROW_NAMES) + ROW_NAMES.index(row), 3)
                hit = Signal(name=f"writes_{name}_{row}")
                ram = Ram(config.coefficient_bits, config.places << config.tap_bits)
                m.submodules[f"{name}_{row}_words"] = ram
                m.d.comb += [
                    hit.eq(self.write & is_there & (row_code == code)),
                    ram.write.eq(hit),
                    ram.write_address.eq(Cat(tap, place)),
                    ram.write_data.eq(self.data),
                    ram.read_address.eq(Cat(self.tap, self.place)),
                    getattr(self, f"{name}_{row}").eq(ram.read_data),
                ]
                chosen.append(hit)
                if config.pairs and name == "templates":
                    m.submodules[f"second_{row}_words"] = copy = Ram(config.coefficient_bits, PHASES << config.tap_bits)
                    m.d.comb += [
                        copy.write.eq(hit & (place < PHASES)),
                        copy.write_address.eq(Cat(tap, place[: PHASES.bit_length() - 1])),
                        copy.write_data.eq(self.data),
                        copy.read_address.eq(Cat(self.second_tap, self.second_phase)),
                        getattr(self, f"second_{row}").eq(copy.read_data),
                    ]
        m.d.comb += self.bad.eq(self.write & ~Cat(chosen).any())
        return m
