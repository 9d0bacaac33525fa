"""A processing element: an arithmetic unit, and what belongs to the output channels that it works on."""

from __future__ import annotations

from amaranth.hdl import Cat, Module, Mux, Signal, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hdl.common.arithmetic import register, tree, wire
from hdl.common.ram import Ram
from hdl.pulse.cnn_config import CnnConfig
from hdl.pulse.cnn_words import FACTOR_BITS, IMAGE_WEIGHT_BITS, SHIFT_BITS, WORD_BITS


class ArithmeticUnit(wiring.Component):
    """A sum of `products` products. Latency: `config.unit_cycles`. A sum a cycle.

    Members
    -------
    operands, weights : of each product
    sum : exact
    """

    def __init__(self, config: CnnConfig):
        self._config = config
        super().__init__(
            {
                "operands": In(config.activation_bits * config.products),
                "weights": In(config.weight_bits * config.products),
                "sum": Out(signed(config.unit_bits)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        config = self._config
        products = []
        for place in range(config.products):
            operand = self.operands.word_select(place, config.activation_bits).as_signed()
            weight = self.weights.word_select(place, config.weight_bits).as_signed()
            products.append(register(m, operand * weight, f"product_{place}"))
        m.d.comb += self.sum.eq(tree(m, products))
        return m


class Element(wiring.Component):
    """Sums, biases, factors and shifts of every P-th output channel.

    Members
    -------
    write_weights, write_bias, write_factor, write_number, write_data : a word of its memories
    weight_address : three cycles before the operands
    operands : elements
    pools, pools_most : the layer takes sums or maxima of one channel, not products; maxima
    bias_address : two cycles before the first sum of an output comes from the arithmetic unit
    begins, ends : with a sum: an output's first, an output's last
    factor_address : with the last
    sum, factor, shift : two cycles after an output's last sum, until that of the next
    """

    def __init__(self, config: CnnConfig, place: int):
        self._config, self._place = config, place
        weights, channel = range(config.weight_words), range(config.channel_words)
        super().__init__(
            {
                "write_weights": In(config.weight_parts),
                "write_bias": In(1),
                "write_factor": In(1),
                "write_number": In(max(len(Signal(weights)), len(Signal(channel)))),
                "write_data": In(WORD_BITS),
                "weight_address": In(weights),
                "operands": In(config.activation_bits * config.products),
                "pools": In(1),
                "pools_most": In(1),
                "bias_address": In(channel),
                "factor_address": In(channel),
                "begins": In(1),
                "ends": In(1),
                "sum": Out(signed(config.sum_bits)),
                "factor": Out(signed(FACTOR_BITS)),
                "shift": Out(SHIFT_BITS),
            }
        )

    def elaborate(self, platform):
        m = Module()
        config = self._config
        m.submodules.weights = weights = Ram(
            config.weight_bits * config.products, config.weight_words, config.weight_parts
        )
        m.submodules.biases = biases = Ram(config.sum_bits, config.channel_words)
        m.submodules.factors = factors = Ram(FACTOR_BITS + SHIFT_BITS, config.channel_words)
        m.submodules.unit = unit = ArithmeticUnit(config)
        kept = [
            self.write_data.word_select(place, IMAGE_WEIGHT_BITS)[: config.weight_bits]
            for place in range(WORD_BITS // IMAGE_WEIGHT_BITS)
        ]
        m.d.comb += [
            weights.write.eq(self.write_weights),
            weights.write_address.eq(self.write_number),
            weights.write_data.eq(Cat(kept).replicate(config.weight_parts)),
            weights.read_address.eq(self.weight_address),
            biases.write.eq(self.write_bias),
            factors.write.eq(self.write_factor),
            biases.read_address.eq(self.bias_address),
            factors.read_address.eq(self.factor_address),
        ]
        for memory in (biases, factors):
            m.d.comb += [memory.write_address.eq(self.write_number), memory.write_data.eq(self.write_data)]

        # A pool is a convolution whose weight is 1 for the one channel.
        one = 1 << config.weight_bits * self._place
        read = register(m, weights.read_data, "read_weights")
        m.d.comb += [
            unit.operands.eq(self.operands),
            unit.weights.eq(register(m, wire(m, Mux(self.pools, one, read), "weights_now"), "weights_held")),
        ]
        self._accumulate(m, unit.sum, register(m, biases.read_data, "bias").as_signed(), factors.read_data)
        return m

    def _accumulate(self, m, given, bias, factor):
        """Sums become an output's, and are kept while the next output's begin."""
        config = self._config
        total = Signal(signed(config.sum_bits), reset_less=True)
        base = wire(m, Mux(self.pools_most, 0, Mux(self.begins, bias, total)), "base")
        keeps = wire(m, self.pools_most & ~self.begins & (total > given), "keeps")
        with m.If(~keeps):
            m.d.sync += total.eq(base + given)
        ended = Signal()
        m.d.sync += ended.eq(self.ends)
        with m.If(ended):
            m.d.sync += [
                self.sum.eq(total),
                self.factor.eq(factor[:FACTOR_BITS]),
                self.shift.eq(factor[FACTOR_BITS:]),
            ]
