"""Elements of formats with blocks become operands: integers, of values on the exponent of their job."""

from __future__ import annotations

from amaranth.hdl import Cat, Const, Module, Mux, Signal, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from hdl.attention.config import ArrayConfig
from hdl.attention.formats import OPERAND_BITS, KvFormat
from hdl.attention.packing import FORMAT_BITS, is_format
from hdl.attention.scales import SIGNIFICAND_BITS, scale_layout
from hdl.common.arithmetic import delayed, register, wire

BLOCK_CYCLES = 4

VALUE_SHIFT_BITS = 4
"""Of the shift of a value of 9 bits, of which 15 places leave nothing."""

FACTOR_OF_NONE = 1 << SIGNIFICAND_BITS
"""What elements of E2M1 are multiplied by where scales are bare exponents: their g_V places."""


class BlockOperands(wiring.Component):
    """e << g_V of C elements, of keys too; those of values then shifted right by their scales, halves to even.

    Latency: `BLOCK_CYCLES`.

    Members
    -------
    elements : a byte each, with two's complement extended to it
    query, format : of keys; what they are
    key_scale, value_scales : `scale_layout`, of the beat's key; of each key of the tile
    operands : C of `OPERAND_BITS`, two's complement
    """

    def __init__(self, config: ArrayConfig):
        self._config = config
        scale = scale_layout(config)
        super().__init__(
            {
                "elements": In(8 * config.lanes),
                "query": In(1),
                "format": In(FORMAT_BITS),
                "key_scale": In(scale),
                "value_scales": In(config.lanes * scale.size),
                "operands": Out(OPERAND_BITS * config.lanes),
            }
        )

    def elaborate(self, platform):
        m = Module()
        config = self._config
        scale = scale_layout(config)

        def kind(such, name):
            return wire(m, is_format(config, self.format, such), name)

        self._of_six = kind(lambda each: each.element == "e2m3", "of_six")
        self._of_significands = kind(lambda each: each.scale == "e4m3", "of_significands")
        floats = register(m, kind(lambda each: each.element != "int", "floats"), "floats_held")
        lifts = {each.value_shift for each in config.built_formats.values() if each.element == "int"} - {0}

        def lifted_by(lift: int):
            def such(each: KvFormat) -> bool:
                return each.element == "int" and each.value_shift == lift

            return such

        self._lifts = {lift: kind(lifted_by(lift), f"lift_{lift}") for lift in sorted(lifts)}
        moves = wire(m, kind(lambda each: each.block, "of_blocks") & ~self.query, "moves")
        for lane in range(config.lanes):
            element = self.elements.word_select(lane, 8)
            of_value = data.View(scale, self.value_scales.word_select(lane, scale.size))
            integer = register(m, self._lifted(element.as_signed()), f"integer_{lane}").as_signed()
            magnitude = register(m, self._magnitude(m, lane, element, of_value), f"magnitude_{lane}")
            negative = register(m, Mux(self._of_six, element[5], element[3]), f"negative_{lane}")
            operand = Signal(signed(OPERAND_BITS), name=f"operand_{lane}", reset_less=True)
            m.d.sync += operand.eq(Mux(floats, Mux(negative, -magnitude, magnitude), integer))

            far = of_value.shift[VALUE_SHIFT_BITS:].any()
            places = of_value.shift[:VALUE_SHIFT_BITS] | far.replicate(VALUE_SHIFT_BITS)
            amount = delayed(m, Mux(moves, places, 0), 2, f"amount_{lane}", reset_less=True)
            moved = register(m, Cat(Const(0, 1), operand).as_signed() >> amount, f"moved_{lane}").as_signed()
            lost = register(m, (Cat(Const(0, 1), operand) & ((1 << amount) - 1)).any(), f"lost_{lane}")
            up = wire(m, moved[0] & (moved[1] | lost), f"up_{lane}")
            rounded = register(m, ((moved >> 1) + up)[:OPERAND_BITS], f"rounded_{lane}")
            m.d.comb += self.operands.word_select(lane, OPERAND_BITS).eq(rounded)
        return m

    def _lifted(self, integer):
        """e << g_V of two's complement."""
        found = integer
        for lift, one in self._lifts.items():
            found = Mux(one, (integer << lift)[:OPERAND_BITS].as_signed(), found)
        return Cat(found, found[-1])[:OPERAND_BITS] if len(found) < OPERAND_BITS else found[:OPERAND_BITS]

    def _magnitude(self, m, lane, element, of_value):
        """Of e << g_V of a code of E2M1 or E2M3: its significand, shifted left by its exponent less one."""
        factor = Const(FACTOR_OF_NONE)
        if "significand" in of_value.shape().members:
            significand = Mux(self.query, self.key_scale.significand, of_value.significand)
            factor = wire(m, Mux(self._of_significands, significand, FACTOR_OF_NONE), f"factor_{lane}")
        exponent = Mux(self._of_six, element[3:5], element[1:3])
        normal = exponent.any()
        four = Mux(element[0], factor, 0) + Mux(normal, factor << 1, 0)
        six = Cat(Const(0, 2), element[:3], normal)
        significand = wire(m, Mux(self._of_six, six, four)[:6], f"significand_{lane}")
        return Mux(exponent[1], Mux(exponent[0], significand << 2, significand << 1), significand)[:8]
