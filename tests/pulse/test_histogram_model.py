"""The histogram's golden model: numpy's histogram where it is one, and a record at a time in Python's integers."""

from __future__ import annotations

import numpy as np
import pytest

from hdl.pulse.histogram_config import HistogramConfig
from sim.pulse.histogram_model import COUNTERS, count
from sim.pulse.histogram_vectors import fields, random_arrays
from sim.pulse.settings import settings_of

CONFIGS = [{"bins": 64, "count_bits": 8}, {"bins": 512}, {"bins": 65536, "count_bits": 12}]


def signed(number, low, bits):
    """A field of a record, two's complement."""
    value = number >> low & (1 << bits) - 1
    return value - (value >> bits - 1 << bits)


def on_paper(config, settings, beats):
    """Bins, counters by name, and whether a bin was full, by the page's steps on beats of 128 bits."""
    bins, counters, full, last = {}, dict.fromkeys(COUNTERS, 0), False, None
    for beat in beats:
        number = int.from_bytes(beat.tobytes(), "little")
        right_flags = number >> 8 & settings["flags_mask"] == settings["flags_value"]
        right_channel = number & settings["channel_mask"] == settings["channel_value"]
        if not (settings["run"] == 1 and right_flags and right_channel):
            counters["rejected"] += 1
            continue
        counters["accepted"] += 1
        whole = signed(number, 32, 48)
        since = (1 << 31) - 1 if last is None else max(-(1 << 31), min((1 << 31) - 1, whole - last))
        last = whole
        values = (signed(number, 80, 24), signed(number, 104, 16), number >> 16 & 0xFFFF, since)
        place = (values[settings["source"]] - settings["low"]) // 2 ** settings["shift"]
        if place < 0:
            counters["under"] += 1
        elif place >= config.bins:
            counters["over"] += 1
        elif bins.get(place, 0) == 2**config.count_bits - 1:
            full = True
        else:
            bins[place] = bins.get(place, 0) + 1
    return bins, list(counters.values()), full


@pytest.mark.parametrize("params", CONFIGS)
@pytest.mark.parametrize("draws", [60, pytest.param(300, marks=pytest.mark.deep)])
def test_histogram_model_is_the_paper(params, draws):
    """300 records a draw, settings of all kinds with them; every counter counts, and small bins fill up."""
    config = HistogramConfig.parse(params)
    seen, filled = np.zeros(4, np.int64), False
    for seed in range(draws):
        arrays = random_arrays(config, seed, 300)
        if seed % 5 == 4:
            arrays["records"] = np.repeat(arrays["records"][:1], 300, axis=0)
        settings = settings_of(config, arrays)
        got = count(config, settings, fields(arrays["records"]))
        bins, counters, full = on_paper(config, settings, arrays["records"])
        assert {place: int(got.bins[place]) for place in np.flatnonzero(got.bins)} == bins
        assert (got.counters.tolist(), got.full) == (counters, full)
        seen, filled = seen + got.counters, filled or full
    assert (seen > 0).all()
    assert filled or config.count_bits > 8


def test_histogram_model_takes_times_at_their_ends():
    """Intervals beyond 32 bits of either sign, and the first one."""
    config = HistogramConfig.parse({"bins": 64})
    beats = np.zeros((5, 16), np.uint8)
    for place, whole in enumerate((0, (1 << 47) - 1, -(1 << 47), -(1 << 47) + 5, 0)):
        beats[place, 4:10] = np.frombuffer((whole & (1 << 48) - 1).to_bytes(6, "little"), np.uint8)
    for low in (-(1 << 31), 0, (1 << 31) - 1):
        settings = dict.fromkeys(config.setting_names, 0) | {"run": 1, "source": 3, "low": low}
        got = count(config, settings, fields(beats))
        bins, counters, _ = on_paper(config, settings, beats)
        assert (np.flatnonzero(got.bins).tolist(), got.counters.tolist()) == (sorted(bins), counters)
    assert got.bins[0] == 3  # two of the largest interval, and the first record


@pytest.mark.parametrize(("source", "shift", "low"), [("energy", 8, -4000), ("shape", 3, -900), ("fraction", 7, 0)])
def test_histogram_model_is_numpys(source, shift, low):
    """All records of one kind: `numpy.histogram` over the same edges."""
    config = HistogramConfig.parse({"bins": 512})
    rng = np.random.default_rng(3)
    records = fields(np.zeros((20_000, 16), np.uint8))
    records["energy"] = rng.normal(0, 40_000, len(records)).astype(np.int32)
    records["shape"] = rng.normal(0, 900, len(records)).astype(np.int16)
    records["time"] = np.cumsum(rng.integers(0, 1 << 40, len(records)))
    settings = dict.fromkeys(config.setting_names, 0)
    settings |= {"run": 1, "source": ("energy", "shape", "fraction").index(source), "low": low, "shift": shift}
    values = records["time"] & 0xFFFF if source == "fraction" else records[source].astype(np.int64)
    edges = low + (np.arange(config.bins + 1, dtype=np.float64) * 2**shift)
    inside = values < edges[-1]  # numpy's last bin has its right edge, too
    got = count(config, settings, records)
    np.testing.assert_array_equal(got.bins, np.histogram(values[inside], edges)[0])
    assert got.counters.tolist() == [len(records), 0, (values < low).sum(), (~inside).sum()]
