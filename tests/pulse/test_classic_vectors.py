"""What `pulse.classic` takes and gives: its config, arrays in and out, and what becomes of them on its edges."""

import re

import numpy as np
import pytest

from hdl.common.config import ConfigError
from hdl.pulse.classic_config import ClassicConfig
from sim.common.beats import Beats
from sim.pulse import classic_vectors

CONFIG = ClassicConfig.parse({"samples": 16})


@pytest.mark.parametrize("samples", [15, 257])
def test_classic_config_refuses(samples):
    message = f"params.samples must be a whole number in 16..256, not {samples}"
    with pytest.raises(ConfigError, match=f"^{re.escape(message)}$"):
        ClassicConfig.parse({"samples": samples})


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("rise", 64, "settings must have rise in 0..63, not 64"),
        ("threshold", -(1 << 24) - 1, "settings must have threshold in -16777216..16777215, not -16777217"),
    ],
)
def test_classic_vectors_refuse_settings(name, value, message):
    arrays = classic_vectors.random_arrays(CONFIG, 1, 2)
    arrays["settings"][CONFIG.setting_names.index(name)] = value
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        classic_vectors.check(CONFIG, arrays)


@pytest.mark.parametrize(
    ("name", "shape", "message"),
    [
        ("windows", (2, 17), "windows must be int16 (n, samples) with samples = 16, not (2, 17)"),
        ("table", (63,), "table must be int16 (phases,) with phases = 64, not (63,)"),
    ],
)
def test_classic_vectors_refuse_other_sizes(name, shape, message):
    arrays = classic_vectors.random_arrays(CONFIG, 1, 2) | {name: np.zeros(shape, np.int16)}
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        classic_vectors.check(CONFIG, arrays)


def test_no_windows_are_refused():
    with pytest.raises(ValueError, match=r"^items must be at least 1, not 0$"):
        classic_vectors.random_arrays(CONFIG, 1, 0)


def test_registers_are_written_one_by_one_and_the_table_in_a_row():
    arrays = classic_vectors.random_arrays(CONFIG, 1, 2)
    arrays["settings"] = -np.arange(len(CONFIG.setting_names)) % 2
    arrays["settings"][CONFIG.setting_names.index("time_offset")] = -3
    *settings, address, (data, words) = classic_vectors.register_writes(CONFIG, arrays)
    assert [where for where, _ in settings] == list(range(0x20, 0x60, 4))
    offset = CONFIG.setting_names.index("time_offset")
    assert settings[offset] == (0x20 + 4 * offset, [(1 << 25) - 3])
    assert address == (0x60, [0]) and data == 0x64
    assert words == [int(entry) & 0xFFFF for entry in arrays["table"]]


def test_records_have_their_places():
    values = {"time": -5, "energy": 2**31 - 1, "psd": -(2**15), "flags": 0b1100010, "short": -(2**32)}
    word = values["short"] % 2**40 << 88 | values["flags"] << 80 | values["psd"] % 2**16 << 64
    word |= values["energy"] << 32 | values["time"] % 2**32
    beats = np.frombuffer(word.to_bytes(16, "little"), np.uint8)[None]
    arrays = classic_vectors.random_arrays(CONFIG, 1, 1)
    got = classic_vectors.unpack(CONFIG, arrays, {"fit": Beats(beats, None)})
    assert {name: array.tolist() for name, array in got.items()} == {name: [value] for name, value in values.items()}
    assert {name: array.dtype.name for name, array in got.items()} == {
        name: spec.dtype for name, spec in classic_vectors.OUTPUTS.items()
    }


def test_windows_are_packets():
    arrays = classic_vectors.random_arrays(CONFIG, 1, 3)
    beats = classic_vectors.pack(CONFIG, arrays)["window"]
    assert beats.data.view("<i2").reshape(3, 16).tolist() == arrays["windows"].tolist()
    assert np.flatnonzero(beats.last).tolist() == [15, 31, 47]
    assert classic_vectors.expected_beats(CONFIG, arrays) == {"fit": 3}
