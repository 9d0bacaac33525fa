"""What comes of an output's sums: requantised, some at a time, and sent where the layer says."""

from __future__ import annotations

from amaranth.hdl import Cat, Const, Module, Mux, Signal, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from hdl.common.arithmetic import delayed, register, wire
from hdl.pulse.cnn_config import CnnConfig
from hdl.pulse.cnn_program import LAYER
from hdl.pulse.cnn_requantiser import STYLE, Requantiser
from hdl.pulse.cnn_words import FACTOR_BITS, SHIFT_BITS

REQUANTISER_CYCLES = 8
ADDED_CYCLES = 5
"""From a sum to when the requantiser takes what is added."""

READ_CYCLES = 3
"""From the address of elements to these."""


def sums_layout(config: CnnConfig) -> data.StructLayout:
    """What a processing element has of an output."""
    return data.StructLayout({"sum": signed(config.sum_bits), "factor": signed(FACTOR_BITS), "shift": SHIFT_BITS})


def result_layout(config: CnnConfig) -> data.StructLayout:
    """Some words of a window's result: how many of them count, and whether the last of these is the packet's."""
    lanes = config.requantiser_count
    return data.StructLayout({"count": range(lanes + 1), "last": 1, "words": config.result_bits * lanes})


class Outputs(wiring.Component):
    """The requantisers, and the addresses of what they give.

    Latency: `config.output_latency` cycles, from `ended` to the first `enable` or `result_valid`; the others of an
    output follow, `requantisers` a cycle.

    Members
    -------
    load, layer : a layer begins
    ended, group_ends, layer_ends : the elements' sums are those of an output from the next cycle on
    sums : the processing elements', `sums_layout` each
    added_address, added : elements of the target
    address, enable, outputs : to the target
    result_valid, result : `result_layout`, of a last layer
    """

    def __init__(self, config: CnnConfig):
        self._config = config
        lanes, bits, place = config.requantiser_count, config.activation_bits, range(config.activations)
        super().__init__(
            {
                "load": In(1),
                "layer": In(LAYER),
                "ended": In(1),
                "group_ends": In(1),
                "layer_ends": In(1),
                **{f"sums_{k}": In(sums_layout(config)) for k in range(config.elements)},
                "added_address": Out(place),
                "added": In(bits * lanes),
                "address": Out(place),
                "enable": Out(lanes),
                "outputs": Out(bits * lanes),
                "result_valid": Out(1),
                "result": Out(result_layout(config)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        config, layer = self._config, self.layer
        lanes, bits = config.requantiser_count, config.activation_bits
        valid, part, address, count, last = self._parts(m)

        # To the requantisers, a register behind the choice among the processing elements.
        raw = wire(m, layer.last & layer.raw, "raw")
        zero = wire(m, Mux(raw, 0, layer.zero[:bits].as_signed()), "zero")
        style = Signal(STYLE)
        m.d.comb += [getattr(style, name).eq(getattr(layer, name)) for name in ("activation", "leak", "wide")]
        m.d.comb += [style.zero.eq(zero), style.raw.eq(raw)]
        given = []
        for lane in range(lanes):
            m.submodules[f"requantiser_{lane}"] = unit = Requantiser(config)
            chosen = Signal(sums_layout(config), name=f"chosen_{lane}", reset_less=True)
            for turn in range(config.output_cycles):
                with m.If(part == turn):
                    m.d.sync += chosen.eq(getattr(self, f"sums_{turn * lanes + lane}"))
            element = self.added.word_select(lane, bits).as_signed()
            added = register(m, Mux(layer.add & ~layer.last, element - zero, 0), f"added_{lane}")
            m.d.comb += [
                unit.sum.eq(chosen.sum),
                unit.factor.eq(chosen.factor),
                unit.shift.eq(chosen.shift),
                unit.added.eq(added),
                unit.style.eq(style),
            ]
            given.append(unit.result)

        chosen_address = register(m, address, "chosen_address")
        cycles = 1 + REQUANTISER_CYCLES
        done = delayed(m, valid, cycles, "done")
        done_address = delayed(m, chosen_address, cycles - 1, "done_address", reset_less=True)
        done_count = delayed(m, count, cycles, "done_count", reset_less=True)
        early = ADDED_CYCLES - 1 - READ_CYCLES  # the register of what is added is the last of them
        m.d.comb += [
            self.added_address.eq(delayed(m, chosen_address, early, "early_address", reset_less=True)),
            self.address.eq(done_address),
            self.enable.eq(Cat(done & ~layer.last & (done_count > lane) for lane in range(lanes))),
            self.outputs.eq(Cat(word[:bits] for word in given)),
            self.result_valid.eq(done & layer.last),
            self.result.words.eq(Cat(given)),
            self.result.count.eq(done_count),
            self.result.last.eq(delayed(m, last, cycles, "done_last", reset_less=True)),
        ]
        return m

    def _parts(self, m):
        """An output part by part: whether there is one, which, its address, how many of it are channels, whether it has
        the layer's last."""
        config, layer = self._config, self.layer
        lanes, turns = config.requantiser_count, config.output_cycles
        place = Signal(range(config.activations), reset_less=True)
        of_group = Signal.like(place, reset_less=True)
        left = Signal(signed(17), reset_less=True)  # channels from this group on
        with m.If(self.load):
            m.d.sync += [place.eq(layer.target_base), of_group.eq(layer.target_base), left.eq(layer.channels)]
        with m.Elif(self.ended & self.group_ends):
            after = wire(m, (of_group + config.elements)[: len(place)], "after_group")
            m.d.sync += [place.eq(after), of_group.eq(after), left.eq(left - config.elements)]
        with m.Elif(self.ended):
            m.d.sync += place.eq(place + layer.target_step)

        valid = Signal()
        part = Signal(range(max(2, turns)))
        address = Signal.like(place, name="part_address", reset_less=True)
        here = Signal.like(left, name="part_left", reset_less=True)
        final = Signal(reset_less=True)
        with m.If(self.ended):
            m.d.sync += [valid.eq(1), part.eq(0), address.eq(place), here.eq(left), final.eq(self.layer_ends)]
        with m.Else():
            m.d.sync += [
                valid.eq(valid & (part != turns - 1)),
                part.eq(part + 1),
                address.eq(address + lanes),
                here.eq(here - lanes),
            ]
        all_of_it, some = wire(m, here >= lanes, "all_of_it"), wire(m, here > 0, "some")
        count = Signal(range(lanes + 1))
        m.d.comb += count.eq(Mux(all_of_it, lanes, Mux(some, here, Const(0, 1))))
        last = wire(m, final & some & (here <= lanes), "has_last")
        return valid, part, address, count, last
