"""What `ports.json` says about a design, grouped by interface, and the C++ that names its ports."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sim.common.verilate import PREFIX


@dataclass(frozen=True)
class Stream:
    """An AXI4-Stream of a design: its role, the prefix of its port names, TDATA's bytes, and whether it has TLAST."""

    role: str
    prefix: str
    bytes: int
    has_last: bool


class DesignPorts:
    """The ports of a design, from `ports.json` (a map, or its path).

    Attributes
    ----------
    top, clock, reset : str
        Names of the module and of its clock and reset.
    inputs, outputs : list of Stream
        AXI4-Streams that the design takes and gives, in the order of their ports.
    memory : str or None
        Prefix of the AXI4 manager port, if there is one.
    index : dict[str, int]
        Position of every port, clock and reset included, in the generated C++.
    widths : dict[str, int]
        Bits of every port.
    """

    def __init__(self, ports: Mapping[str, Any] | Path):
        table = json.loads(ports.read_text()) if isinstance(ports, Path) else ports
        self.top: str = table["top"]
        self.clock: str = table["clock"]
        self.reset: str = table["reset"]
        listed = [port for port in table["ports"] if port["name"] not in (self.clock, self.reset)]
        fixed = [{"name": name, "direction": "input", "width": 1} for name in (self.clock, self.reset)]
        self._ports: list[Mapping[str, Any]] = [*fixed, *listed]
        self.index = {port["name"]: number for number, port in enumerate(self._ports)}
        self.widths = {port["name"]: int(port["width"]) for port in self._ports}
        self.directions = {port["name"]: str(port["direction"]) for port in self._ports}
        self.inputs: list[Stream] = []
        self.outputs: list[Stream] = []
        for port in listed:
            if port["interface"] == "axi4-stream" and port["name"].endswith("_tdata"):
                prefix = port["name"].removesuffix("_tdata")
                stream = Stream(port["role"], prefix, int(port["width"]) // 8, f"{prefix}_tlast" in self.widths)
                (self.inputs if port["direction"] == "input" else self.outputs).append(stream)
        self.buses = {
            port["role"]: port["name"].removesuffix("_awaddr")
            for port in listed
            if port["interface"] == "axi4-lite" and port["name"].endswith("_awaddr") and port["direction"] == "input"
        }

        self.memory = next(
            (port["name"].removesuffix("_araddr") for port in listed
             if port["interface"] == "axi4" and port["name"].endswith("_araddr") and port["direction"] == "output"),
            None,
        )  # fmt: skip

    @property
    def digest(self) -> str:
        """Identifies the ports: a library is only driven with those that it was generated from."""
        essence = [(port["name"], port["direction"], port["width"]) for port in self._ports]
        return hashlib.sha256(json.dumps([self.top, essence]).encode()).hexdigest()[:16]

    def storage_bytes(self, name: str) -> int:
        """Bytes that Verilator gives a port: 1, 2, 4 or 8, and whole 32-bit words beyond."""
        width = self.widths[name]
        return next((size for size in (1, 2, 4, 8) if width <= 8 * size), -(-width // 32) * 4)

    def header(self) -> str:
        """`design.h`: the model's class, its ports as a table, and one struct a stream."""
        lines = ["#include <cstddef>", "#include <cstdint>", "#include <tuple>", f'#include "{PREFIX}.h"', ""]
        lines += [f"using Model = {PREFIX};", f'constexpr const char* kPortsDigest = "{self.digest}";']
        lines += [f"inline CData& clock(Model& m) {{ return m.{self.clock}; }}"]
        lines += [f"inline CData& reset(Model& m) {{ return m.{self.reset}; }}", ""]
        if self.memory:
            lines += [f"#define MEM(name) {self.memory}_##name"]
            lines += [f"#define MEM_BYTES {self.widths[f'{self.memory}_rdata'] // 8}", ""]
        lines += ["struct Port { bool input; size_t bytes; void* (*at)(Model&); };", "constexpr Port kPorts[] = {"]
        for name in self.index:
            is_input = str(self.directions[name] == "input").lower()
            at = f"[](Model& m) -> void* {{ return &m.{name}; }}"
            lines.append(f"    {{{is_input}, {self.storage_bytes(name)}, {at}}},")
        lines += ["};", ""]
        for kind, streams in (("Input", self.inputs), ("Output", self.outputs)):
            lines += [line for number, stream in enumerate(streams) for line in _struct(f"{kind}{number}", stream)]
            lines.append(f"template <typename...> struct {kind}List {{}};")
            lines.append(f"using {kind}Streams = {kind}List<{', '.join(f'{kind}{n}' for n in range(len(streams)))}>;")
            lines.append(f"constexpr int k{kind}s = {len(streams)};")
        lines += ["template <template <typename> class, typename> struct Wrap;"]
        for kind in ("Input", "Output"):
            lines.append("template <template <typename> class W, typename... S>")
            lines.append(f"struct Wrap<W, {kind}List<S...>> {{ using type = std::tuple<W<S>...>; }};")
        lines.append("template <template <typename> class W, typename L> using Wrapped = typename Wrap<W, L>::type;")
        return "\n".join(lines) + "\n"


def _struct(name: str, stream: Stream) -> list[str]:
    lines = [f"struct {name} {{", f"    static constexpr size_t kBytes = {stream.bytes};"]
    lines.append(f"    static constexpr bool kLast = {str(stream.has_last).lower()};")
    lines.append(f"    static void* data(Model& m) {{ return &m.{stream.prefix}_tdata; }}")
    lines.append(f"    static CData& valid(Model& m) {{ return m.{stream.prefix}_tvalid; }}")
    lines.append(f"    static CData& ready(Model& m) {{ return m.{stream.prefix}_tready; }}")
    last = f"m.{stream.prefix}_tlast" if stream.has_last else f"m.{stream.prefix}_tvalid"  # never reached without kLast
    lines.append(f"    static CData& last(Model& m) {{ return {last}; }}")
    return [*lines, "};"]
