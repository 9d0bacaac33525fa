"""Small convolutional networks on windows."""

from __future__ import annotations

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from hdl.common.arithmetic import delayed, wire
from hdl.common.axi import AXI4LiteSignature, packet_stream
from hdl.common.csr_bank import CSRBank
from hdl.common.csr_wiring import count_events, interrupt
from hdl.pulse.cnn_config import CnnConfig
from hdl.pulse.cnn_control import LayerControl
from hdl.pulse.cnn_element import Element
from hdl.pulse.cnn_image import ImageWriter
from hdl.pulse.cnn_normaliser import PEAK_BITS, Normaliser
from hdl.pulse.cnn_outputs import Outputs
from hdl.pulse.cnn_places import Places
from hdl.pulse.cnn_program import LAYER, Program
from hdl.pulse.cnn_results import Results
from hdl.pulse.cnn_sequence import LayerSequence
from hdl.pulse.cnn_words import WORD_NUMBER_BITS, Op
from hdl.pulse.window_buffer import WindowBuffer


class Cnn(wiring.Component):
    """Works a network of layers off for each window; README.md says how, bit by bit.

    Latency: `config.input_cycles`, from a window's last beat to the cycle that offers its reference; its first layer's
    first read is in the cycle before. `config.latency_cycles` to its first output, of a network of one read.

    Throughput: a read of `products` elements and as many products in each of `elements` processing elements every
    cycle of a layer; `config.layer_cycles` between layers.

    Parameters
    ----------
    config : CnnConfig

    Members
    -------
    window : In(packet_stream(16))
        Codes, a packet a window. One of another length is dropped, and sets `status.bad_window`.
    result : Out(packet_stream(32))
        For each window its reference, then the last layer's outputs.
    csr : In(AXI4LiteSignature(config.registers.address_bits))
        Registers of `cnn.rdl`: settings and the image.
    irq : Out(1)
        High while an enabled status bit is set.
    """

    def __init__(self, config: CnnConfig):
        self._config = config
        super().__init__(
            {
                "window": In(packet_stream(config.code_bits)),
                "result": Out(packet_stream(config.result_bits)),
                "csr": In(AXI4LiteSignature(config.registers.address_bits)),
                "irq": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        config = self._config
        m.submodules.registers = registers = CSRBank(config.registers)
        m.submodules.windows = windows = WindowBuffer(config.samples, config.code_bits, PEAK_BITS)
        m.submodules.normaliser = normaliser = Normaliser(config)
        m.submodules.image = image = ImageWriter(config)
        m.submodules.program = program = Program(config)
        m.submodules.control = control = LayerControl(config)
        m.submodules.sequence = sequence = LayerSequence(config)
        m.submodules.places = places = Places(config)
        m.submodules.outputs = outputs = Outputs(config)
        m.submodules.results = results = Results(config)
        connect(m, flipped(self.csr), registers.bus)
        connect(m, flipped(self.window), windows.window)
        connect(m, results.result, flipped(self.result))

        layer = Signal(LAYER, reset_less=True)
        with m.If(control.begin):
            m.d.sync += layer.eq(program.layer)
        self._windows(m, windows, normaliser, registers, control)
        self._image(m, image, registers)
        self._layers(m, layer, control, sequence, program, image, normaliser, results)
        self._reads(m, layer, sequence, places, normaliser)
        self._sums(m, layer, sequence, places, image, outputs, control)
        m.d.comb += [
            results.begin.eq(control.begins_window),
            results.reference.eq(normaliser.reference),
            results.leave.eq(sequence.read & sequence.first & layer.last),
            results.valid.eq(outputs.result_valid),
            results.part.eq(outputs.result),
        ]

        given = self.result.valid & self.result.ready & self.result.payload.last
        status = registers.status
        m.d.comb += [
            status.bad_window.set.eq(windows.dropped),
            status.no_network.set.eq(windows.refused),
            status.bad_address.set.eq(image.bad_address),
            status.bad_image.set.eq(image.bad_image),
            status.busy.next.eq(control.busy),
            status.active.next.eq(control.active),
            self.irq.eq(interrupt(registers)),
        ]
        dropped = windows.dropped | windows.refused
        events = ((registers.windows, given), (registers.dropped, dropped), (registers.cycles, control.busy))
        count_events(m, registers.control.clear_counters.value, events)
        return m

    def _windows(self, m, windows, normaliser, registers, control):
        """Windows to elements; the peak is found while one comes in."""
        code = self.window.payload.data.as_signed()
        peak = Signal(PEAK_BITS, init=1)
        higher = wire(m, ~code[-1] & (code[:PEAK_BITS] > peak), "higher")
        with m.If(windows.taken):
            m.d.sync += peak.eq(Mux(windows.ends, 1, windows.note))
        m.d.comb += [
            windows.accept.eq(control.active),
            windows.note.eq(Mux(higher, code[:PEAK_BITS], peak)),
            windows.index.eq(normaliser.index),
            windows.release.eq(normaliser.release),
            normaliser.waits.eq(windows.full),
            normaliser.peak.eq(windows.noted),
            normaliser.code.eq(windows.code),
            normaliser.normalise.eq(registers.normalise.value.value),
            normaliser.gain.eq(registers.gain.value.value),
            normaliser.gain_shift.eq(registers.gain_shift.value.value),
            normaliser.taken.eq(control.release),
        ]

    def _image(self, m, image, registers):
        """Registers to memories."""
        address, data = registers.image_address.value, registers.image_data.value
        commands = registers.control
        m.d.comb += [
            image.begin.eq(commands.begin_image.value),
            image.address_written.eq(address.written),
            image.address.eq(address.value),
            image.data_written.eq(data.written),
            image.data.eq(data.value),
            image.activate.eq(commands.activate.value),
            image.expected.eq(registers.image_crc.value.value),
            image.start.eq(registers.image_start.value.value),
            registers.crc.value.next.eq(image.crc),
            address.we.eq(data.written),
            address.next.eq(Cat((address.value + 1)[:WORD_NUMBER_BITS], address.value[WORD_NUMBER_BITS:])),
        ]

    def _layers(self, m, layer, control, sequence, program, image, normaliser, results):
        """Which layer, and when."""
        m.d.comb += [
            program.write.eq(image.write_program),
            program.write_number.eq(image.number),
            program.write_data.eq(image.word),
            program.start.eq(control.fetch),
            program.number.eq(control.number),
            control.activate.eq(image.activated),
            control.start.eq(image.start),
            control.ready.eq(program.ready),
            control.window.eq(normaliser.window),
            control.room.eq(results.room),
            control.running.eq(sequence.running),
            control.ends.eq(sequence.read & sequence.last & sequence.layer_ends),
            control.last.eq(layer.last),
            sequence.load.eq(control.load),
            sequence.layer.eq(layer),
            sequence.room.eq(~layer.last | results.room),
        ]

    def _reads(self, m, layer, sequence, places, normaliser):
        """Elements of the source."""
        row = normaliser.row
        m.d.comb += [
            places.source.place.eq(layer.source),
            places.source.half.eq(normaliser.half),
            places.source.low.eq(layer.low),
            places.source.high.eq(layer.high),
            places.source.pad.eq(layer.pad),
            places.address.eq(sequence.address),
            places.row_waits.eq(row.valid),
            row.ready.eq(places.row_taken),
            places.row.eq(row.payload),
        ]

    def _sums(self, m, layer, sequence, places, image, outputs, control):
        """Processing elements, and what becomes of their sums."""
        config = self._config
        unit = config.sum_cycles
        pools = wire(m, layer.op != Op.CONVOLVE, "pools")
        weight_address = delayed(m, sequence.weight_address, 1, "weight_address", reset_less=True)
        bias_address = delayed(m, sequence.channel_address, unit - 2, "bias_address", reset_less=True)
        factor_address = delayed(m, bias_address, 2, "factor_address", reset_less=True)
        begins = delayed(m, sequence.first, unit, "begins", reset_less=True)
        ends = delayed(m, sequence.read & sequence.last, unit, "ends")
        group_ends = delayed(m, sequence.group_ends, unit + 1, "group_ends", reset_less=True)
        layer_ends = delayed(m, sequence.layer_ends, unit + 1, "layer_ends", reset_less=True)
        part_bits = config.weight_parts.bit_length() - 1
        part = Cat(image.number[:part_bits] == k for k in range(config.weight_parts)) if part_bits else 1
        for place in range(config.elements):
            m.submodules[f"element_{place}"] = element = Element(config, place)
            to_weights, to_channels = image.write_weights[place], image.write_channels[place]
            m.d.comb += [
                element.write_weights.eq(to_weights.replicate(config.weight_parts) & part),
                element.write_bias.eq(to_channels & ~image.number[0]),
                element.write_factor.eq(to_channels & image.number[0]),
                element.write_number.eq(Mux(to_channels, image.number[1:], image.number[part_bits:])),
                element.write_data.eq(image.word),
                element.weight_address.eq(weight_address),
                element.operands.eq(places.operands),
                element.pools.eq(pools),
                element.pools_most.eq(layer.op == Op.MAX),
                element.bias_address.eq(bias_address),
                element.factor_address.eq(factor_address),
                element.begins.eq(begins),
                element.ends.eq(ends),
                getattr(outputs, f"sums_{place}").sum.eq(element.sum),
                getattr(outputs, f"sums_{place}").factor.eq(element.factor),
                getattr(outputs, f"sums_{place}").shift.eq(element.shift),
            ]
        m.d.comb += [
            outputs.load.eq(control.load),
            outputs.layer.eq(layer),
            outputs.ended.eq(delayed(m, ends, 1, "ended")),
            outputs.group_ends.eq(group_ends),
            outputs.layer_ends.eq(layer_ends),
            outputs.added.eq(places.added),
            places.target.eq(layer.target),
            places.added_address.eq(outputs.added_address),
            places.output_address.eq(outputs.address),
            places.enable.eq(outputs.enable),
            places.outputs.eq(outputs.outputs),
        ]
