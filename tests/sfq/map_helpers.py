"""Random logic, and netlists of `sfq map` driven by what their files say."""

from __future__ import annotations

import json
from itertools import product

from flows.sfq.mapping.aig import Aig
from hdl.sfq.netlist import parse_event_json
from sim.sfq.event_model import run


def random_aig(random, inputs=5, ands=20, outputs=4, registers=0):
    """A graph whose operands are drawn from what was there before, constants included."""
    sources = inputs + registers
    pairs = []
    for index in range(ands):
        pairs.append(tuple(random.randrange(2 * (1 + sources + index)) for _ in range(2)))
    most = 2 * (1 + sources + ands)
    return Aig(
        tuple(f"a{index}" for index in range(inputs)),
        tuple(f"y{index}" for index in range(outputs)),
        tuple(random.randrange(most) for _ in range(outputs)),
        tuple(random.randrange(2, most) for _ in range(registers)),
        tuple(pairs),
    )


def aag(aig):
    """The graph as a text of AIGER, with names."""
    first = 1 + len(aig.inputs)
    ands_at = 1 + aig.sources
    head = [ands_at - 1 + len(aig.ands), len(aig.inputs), len(aig.following), len(aig.outputs), len(aig.ands)]
    lines = [f"aag {' '.join(map(str, head))}", *(str(2 * (1 + index)) for index in range(len(aig.inputs)))]
    lines += [f"{2 * (first + index)} {literal}" for index, literal in enumerate(aig.following)]
    lines += [str(literal) for literal in aig.drivers]
    lines += [f"{2 * (ands_at + index)} {one} {other}" for index, (one, other) in enumerate(aig.ands)]
    lines += [f"i{index} {name}" for index, name in enumerate(aig.inputs)]
    lines += [f"o{index} {name}" for index, name in enumerate(aig.outputs)]
    return "\n".join(lines) + "\n"


def value_of(aig, literal, bits):
    """A literal's value by its definition; bits are those of the inputs, then of the registers."""
    variable = literal >> 1
    if variable == 0:
        value = 0
    elif variable <= aig.sources:
        value = bits[variable - 1]
    else:
        one, other = aig.ands[variable - 1 - aig.sources]
        value = value_of(aig, one, bits) & value_of(aig, other, bits)
    return value ^ (literal & 1)


def every_case(inputs):
    return list(product((0, 1), repeat=inputs))


def full_adder(x, y, z, total, carry):
    """Lines of BLIF."""
    return [
        *(f".names {x} {y} {z} {total}", "100 1", "010 1", "001 1", "111 1"),
        *(f".names {x} {y} {z} {carry}", "11- 1", "1-1 1", "-11 1"),
    ]


def blif(inputs, outputs, lines):
    """BLIF of a model with these lines."""
    return "\n".join([".model m", f".inputs {' '.join(inputs)}", f".outputs {' '.join(outputs)}", *lines, ".end", ""])


def ripple(bits):
    """A ripple adder: a, b and c0 to s and the last carry."""
    lines = [line for k in range(bits) for line in full_adder(f"a{k}", f"b{k}", f"c{k}", f"s{k}", f"c{k + 1}")]
    inputs = [*(f"{name}{k}" for k in range(bits) for name in "ab"), "c0"]
    return inputs, [*(f"s{k}" for k in range(bits)), f"c{bits}"], lines


def drive(path, waves):
    """Bits by output of a mapped netlist's file under waves of its inputs, {wire: bits}, by the times in the file."""
    document = json.loads(path.read_text())
    period, interval = document["period_ps"], document["interval_cycles"]
    count = len(next(iter(waves.values())))
    inputs = {
        wire: [round(document["inputs_at_ps"] + k * interval * period, 1) for k, bit in enumerate(bits) if bit]
        for wire, bits in waves.items()
    }
    cycles = (count - 1) * interval + document["latency_cycles"] + 1
    for wire, clock in document["clocks"].items():
        inputs[wire] = [round(clock["first_ps"] + k * period, 1) for k in range(cycles)]
    netlist, stimulus = parse_event_json(document | {"inputs": inputs})
    result = run(netlist, stimulus)
    assert result.violations == []
    found = {}
    for wire, first in document["outputs_at_ps"].items():
        pulses = set(result.pulses[wire])
        found[wire] = [round(10 * (first + k * interval * period)) in pulses for k in range(count)]
    return {wire: [int(bit) for bit in bits] for wire, bits in found.items()}


def word(bits, name, width, index):
    """The number that the wires of a bus carry in a wave."""
    return sum(bits[f"{name}[{bit}]"][index] << bit for bit in range(width))
