"""A network as an image of `pulse.cnn`: layers' words, weights in words of `products`, channels, and what it costs."""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from hdl.pulse.cnn_config import CnnConfig
from hdl.pulse.cnn_words import (
    CHANNEL_WORDS,
    FACTOR_BITS,
    LAYER_STRIDE,
    WORD_BITS,
    Memory,
    Op,
    encode_layer,
    image_address,
)
from sim.pulse.cnn_network import (
    INPUT,
    Add,
    Concat,
    Conv,
    Dense,
    Layer,
    Network,
    NetworkError,
    Pool,
    Shape,
    TransposedConv,
)
from sim.pulse.cnn_places import View, views

MASK = (1 << WORD_BITS) - 1


class Bases(NamedTuple):
    """From where on a network's layers, weight words and channel words lie; a second one lies behind the first."""

    layers: int = 0
    weight_words: int = 0
    channel_words: int = 0


class Step(NamedTuple):
    """A layer of the program, but for what all of its network layer's share; weights int8 (outputs, words, products),
    none where it has none."""

    fields: dict[str, int]
    weights: npt.NDArray[np.int8] | None = None


@dataclass(frozen=True)
class Image:
    """Words for the memories.

    Attributes
    ----------
    program : fields of each layer of the program, and the network's layer of which it is
    words : pairs of an address and a word
    start : the first layer's number
    end : the bases that are free behind it
    """

    program: list[tuple[str, dict[str, int]]]
    words: list[tuple[int, int]]
    start: int
    end: Bases

    @property
    def runs(self) -> list[tuple[int, list[int]]]:
        """Words that follow each other, with the first one's address."""
        found: list[tuple[int, list[int]]] = []
        for address, word in self.words:
            if found and found[-1][0] + len(found[-1][1]) == address:
                found[-1][1].append(word)
            else:
                found.append((address, [word]))
        return found

    @property
    def crc(self) -> int:
        """Of all that is written to `image_address` and `image_data`."""
        written = [word for address, words in self.runs for word in (address, *words)]
        return zlib.crc32(np.array(written, "<u4").tobytes())

    def read_cycles(self, config: CnnConfig) -> list[int]:
        """Of each layer of the program; `layer_cycles` come on top of each."""
        return [
            one["groups"] * one["positions"] * max(one["taps"] * one["chunks"], config.output_cycles)
            for _, one in self.program
        ]


def compile_network(network: Network, config: CnnConfig, bases: Bases = Bases()) -> Image:  # noqa: B008 -- a tuple
    """An image.

    Raises
    ------
    NetworkError
        Naming the layer that does not fit, and why.
    """
    _check(network, config)
    where = views(network, config)
    program: list[tuple[str, dict[str, int]]] = []
    words: list[tuple[int, int]] = []
    weight_word, channel_word = bases.weight_words, bases.channel_words
    for layer in network.layers:
        if isinstance(layer, Concat):
            continue
        last = layer is network.last
        target = None if last else where[layer.name]
        steps = _steps(layer, network.shapes[layer.source], network.shapes[layer.name], where[layer.source], config)
        if last and len(steps) > 1:
            raise NetworkError(f"layer {layer.name}: the last layer cannot be a transposed convolution of stride > 1")
        common = _common(network, layer, config) | {"channel_base": channel_word}
        for step in steps:
            found = common | step.fields | _target(target, step.fields, last)
            if step.weights is not None:
                found |= {"weight_base": weight_word}
                packed = _by_element(step.weights, config.elements)
                words += _weight_words(packed, weight_word)
                weight_word += packed.shape[1]
            program.append((layer.name, found))
        words += _channel_words(layer, config.elements, channel_word, network.shapes[layer.name][1])
        channel_word += common["groups"]
        if weight_word > config.weight_words:
            raise _full(layer, "weight_words", weight_word, config.weight_words)
        if channel_word > config.channel_words:
            raise _full(layer, "channel_words", channel_word, config.channel_words)
        if bases.layers + len(program) > config.layers:
            raise _full(layer, "layers", bases.layers + len(program), config.layers)
    for number, (name, fields) in enumerate(program, bases.layers):
        try:
            encoded = encode_layer(fields)
        except ValueError as error:
            raise NetworkError(f"layer {name}: {error}") from None
        first = image_address(Memory.PROGRAM, 0, number * LAYER_STRIDE)
        words += [(first + place, word) for place, word in enumerate(encoded)]
    end = Bases(bases.layers + len(program), weight_word, channel_word)
    return Image(program, words, bases.layers, end)


def spec_cycles(network: Network, config: CnnConfig) -> dict[str, int]:
    """Cycles of convolutions and dense layers by PulseDL-II's count, four for each group of outputs beside the sums."""
    found = {}
    for layer in network.layers:
        if isinstance(layer, Conv | Dense):
            positions, outputs = network.shapes[layer.name]
            groups = -(-outputs // config.elements)
            terms = layer.weights[0].size
            found[layer.name] = groups * positions * -(-terms // config.products) + 4 * groups
    return found


def _full(layer: Layer, name: str, needed: int, most: int) -> NetworkError:
    return NetworkError(f"layer {layer.name}: with it {name} must be at least {needed}, and are {most}")


def _check(network: Network, config: CnnConfig) -> None:
    """Refuse a network that is for another config."""
    length, channels = network.shapes[INPUT]
    if length * channels != config.samples:
        raise NetworkError(f"{INPUT}: length · channels must be the {config.samples} samples, not {length * channels}")
    if network.activation_bits != config.activation_bits:
        wanted, got = config.activation_bits, network.activation_bits
        raise NetworkError(f"network: activation_bits must be {wanted} as the config's, not {got}")
    most = (1 << config.weight_bits - 1) - 1
    for layer in network.layers:
        if isinstance(layer, Conv | TransposedConv | Dense):
            beyond = layer.weights[(layer.weights < -most - 1) | (layer.weights > most)]
            if len(beyond):
                raise layer.error("weights", f"in {-most - 1}..{most}", int(beyond[0]))


def _common(network: Network, layer: Layer, config: CnnConfig) -> dict[str, int]:
    """Fields that all steps of a layer have alike."""
    how, channels = layer.output, network.shapes[layer.name][1]
    return {
        "raw": int(network.raw and layer is network.last),
        "add": int(bool(layer.add)),
        "wide": int(how.wide),
        "activation": int(how.activation),
        "leak": how.leak,
        "zero": how.zero,
        "channels": channels,
        "groups": -(-channels // config.elements),
    }


def _target(target: View | None, fields: dict[str, int], last: bool) -> dict[str, int]:
    """Where a step writes; `target_base` and `target_step` of a step count positions."""
    if target is None:
        return {"last": int(last), "target_base": 0, "target_step": 0}
    base = target.base + target.stride * fields["target_base"]
    return {"target": int(target.place), "target_base": base, "target_step": target.stride * fields["target_step"]}


def _steps(layer: Layer, given: Shape, made: Shape, source: View, config: CnnConfig) -> list[Step]:
    """The program's layers of one network layer."""
    seen = {"source": int(source.place), "low": source.low, "high": source.high}
    plain = seen | {"positions": made[0], "target_base": 0, "target_step": 1}
    if isinstance(layer, Conv):
        looks = {"step": layer.stride * source.stride, "pad": layer.pad}
        looks["base"] = source.base - layer.before * source.stride
        return [_convolution(plain | looks, layer.weights, layer.dilation, source, config)]
    if isinstance(layer, Dense):
        weights = layer.weights.reshape(len(layer.weights), *given)
        return [_convolution(plain | {"base": source.base, "step": 0}, weights, 1, source, config)]
    if isinstance(layer, TransposedConv):
        return [_remainder(layer, first, seen, made[0], source, config) for first in range(min(layer.stride, made[0]))]
    looks = {"taps": 1, "chunks": 1, "base": source.base, "step": source.stride, "op": int(Op.SUM)}
    if isinstance(layer, Pool):
        looks |= {"taps": layer.taps, "tap_step": layer.dilation * source.stride, "pad": layer.pad}
        looks |= {"base": source.base - layer.before * source.stride, "step": layer.stride * source.stride}
        looks["op"] = int(Op.MAX if layer.operation == "max" else Op.SUM)
    else:
        assert isinstance(layer, Add)
    return [Step(plain | looks)]


def _convolution(
    fields: dict[str, int], weights: npt.NDArray[np.int8], dilation: int, source: View, config: CnnConfig
) -> Step:
    """Weights (outputs, taps, channels) as words: each tap of its own, or, where it takes no more words, all taps one,
    with zeros for what lies between them."""
    outputs, taps, channels = weights.shape
    apart = dilation * source.stride
    span = (taps - 1) * apart + channels
    if -(-span // config.products) <= taps * -(-channels // config.products):
        one = np.zeros((outputs, 1, span), np.int8)
        for tap in range(taps):
            one[:, 0, tap * apart : tap * apart + channels] = weights[:, tap]
        weights, apart = one, 0
    padded = np.pad(weights, ((0, 0), (0, 0), (0, -weights.shape[2] % config.products)))
    looks = {"taps": padded.shape[1], "chunks": padded.shape[2] // config.products, "tap_step": apart}
    return Step(fields | looks | {"op": int(Op.CONVOLVE)}, padded.reshape(outputs, -1, config.products))


def _remainder(
    layer: TransposedConv, first: int, seen: dict[str, int], length: int, source: View, config: CnnConfig
) -> Step:
    """Outputs `first`, `first` + stride, ... of a transposed convolution: those taps that meet a source there."""
    latest, remainder = divmod(first + layer.before, layer.stride)
    weights = layer.weights[:, remainder :: layer.stride][:, ::-1]
    if weights.shape[1] == 0:  # a stride above the taps: outputs that no source reaches
        weights = np.zeros_like(layer.weights[:, :1])
    earliest = latest - (weights.shape[1] - 1)
    fields = seen | {"base": source.base + earliest * source.stride, "step": source.stride}
    fields |= {"target_base": first, "target_step": layer.stride, "positions": -(-(length - first) // layer.stride)}
    return _convolution(fields, weights, 1, source, config)


def _by_element(weights: npt.NDArray[np.int8], elements: int) -> npt.NDArray[np.int8]:
    """Weights of each processing element, a group's words after another's: int8 (elements, words, products)."""
    padded = np.pad(weights, ((0, -len(weights) % elements), (0, 0), (0, 0)))
    by_group = padded.reshape(-1, elements, *weights.shape[1:]).swapaxes(0, 1)
    return by_group.reshape(elements, -1, weights.shape[2])


def _weight_words(packed: npt.NDArray[np.int8], base: int) -> list[tuple[int, int]]:
    found = []
    first = base * packed.shape[2] // 4
    for element, words in enumerate(np.ascontiguousarray(packed).reshape(len(packed), -1).view("<u4").tolist()):
        start = image_address(Memory.WEIGHTS, element, first)
        found += [(start + place, word) for place, word in enumerate(words)]
    return found


def _channel_words(layer: Layer, elements: int, base: int, channels: int) -> list[tuple[int, int]]:
    """Bias, and factor with shift, of each channel."""
    given = getattr(layer, "bias", 0)
    bias = np.broadcast_to(given, channels).tolist()
    found = []
    for element in range(min(elements, channels)):
        start = image_address(Memory.CHANNELS, element, base * CHANNEL_WORDS)
        for place, channel in enumerate(range(element, channels, elements)):
            factor = int(layer.output.factor[channel]) & (1 << FACTOR_BITS) - 1
            pair = bias[channel] & MASK, factor | int(layer.output.shift[channel]) << FACTOR_BITS
            found += [(start + CHANNEL_WORDS * place + which, word) for which, word in enumerate(pair)]
    return found
