"""The generated series is a second-order filter of its pushes, with the noise that it says."""

import numpy as np
import scipy.signal  # type: ignore[import-untyped]

from rnnexp.data.oscillator import ANGLE, DELAY, GAIN, NOISE, RADIUS, driven_oscillator, simulate
from rnnexp.data.table import numbers


def test_the_swing_is_scipys_filter_of_the_pushes() -> None:
    push, noise = np.random.default_rng(1).normal(size=(2, 300))
    feedback = [1, -2 * RADIUS * np.cos(ANGLE), RADIUS**2]
    late = [0.0] * DELAY + [GAIN]
    expected = scipy.signal.lfilter(late, feedback, push)
    expected += scipy.signal.lfilter([1.0], feedback, noise)
    np.testing.assert_allclose(simulate(push, noise), expected, rtol=1e-9, atol=1e-12)


def test_what_the_past_leaves_open_is_the_noise() -> None:
    table = driven_oscillator(4_000)
    push, swing = numbers(table, "push"), numbers(table, "swing")
    known = 2 * RADIUS * np.cos(ANGLE) * swing[9:-1] - RADIUS**2 * swing[8:-2]
    known += GAIN * push[10 - DELAY : -DELAY]
    left = swing[10:] - known
    assert abs(np.std(left) - NOISE) < 4 * NOISE / (2 * len(left)) ** 0.5
    assert abs(np.corrcoef(left[1:], left[:-1])[0, 1]) < 4 / len(left) ** 0.5


def test_it_is_always_the_same() -> None:
    one, again = driven_oscillator(50), driven_oscillator(50)
    np.testing.assert_array_equal(one.columns["swing"], again.columns["swing"])
    assert len(one.columns["push"]) == 50
    other = driven_oscillator(50, seed=1)
    assert np.any(np.asarray(one.columns["push"]) != np.asarray(other.columns["push"]))
