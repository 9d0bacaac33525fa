"""Register slice, queue and width converters, side by side in one Verilated design, against plain Python."""

from __future__ import annotations

import gc
import json
import re
import warnings

import numpy as np
import pytest
from amaranth.hdl import Module, UnusedElaboratable
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from flows.verilog import emit, port_table
from hdl.common.axi import packet, packet_stream
from hdl.common.stream import Downsizer, Fifo, RegisterSlice, Upsizer
from sim.common.beats import Beats
from sim.common.harness import Harness, build_harness

TOP = "niello_test_stream"

# name: what is built, bytes of a beat at `i`, bytes of a beat at `o`
PIECES = {
    "slice": (lambda: RegisterSlice(packet(24)), 3, 3),
    "fifo3": (lambda: Fifo(packet(16), 3), 2, 2),
    "fifo17": (lambda: Fifo(packet(16), 17), 2, 2),
    "up1to4": (lambda: Upsizer(1, 4), 1, 4),
    "up2to6": (lambda: Upsizer(2, 6), 2, 6),
    "up1to2": (lambda: Upsizer(1, 2), 1, 2),
    "down4to1": (lambda: Downsizer(4, 1), 4, 1),
    "down6to2": (lambda: Downsizer(6, 2), 6, 2),
    "down2to1": (lambda: Downsizer(2, 1), 2, 1),
}
BEATS = 12_000


class SideBySide(wiring.Component):
    """All the pieces, each with its own streams: `<name>_i` and `<name>_o`."""

    def __init__(self):
        members = {}
        for name, (_, from_bytes, to_bytes) in PIECES.items():
            members[f"{name}_i"] = In(packet_stream(8 * from_bytes))
            members[f"{name}_o"] = Out(packet_stream(8 * to_bytes))
        super().__init__(members)

    def elaborate(self, platform):
        m = Module()
        for name, (build, _, _) in PIECES.items():
            m.submodules[name] = piece = build()
            connect(m, flipped(getattr(self, f"{name}_i")), piece.i)
            connect(m, piece.o, flipped(getattr(self, f"{name}_o")))
        return m


@pytest.fixture(scope="module")
def harness(tmp_path_factory):
    folder = tmp_path_factory.mktemp("stream")
    component = SideBySide()
    ports = {"top": TOP, "clock": "clk", "reset": "rst", "ports": port_table(component)}
    (folder / "design.v").write_text(emit(component, TOP))
    (folder / "ports.json").write_text(json.dumps(ports))
    library = build_harness(folder / "design.v", folder / "ports.json", folder / "build")
    with Harness(library, folder / "ports.json") as built:
        yield built


def random_packets(rng, beats, width, longest):
    """`beats` beats in packets of 1 to `longest`, the last of them ended."""
    data = rng.integers(0, 256, (beats, width), np.uint8)
    last = np.zeros(beats, bool)
    ends = np.cumsum(rng.integers(1, longest + 1, beats)) - 1
    last[ends[ends < beats]] = True
    last[-1] = True
    return Beats(data, last)


def expected_output(name, given):
    """What a piece makes of the beats, by slicing bytes."""
    _, from_bytes, to_bytes = PIECES[name]
    if from_bytes == to_bytes:
        return given
    data, last, start = bytearray(), [], 0
    for end in np.flatnonzero(given.last) + 1:
        packet_bytes = given.data[start:end].tobytes()
        packet_bytes += bytes(-len(packet_bytes) % to_bytes)
        data += packet_bytes
        last += [False] * (len(packet_bytes) // to_bytes - 1) + [True]
        start = end
    return Beats(np.frombuffer(bytes(data), np.uint8).reshape(-1, to_bytes), np.array(last))


def run(harness, inputs, **options):
    expected = {name: expected_output(name, beats) for name, beats in inputs.items()}
    result = harness.run(
        {f"{name}_i": beats for name, beats in inputs.items()},
        {f"{name}_o": len(beats) for name, beats in expected.items()},
        **options,
    )
    for name, beats in expected.items():
        np.testing.assert_array_equal(result.outputs[f"{name}_o"].data, beats.data, err_msg=name)
        np.testing.assert_array_equal(result.outputs[f"{name}_o"].last, beats.last, err_msg=name)
    return result


@pytest.mark.parametrize(("stall_in", "stall_out"), [(0, 0), (0.5, 0.5), (0.1, 0.8), (0.8, 0.1), (0, 0.6), (0.6, 0)])
def test_stream_pieces_keep_every_beat_under_stalls(harness, stall_in, stall_out):
    rng = np.random.default_rng([int(100 * stall_in), int(100 * stall_out)])
    inputs = {name: random_packets(rng, BEATS, width, 9) for name, (_, width, _) in PIECES.items()}
    run(harness, inputs, stall_in=stall_in, stall_out=stall_out, seed=11)


def test_stream_pieces_forget_everything_at_reset(harness):
    rng = np.random.default_rng(5)
    inputs = {name: random_packets(rng, 400, width, 9) for name, (_, width, _) in PIECES.items()}
    for reset_at in (3, 17, 90, 301):
        run(harness, inputs, stall_in=0.3, stall_out=0.5, seed=reset_at, reset_at=reset_at)


@pytest.mark.parametrize(
    ("name", "latency_cycles"),
    [("slice", 1), ("fifo3", 2), ("fifo17", 2)]
    + [(name, 2) for name in ("up1to4", "up2to6", "up1to2", "down4to1", "down6to2", "down2to1")],
)
def test_stream_piece_has_its_latency(harness, name, latency_cycles):
    _, from_bytes, to_bytes = PIECES[name]
    harness.reset()
    beats = max(1, to_bytes // from_bytes)
    given = random_packets(np.random.default_rng(1), beats, from_bytes, 1)
    given.last[:-1] = False  # one packet, of one wide beat
    result = run(harness, {name: given}, stall_in=0, stall_out=0, timestamps=True)
    assert int(result.stamps[f"{name}_o"][0]) - int(result.stamps[f"{name}_i"][-1]) == latency_cycles


@pytest.mark.parametrize("name", [name for name in PIECES if name != "fifo3"])
def test_stream_piece_moves_a_narrow_beat_each_cycle(harness, name):
    _, from_bytes, to_bytes = PIECES[name]
    harness.reset()
    given = random_packets(np.random.default_rng(2), 60, from_bytes, 1)
    given.last[:-1] = False  # one long packet, so that every wide beat is full
    result = run(harness, {name: given}, stall_in=0, stall_out=0, timestamps=True)
    narrow = "i" if from_bytes <= to_bytes else "o"
    assert set(np.diff(result.stamps[f"{name}_{narrow}"].astype(int))) == {1}


def test_fifo_holds_its_depth(harness):
    harness.reset()
    harness.poke("m_axis_fifo17_o_tready", 0)
    harness.poke("s_axis_fifo17_i_tvalid", 1)
    taken = 0
    while harness.peek("s_axis_fifo17_i_tready"):
        taken += 1
        harness.step()
    harness.poke("s_axis_fifo17_i_tvalid", 0)
    harness.reset()
    assert taken == 17


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: Fifo(8, 2), "depth must be at least 3, not 2"),
        (lambda: Upsizer(4, 4), "to_bytes must be a multiple of from_bytes, twice it or more, not 4 to 4"),
        (lambda: Upsizer(2, 5), "to_bytes must be a multiple of from_bytes, twice it or more, not 5 to 2"),
        (lambda: Upsizer(0, 4), "to_bytes must be a multiple of from_bytes, twice it or more, not 4 to 0"),
        (lambda: Downsizer(1, 4), "from_bytes must be a multiple of to_bytes, twice it or more, not 1 to 4"),
    ],
)
def test_stream_piece_refuses_impossible_sizes(build, message):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UnusedElaboratable)  # Amaranth says so of the refused object, too
        with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
            build()
        gc.collect()
