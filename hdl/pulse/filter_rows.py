"""Sums of products of samples and coefficients."""

from __future__ import annotations

from amaranth.hdl import Module, Mux, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hdl.common.arithmetic import register, wire
from hdl.pulse.config import FilterConfig


class WeightRows(wiring.Component):
    """For each row of W its sum over the taps, exact: a multiplier between registers, and an adder.

    Members
    -------
    code, weights_<row> : a sample and its coefficients
    first, add : two cycles later: the sum begins with their product, or goes on
    sum_<row> : after that
    """

    def __init__(self, config: FilterConfig):
        self._config = config
        coefficient, total = signed(config.coefficient_bits), signed(config.sum_bits)
        members = {"code": In(signed(config.factor_bits)), "first": In(1), "add": In(1)}
        members |= {f"weights_{row}": In(coefficient) for row in config.weight_rows}
        super().__init__(members | {f"sum_{row}": Out(total) for row in config.weight_rows})

    def elaborate(self, platform):
        m = Module()
        code = register(m, self.code, "code_1")
        for row in self._config.weight_rows:
            weight = register(m, getattr(self, f"weights_{row}"), f"weight_{row}")
            product = register(m, code * weight, f"product_{row}")
            total = getattr(self, f"sum_{row}")
            with m.If(self.add):
                m.d.sync += total.eq(wire(m, Mux(self.first, 0, total), f"before_{row}") + product)
        return m


class TemplateRows(wiring.Component):
    """The fit at a tap: the sum over the rows of T of x * T, exact.

    Latency: 4 cycles: coefficients, products of halves, their sums, the whole.

    Members
    -------
    templates_<row>, x_<row> : a tap's coefficients, and the fit
    model : of the tap
    """

    def __init__(self, config: FilterConfig):
        self._config = config
        coefficient, part = signed(config.coefficient_bits), signed(config.fit_bits)
        members = {f"templates_{row}": In(coefficient) for row in config.template_rows}
        members |= {f"x_{row}": In(part) for row in config.template_rows}
        super().__init__(members | {"model": Out(signed(config.model_bits))})

    def elaborate(self, platform):
        m = Module()
        half = self._config.fit_bits // 2  # a half and its sign fit a multiplier of 18 bits
        lows, highs = [], []
        for row in self._config.template_rows:
            template, x = register(m, getattr(self, f"templates_{row}"), f"template_{row}"), getattr(self, f"x_{row}")
            lows.append(register(m, template * x[:half], f"low_{row}"))
            highs.append(register(m, template * x[half:].as_signed(), f"high_{row}"))
        low = register(m, sum(lows[1:], lows[0]), "low")
        high = register(m, sum(highs[1:], highs[0]), "high")
        m.d.sync += self.model.eq((high << half) + low)
        return m
