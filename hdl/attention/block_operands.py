"""Elements of formats with blocks become operands: integers, of values on the exponent of their job.

All are e << g_K at first, two's complement of 8 bits or 9. A value is that, `VALUE_PLACES` further up, shifted right by
its scale; what is not shifted by a scale goes all of these places down again.
"""

from __future__ import annotations

from amaranth.hdl import Cat, Const, Module, Mux, Signal, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from hdl.attention.config import ArrayConfig
from hdl.attention.formats import FORMATS, OPERAND_BITS, KvFormat
from hdl.attention.packing import FORMAT_BITS, is_format
from hdl.attention.scales import scale_layout
from hdl.common.arithmetic import delayed, register, wire

BLOCK_CYCLES = 4

VALUE_SHIFT_BITS = 4
"""Of the shift of a value, of which 15 places leave nothing."""

VALUE_PLACES = max(each.value_shift - each.key_shift for each in FORMATS.values())
"""By which g_V is above g_K, but where elements are multiplied by significands: one place less."""


class BlockOperands(wiring.Component):
    """Operands of C elements: e << g_K of a key's; of a value e << g_V shifted right by its scale, halves to even.

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
        lifts = {each.key_shift for each in config.built_formats.values() if each.element == "int"} - {0}

        def lifted_by(lift: int):
            def such(each: KvFormat) -> bool:
                return each.element == "int" and each.key_shift == lift

            return such

        self._lifts = {lift: kind(lifted_by(lift), f"lift_{lift}") for lift in sorted(lifts)}
        moves = wire(m, kind(lambda each: each.block, "of_blocks") & ~self.query, "moves")
        for lane in range(config.lanes):
            element = self.elements.word_select(lane, 8)
            of_value = data.View(scale, self.value_scales.word_select(lane, scale.size))
            integer = register(m, self._lifted(element.as_signed()), f"integer_{lane}").as_signed()
            magnitude = register(m, self._magnitude(m, lane, element, of_value), f"magnitude_{lane}")
            negative = register(m, Mux(self._of_six, element[5], element[3]), f"negative_{lane}")
            operand = Signal(signed(config.key_operand_bits), name=f"operand_{lane}", reset_less=True)
            m.d.sync += operand.eq(Mux(floats, Mux(negative, -magnitude, magnitude), integer))

            distance = wire(m, of_value.shift + self._of_significands, f"distance_{lane}")
            far = distance[VALUE_SHIFT_BITS:].any()
            places = distance[:VALUE_SHIFT_BITS] | far.replicate(VALUE_SHIFT_BITS)
            amount = delayed(m, Mux(moves, places, VALUE_PLACES), 2, f"amount_{lane}", reset_less=True)
            double = Cat(Const(0, VALUE_PLACES + 1), operand).as_signed()
            moved = register(m, double >> amount, f"moved_{lane}").as_signed()
            lost = register(m, (double & ((1 << amount) - 1)).any(), f"lost_{lane}")
            up = wire(m, moved[0] & (moved[1] | lost), f"up_{lane}")
            rounded = register(m, ((moved >> 1) + up)[:OPERAND_BITS], f"rounded_{lane}")
            m.d.comb += self.operands.word_select(lane, OPERAND_BITS).eq(rounded)
        return m

    def _lifted(self, integer):
        """e << g_K of two's complement, 8 bits."""
        found = integer
        for lift, one in self._lifts.items():
            found = Mux(one, (integer << lift)[: len(integer)].as_signed(), found)
        return found

    def _magnitude(self, m, lane, element, of_value):
        """Of e << g_K of a code of E2M1 or E2M3: its significand, shifted left by its exponent less one."""
        factor = Const(1 << FORMATS["mxfp4"].key_shift)
        if "significand" in of_value.shape().members:
            significand = Mux(self.query, self.key_scale.significand, of_value.significand)
            factor = wire(m, Mux(self._of_significands, significand, factor), f"factor_{lane}")
        exponent = Mux(self._of_six, element[3:5], element[1:3])
        normal = exponent.any()
        four = Mux(element[0], factor, 0) + Mux(normal, factor << 1, 0)
        six = Cat(element[:3], normal) << FORMATS["mxfp6"].key_shift
        significand = wire(m, Mux(self._of_six, six, four)[:6], f"significand_{lane}")
        return Mux(exponent[1], Mux(exponent[0], significand << 2, significand << 1), significand)[:8]
