"""`sfq.processor` as arrays in and arrays out, for every engine: a netlist with its pulses as event JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any, cast

import numpy as np
import numpy.typing as npt

from hdl.sfq.cell_files import load_library
from hdl.sfq.netlist import DEFAULT_LIBRARY, Netlist, Stimulus, parse_event_json
from hdl.sfq.netlist_json import event_json
from hdl.sfq.processor_config import ProcessorConfig
from hdl.sfq.processor_image import Program, Results, make_program, read_answers, run_words
from hdl.sfq.processor_words import POLICIES, RULES, WORD_BITS
from sim.common.beats import Beats, data_of
from sim.common.vectors import Arrays, ArraySpec, check_arrays
from sim.sfq.event_model import NeverAtRest, Policy, Run, run
from sim.sfq.random_netlist import pulses_apart, random_cells, random_netlist, random_pulses

INPUTS = {
    "document": ArraySpec("uint8", "(characters,)", "netlist and pulses: event JSON in UTF-8"),
    "options": ArraySpec("int64", "(options,)", f"policy ({', '.join(POLICIES)}: 0..2), seed, last tick or -1"),
}
OUTPUTS = {
    "pulses": ArraySpec("int64", "(pulses, 2)", "number of the output, tick"),
    "violations": ArraySpec(
        "int64", "(violations, 4)", "tick, instance, input, rules broken (1: transition, 2: prior)"
    ),
    "deliveries": ArraySpec("int64", "(one,)", "pulses that reached a cell"),
}

LEAST_CELLS, MOST_CELLS = 10, 200
KINDS = 6
"""Of random netlists: how many cells they have, and how many kinds of them if those are random."""

SPACINGS_TICKS = (20, 150, 1000, 30_000)
APART_TICKS, APART_IN_LOOPS_TICKS = (1000, 30_000), 150
LOOP_TICKS = 200
"""Of random netlists: how far apart an input's pulses are on the average, in those with loops the first; pulses of any
inputs, where they are kept apart; and how long loops go on after the last pulse."""

DENSE_SHARE, LOOSE_INPUT_SHARE = 0.12, 0.6
"""Of random netlists: how many get pulses that meet and violate; and the share of a pin's inputs in the others with
loops. About a fifth of all netlists violate then: nearly all of the dense ones, and some with loops."""

LIBRARY_STATE_BITS = 6
"""From so many on, there is room for all cells of a library."""


def check(config: ProcessorConfig, arrays: Mapping[str, Any]) -> None:
    """Refuse arrays that are not `INPUTS`, and netlists that are none, do not fit, or never come to rest.

    Raises
    ------
    ValueError
        With one line that names array, expected and received.
    """
    check_arrays(INPUTS, arrays)
    options = arrays["options"]
    if len(options) != 3:
        raise ValueError(f"options must be three numbers, not {len(options)}")
    for name, value, least, most in zip(
        ("policy", "seed", "last tick"), options, (0, 0, -1), (2, 0xFFFF, config.last_tick), strict=True
    ):
        if not least <= value <= most:
            raise ValueError(f"options: {name} must be in {least}..{most}, not {value}")
    try:
        _words(config, arrays)
        _model_run(arrays["document"].tobytes(), *map(int, options))
    except (ValueError, NeverAtRest) as error:
        raise ValueError(f"document: {error}") from None


def model(config: ProcessorConfig, arrays: Mapping[str, Any]) -> Arrays:
    """`OUTPUTS` by the golden model. Raises as `check`."""
    check(config, arrays)
    netlist, found = _found(arrays)
    return as_arrays(netlist, found)


def pack(config: ProcessorConfig, arrays: Mapping[str, Any]) -> dict[str, Beats]:
    """Traffic of the stream `words`. Raises as `check`."""
    check(config, arrays)
    return {"words": beats_of(_words(config, arrays))}


def expected_beats(config: ProcessorConfig, arrays: Mapping[str, Any]) -> dict[str, int]:
    """Beats that the stream `answers` gives: the golden model knows how many there must be."""
    found = model(config, arrays)
    return {"answers": len(found["pulses"]) + len(found["violations"]) + 1}


def unpack(config: ProcessorConfig, arrays: Mapping[str, Any], outputs: Mapping[str, Beats]) -> Arrays:
    """`OUTPUTS` out of the traffic of the stream `answers`.

    Raises
    ------
    ValueError
        If the run did not end well.
    """
    program = _program(config, arrays["document"].tobytes())
    results = read_answers(program, words_of(outputs["answers"]))
    if results.finish.status:
        raise ValueError(f"the processor reports {results.finish.status!r}")
    return results_as_arrays(program.netlist, results)


def operations(config: ProcessorConfig, arrays: Mapping[str, Any]) -> int:
    """Pulses that reach a cell."""
    return _found(arrays)[1].deliveries


def random_arrays(config: ProcessorConfig, seed: int, items: int) -> Arrays:
    """`INPUTS` for the seed: a netlist of library cells or of random ones, with or without loops, under any policy, and
    about `items` - 1 pulses.

    Raises
    ------
    ValueError
        If `items` is below 1.
    """
    if items < 1:
        raise ValueError(f"items must be at least 1, not {items}")
    rng = np.random.default_rng(seed)
    cells = int(rng.integers(LEAST_CELLS, min(MOST_CELLS, 1 << config.instance_bits - 1), endpoint=True))
    library = ("rsfqlib", "pylse", None)[rng.integers(3)] if config.state_bits >= LIBRARY_STATE_BITS else None
    cyclic = bool(rng.integers(2))
    kinds = [*load_library(library).values()] if library else random_cells(rng, KINDS)
    dense = rng.random() < DENSE_SHARE
    share = LOOSE_INPUT_SHARE if cyclic and not dense else 0.2
    netlist = random_netlist(rng, kinds, cells, cyclic=cyclic, reconvergent=dense, input_share=share)
    stimulus: Stimulus = {}
    if dense and items > 1:
        spacing = int(rng.choice(SPACINGS_TICKS[: 1 if cyclic else 4]))
        stimulus = random_pulses(rng, netlist.inputs[: items - 1], items - 1, spacing_ticks=spacing)
    elif items > 1:
        spacing = APART_IN_LOOPS_TICKS if cyclic else int(rng.choice(APART_TICKS))
        stimulus = pulses_apart(rng, netlist.inputs, items - 1, spacing_ticks=spacing)
    last = max((times[-1] for times in stimulus.values() if times), default=0)
    until = last + LOOP_TICKS if cyclic else -1
    document = event_json(netlist, stimulus, library or DEFAULT_LIBRARY)
    return {
        "document": np.frombuffer(json.dumps(document).encode(), np.uint8).copy(),
        "options": np.array([rng.integers(3), rng.integers(1 << 16), until], np.int64),
    }


def as_arrays(netlist: Netlist, found: Run) -> Arrays:
    """`OUTPUTS` of what the golden model gave. The rules that one pulse breaks are one row."""
    numbers = {instance.name: number for number, instance in enumerate(netlist.instances)}
    rows: list[list[int]] = []
    for one in found.violations:
        number = numbers[one.instance]
        row = [one.time, number, netlist.instances[number].cell.inputs.index(one.pin), 1 << RULES.index(one.rule)]
        if rows and rows[-1][:3] == row[:3]:
            rows[-1][3] |= row[3]
        else:
            rows.append(row)
    return _arrays(netlist, found.pulses, rows, found.deliveries)


def results_as_arrays(netlist: Netlist, results: Results) -> Arrays:
    """`OUTPUTS` of what a processor gave."""
    rows = [
        [time, number, netlist.instances[number].cell.inputs.index(pin), rules]
        for time, number, pin, rules in results.violations
    ]
    return _arrays(netlist, results.pulses, rows, results.deliveries)


def beats_of(words: Sequence[int]) -> Beats:
    """Words as traffic of the stream `words`: little-endian."""
    return Beats(np.array(words, "<u8").view(np.uint8).reshape(-1, WORD_BITS // 8))


def words_of(beats: Beats) -> list[int]:
    """Words of the stream `answers`. Raises as `data_of`."""
    data = data_of({"answers": beats}, "answers", len(beats), WORD_BITS // 8)
    found: list[int] = np.ascontiguousarray(data).view("<u8")[:, 0].tolist()
    return found


def _arrays(netlist: Netlist, pulses: Mapping[str, list[int]], rows: list[list[int]], deliveries: int) -> Arrays:
    outputs = [(number, time) for number, wire in enumerate(netlist.outputs) for time in pulses[wire]]
    found: dict[str, npt.NDArray[Any]] = {
        "pulses": np.array(outputs, np.int64).reshape(-1, 2),
        "violations": np.array(rows, np.int64).reshape(-1, 4),
        "deliveries": np.array([deliveries], np.int64),
    }
    return found


def _words(config: ProcessorConfig, arrays: Mapping[str, Any]) -> list[int]:
    return _words_of(config, arrays["document"].tobytes(), *map(int, arrays["options"]))


def _found(arrays: Mapping[str, Any]) -> tuple[Netlist, Run]:
    document = arrays["document"].tobytes()
    return _parsed(document)[0], _model_run(document, *map(int, arrays["options"]))


@lru_cache(maxsize=8)
def _parsed(document: bytes) -> Any:
    try:
        return parse_event_json(json.loads(document))
    except UnicodeDecodeError:
        raise ValueError("not UTF-8") from None


@lru_cache(maxsize=8)
def _program(config: ProcessorConfig, document: bytes) -> Program:
    return make_program(_parsed(document)[0], config)


@lru_cache(maxsize=8)
def _words_of(config: ProcessorConfig, document: bytes, policy: int, seed: int, until: int) -> list[int]:
    program, (_, stimulus) = _program(config, document), _parsed(document)
    return run_words(program, stimulus, policy=POLICIES[policy], seed=seed, until=None if until < 0 else until)


@lru_cache(maxsize=8)
def _model_run(document: bytes, policy: int, seed: int, until: int) -> Run:
    netlist, stimulus = _parsed(document)
    last = None if until < 0 else until
    return run(netlist, stimulus, policy=cast("Policy", POLICIES[policy]), seed=seed, until=last)
