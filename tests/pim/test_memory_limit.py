"""A memory of real size is no gateware: it is refused at once, not elaborated for hours."""

import pytest
from typer.testing import CliRunner

from flows.cli import app
from hdl.common.config import ConfigError
from hdl.pim.channel import Channel
from hdl.pim.channel_config import MOST_MEMORY_BITS, ChannelConfig
from hdl.pim.device_block import DeviceBlock
from hdl.pim.device_config import DeviceConfig

SAID = (
    "params.rows: banks, rows, columns and lanes must make at most 67108864 bits of memory, not 4294967296; "
    "take fewer rows, or leave a channel's memory outside by `device: false`"
)


def test_a_memory_of_full_size_is_refused():
    for block, config in ((Channel, ChannelConfig), (DeviceBlock, DeviceConfig)):
        with pytest.raises(ConfigError) as error:
            block(config(profile="aim"))
        assert str(error.value) == SAID


def test_the_limit_is_the_largest_that_is_not():
    most = ChannelConfig(profile="aim", rows=MOST_MEMORY_BITS // (16 * 64 * 256))
    assert most.memory_bits == MOST_MEMORY_BITS
    Channel(most)
    Channel(ChannelConfig(profile="aim", device=False))


def test_the_command_says_so_in_a_line(tmp_path):
    design = tmp_path / "pim_large.yml"
    design.write_text("block: pim.channel\nparams: {profile: aim}\n")
    done = CliRunner().invoke(app, ["rtl", str(design), "-o", str(tmp_path / "out")])
    assert str(done.exception) == f"pim.channel: {SAID}"
