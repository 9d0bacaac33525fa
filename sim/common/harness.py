"""The bulk harness: numpy arrays through a Verilated design's AXI4-Streams at millions of cycles a second.

    library = build_harness(Path("dot.v"), json.loads(Path("dot.ports.json").read_text()), build_dir)
    with Harness(library, ports) as harness:
        result = harness.run({"a": beats_a, "b": beats_b}, {"y": 1000}, seed=1)

cocotb stays for protocol, reset and register benches; this is for vectors.
"""

from __future__ import annotations

import ctypes
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from sim.common import harness_abi as abi
from sim.common.axi_lite import AxiLite
from sim.common.beats import Beats
from sim.common.closing import Closing
from sim.common.design_ports import DesignPorts, Stream
from sim.common.errors import BusError, HarnessError
from sim.common.harness_abi import Memory, MemoryTraffic
from sim.common.verilate import build_library, load_library

__all__ = ["BusError", "Harness", "HarnessError", "HarnessResult", "Memory", "MemoryTraffic", "build_harness"]

GLUE = ("harness.cpp", "harness_activity.h", "harness_memory.h")
RESET_CYCLES = 4
DRAIN_CYCLES = 64


@dataclass(frozen=True)
class HarnessResult:
    """What a run gave.

    Attributes
    ----------
    outputs : dict[str, Beats]
        By role of the stream.
    cycles : int
        From the cycle that takes the first input beat to the one that gives the last output beat, both included; 0 if
        either never came.
    total_cycles : int
        All clock cycles of the run, those before the first beat and after the last included, reset not.
    stamps : dict[str, uint64 (beats,)]
        With `timestamps`: the cycle of each beat's handshake, by role, counted from the start of the run.
    """

    outputs: dict[str, Beats]
    cycles: int
    total_cycles: int
    stamps: dict[str, npt.NDArray[np.uint64]] = field(default_factory=dict)


def build_harness(
    verilog: Path | Sequence[Path],
    ports: Mapping[str, Any] | Path,
    build_dir: Path,
    *,
    extra_args: Sequence[str] = (),
    optimise: str = "-O2",
    ccache_dir: Path | None = None,
) -> Path:
    """Compile a design and the harness around it into one shared library in `build_dir`.

    Parameters
    ----------
    verilog : Path or sequence of Path
        The design, and the cells' models that a netlist needs.
    ports : mapping or Path
        The design's `ports.json`.
    extra_args : sequence of str
        More Verilator options.
    optimise : str
        The C++ compiler's level for the model: `-O1` for what is compiled for a few vectors.

    Returns
    -------
    Path
        The library, for `Harness`. The folder may be renamed afterwards.

    Raises
    ------
    sim.common.verilator.BuildError
        With the tool's own error line and the log's path.
    """
    design = DesignPorts(ports)
    own = {name: Path(__file__).with_name(name).read_text() for name in GLUE}
    glue = {"design.h": design.header(), **own}
    sources = [verilog] if isinstance(verilog, Path) else list(verilog)
    return build_library(
        sources, design.top, glue, build_dir, arguments=extra_args, optimise=optimise, ccache_dir=ccache_dir
    )


class Harness(Closing):
    """One instance of a Verilated design. Several may live in one process, of one design or of many.

    The design is reset at the start; its state then persists from run to run, and across register accesses, until
    `reset`. Between runs the streams stand still. Calls release Python's global lock; one instance serves one thread.

    Parameters
    ----------
    library : Path
        From `build_harness`.
    ports : mapping or Path
        The same `ports.json` as there.

    Raises
    ------
    ValueError
        If the library was built for other ports.
    """

    def __init__(self, library: Path, ports: Mapping[str, Any] | Path):
        self._handle: int | None = None
        self.ports = DesignPorts(ports)
        self._library = load_library(library, abi.FUNCTIONS)
        if self._library.harness_ports().decode() != self.ports.digest:
            raise ValueError(f"{library} was not built from these ports")
        self._handle = self._library.harness_new()
        self._memory: tuple[abi.MemoryState, npt.NDArray[np.uint8]] | None = None
        self._axil = {role: AxiLite(self, prefix) for role, prefix in self.ports.buses.items()}
        self.reset()

    def close(self) -> None:
        """Free the design. Further calls are errors."""
        if self._handle is not None:
            self._library.harness_delete(self._handle)
            self._handle = None

    def reset(self) -> None:
        """Hold reset for four cycles.

        Raises
        ------
        HarnessError
            If an output offers a beat while reset is high, which AXI4-Stream forbids (IHI 0051, 2.8.2).
        """
        for bus in self._axil.values():
            bus.idle()
        offender = ctypes.c_int32(-1)
        self._check(self._library.harness_reset(self._handle, RESET_CYCLES, ctypes.byref(offender)))
        if offender.value >= 0:
            raise HarnessError(f"{self._streams()[offender.value].prefix} drives TVALID during reset")

    def step(self, cycles: int = 1) -> None:
        """Let clock cycles pass with the streams standing still."""
        self._check(self._library.harness_step(self._handle, cycles))

    def record(self, path: Path | None) -> None:
        """Count toggles into a SAIF file from now on; None ends it. The library must be built with `--trace-saif`."""
        self._check(self._library.harness_record(self._handle, path and str(path).encode()))

    def peek(self, name: str) -> int:
        """Value of a port, as it is after the last clock edge and after what was poked since settled."""
        self._check(self._library.harness_step(self._handle, 0))
        buffer = (ctypes.c_uint8 * self.ports.storage_bytes(name))()
        self._library.harness_read(self._handle, self.ports.index[name], buffer)
        return int.from_bytes(buffer, "little")

    def poke(self, name: str, value: int) -> None:
        """Drive an input port from now on.

        Raises
        ------
        ValueError
            If the port is no input or the value does not fit its width.
        """
        if self.ports.directions[name] != "input":
            raise ValueError(f"{name} is not an input")
        if not 0 <= value < 1 << self.ports.widths[name]:
            raise ValueError(f"{name} is {self.ports.widths[name]} bits wide; {value} does not fit")
        raw = value.to_bytes(self.ports.storage_bytes(name), "little")
        self._library.harness_write(self._handle, self.ports.index[name], raw)

    def attach(self, memory: Memory) -> None:
        """Put a memory behind the design's AXI4 port, in place of the one there was.

        Raises
        ------
        ValueError
            If the design has no such port, or the image is not contiguous bytes.
        """
        if self.ports.memory is None:
            raise ValueError(f"{self.ports.top} has no memory port")
        image = memory.image
        if image.dtype != np.uint8 or not image.flags.c_contiguous or not image.flags.writeable:
            raise ValueError("a memory's image must be contiguous, writeable uint8")
        state = abi.MemoryState(
            data=image.ctypes.data,
            base=memory.base,
            bytes=len(image),
            latency_cycles=memory.latency_cycles,
            stall=int(memory.stall * 2**32),
            bandwidth=int(memory.bandwidth * 2**32),
            random=memory.seed,
        )
        self._library.harness_memory(self._handle, ctypes.byref(state))
        self._memory = state, image  # C++ holds pointers to both

    def memory_traffic(self) -> MemoryTraffic:
        """What the attached memory moved so far."""
        if self._memory is None:
            raise ValueError("no memory is attached")
        state = self._memory[0]
        return MemoryTraffic(state.read_beats, state.written_beats, state.refused_beats)

    def wait(self, name: str, max_idle_cycles: int) -> int:
        """Let cycles pass until a port of at most 64 bits is not 0; how many they were.

        Raises
        ------
        HarnessError
            If it is still 0 after `max_idle_cycles` in which the memory moved nothing.
        """
        cycles, passed = 0, ctypes.c_uint64()
        while not self.peek(name):
            before = None if self._memory is None else self.memory_traffic()
            self._check(
                self._library.harness_wait(self._handle, self.ports.index[name], max_idle_cycles, ctypes.byref(passed))
            )
            cycles += passed.value
            if passed.value == max_idle_cycles and (before is None or before == self.memory_traffic()):
                raise HarnessError(f"{self.ports.top}: {name} stayed low for {max_idle_cycles} cycles without a beat")
        return cycles

    def read(self, address: int, role: str = "csr") -> int:
        """Read a 32-bit register over AXI4-Lite; see `AxiLite.read`."""
        return self._axil[role].read(address)

    def write(self, address: int, value: int, role: str = "csr") -> None:
        """Write a 32-bit register over AXI4-Lite; see `AxiLite.write`."""
        self._axil[role].write(address, value)

    def run(
        self,
        inputs: Mapping[str, Beats],
        expected: Mapping[str, int],
        *,
        stall_in: float | Mapping[str, float] = 0.25,
        stall_out: float | Mapping[str, float] = 0.25,
        seed: int = 0,
        max_idle_cycles: int = 10_000,
        drain_cycles: int = DRAIN_CYCLES,
        timestamps: bool = False,
        reset_at: int | None = None,
        registers: Mapping[int, int] | None = None,
        packets: Mapping[str, int] | None = None,
    ) -> HarnessResult:
        """Give every input beat, take `expected` beats from every output, then see that no more come.

        Parameters
        ----------
        inputs, expected
            Beats to give and number of beats to take, by role. A role left out gives, or is expected to give, none.
        stall_in, stall_out : float in [0, 1), or one for each role
            Share of cycles in which the harness withholds VALID, or READY, though it could give it. Stalls last 1 to 16
            cycles; in a quarter of those of an output READY stays low until VALID is seen. While VALID is low, the
            input's payload is noise. 0 is full speed.
        seed : int
            Of all stalls; the same seed, inputs and design repeat a run exactly.
        max_idle_cycles : int
            Cycles without a handshake on any stream after which the design counts as hung.
        drain_cycles : int
            Cycles to wait, READY high, for surplus beats after the last expected one.
        timestamps : bool
            Also return the cycle of every beat.
        reset_at : int, optional
            Give the run twice: reset in its cycle number `reset_at` (or at its end, if that comes first), forget what
            came until then, and give it again from the start.
        registers : mapping, optional
            Address to value, written before the first beat (and again after `reset_at`).
        packets : mapping, optional
            By role, the packets to take where nobody knows how many beats they have; `expected` then says the most.

        Raises
        ------
        HarnessError
            The design hung, gave a surplus beat, withdrew VALID, changed a payload before it was taken, made VALID wait
            for READY, or ended in a Verilog error. Reset it before it is used again.
        ValueError
            An unknown role, beats of a wrong width, or TLAST missing or superfluous.
        """
        given = [self._given(stream, inputs) for stream in self.ports.inputs]
        _known(inputs, self.ports.inputs, "input")
        _known(expected, self.ports.outputs, "output")
        chance = [abi.stall_chance(stream, stall_in) for stream in self.ports.inputs]
        chance += [abi.stall_chance(stream, stall_out) for stream in self.ports.outputs]
        for limit in ([] if reset_at is None else [reset_at]) + [abi.NEVER]:
            taken = [abi.no_beats(stream, expected.get(stream.role, 0)) for stream in self.ports.outputs]
            job = abi.Job(max_cycles=limit, max_idle_cycles=max_idle_cycles, drain_cycles=drain_cycles)
            streams, stamps = abi.stream_states([*given, *taken], chance, seed, timestamps)
            for number, stream in enumerate(self._streams()):
                streams[number].packets = (packets or {}).get(stream.role, 0)
            for address, value in (registers or {}).items():
                self.write(address, value)
            code = self._library.harness_run(self._handle, ctypes.byref(job), streams)
            if code not in (abi.DONE, abi.LIMIT):
                raise HarnessError(self._explain(code, job, streams, seed))
            if limit != abi.NEVER:
                self.reset()
        roles = [stream.role for stream in self._streams()]
        outputs = {
            stream.role: beats.first(state.done)
            for stream, beats, state in zip(self.ports.outputs, taken, streams[len(given) :], strict=True)
        }
        cycles = 0 if abi.NEVER in (job.first_input, job.last_output) else job.last_output - job.first_input + 1
        return HarnessResult(outputs, cycles, job.cycles, dict(zip(roles, stamps, strict=True)) if timestamps else {})

    def _streams(self) -> list[Stream]:
        return [*self.ports.inputs, *self.ports.outputs]

    def _given(self, stream: Stream, inputs: Mapping[str, Beats]) -> Beats:
        beats = inputs.get(stream.role)
        if beats is None:
            return abi.no_beats(stream, 0)
        if beats.data.shape[1] != stream.bytes:
            raise ValueError(f"input {stream.role} takes beats of {stream.bytes} bytes, not {beats.data.shape[1]}")
        if (beats.last is not None) != stream.has_last:
            raise ValueError(f"input {stream.role} {'needs' if stream.has_last else 'has no'} TLAST")
        last = None if beats.last is None else np.ascontiguousarray(beats.last)
        return Beats(np.ascontiguousarray(beats.data), last)

    def _check(self, code: int) -> None:
        if code:
            raise HarnessError(f"{self.ports.top}: {self._library.harness_error(self._handle).decode()}")

    def _explain(self, code: int, job: abi.Job, streams: Any, seed: int) -> str:
        if code == abi.FATAL:
            what = self._library.harness_error(self._handle).decode()
        elif code == abi.HANG:
            inputs = len(self.ports.inputs)
            waits = [
                f"{stream.prefix} {'took' if number < inputs else 'gave'} {state.done} of {state.beats} beats"
                for number, (stream, state) in enumerate(zip(self._streams(), streams, strict=False))
            ]
            what = f"no handshake for {job.max_idle_cycles} cycles: {', '.join(waits)}"
        else:
            stream, state = self._streams()[job.stream], streams[job.stream]
            problem = {
                abi.WAITS: "waits for TREADY before it raises TVALID",
                abi.SURPLUS: f"offers a beat beyond the {state.beats} expected",
                abi.DROPPED: f"withdrew TVALID before beat {state.done} was taken",
                abi.CHANGED: f"changed beat {state.done} before it was taken",
            }[code]
            what = f"{stream.prefix} {problem}"
        return f"{self.ports.top}: {what}, in cycle {job.cycles}, seed {seed}"


def _known(roles: Mapping[str, Any], streams: Sequence[Stream], kind: str) -> None:
    names = [stream.role for stream in streams]
    for role in roles:
        if role not in names:
            raise ValueError(f"there is no {kind} {role}; known: {', '.join(names) or 'none'}")
