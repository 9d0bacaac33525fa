"""Config of `sfq.network`: stochastic rate-coded networks of pulse logic. No gateware here.

Which points are the paper's and which are ours stands in the README.
"""

from __future__ import annotations

import itertools
import json
from functools import cache
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from hdl.common.block import BlockConfig
from hdl.common.config import Config, ConfigError
from hdl.sfq.neuromorphic import CURRENT_BITS, LEAK_BITS, PASS_BITS, STATE_BITS, neuron_fit

CONFIGS = Path(__file__).with_name("configs")
MOST_LAYER = 256


def _tuple_of_list(value: Any) -> Any:
    """YAML and JSON have lists where a frozen config has tuples."""
    return tuple(value) if isinstance(value, list) else value


Numbers = Annotated[tuple[float, ...], BeforeValidator(_tuple_of_list)]
Sizes = Annotated[tuple[int, ...], BeforeValidator(_tuple_of_list)]


class StochasticConfig(BlockConfig):
    """`sfq.network`: layers of synapses that pass pulses by chance and of leaky neurons, slot by slot.

    Every neuron has a synapse from every neuron of the layer before, or from every input rail. Gateware follows from
    `layers`, `lanes` and `count_bits` alone; the rest says what the synapses and neurons are that it is loaded with.
    """

    layers: Sizes = Field(min_length=2, max_length=5)
    """Input rails, then the neurons of each layer, 1..256 each."""

    lanes: int = Field(ge=1, le=16)
    """Synapses that work in one cycle, each of another neuron."""

    count_bits: Literal[8, 16, 24, 32] = 16
    """Width of an output neuron's count of pulses in a window; it saturates."""

    task: Literal["xor", "digits"]
    """What the currents were trained for; they lie in `configs/<task>_currents.json`."""

    slot_ps: float = Field(gt=0, le=100000)
    """From one pulse of a rail to its next, ps."""

    window_slots: int = Field(ge=1, le=65535)
    """Slots of a window in the examples, as long as nothing else is asked for; any number is taken."""

    kick_ua: Numbers | None = None
    """What a pulse adds to a neuron's loop current, uA, by layer of neurons; that of the fitted loop when absent."""

    tau_ps: Numbers | None = None
    """Time within which it leaks, ps, by layer of neurons; that of the fitted loop when absent."""

    temperature_k: float = Field(default=4.2, gt=0, le=20)
    """Noise temperature, K: the synapses' gray zone goes with its square root."""

    seed: int = Field(default=1, ge=0, le=65535)
    """Of the synapses' generators."""

    row_bits: ClassVar[int] = PASS_BITS + 1
    state_bits: ClassVar[int] = STATE_BITS
    current_bits: ClassVar[int] = CURRENT_BITS
    leak_bits: ClassVar[int] = LEAK_BITS
    word_bits: ClassVar[int] = 32

    @model_validator(mode="after")
    def _check(self) -> Self:
        for size in self.layers:
            if not 1 <= size <= MOST_LAYER:
                raise ValueError(f"a layer must have 1..{MOST_LAYER} rails or neurons, not {size}")
        for name in ("kick_ua", "tau_ps"):
            given = getattr(self, name)
            if given is not None and len(given) != len(self.layers) - 1:
                raise ValueError(f"{name} must have {len(self.layers) - 1} numbers, one a layer, not {len(given)}")
            for one in given or ():
                if not 0 < one <= 100000:
                    raise ValueError(f"{name} must be above 0 and at most 100000, not {one}")
        return self

    @property
    def rails(self) -> int:
        """Input rails."""
        return self.layers[0]

    @property
    def outputs(self) -> int:
        """Neurons of the last layer."""
        return self.layers[-1]

    @property
    def shapes(self) -> list[tuple[int, int]]:
        """Neurons and inputs of each layer of synapses."""
        return [(neurons, inputs) for inputs, neurons in itertools.pairwise(self.layers)]

    @property
    def synapses(self) -> int:
        """Of all layers."""
        return sum(neurons * inputs for neurons, inputs in self.shapes)

    @property
    def neurons(self) -> int:
        """Of all layers."""
        return sum(self.layers[1:])

    @property
    def groups(self) -> list[int]:
        """Of each layer: as many neurons as there are lanes work at a time, the last group may be short."""
        return [-(-neurons // self.lanes) for neurons, _ in self.shapes]

    @property
    def rows(self) -> int:
        """Rows of the synapse memory: one for each input of each group."""
        return sum(groups * inputs for groups, (_, inputs) in zip(self.groups, self.shapes, strict=True))

    @property
    def units(self) -> int:
        """Rows of the neuron memory: one for each lane of each group."""
        return sum(self.groups) * self.lanes

    @property
    def passes_bits(self) -> int:
        """Width of the number of pulses that come to a neuron in a slot."""
        return max(self.layers[:-1]).bit_length()

    @property
    def slot_words(self) -> int:
        """Words of the input stream that a slot takes."""
        return -(-self.rails // self.word_bits)

    group_tail_cycles: ClassVar[int] = 5
    """Of a group, beside a cycle for each of its inputs and each of its neurons: the pipelines run empty."""

    @property
    def slot_cycles(self) -> int:
        """From the cycle that takes a slot's last word to the first that may take the next slot's: one to offer it, one
        to start, and each group's cycles."""
        return 2 + sum(
            groups * (inputs + self.lanes + self.group_tail_cycles)
            for groups, (_, inputs) in zip(self.groups, self.shapes, strict=True)
        )

    @property
    def latency_cycles(self) -> int:
        """From the cycle that takes a window's last word to the first that offers its counts."""
        return self.slot_cycles + 1

    @property
    def multipliers(self) -> int:
        """One leaks, one multiplies the kick by the number of pulses."""
        return 2

    @property
    def register_source(self) -> tuple[Path, dict[str, int]]:
        """The register file and its parameters."""
        return Path(__file__).with_name("network.rdl"), {
            "LANES": self.lanes,
            "SYNAPSES": self.synapses,
            "NEURONS": self.neurons,
            "SLOT_CYCLES": self.slot_cycles,
        }

    @property
    def kicks_ua(self) -> tuple[float, ...]:
        """By layer of neurons."""
        return self.kick_ua or (neuron_fit().kick_ua,) * len(self.shapes)

    @property
    def taus_ps(self) -> tuple[float, ...]:
        """By layer of neurons."""
        return self.tau_ps or (neuron_fit().tau_ps,) * len(self.shapes)


class LayerCurrents(Config):
    """Bias currents of a layer, uA."""

    synapses_ua: Annotated[tuple[Numbers, ...], BeforeValidator(_tuple_of_list)]
    """Of each neuron's synapses."""

    neurons_ua: Numbers
    """Of each neuron's threshold junction."""


def _parsed_layers(found: Any) -> Any:
    return tuple(LayerCurrents.parse(one, at="layers") for one in found) if isinstance(found, list) else found


class Currents(Config):
    """The trained bias currents of a network, and where they come from."""

    source: str
    """The command that trained them."""

    layers: Annotated[tuple[LayerCurrents, ...], BeforeValidator(_parsed_layers)]
    """From the input on."""


@cache
def load_currents(config: StochasticConfig) -> Currents:
    """What `configs/<task>_currents.json` holds.

    Raises
    ------
    ConfigError
        If its layers are not those of the config.
    """
    path = CONFIGS / f"{config.task}_currents.json"
    currents = Currents.parse(json.loads(path.read_text()), at=path.name)
    found = [(len(layer.neurons_ua), len(layer.synapses_ua[0])) for layer in currents.layers]
    if found != config.shapes:
        raise ConfigError(f"params.layers must be that of {path.name}, {found} neurons and inputs, not {config.shapes}")
    return currents
