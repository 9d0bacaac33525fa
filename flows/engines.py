"""One set of vectors, many engines: numpy model, Verilated RTL, synthesised netlist, Verilated board, the board itself.

Every engine takes and gives the same arrays. All but the model carry them as stream traffic.
"""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from flows.array_files import read_npz
from flows.errors import BadInput, NielloError, ToolError
from flows.load import Design
from hdl.common.block import BlockConfig
from sim.common.memory_job import Device, run_job

Arrays = dict[str, npt.NDArray[Any]]

ENGINES = {
    "model": "numpy golden model",
    "rtl": "the generated Verilog, in Verilator",
    "netlist": "what Yosys made of it, in Verilator",
    "board-sim": "the board top in Verilator, host driver, serial line at its pace",
    "board": "a real board, host driver, serial line at its pace",
}


PATIENCE_CYCLES = 10_000
"""Without a handshake, beyond twice a block's latency, after which it hangs."""

MEASURED_ITEMS = 1000
MEMORY_JOBS = 50
"""Random jobs that a block which works from memory is held to its model with."""


@contextlib.contextmanager
def simulation_errors() -> Iterator[None]:
    """What a simulator, a harness or a host driver has to say, as this package's errors."""
    from boards.board_sim import BoardSimError
    from boards.host import HostError
    from sim.common.harness import HarnessError
    from sim.common.verilator import BuildError

    try:
        yield
    except BuildError as error:
        raise ToolError(error.tool, error.line, error.log) from None
    except (BoardSimError, HarnessError, HostError) as error:
        raise NielloError(str(error)) from None


def load_arrays(design: Design, path: Path) -> Arrays:
    """The arrays of an .npz file, checked against what the design's block takes.

    Raises
    ------
    BadInput
        Naming the file, the array, what it must be and what came.
    """
    arrays = read_npz(path)
    try:
        design.block.vectors_module().check(design.config, arrays)
    except ValueError as error:
        raise BadInput(f"{path}: {error}") from None
    return arrays


def run_model(design: Design, arrays: Arrays) -> tuple[Arrays, dict[str, Any]]:
    """Through the golden model. It has no clock, so no cycles."""
    start = time.perf_counter()
    outputs = design.block.vectors_module().model(design.config, arrays)
    return outputs, {"cycles": None, "operations_per_cycle": None, "seconds": round(time.perf_counter() - start, 4)}


def run_library(
    design: Design, library: Path, ports: dict[str, Any], arrays: Arrays, *, stalls: float = 0.0, seed: int = 0
) -> tuple[Arrays, dict[str, Any]]:
    """Through a Verilated library: `cycles` from the first beat taken to the last given, both included; of a block that
    works from memory, those that its own counter says."""
    from sim.common.harness import Harness
    from sim.common.harness_device import HarnessDevice

    block, config = design.block, design.config
    start = time.perf_counter()
    with simulation_errors(), Harness(library, ports) as harness:
        if block.from_memory:
            outputs, cycles = _run_job(design, HarnessDevice(harness, stall=stalls, seed=seed), arrays)
        else:
            vectors = block.stream_vectors()
            given, expected = vectors.pack(config, arrays), vectors.expected_beats(config, arrays)
            patience = PATIENCE_CYCLES + 2 * config.latency_cycles
            for address, words in _register_writes(vectors, config, arrays):
                for word in words:
                    harness.write(address, word)
            result = harness.run(
                given, expected, stall_in=stalls, stall_out=stalls, seed=seed, max_idle_cycles=patience
            )
            outputs, cycles = vectors.unpack(config, arrays, result.outputs), result.cycles
            outputs |= _read_back(
                vectors, config, arrays, lambda place, count: [harness.read(place) for _ in range(count)]
            )
    return outputs, _metrics(design, arrays, cycles, start)


def run_serial(
    design: Design,
    port: str,
    baud: int,
    ports: dict[str, Any],
    arrays: Arrays,
    *,
    clock_hz: int,
    memory_bytes: int,
    timeout_s: float = 0.5,
) -> tuple[Arrays, dict[str, Any]]:
    """Through the host driver on a serial port, real or pseudo.

    `cycles` are those in which the block had work in flight, as its own counter says; the line's time is not in them.
    None of a block without one. `memory_bytes`: what the board gives a block that works from memory. `timeout_s`:
    silence after which a request is repeated; a simulated board may be slow.
    """
    from boards.host import Host
    from boards.host_memory import HostDevice

    block, config, registers = design.block, design.config, design.config.registers
    start = time.perf_counter()
    with simulation_errors(), Host.open(port, baud, timeout_s=timeout_s) as host:
        host.expect_identity(identity(design))
        host.reset_design()
        cycles: int | None
        if block.from_memory:
            assert registers is not None
            outputs, cycles = _run_job(design, HostDevice(host, registers, memory_bytes), arrays)
        else:
            vectors = block.stream_vectors()
            given, expected = vectors.pack(config, arrays), vectors.expected_beats(config, arrays)
            for address, words in _register_writes(vectors, config, arrays):
                host.write(address, words, fixed=True)
            outputs = vectors.unpack(config, arrays, host.run_streams(given, expected, ports["ports"]))
            outputs |= _read_back(vectors, config, arrays, lambda place, count: host.read(place, count, fixed=True))
            counter = registers["cycles"] if registers and "cycles" in registers else None
            cycles = host.read(counter.offset_bytes, 1)[0] if counter else None
    return outputs, _metrics(design, arrays, cycles, start) | {"clock_hz": clock_hz}


def _register_writes(vectors: object, config: BlockConfig, arrays: Arrays) -> list[tuple[int, list[int]]]:
    """What the block's registers are given before its streams; nothing of a block whose streams say all."""
    found: list[tuple[int, list[int]]] = getattr(vectors, "register_writes", lambda *_: [])(config, arrays)
    return found


def _read_back(vectors: object, config: BlockConfig, arrays: Arrays, read: Callable[[int, int], list[int]]) -> Arrays:
    """What the block's registers tell after its streams, as arrays; nothing of a block whose streams say all. `read`
    reads an address so many times."""
    register_reads = getattr(vectors, "register_reads", None)
    if register_reads is None:
        return {}
    words = [read(place, count) for place, count in register_reads(config, arrays)]
    found: Arrays = vectors.unpack_registers(config, arrays, words)  # type: ignore[attr-defined]
    return found


def _run_job(design: Design, device: Device, arrays: Arrays) -> tuple[Arrays, int]:
    """Outputs and cycles of a block that works from memory."""
    vectors, registers = design.block.memory_vectors(), design.config.registers
    assert registers is not None
    result = run_job(device, registers, vectors.job(design.config, arrays))
    return vectors.results(design.config, arrays, result), result.cycles


def identity(design: Design) -> bytes:
    """The 8 bytes by which the host knows that a board runs this very design."""
    return bytes.fromhex(design.config_sha256)[:8]


def check_against_model(
    design: Design, library: Path, ports: dict[str, Any], out: Path, seed: int, items: int, stalls: float
) -> dict[str, Any]:
    """Random vectors through a Verilated library, with stalls, held to the golden model. Leaves a mismatch in `out`.

    Raises
    ------
    NielloError
        Naming the first wrong element.
    """
    vectors = design.block.vectors_module()
    items = items_of(vectors, items)
    # A job has one format and one shape, streams have all of them.
    jobs, cycles = (MEMORY_JOBS if design.block.from_memory else 1), 0
    for number in range(jobs):
        arrays = vectors.random_arrays(design.config, seed + number, items // jobs)
        outputs, metrics = run_library(design, library, ports, arrays, stalls=stalls, seed=seed + number)
        compare(design, outputs, vectors.model(design.config, arrays), arrays, out)
        cycles += metrics["cycles"]
    return {"vectors": items, "vector_cycles": cycles}


def items_of(vectors: object, items: int) -> int:
    """So many items, or fewer where the vectors module's are large (`MOST_ITEMS`)."""
    return min(items, getattr(vectors, "MOST_ITEMS", items))


def compare(design: Design, got: Arrays, expected: Arrays, inputs: Arrays, out: Path) -> None:
    """Nothing, where the arrays are equal bit for bit; else an error that names the first difference."""
    for name, right in expected.items():
        if not np.array_equal(got[name], right):
            place = tuple(int(index) for index in np.argwhere(got[name] != right)[0])
            case = out / "mismatch.npz"
            np.savez(case, **(inputs | {f"{name}_model": right, f"{name}_got": got[name]}))  # type: ignore[arg-type]
            wrong = int((got[name] != right).sum())
            raise ToolError(
                design.name,
                f"{wrong} of {right.size} elements of {name} differ from the golden model, the first at {place}: "
                f"{got[name][place]}, not {right[place]}",
                case,
            )


def measure(design: Design, library: Path, ports: dict[str, Any]) -> dict[str, Any]:
    """Operations per cycle over many items, and the latency of one, without stalls.

    The latency of a block that works from memory is the whole of its smallest job; the memory's is in it, so no config
    can promise it. Where a random item does not show what the config promises, the vectors module says so
    (`LATENCY_BY_BENCH`), and the block's bench measures it.
    """
    from sim.common.harness import Harness

    def run(items: int) -> dict[str, Any]:
        arrays = design.block.vectors_module().random_arrays(design.config, 0, items)
        return run_library(design, library, ports, arrays)[1]

    module, promised = design.block.vectors_module(), design.config.latency_cycles
    measured = {"operations_per_cycle": run(items_of(module, MEASURED_ITEMS))["operations_per_cycle"]}
    if design.block.from_memory:
        return {"latency_cycles": run(1)["cycles"]} | measured
    if getattr(module, "LATENCY_BY_BENCH", False):
        return {"latency_cycles": promised} | measured
    vectors = design.block.stream_vectors()
    single = vectors.random_arrays(design.config, 0, 1)
    with simulation_errors(), Harness(library, ports) as harness:
        result = harness.run(
            vectors.pack(design.config, single),
            vectors.expected_beats(design.config, single),
            stall_in=0.0,
            stall_out=0.0,
            timestamps=True,
        )
    last_in = max(int(stamps[-1]) for role, stamps in result.stamps.items() if role not in result.outputs)
    first_out = min(int(stamps[0]) for role, stamps in result.stamps.items() if role in result.outputs)
    if first_out - last_in != promised:
        raise NielloError(f"{design.name}: the latency is {first_out - last_in} cycles, its config promises {promised}")
    return {"latency_cycles": first_out - last_in} | measured


def _metrics(design: Design, arrays: Arrays, cycles: int | None, start: float) -> dict[str, Any]:
    operations = design.block.vectors_module().operations(design.config, arrays)
    return {
        "cycles": cycles,
        "operations": operations,
        "operations_per_cycle": round(operations / cycles, 3) if cycles else None,
        "seconds": round(time.perf_counter() - start, 3),
    }


def read_ports(path: Path) -> dict[str, Any]:
    """A `ports.json`."""
    ports: dict[str, Any] = json.loads(path.read_text())
    return ports
