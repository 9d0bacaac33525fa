"""What cannot fit is refused before any tool runs."""

from __future__ import annotations

import re

import pytest

from boards.catalog import BOARDS
from boards.top import BoardTop
from flows.errors import BadInput
from flows.preflight import Needs, check, fits, needs_of, shortages
from hdl.simd.config import DotConfig
from hdl.simd.dot import Dot


@pytest.mark.parametrize(
    ("needs", "board", "message"),
    [
        (
            Needs(dsp=16),
            "icebreaker",
            "big needs 16 DSP blocks (icebreaker has 8) (hint: it fits ulx3s_85f, orangecrab_85f, colorlight_5a75b, "
            "tang_nano_9k; or make it small enough for 8 DSP blocks with its params)",
        ),
        (
            Needs(dsp=64),
            "colorlight_5a75b",
            "big needs 64 DSP blocks (colorlight_5a75b has 28) (hint: it fits ulx3s_85f, orangecrab_85f; or make it "
            "small enough for 28 DSP blocks with its params)",
        ),
        (
            Needs(dsp=1000),
            "ulx3s_85f",
            "big needs 1000 DSP blocks (ulx3s_85f has 156) (hint: it fits no board of the catalog; or make it small "
            "enough for 156 DSP blocks with its params)",
        ),
        (
            Needs(memories_bits=(18_433,) * 20),
            "tang_nano_9k",
            "big needs 40 block RAMs (tang_nano_9k has 26) (hint: it fits ulx3s_85f, orangecrab_85f, "
            "colorlight_5a75b; or make it small enough for 26 block RAMs with its params)",
        ),
        (
            Needs(dsp=9, pins=150),
            "icebreaker",
            "big needs 9 DSP blocks (icebreaker has 8) and 150 pins (icebreaker has 39) (hint: it fits ulx3s_85f, "
            "colorlight_5a75b; or make it small enough for 8 DSP blocks with its params)",
        ),
    ],
)
def test_check_names_resource_needed_available_and_what_would_do(needs, board, message):
    with pytest.raises(BadInput, match=f"^{re.escape(message)}$") as caught:
        check("big", needs, BOARDS[board], BOARDS)
    assert caught.value.exit_code == 2


def test_check_lets_pass_what_just_fits():
    check("full", Needs(dsp=8, memories_bits=(4096,) * 30, pins=39), BOARDS["icebreaker"], BOARDS)
    assert not fits(Needs(dsp=9), BOARDS["icebreaker"])
    assert not fits(Needs(memories_bits=(4096,) * 29 + (4097,)), BOARDS["icebreaker"])
    assert not fits(Needs(pins=40), BOARDS["icebreaker"])


def test_shortages_count_each_memory_by_itself():
    needs = Needs(memories_bits=(1, 4097, 8192))
    assert needs.bram(4096) == 1 + 2 + 2
    assert shortages(needs, BOARDS["icebreaker"]) == []


def test_needs_of_a_block_are_its_multipliers_and_the_host_link():
    needs = needs_of(DotConfig(lanes=12))
    assert (needs.dsp, needs.pins) == (12, 3)
    assert fits(needs_of(DotConfig(lanes=8)), BOARDS["icebreaker"])
    assert not fits(needs_of(DotConfig(lanes=9)), BOARDS["icebreaker"])


def test_needs_of_a_board_top_are_its_link_memories_too():
    # Two buffers of 1024 octets, two queues of 512 with a mark, one without: 2 + 2 + 2 + 2 + 1 blocks of 4096 bits.
    config = DotConfig(lanes=4)
    top = BoardTop(Dot(config), clock_hz=12e6, baud=1_000_000, identity=bytes(8))
    needs = needs_of(config, top.memories_bits)
    assert needs.bram(4096) == 9
    assert needs.bram(18_432) == 5
    assert fits(needs, BOARDS["icebreaker"])
