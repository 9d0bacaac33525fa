"""The scheduler's commands are legal, whatever comes in; and a scheduler that forgets a rule is found out."""

import pytest

from flows.formal import prove
from hdl.pim.channel_config import ChannelConfig
from hdl.pim.channel_proof import ChannelProof

TIMES = {
    "source": "small numbers, so that a proof need not look far; no two of them make a third superfluous",
    "tCK_ns": 1.0,
    "tRCDMAC_cycles": 4,
    "tRCDRD_cycles": 3,
    "tRCDWR_cycles": 2,
    "tRP_cycles": 2,
    "tRAS_cycles": 8,
    "tRC_cycles": 11,
    "tRTP_cycles": 3,
    "tWR_cycles": 2,
    "tCCD_cycles": 2,
    "tBL_cycles": 1,
    "tCL_cycles": 2,
    "tCWL_cycles": 1,
    "tCLREG_cycles": 0,
    "tCWLREG_cycles": 1,
    "tCWLGB_cycles": 1,
    "tWTR_cycles": 3,
    "tWTRS_cycles": 2,
    "tWPRE_cycles": 1,
    "tRRD_cycles": 2,
    "tFAW_cycles": 11,
    "tRFC_cycles": 5,
    "tREFI_cycles": 40,
    "mode_switch_cycles": 0,
    "act_group": 1,
}


def channel(banks=2, overlap=False, **times):
    both = 2 if overlap else 1
    sizes = {"rows": 4, "columns": 2, "lanes": 2, "device": False, "device_latency_cycles": 1}
    overlapping = {"overlap": overlap, "accumulators": both, "gb_banks": both, "row_buffers": both}
    return ChannelConfig(profile=TIMES | times, banks=banks, **sizes, **overlapping)


def test_commands_are_legal(tmp_path):
    assert prove(ChannelProof(channel()), tmp_path, depth=10).holds


@pytest.mark.deep
@pytest.mark.parametrize(
    ("config", "depth"),
    [
        (channel(), 24),
        (channel(overlap=True), 14),
        (channel(mode_switch_cycles=3), 20),
        (channel(banks=8), 13),
    ],
    ids=["serial", "overlap", "modes", "four activations"],
)
def test_commands_are_legal_further_on(tmp_path, config, depth):
    assert prove(ChannelProof(config), tmp_path, depth=depth).holds


@pytest.mark.deep
@pytest.mark.parametrize("time", ["tRP", "tRAS", "tWTR"])
def test_a_scheduler_in_a_hurry_is_found_out(tmp_path, time):
    name = f"{time}_cycles"
    hurried = channel(**{name: TIMES[name] - 1})
    assert not prove(ChannelProof(channel(), hurried), tmp_path, depth=20).holds
