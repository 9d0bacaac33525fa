"""The blocks that niello has: one explicit table from a block's name to its places."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from flows.errors import BadInput
from flows.paths import ROOT

if TYPE_CHECKING:
    import numpy.typing as npt
    from amaranth.lib.wiring import Component

    from hdl.common.block import BlockConfig
    from hdl.common.power import PowerPlan
    from sim.common.beats import Beats
    from sim.common.memory_job import JobResult, MemoryJob
    from sim.common.vectors import ArraySpec


class Vectors(Protocol):
    """The module that stands between a block's arrays and its traffic; see `sim.common.vectors`."""

    INPUTS: dict[str, ArraySpec]
    OUTPUTS: dict[str, ArraySpec]

    def check(self, config: Any, arrays: dict[str, npt.NDArray[Any]]) -> None: ...
    def model(self, config: Any, arrays: dict[str, npt.NDArray[Any]]) -> dict[str, npt.NDArray[Any]]: ...
    def operations(self, config: Any, arrays: dict[str, npt.NDArray[Any]]) -> int: ...
    def random_arrays(self, config: Any, seed: int, items: int) -> dict[str, npt.NDArray[Any]]: ...


class StreamVectors(Vectors, Protocol):
    """Of a block whose traffic is streams."""

    def pack(self, config: Any, arrays: dict[str, npt.NDArray[Any]]) -> dict[str, Beats]: ...
    def expected_beats(self, config: Any, arrays: dict[str, npt.NDArray[Any]]) -> dict[str, int]: ...
    def unpack(
        self, config: Any, arrays: dict[str, npt.NDArray[Any]], outputs: dict[str, Beats]
    ) -> dict[str, npt.NDArray[Any]]: ...


class MemoryVectors(Vectors, Protocol):
    """Of a block that works from memory to memory."""

    def job(self, config: Any, arrays: dict[str, npt.NDArray[Any]]) -> MemoryJob: ...
    def results(
        self, config: Any, arrays: dict[str, npt.NDArray[Any]], result: JobResult
    ) -> dict[str, npt.NDArray[Any]]: ...


@dataclass(frozen=True)
class Block:
    """A generator and what belongs to it, named so that nothing is imported before it is needed.

    Attributes
    ----------
    name : family and block, `simd.dot`
    summary : one line for lists
    config : `module:Class`
    component : `module:Class`, or a function; called with the config
    vectors : module
    bench : module, or several with commas between
    default : the named design that stands for it; the first block's of a family stands for the family
    from_memory : it works from memory to memory; else its traffic is streams
    proof : `module:Class`, called with the config: gateware that asserts what the block must never do, with the block
        itself inside; "" if there is none
    parts : folders of `hdl` and `sim` beside the family's that it is made of
    power : function that makes a `PowerPlan` of a config, `module:function`; "" if nothing can be switched off
    """

    name: str
    summary: str
    config: str
    component: str
    vectors: str
    bench: str
    default: str
    from_memory: bool = False
    power: str = ""
    proof: str = ""
    parts: tuple[str, ...] = ()

    @property
    def family(self) -> str:
        return self.name.split(".")[0]

    def config_class(self) -> type[BlockConfig]:
        found: type[BlockConfig] = _load(self.config)
        return found

    def build(self, config: BlockConfig) -> Component:
        """The gateware for `config`.

        Raises
        ------
        BadInput
            If there can be none of this size.
        """
        from hdl.common.config import ConfigError

        try:
            component: Component = _load(self.component)(config)
        except ConfigError as error:
            raise BadInput(f"{self.name}: {error}") from None
        return component

    def build_proof(self, config: BlockConfig) -> Component:
        """What `niello formal` proves of `config`."""
        assert self.proof
        return _load(self.proof)(config)

    def power_plan(self, config: BlockConfig) -> PowerPlan | None:
        """What can be switched off in some modes of `config`; None if nothing can."""
        plan: PowerPlan | None = _load(self.power)(config) if self.power else None
        return plan if plan and plan.domains else None

    def vectors_module(self) -> Vectors:
        return importlib.import_module(self.vectors)

    def inputs(self, config: BlockConfig) -> dict[str, ArraySpec]:
        """The arrays that this config takes: all that the block knows, unless its vectors module has `inputs_of`."""
        vectors = self.vectors_module()
        specific = getattr(vectors, "inputs_of", None)
        found: dict[str, ArraySpec] = specific(config) if specific else vectors.INPUTS
        return found

    def stream_vectors(self) -> StreamVectors:
        """The vectors module of a block whose traffic is streams."""
        assert not self.from_memory
        return importlib.import_module(self.vectors)

    def memory_vectors(self) -> MemoryVectors:
        """The vectors module of a block that works from memory."""
        assert self.from_memory
        return importlib.import_module(self.vectors)

    def gateware_sources(self) -> list[Path]:
        """Every file that the block's Verilog can depend on."""
        return [
            path
            for name in ("common", self.family, *self.parts)
            for path in sorted((ROOT / "hdl" / name).rglob("*"))
            if path.suffix in (".py", ".rdl", ".v", ".sv", ".json", ".hex")
        ]

    def simulation_sources(self) -> list[Path]:
        """Every file that the block's model, vectors and bench can depend on."""
        names = ("common", self.family, *self.parts)
        return [path for name in names for path in sorted((ROOT / "sim" / name).rglob("*.py"))]


BLOCKS = {
    block.name: block
    for block in [
        Block(
            name="simd.dot",
            summary="dot products of signed INT8 vectors, exact 32-bit sums",
            config="hdl.simd.config:DotConfig",
            component="hdl.simd.dot:Dot",
            vectors="sim.simd.dot_vectors",
            bench="sim.simd.dot_bench",
            default="dot_int8x16",
        ),
        Block(
            name="simd.mac",
            summary="dot products in many number formats, exact until they are rounded once",
            config="hdl.simd.config:MacConfig",
            component="hdl.simd.mac:build",
            vectors="sim.simd.mac_vectors",
            bench="sim.simd.mac_bench,sim.simd.mac_control_bench",
            default="mac_quad",
            power="hdl.simd.power:power_plan",
        ),
        Block(
            name="simd.matmul",
            summary="matrix products from memory to memory, in the formats of simd.mac",
            config="hdl.simd.config:MatmulConfig",
            component="hdl.simd.matmul:build",
            vectors="sim.simd.matmul_vectors",
            bench="sim.simd.matmul_bench",
            default="matmul_digits",
            from_memory=True,
        ),
        Block(
            name="attention.array",
            summary="attention over any number of keys in one pass, by lists of jobs in memory",
            config="hdl.attention.config:ArrayConfig",
            component="hdl.attention.array:Array",
            vectors="sim.attention.array_vectors",
            bench="sim.attention.array_bench",
            default="attn_4x4_d8",
            from_memory=True,
            proof="hdl.attention.array_proof:ArrayProof",
        ),
        Block(
            name="sfq.emulation",
            summary="a netlist of single-flux-quantum pulse logic at work, exact to the step",
            config="hdl.sfq.config:EmulationConfig",
            component="hdl.sfq.emulation:Emulation",
            vectors="sim.sfq.emulation_vectors",
            bench="sim.sfq.emulation_bench",
            default="min_max",
        ),
        Block(
            name="sfq.processor",
            summary="runs netlists of pulse logic, exact to 0.1 ps",
            config="hdl.sfq.processor_config:ProcessorConfig",
            component="hdl.sfq.processor:Processor",
            vectors="sim.sfq.processor_vectors",
            bench="sim.sfq.processor_bench",
            default="sfq_processor",
        ),
        Block(
            name="sfq.network",
            summary="stochastic rate-coded networks of single-flux-quantum pulses",
            config="hdl.sfq.network_config:StochasticConfig",
            component="hdl.sfq.network:Network",
            vectors="sim.sfq.network_vectors",
            bench="sim.sfq.network_bench",
            default="xor_network",
        ),
        Block(
            name="pim.channel",
            summary="a channel of memory that multiplies: instructions to commands in time, and the memory",
            config="hdl.pim.channel_config:ChannelConfig",
            component="hdl.pim.channel:Channel",
            vectors="sim.pim.channel_vectors",
            bench="sim.pim.channel_bench",
            default="pim_ulx3s",
            proof="hdl.pim.channel_proof:ChannelProof",
        ),
        Block(
            name="pim.device",
            summary="a memory whose banks multiply beside their rows, with ECC and a judge of commands",
            config="hdl.pim.device_config:DeviceConfig",
            component="hdl.pim.device_block:DeviceBlock",
            vectors="sim.pim.device_vectors",
            bench="sim.pim.device_bench",
            default="device_int8",
        ),
        Block(
            name="pim.lut_gemv",
            summary="matrix times vector by tables of subset sums, weights of 2 to 8 bits",
            config="hdl.pim.lut_gemv_config:LutGemvConfig",
            component="hdl.pim.lut_gemv:LutGemv",
            vectors="sim.pim.lut_gemv_vectors",
            bench="sim.pim.lut_gemv_bench",
            default="lut_gemv_w4",
        ),
        Block(
            name="pim.vector",
            summary="the vector unit beside the memory: softmax, LayerNorm, GELU from sums and products",
            config="hdl.pim.vector_config:VectorConfig",
            component="hdl.pim.vector:Vector",
            vectors="sim.pim.vector_vectors",
            bench="sim.pim.vector_bench",
            default="pim_vector",
        ),
        Block(
            name="pim.system",
            summary="a channel of memory that multiplies and the vector unit beside it, under one program",
            config="hdl.pim.system_config:SystemConfig",
            component="hdl.pim.system:System",
            vectors="sim.pim.system_vectors",
            bench="sim.pim.system_bench",
            default="pim_system",
        ),
        Block(
            name="pim.tiny_gpt",
            summary="a GPT of two layers that writes text, as one program on pim.system",
            config="hdl.pim.system_config:SystemConfig",
            component="hdl.pim.system:System",
            vectors="sim.pim.tiny_gpt_vectors",
            bench="sim.pim.system_bench",
            default="pim_tiny_gpt",
        ),
        Block(
            name="pim.flash",
            summary="a channel of NAND flash whose planes multiply while they read",
            config="hdl.pim.flash_config:FlashConfig",
            component="hdl.pim.flash:Flash",
            vectors="sim.pim.flash_vectors",
            bench="sim.pim.flash_bench",
            default="flash_channel",
        ),
        Block(
            name="pim.flash_ecc",
            summary="keeps the largest weights of a flash page, and no false outliers",
            config="hdl.pim.flash_ecc_config:FlashEccConfig",
            component="hdl.pim.flash_ecc:FlashEcc",
            vectors="sim.pim.flash_ecc_vectors",
            bench="sim.pim.flash_ecc_bench",
            default="flash_ecc_decoder",
        ),
        Block(
            name="pim.dispatch",
            summary="experts of a mixture to the device on which each is done first",
            config="hdl.pim.dispatch_config:DispatchConfig",
            component="hdl.pim.dispatch:Dispatch",
            vectors="sim.pim.dispatch_vectors",
            bench="sim.pim.dispatch_bench",
            default="dispatch_duplex",
        ),
        Block(
            name="pim.kv",
            summary="a KV cache in flash, and attention out of it in two steps",
            config="hdl.pim.kv_config:KvConfig",
            component="hdl.pim.kv:Kv",
            vectors="sim.pim.kv_vectors",
            bench="sim.pim.kv_bench",
            default="kv_flash",
        ),
        Block(
            name="pulse.filter",
            summary="time and energy of detector pulses by weighted least squares",
            config="hdl.pulse.config:FilterConfig",
            component="hdl.pulse.filter:Filter",
            vectors="sim.pulse.filter_vectors",
            bench="sim.pulse.filter_bench",
            default="pulse_filter_r0",
        ),
        Block(
            name="pulse.front",
            summary="triggers in detector samples, and a window of codes for each",
            config="hdl.pulse.front_config:FrontConfig",
            component="hdl.pulse.front:Front",
            vectors="sim.pulse.front_vectors",
            bench="sim.pulse.front_bench",
            default="pulse_front_r0",
        ),
        Block(
            name="pulse.channel",
            summary="a detector's channel: samples in, a record with time and energy for each pulse out",
            config="hdl.pulse.channel_config:ChannelConfig",
            component="hdl.pulse.channel:Channel",
            vectors="sim.pulse.channel_vectors",
            bench="sim.pulse.channel_bench",
            default="pulse_r0",
        ),
        Block(
            name="pulse.soc",
            summary="a detector's channel with a processor that sets it up",
            config="hdl.pulse.soc_config:SocConfig",
            component="hdl.pulse.soc:Soc",
            vectors="sim.pulse.channel_vectors",
            bench="sim.pulse.channel_bench,sim.pulse.soc_bench",
            default="pulse_soc_r0",
            parts=("soc",),
        ),
        Block(
            name="pulse.histogram",
            summary="records of a channel, counted into bins and passed on",
            config="hdl.pulse.histogram_config:HistogramConfig",
            component="hdl.pulse.histogram:Histogram",
            vectors="sim.pulse.histogram_vectors",
            bench="sim.pulse.histogram_bench",
            default="pulse_histogram",
        ),
        Block(
            name="pulse.classic",
            summary="time, energy and charge of detector pulses by the classic estimators",
            config="hdl.pulse.classic_config:ClassicConfig",
            component="hdl.pulse.classic:Classic",
            vectors="sim.pulse.classic_vectors",
            bench="sim.pulse.classic_bench",
            default="pulse_classic_r0",
        ),
        Block(
            name="pulse.cnn",
            summary="small convolutional networks on windows",
            config="hdl.pulse.cnn_config:CnnConfig",
            component="hdl.pulse.cnn:Cnn",
            vectors="sim.pulse.cnn_vectors",
            bench="sim.pulse.cnn_bench",
            default="pulse_cnn_r0",
        ),
    ]
}


def _load(target: str) -> Any:
    module, name = target.split(":")
    return getattr(importlib.import_module(module), name)
