"""The processor: its config, images of firmware, and in Verilator what a host asks of it."""

from __future__ import annotations

import re

import pytest
from typer.testing import CliRunner

from flows.cli import app
from flows.errors import BadInput
from flows.firmware import FOLDER, comment, names
from hdl.common.config import ConfigError
from hdl.soc.config import ProcessorConfig
from hdl.soc.image import load_image, write_image
from hdl.soc.processor import Processor
from sim.soc import monitor

BUILDS = {"usual": {}, "large": {"ram_bytes": 65536}}
IO_ADDRESS_BITS = {"usual": 12, "large": 5}


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"ram_bytes": 3000}, "params: ram_bytes must be a power of 2, not 3000"),
        ({"ram_bytes": 512}, "params.ram_bytes must be a whole number in 1024..65536, not 512"),
        ({"firmware": "nothing"}, "params: firmware nothing: there is no image nothing.hex in firmware/"),
    ],
)
def test_processor_config_refuses(params, message):
    with pytest.raises(ConfigError, match=f"^{re.escape(message)}$"):
        ProcessorConfig.parse(params)


def test_images_are_read_as_written(tmp_path):
    words = [0, 1, 0xFFFFFFFF, 0x12345678]
    write_image(tmp_path / "some.hex", words, "of a test")
    assert load_image(tmp_path / "some.hex") == words


def test_damaged_images_are_refused(tmp_path):
    (tmp_path / "bad.hex").write_text("# of a test\n00000001\n0000zz01\n")
    with pytest.raises(ConfigError, match=r"^firmware bad: word 1 must be 8 hexadecimal digits, not '0000zz01'$"):
        load_image(tmp_path / "bad.hex")


def test_images_are_of_their_sources():
    assert names() == ["monitor"]
    for name in names():
        first = (FOLDER / f"{name}.hex").read_text().splitlines()[0]
        assert first == f"# {comment(name)}", f"`niello firmware {name}` renews it"


def test_firmware_command_refuses_what_is_not_there():
    result = CliRunner().invoke(app, ["firmware", "moniter"])
    assert isinstance(result.exception, BadInput)
    assert str(result.exception) == "there is no firmware moniter (hint: there is monitor)"


def test_monitor_checksums_are_fletchers():
    """Two examples of the checksum's usual 16-bit form, of sums modulo 256."""
    assert monitor.fletcher(b"") == 0
    assert monitor.fletcher(bytes([1, 2])) == 0x0403
    with pytest.raises(ValueError, match=r"^address and data must be in 0..0xffffffff, not -1$"):
        monitor.request("r", -1)
    with pytest.raises(monitor.MonitorError, match=r"^an answer is damaged: b'=0000'$"):
        monitor.answer(b"=0000")


@pytest.fixture(scope="module")
def block():
    def of(name):
        config = ProcessorConfig.parse(BUILDS[name])
        return BUILDS[name], config, Processor(config, IO_ADDRESS_BITS[name])

    return of


@pytest.mark.parametrize("built", ["usual"], indirect=True)
def test_processor_lives(built, tmp_path):
    names = ["the_processor_says_what_it_is", "the_watchdog_ends_a_hang"]
    assert len(built.bench_tests("sim.soc.processor_bench", tmp_path, names)) == 2


@pytest.mark.deep
@pytest.mark.parametrize("built", BUILDS, indirect=True)
def test_processor_bench_passes(built, tmp_path):
    assert len(built.bench_tests("sim.soc.processor_bench", tmp_path)) == 10
