"""ABFT: a checksum over the banks of the device that its multipliers are held against, in int8.

A dot product is linear in the column: the sum of all banks' dot products with the global buffer is the dot product of
the sum of their columns. K.-H. Huang and J. A. Abraham, "Algorithm-based fault tolerance for matrix operations", IEEE
Transactions on Computers C-33, 1984.
"""

from __future__ import annotations

from amaranth.hdl import Cat, Module, Mux, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hdl.common.arithmetic import register, wire
from hdl.pim.channel_config import ChannelConfig
from hdl.pim.device_latency import CHECKSUM_CYCLES
from hdl.pim.device_mac_int8 import ACCUMULATOR_BITS, ELEMENT_BITS, tree


class Checksum(wiring.Component):
    """For each set of accumulators the checksum C and the sum B of what the accumulators were set to, modulo 2**32.

    MAC adds its dot product to C. Setting the banks of a mask adds their biases to B, less what their accumulators
    held; of all banks, C becomes 0 and B the sum of the biases. A read gives C; before it, C + B must be the sum of
    all banks' accumulators. Then what was read is taken from B; of all banks, C and B become 0.

    Latency: `columns`, `buffer` and `column_mask` come as to `MacInt8`, all others as there, but `before` a cycle
    later; `value` and `wrong` are there 1 + CHECKSUM_CYCLES cycles after `clear`.

    Members
    -------
    columns, buffer : of all banks, and of the global buffer
    column_mask : banks that multiply
    mac, set, clear, acc : as of `MacInt8`
    mask : banks that are set or read
    bias, before : of all banks
    value : C
    wrong : the sums differ
    """

    def __init__(self, config: ChannelConfig):
        self._config = config
        super().__init__(
            {
                "columns": In(config.banks * config.column_bits),
                "buffer": In(config.column_bits),
                "column_mask": In(config.banks),
                "mac": In(1),
                "set": In(1),
                "clear": In(1),
                "acc": In(1),
                "mask": In(config.banks),
                "bias": In(config.bias_bits),
                "before": In(config.bias_bits),
                "value": Out(ACCUMULATOR_BITS),
                "wrong": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        config = self._config
        products = []
        buffer = register(m, self.buffer, "buffer_1")
        for lane in range(config.lanes):
            ours = []
            for bank in range(config.banks):
                column = self.columns.word_select(bank, config.column_bits)
                element = column.word_select(lane, ELEMENT_BITS)
                ours.append((element & self.column_mask[bank].replicate(ELEMENT_BITS)).as_signed())
            together = register(m, tree(ours), f"together_{lane}")
            element = buffer.word_select(lane, ELEMENT_BITS).as_signed()
            products.append(register(m, together * element, f"product_{lane}"))
        term = register(m, register(m, tree(products), "sum"), "term")

        # What was read and set, two cycles behind the accumulators.
        word = ACCUMULATOR_BITS
        controls = Cat(self.mac, self.set, self.clear, self.acc, self.mask.all())
        for cycle in range(CHECKSUM_CYCLES):
            later = Signal(len(controls), name=f"controls_{cycle}")
            m.d.sync += later.eq(controls)
            controls = later
        mac, sets, clears, acc, whole = controls
        mask = register(m, self.mask, "mask_1")
        before = [self.before.word_select(bank, word) for bank in range(config.banks)]
        held = register(m, tree(before)[:word], "held")
        gone = register(
            m, tree(one & bit.replicate(word) for one, bit in zip(before, mask, strict=True))[:word], "gone"
        )
        bias = [self.bias.word_select(bank, word) for bank in range(config.banks)]
        fresh = tree(one & bit.replicate(word) for one, bit in zip(bias, self.mask, strict=True))[:word]
        fresh = register(m, register(m, fresh, "fresh_1"), "fresh")

        values, biases = [], []
        for index in range(config.accumulators):
            value, biased = Signal(word, name=f"value_{index}"), Signal(word, name=f"biased_{index}")
            added = Mux(sets, fresh, 0)
            with m.If((acc == index) & mac):
                m.d.sync += value.eq(value + term)
            with m.Elif((acc == index) & (sets | clears)):
                m.d.sync += biased.eq(Mux(whole, added, biased + added - gone))
                m.d.sync += value.eq(Mux(whole, 0, value))
            values.append(value)
            biases.append(biased)
        value, biased = (_chosen(m, acc, ones, name) for ones, name in ((values, "value"), (biases, "biased")))
        m.d.comb += self.value.eq(register(m, value, "given"))
        m.d.sync += self.wrong.eq(clears & ((value + biased)[:word] != held))
        return m


def _chosen(m: Module, acc: Value, values: list[Signal], name: str) -> Value:
    return values[0] if len(values) == 1 else wire(m, Mux(acc, values[1], values[0]), f"{name}_chosen")
