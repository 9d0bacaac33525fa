"""The optimal filter: its model against Python's integers, its bank against algebra, its errors against the bound."""

import re

import numpy as np
import pytest

from hdl.pulse.config import FilterConfig
from sim.pulse.bank import heights, make_bank, onsets
from sim.pulse.filter_model import FAR, PILE_UP, RECORD, SATURATED, Bank, fit
from sim.pulse.fisher import bound
from sim.pulse.noise import covariance
from sim.pulse.setup import Setup
from sim.pulse.signals import pulse, records
from tests.pulse.filter_oracle import record

R0 = FilterConfig.parse({"samples": 32, "taps": 30, "pre": 7})
SIZES = [
    {"samples": 32, "taps": 30, "pre": 7},
    {"samples": 16, "taps": 16, "pre": 0, "shape": True},
    {"samples": 40, "taps": 9, "pre": 8},
    {"samples": 33, "taps": 20, "pre": 3, "shape": True},
    {"samples": 24, "taps": 12, "pre": 2, "shape": True, "stretches": 3},
    {"samples": 16, "taps": 9, "pre": 5, "shape": True, "stretches": 7},
]


def random_case(rng, config, count):
    """Registers, bank and windows: of any size from nothing to the largest, and with pulses that look like some."""
    scale = int(rng.integers(1, 16))
    draw = [-(1 << scale), 1 << scale]
    bank = Bank(
        *(
            rng.integers(*draw, (len(rows), 16 * config.stretches, config.taps)).astype(np.int16)
            for rows in (config.weight_rows, config.template_rows)
        )
    )
    windows = rng.integers(-(1 << 15), 1 << 15, (count, config.samples)) >> rng.integers(0, 16, (count, 1))
    windows[: count // 4] = rng.choice([-(1 << 15), (1 << 15) - 1, 0], (count // 4, config.samples))
    if rng.random() < 0.5:  # a first row that is mostly positive, so that there are times
        bank.weights[0] = np.abs(bank.weights[0])
        windows = np.abs(windows) - (np.abs(windows) >> 15)
    registers = {
        "passes": int(rng.integers(0, 8)),
        "guess": int(rng.choice([0, config.pre << 16, -(1 << 31), (1 << 31) - 1, int(rng.integers(0, 40 << 16))])),
        **{f"exponent_{row}": int(rng.integers(0, 32)) for row in (*config.weight_rows, "template")},
        "stretch_step": int(rng.integers(0, 1 << int(rng.integers(1, 17)))),
        "chi_base": int(rng.integers(0, 1 << int(rng.integers(1, 33)))),
        "chi_share": int(rng.integers(0, 1 << int(rng.integers(1, 33)))),
        "code_least": int(rng.integers(-(1 << 15), 0)),
        "code_most": int(rng.integers(0, 1 << 15)),
    }
    return registers, bank, windows.astype(np.int16)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("seed", [*range(6), *(pytest.param(n, marks=pytest.mark.deep) for n in range(6, 150))])
def test_model_is_the_paper(size, seed):
    config = FilterConfig.parse(size)
    registers, bank, windows = random_case(np.random.default_rng(seed), config, 40)
    weights = dict(zip(config.weight_rows, bank.weights, strict=True))
    templates = dict(zip(config.template_rows, bank.templates, strict=True))
    got = fit(config, registers, bank, windows)
    assert got.dtype == RECORD and got.shape == (40,)
    wanted = [record(config, registers, weights, templates, window) for window in windows]
    assert [tuple(int(x) for x in row) for row in got] == wanted


@pytest.mark.parametrize("size", SIZES[4:])
def test_random_cases_move_between_stretches(size):
    """Coefficients of every stretch say something of some record; with none moved, records are others."""
    config = FilterConfig.parse(size)
    changed = np.zeros(config.stretches, bool)
    for seed in range(40):
        registers, bank, windows = random_case(np.random.default_rng(seed), config, 20)
        whole = fit(config, registers, bank, windows)
        for stretch in range(config.stretches):
            weights = bank.weights.copy()
            weights[:, 16 * stretch : 16 * (stretch + 1)] = 0
            changed[stretch] |= (fit(config, registers, Bank(weights, bank.templates), windows) != whole).any()
    assert changed.all()


def test_random_cases_reach_every_flag():
    seen = 0
    for seed in range(40):
        registers, bank, windows = random_case(np.random.default_rng(seed), R0, 20)
        seen |= np.bitwise_or.reduce(fit(R0, registers, bank, windows)["flags"])
    assert seen == 0b1110011


@pytest.mark.parametrize("sign", [1, -1])
def test_stretch_is_the_nearest(sign):
    """A change of width of i - 1/2 steps goes i stretches on, 2^-16 less goes i - 1; none goes beyond the last."""
    config = FilterConfig.parse({"samples": 16, "taps": 8, "pre": 0, "shape": True, "stretches": 7})
    registers = dict.fromkeys(config.setting_names, 0) | {"passes": 2, "stretch_step": 2048}
    windows = np.array([[1024, 1] + 14 * [0]], np.int16)
    for halves, less, moved in ((0, 0, 0), (1, 1, 0), (1, 0, 1), (3, 1, 1), (3, 0, 2), (5, 1, 2), (5, 0, 3), (9, 0, 3)):
        weights = np.zeros((4, config.places, 8), np.int16)
        weights[0, :, 0] = 64  # an amplitude of 2^16: what row C gives is the change of width
        weights[3, 3 * 16 : 4 * 16, :2] = sign * halves, -sign * less
        got = fit(config, registers, Bank(weights, np.zeros((3, config.places, 8), np.int16)), windows)
        assert got["shape"][0] == sign * moved * 2048 // 2 + (0 if moved else sign * (1024 * halves - less) // 2)


def test_no_pulse_keeps_its_stretch():
    """Even where the step is 0 and any change of width would go to the last stretch."""
    config = FilterConfig.parse({"samples": 16, "taps": 8, "pre": 0, "shape": True, "stretches": 3})
    registers = dict.fromkeys(config.setting_names, 0) | {"passes": 2}
    weights = np.zeros((4, config.places, 8), np.int16)
    weights[0, 2 * 16 :] = 1  # only the last stretch sees a pulse
    bank = Bank(weights, np.zeros((3, config.places, 8), np.int16))
    assert fit(config, registers, bank, np.ones((1, 16), np.int16))["energy"] == 0


@pytest.mark.parametrize("size", [SIZES[0], SIZES[3], SIZES[0] | {"shape": True, "stretches": 3}])
@pytest.mark.parametrize("given", [{}, {"coloured_share": 0.6}, {"polarity": -1}])
def test_bank_gives_each_row_its_own(size, given):
    """A row of W gives 1 of its own derivative and 0 of the others', and the least noise of all that do."""
    config, setup = FilterConfig.parse(size), Setup.parse(given)
    bank, settings = make_bank(setup, config)
    noise, taps = covariance(setup, config.taps) / setup.lsb**2, np.arange(config.taps, dtype=float)

    def model(place, a, late, stretch, z):
        onset = config.pre + (place % 16 - 8) / 16 + late
        stretch += (place // 16 - config.stretches // 2) * settings["stretch_step"] / 2**16
        return setup.polarity * pulse(setup, taps, *(np.array([x]) for x in (onset, a, stretch)))[0] + z

    step = 1e-6
    for place in (0, 5, config.places - 1):
        middle = np.array([1.0, 0.0, 0.0, 0.0])
        derivative = {
            name: (model(place, *(middle + step * unit)) - model(place, *(middle - step * unit))) / (2 * step)
            for name, unit in zip("abcz", np.eye(4), strict=True)
        }
        rows = np.stack([derivative[name] for name in config.weight_rows])
        half = np.linalg.cholesky(noise)  # ordinary least squares of what is whitened, another way to W
        wanted = np.linalg.pinv(np.linalg.solve(half, rows.T)) @ np.linalg.inv(half)
        for row, name in enumerate(config.weight_rows):
            unit = 2.0 ** (settings[f"exponent_{name}"] + 8)
            assert bank.weights[row, place] == pytest.approx(wanted[row] * unit, abs=0.51 + 1e-4 * unit * step)
            assert 1 << 14 <= np.abs(bank.weights[row]).max() < 1 << 15
        for row, name in enumerate(config.template_rows):
            assert bank.templates[row, place] == pytest.approx(
                derivative[name] * 2.0 ** settings["exponent_template"], abs=0.51
            )


def errors(config, given, count=20_000, passes=2):
    """Of lone pulses: rms errors over the bound, in time and in energy, in ps and in %, and the records."""
    setup = Setup.parse(given)
    bank, settings = make_bank(setup, config)
    found = records(setup, count, seed=12)
    got = fit(config, settings | {"passes": passes}, bank, found.codes)
    lone = found.second.amplitude == 0
    limit = bound(setup.model_copy(update={"pile_up_share": 0.0}))
    late = (onsets(got) - found.first.onset)[lone] * setup.sample_ns * 1e3
    high = (heights(got) / found.first.amplitude - 1)[lone]
    return np.sqrt(np.mean(late**2)), 100 * np.sqrt(np.mean(high**2)), limit, got, found


@pytest.mark.parametrize("snr_db", [37.0, 42.0, 47.4, 52.0, 57.0])
def test_filter_reaches_the_limit(snr_db):
    ps, percent, limit, _, _ = errors(R0, {"snr_db": snr_db, "amplitude_least": 0.1})
    assert ps <= 1.05 * limit.time_ps
    assert percent <= 1.05 * 100 * limit.amplitude
    assert ps >= 0.97 * limit.time_ps


def test_filter_at_27_db():
    ps, percent, limit, _, _ = errors(R0, {"snr_db": 27.0, "amplitude_least": 0.1})
    assert ps <= 1.12 * limit.time_ps
    assert percent <= 1.12 * 100 * limit.amplitude


def test_filter_on_the_reference_pulse():
    ps, percent, _, _, _ = errors(R0, {"adc_bits": 12})
    assert ps <= 61.3
    assert percent <= 0.23


@pytest.mark.parametrize(
    ("given", "passes"),
    [({"coloured_share": 0.5}, 2), ({"polarity": -1, "baseline": 1.1}, 2), ({"jitter_ps": 30.0}, 2)],
)
def test_filter_on_other_pulses(given, passes):
    ps, percent, limit, _, _ = errors(R0, given, passes=passes)
    assert ps <= 1.05 * limit.time_ps
    assert percent <= 1.05 * 100 * limit.amplitude


def test_stretches_reach_the_limit_where_widths_spread():
    """Three of them; one alone does not, though it fits the width, too."""
    given = {"stretch_spread": 0.05}
    config = FilterConfig.parse({"samples": 32, "taps": 30, "pre": 7, "shape": True, "stretches": 3})
    ps, percent, limit, got, found = errors(config, given, passes=3)
    assert ps <= 1.05 * limit.time_ps
    assert percent <= 1.05 * 100 * limit.amplitude
    setup = Setup.parse(given)
    bank, settings = make_bank(setup, config)
    row = bank.weights[3, 16 + 8] / 2.0 ** (settings["exponent_c"] + 8)
    noise = np.sqrt(row @ covariance(setup, 30) @ row)  # of the fitted width, in the middle
    assert 0.97 * noise <= np.std(got["shape"] / 2**15 - found.first.stretch) <= 1.05 * noise
    one = FilterConfig.parse({"samples": 32, "taps": 30, "pre": 7, "shape": True})
    ps, percent, limit, _, _ = errors(one, given, passes=3)
    assert percent > 1.1 * 100 * limit.amplitude


def test_steep_pulse_needs_more_passes():
    """Of 8 ns of rise, a sample: linearisation reaches less far; 29 of 32 taps give it room."""
    config = FilterConfig.parse({"samples": 32, "taps": 29, "pre": 6})
    given = {"shape": "biexponential"}
    two, _, limit, _, _ = errors(config, given)
    four, percent, _, _, _ = errors(config, given, passes=4)
    assert two > 2 * limit.time_ps
    assert four <= 1.05 * limit.time_ps and percent <= 1.06 * 100 * limit.amplitude


def test_pile_up_is_found():
    given = {"pile_up_share": 0.3, "full_scale": 2.5, "amplitude_least": 0.2}
    _, _, _, got, found = errors(R0, given)
    flagged, piled = (got["flags"] & PILE_UP) > 0, found.second.amplitude > 0
    assert flagged[piled].mean() > 0.99
    assert flagged[~piled].mean() < 3e-3


@pytest.mark.parametrize("given", [{}, {"polarity": -1, "baseline": 2.0}])
def test_pairs_of_pulses_are_fitted(given):
    """30 % with a second pulse: all windows within 75 ps, where one pulse alone is off by nanoseconds."""
    config = FilterConfig.parse({"samples": 32, "taps": 30, "pre": 7, "pairs": True})
    setup = Setup.parse({"pile_up_share": 0.3, "full_scale": 2.5} | given)
    bank, settings = make_bank(setup, config)
    drawn = records(setup, 20_000, seed=21)
    two, times = drawn.second.amplitude > 0, {}
    for passes in (0, settings["pair_passes"]):
        got = fit(config, settings | {"pair_passes": passes}, bank, drawn.codes)
        late = (onsets(got) - drawn.first.onset) * setup.sample_ns * 1e3
        times[passes] = np.sqrt(np.mean((late - np.median(late))[(got["flags"] & PILE_UP == 0) | (passes == 0)] ** 2))
    assert times[settings["pair_passes"]] <= 75
    assert times[0] > 1000
    flagged, said = (got["flags"] & PILE_UP) > 0, got["shape"] > 0
    assert flagged.mean() < 2e-3
    assert said[two].mean() > 0.999 and said[~two].mean() < 2e-3
    apart = got["shape"] / 2**8 - (drawn.second.onset - drawn.first.onset)
    assert np.sqrt(np.mean(apart[two & ~flagged] ** 2)) < 0.02


def test_loud_pulses_are_no_pile_up():
    """Where noise is small what linearisation leaves is more than it, and the limit grows with the amplitude."""
    _, _, _, got, _ = errors(R0, {"snr_db": 80.0, "adc_bits": 16})
    assert ((got["flags"] & PILE_UP) > 0).mean() < 1e-3


def test_clipped_pulse_is_flagged():
    _, _, _, got, found = errors(R0, {"full_scale": 1.0, "amplitude_least": 0.5, "baseline": 0.2})
    clipped = (found.codes.max(axis=1) == (1 << 13) - 1) | (found.codes.min(axis=1) == -(1 << 13))
    assert ((got["flags"] & SATURATED > 0) == clipped).all()
    assert 0.2 < clipped.mean() < 0.8


def test_pulse_far_from_the_guess_is_flagged():
    setup = Setup.parse({"onset_spread_samples": 0.0})
    bank, settings = make_bank(setup, R0)
    codes = records(setup.model_copy(update={"pre_samples": 20}), 50, seed=1).codes
    got = fit(R0, settings | {"passes": 1}, bank, codes)
    assert (got["flags"] & (FAR | PILE_UP) > 0).all()


def test_bank_must_be_possible():
    few = FilterConfig.parse({"samples": 32, "taps": 8, "pre": 7})
    message = "the taps say too little of a pulse to tell amplitude, time and baseline apart"
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        make_bank(Setup.parse({"tau_ns": 1e5}), few)


def test_row_that_cannot_be_scaled_is_named():
    """A pulse that is over within a sample: a row's coefficients are beyond 16 bits."""
    with pytest.raises(ValueError, match=r"^row A needs -?[0-7] fraction bits, and can have 8 to 39$"):
        make_bank(Setup.parse({"tau_ns": 1.0}), R0)
