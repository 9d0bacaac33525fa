"""Pulse shapes against scipy's impulse responses, their derivatives against differences."""

import re

import numpy as np
import pytest
from scipy import signal

from sim.pulse.shapes import Biexponential, CrRc, Sampled

TIMES = np.linspace(-50, 800, 3401)


def response(poles_ns, times):
    """Of a chain of low passes to one hit, its peak scaled to 1: with the peak's place from the finest grid."""
    denominator = np.poly([-1 / pole for pole in poles_ns])
    fine = np.linspace(0, times.max(), 1 << 16)
    _, found = signal.impulse(([1.0], denominator), T=fine)
    return np.where(times < 0, 0, np.interp(times, fine, found / found.max()))


@pytest.mark.parametrize(
    ("shape", "poles"),
    [(CrRc(n, tau), [tau] * (n + 1)) for n, tau in ((1, 30.0), (2, 20.0), (4, 9.5))]
    + [(Biexponential(8.0, 40.0), [8.0, 40.0]), (Biexponential(39.9, 40.0), [39.9, 40.0])],
)
def test_shape_is_the_response_of_its_circuit(shape, poles):
    assert shape.value(TIMES) == pytest.approx(response(poles, TIMES), abs=1e-4)
    assert shape.value(np.array([shape.peak_ns])) == pytest.approx(1, abs=1e-12)
    assert (shape.value(TIMES) <= 1 + 1e-12).all()


SHAPES = [CrRc(1, 30.0), CrRc(2, 20.0), CrRc(5, 7.0), Biexponential(8.0, 40.0)]
SHAPES += [Sampled(CrRc(2, 20.0).value(np.arange(0, 500, 1.0)), 1.0)]


@pytest.mark.parametrize("shape", SHAPES)
def test_slope_is_the_derivative(shape):
    t = np.linspace(0.5, 490.3, 2000)
    step = 1e-4
    assert shape.slope(t) == pytest.approx((shape.value(t + step) - shape.value(t - step)) / (2 * step), abs=1e-6)
    assert not shape.value(np.array([-1e-9, -5.0, -1e6])).any()
    assert not shape.slope(np.array([-1e-9, -5.0, -1e6])).any()


def test_sampled_pulse_is_the_one_that_was_sampled():
    pulse = CrRc(3, 15.0)
    found = Sampled(7 * pulse.value(np.arange(0, 400, 1.0)), 1.0)
    t = np.linspace(0, 390, 7001)
    assert found.value(t) == pytest.approx(pulse.value(t), abs=2e-4)
    assert found.peak_ns == pytest.approx(45, abs=0.6)
    assert found.value(np.array([1e6])) == found.value(np.array([399.0]))


@pytest.mark.parametrize(
    ("samples", "message"),
    [
        ([1.0, 2.0, 1.0], "a pulse must have four samples or more in one row, not (3,)"),
        (np.ones((4, 4)), "a pulse must have four samples or more in one row, not (4, 4)"),
        ([0.0, 1.0, np.nan, 1.0, 0.0], "sample 2 of the pulse is not finite"),
        ([0.0, -1.0, -2.0, -1.0], "the pulse has no sample above 0"),
    ],
)
def test_sampled_pulse_must_be_one(samples, message):
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        Sampled(samples, 1.0)
