"""The rate model of flash that computes: its machine by hand, its models' sizes, and the published points."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from sim.pim.flash_rate import DECODERS, MACHINES, Decoder, FlashMachine, matrix_s, token_s

POINTS = json.loads((Path(__file__).parent / "data" / "cambricon_points.json").read_text())["models"]


def test_flash_rate_machine_s_has_rounds_of_256_by_2048():
    machine = MACHINES["S"]
    assert (machine.side, machine.channels * machine.side, machine.round_bytes) == (256, 2048, 256 * 2048)
    assert machine.round_s == pytest.approx(30.256e-6)
    assert machine.plain_bytes == pytest.approx(8 * (30256 - 512))


def test_flash_rate_of_one_channel_by_hand():
    machine = FlashMachine(1, 1, 100, read_s=90e-9, channel_bytes_per_s=1e9)  # side 10: a round is 100 ns, 80 plain
    assert matrix_s(machine, 180) == pytest.approx(100e-9)
    assert matrix_s(machine, 181) == pytest.approx(101e-9)  # one weight more is read
    assert matrix_s(machine, 360) == pytest.approx(200e-9)  # 180 more take a round
    assert matrix_s(machine, 30) == pytest.approx(30e-9)
    decoder = Decoder(layers=2, width=10, hidden=18, kv_width=10, vocabulary=9, gated=False)
    layer = 4 * 100e-9 + 2 * 100e-9
    assert token_s(machine, decoder, 0) == pytest.approx(2 * layer + 90e-9)
    assert token_s(machine, decoder, 7, 2) - token_s(machine, decoder, 0) == pytest.approx(2 * 2 * 10 * 7 * 2 / 40e9)


@pytest.mark.parametrize("one", POINTS, ids=lambda one: one["name"])
def test_flash_rate_models_have_the_published_sizes(one):
    decoder = DECODERS[one["name"]]
    assert (decoder.layers, decoder.kv_width) == (one["layers"], one["kv_width"])
    assert decoder.weights == pytest.approx(one["params_G"] * 1e9, rel=0.03)


def test_flash_rate_meets_the_published_points_with_nothing_fitted():
    errors = [
        abs(1 / token_s(MACHINES[name], DECODERS[one["name"]], 1000) / wanted - 1)
        for one in POINTS
        for name, wanted in one["tokens_per_s"].items()
    ]
    assert len(errors) == 21
    assert sum(errors) / 21 < 0.15
