"""The classic estimators: the model against Python's integers and against float64 of the same mathematics."""

import numpy as np
import pytest

from hdl.pulse.classic_config import SIGNED_SETTINGS, ClassicConfig
from sim.pulse.classic_model import RECORD, estimate
from sim.pulse.classic_vectors import random_arrays
from sim.pulse.settings import setting_range, settings_of
from tests.pulse.classic_oracle import record

SIZES = (16, 32, 37, 256)
CHUNK = 100


def assert_is_the_paper(config, settings, table, windows):
    got = estimate(config, settings, table, windows)
    assert got.dtype == RECORD and got.shape == (len(windows),)
    assert [tuple(int(x) for x in row) for row in got] == [record(config, settings, table, row) for row in windows]
    return got


@pytest.mark.parametrize("samples", SIZES)
@pytest.mark.parametrize("seed", [*range(8), *(pytest.param(n, marks=pytest.mark.deep) for n in range(8, 40))])
def test_model_is_the_paper(samples, seed):
    config = ClassicConfig.parse({"samples": samples})
    arrays = random_arrays(config, seed, CHUNK)
    assert_is_the_paper(config, settings_of(config, arrays), arrays["table"], arrays["windows"])


@pytest.mark.parametrize("samples", SIZES)
def test_model_is_the_paper_at_the_ends(samples):
    """Each setting at either end of its range in turn, all others as drawn; all at an end; codes at theirs."""
    config = ClassicConfig.parse({"samples": samples})
    arrays = random_arrays(config, 3, 4)
    codes = np.array([-(2**15), 2**15 - 1], np.int16)
    steps = np.where(np.arange(samples) < samples // 2, codes[:, None], codes[::-1, None])
    windows = np.concatenate([arrays["windows"], np.resize(codes, (2, samples)), steps]).astype(np.int16)
    ranges = {name: setting_range(config, SIGNED_SETTINGS, name) for name in config.setting_names}
    drawn = settings_of(config, arrays)
    cases = [drawn | {name: ends[place]} for name, ends in ranges.items() for place in (0, 1)]
    cases += [{name: ends[place] for name, ends in ranges.items()} for place in (0, 1)]
    cases += [cases[-1] | {"energy_exponent": 0, "energy_source": source} for source in range(4)]
    for settings in cases:
        for end in codes:
            assert_is_the_paper(config, settings, np.full(64, end, np.int16), windows)


def test_random_windows_meet_every_case():
    config, flags, sources, psd = ClassicConfig.parse({"samples": 32}), [], [], []
    for seed in range(60):
        arrays = random_arrays(config, seed, CHUNK)
        settings = settings_of(config, arrays)
        got = estimate(config, settings, arrays["table"], arrays["windows"])
        flags.append(got["flags"])
        psd.append(got["psd"])
        sources.append(settings["energy_source"])
    seen = np.concatenate(flags)
    for bit in (1, 5, 6):
        assert 0.03 < (seen >> bit & 1).mean() < 0.9, bit
    assert set(sources) == {0, 1, 2, 3}
    ratios = np.concatenate(psd)
    assert (ratios == 2**15 - 1).any() and (ratios == -(2**15)).any() and len(np.unique(ratios)) > 500
