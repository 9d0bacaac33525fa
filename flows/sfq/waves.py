"""Runs of pulse netlists as waveforms of other tools: VCD for viewers of any logic, WaveDrom for documents."""

from __future__ import annotations

import heapq
import itertools
from collections import defaultdict
from collections.abc import Iterator, Sequence
from operator import attrgetter, itemgetter
from typing import Any, Literal, get_args

from flows.sfq.names import encoded, verilog_name
from hdl.common.config import ConfigError
from hdl.sfq.cells import exact_ps
from hdl.sfq.netlist import Netlist
from sim.sfq.event_model import Run, Violation

Shape = Literal["strobe", "toggle"]
SHAPES: tuple[str, ...] = get_args(Shape)

FIRST_CODE, CODES = 33, 94
"""Short names in VCD are made of the printable characters of ASCII, `!` to `~`."""

MOST_COLUMNS = 2000
"""Of a WaveDrom diagram; a browser draws no more in good time."""


def vcd(netlist: Netlist, run: Run, shape: Shape) -> Iterator[str]:
    """A run as the lines of a VCD file, timescale 100 fs: a wire is a bit, and violations are a string.

    Parameters
    ----------
    shape : `strobe` raises the bit for one tick, so that each pulse is a rising edge (where pulses follow one another
        from tick to tick, it falls and rises at once); `toggle` changes it with each pulse (NRZ)
    """
    wires = netlist.wires
    codes = [_code(number) for number in range(len(wires) + 1)]
    text = codes.pop()
    yield from (
        "$version niello sfq plot $end",
        "$timescale 100 fs $end",
        f"$scope module {verilog_name(netlist.name)} $end",
    )
    yield from (f"$var wire 1 {code} {verilog_name(wire)} $end" for code, wire in zip(codes, wires, strict=True))
    yield from ("$scope module violations $end", f"$var string 1 {text} pins $end", "$upscope $end", "$upscope $end")
    yield from ("$enddefinitions $end", "#0", "$dumpvars", *(f"0{code}" for code in codes), f"s- {text}", "$end")
    now, end = 0, 0
    changes = [_pulses(code, run.pulses[wire], shape) for wire, code in zip(wires, codes, strict=True)]
    for time, change in heapq.merge(*changes, _violations(text, run.violations), key=itemgetter(0)):
        end = max(end, time)
        if time != now:
            yield f"#{time}"
            now = time
        yield change
    yield f"#{end + 1}"


def _pulses(code: str, times: Sequence[int], shape: Shape) -> Iterator[tuple[int, str]]:
    """Times and changes of a bit; those of one time in the order in which they hold."""
    for place, time in enumerate(times):
        if shape == "toggle":
            yield time, f"{1 - place % 2}{code}"
        else:
            yield time, f"1{code}"
            yield time + 1, f"0{code}"


def _violations(code: str, violations: Sequence[Violation]) -> Iterator[tuple[int, str]]:
    """Times and changes of the string that names the pins at which pulses come too soon."""
    until = None
    for time, found in itertools.groupby(violations, key=attrgetter("time")):
        if until is not None:
            yield until, f"s- {code}"
        pins = ",".join(f"{encoded(one.instance)}.{encoded(one.pin)}:{one.rule}" for one in found)
        yield time, f"s{pins} {code}"
        until = time + 1
    if until is not None:
        yield until, f"s- {code}"


def _code(number: int) -> str:
    found = chr(FIRST_CODE + number % CODES)
    while number := number // CODES:
        found += chr(FIRST_CODE + number % CODES)
    return found


def wavedrom(netlist: Netlist, run: Run, wires: Sequence[str]) -> dict[str, Any]:
    """A run as a WaveDrom diagram: a column for each time at which something happens on these wires, not to scale.

    Raises
    ------
    ConfigError
        If there are too many times.
    """
    times = sorted({*itertools.chain(*(run.pulses[wire] for wire in wires)), *(one.time for one in run.violations)})
    if len(times) > MOST_COLUMNS:
        raise ConfigError(
            f"WaveDrom shows at most {MOST_COLUMNS:,} times, not {len(times):,}; --until PS leaves out some"
        )
    signal: list[dict[str, Any]] = [
        {"name": "ps", "wave": "=" * len(times), "data": [exact_ps(time) for time in times]}
    ]
    for wire in wires:
        pulses = set(run.pulses[wire])
        signal.append({"name": wire, "wave": "".join("P" if time in pulses else "0" for time in times)})
    if run.violations:
        late = defaultdict[int, list[str]](list)
        for one in run.violations:
            late[one.time].append(f"{one.instance}.{one.pin}")
        data = [", ".join(dict.fromkeys(pins)) for pins in late.values()]
        signal.append(
            {"name": "violations", "wave": "".join("9" if time in late else "0" for time in times), "data": data}
        )
    return {"head": {"text": netlist.name}, "signal": signal}
