"""Intervals by how often they hold the mean, by SciPy and by hand; ranks against pandas'."""

import math

import numpy as np
import pandas as pd
import pytest
from scipy import stats  # type: ignore[import-untyped]

from rnnexp.results.statistics import (
    BOOTSTRAP_FROM,
    bootstrap_interval,
    expanded_level,
    interval_words,
    mean_interval,
    mean_ranks,
    student_interval,
    summarise,
    welch_interval,
)


def by_numpy(values: np.ndarray, resamples: int, seed: int) -> np.ndarray:
    """The interval written out: all samples drawn at once."""
    places = np.random.default_rng(seed).integers(len(values), size=(resamples, len(values)))
    interval: np.ndarray = np.quantile(values[places].mean(1), [(1 - 0.95) / 2, (1 + 0.95) / 2])
    return interval


def hits(low_S: np.ndarray, high_S: np.ndarray, mean: float = 0.0) -> float:
    """The share of intervals that hold the mean."""
    return float(np.mean((low_S <= mean) & (mean <= high_S)))


def bootstraps(values_SxN: np.ndarray, level: float) -> tuple[np.ndarray, np.ndarray]:
    """The percentile bootstrap of many samples at once, which share their draws."""
    n = values_SxN.shape[1]
    counts_BxN = np.random.default_rng(1).multinomial(n, np.full(n, 1 / n), size=2000)
    means_SxB = values_SxN @ counts_BxN.T / n
    low_S, high_S = np.quantile(means_SxB, [(1 - level) / 2, (1 + level) / 2], axis=1)
    return low_S, high_S


@pytest.mark.parametrize("n", [2, 3, 5, 10, 19, 20, 50])
def test_intervals_of_normal_values_hold_the_mean_as_often_as_they_say(n: int) -> None:
    student = n < BOOTSTRAP_FROM
    values_SxN = np.random.default_rng(n).normal(size=(20_000 if student else 2_500, n))
    if student:
        low_S, high_S = student_interval(values_SxN)
    else:
        low_S, high_S = bootstraps(values_SxN, expanded_level(n))
        assert hits(low_S, high_S) > hits(*bootstraps(values_SxN, 0.95))
    assert 0.93 <= hits(low_S, high_S) <= 0.97
    for values, low, high in list(zip(values_SxN, low_S, high_S, strict=True))[:3]:
        got = np.array(summarise(values)[3:], float)
        exact = 1e-12 if student else 0.1 * (high - low)  # two bootstraps of 2,000 and 10,000 draws
        np.testing.assert_allclose(got, (low, high), atol=exact, rtol=0)


@pytest.mark.slow
@pytest.mark.parametrize("n", [2, 3, 19, 20, 50])
def test_the_summary_itself_holds_the_mean_as_often_as_it_says(n: int) -> None:
    found = [summarise(v) for v in np.random.default_rng(n).normal(3, 2, size=(3000, n))]
    ends = np.array([(s.low, s.high) for s in found], float)
    assert 0.93 <= hits(ends[:, 0], ends[:, 1], 3.0) <= 0.97


@pytest.mark.parametrize("n", [2, 3, 19])
@pytest.mark.parametrize("scale", [1.0, 1e-300, 1e300])
def test_few_values_have_students_interval(n: int, scale: float) -> None:
    values = np.random.default_rng(n).normal(1, 2, size=n)
    expected = stats.t.interval(0.95, n - 1, values.mean(), stats.sem(values))
    got = np.array(mean_interval(values * scale), float)
    np.testing.assert_allclose(got, np.multiply(expected, scale), rtol=1e-9)


def test_an_expanded_bootstrap_is_as_wide_as_students_interval() -> None:
    for n in (20, 50, 400):
        reach = stats.norm.ppf((1 + expanded_level(n)) / 2) * math.sqrt((n - 1) / n)
        assert reach == pytest.approx(stats.t.ppf(0.975, n - 1))
    values = np.random.default_rng(0).normal(size=BOOTSTRAP_FROM)
    assert mean_interval(values) == bootstrap_interval(values, level=expanded_level(BOOTSTRAP_FROM))


@pytest.mark.parametrize("n", [2, 5, BOOTSTRAP_FROM, 40])
@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_nothing_is_said_where_nothing_honest_can_be(n: int, bad: float) -> None:
    values = np.random.default_rng(n).normal(size=n)
    values[n // 2] = bad
    assert mean_interval(values) is None
    assert mean_interval(np.full(n, 0.1)) is None
    assert summarise(np.full(n, 0.5)) == (n, 0.5, 0.5, None, None)
    assert mean_interval(np.array([0.1])) is None
    assert mean_interval(np.array([])) is None


@pytest.mark.parametrize("n", [2, 3, BOOTSTRAP_FROM])
def test_values_near_the_largest_number_have_finite_ends_or_none(n: int) -> None:
    values = np.resize([1.7e308, -1.7e308, 1.6e308], n)
    got = mean_interval(values)
    assert got is None or np.isfinite(got).all()
    summarise(np.abs(values))  # warns of nothing


def test_the_words_say_the_method() -> None:
    assert interval_words([2, 19]) == "Student's t"
    assert interval_words([20, 900]) == "bootstrap"
    assert interval_words([3, 20]) == "Student's t; bootstrap from 20 values"
    assert interval_words([0, 1]) == interval_words([]) == ""


@pytest.mark.parametrize("n", [3, 5, 20])
def test_the_interval_is_the_percentile_bootstrap(n: int) -> None:
    values = np.random.default_rng(n).lognormal(size=n)
    got = bootstrap_interval(values)
    # A quantile q of B draws has the standard error sqrt(q (1 - q) / B) / density; with the
    # density of a normal at its 2.5 % point that is 0.027 standard errors of the mean.
    error = values.std() / math.sqrt(n) * math.sqrt(0.025 * 0.975 / 10_000) / 0.058
    assert got is not None
    np.testing.assert_allclose(got, by_numpy(values, 200_000, seed=1), atol=5 * error, rtol=0)
    np.testing.assert_allclose(got, by_numpy(values, 10_000, seed=0), rtol=1e-12)


def test_the_interval_of_many_values_is_the_normal_one() -> None:
    values = np.random.default_rng(0).exponential(size=4000)
    got = bootstrap_interval(values)
    half = 1.959964 * values.std() / math.sqrt(4000)
    assert got is not None
    np.testing.assert_allclose(
        got, [values.mean() - half, values.mean() + half], atol=0.1 * half, rtol=0
    )


def test_the_interval_covers_the_mean_as_often_as_it_says() -> None:
    generator = np.random.default_rng(0)
    hits = 0
    for _ in range(400):
        low, high = bootstrap_interval(generator.normal(size=50), resamples=500) or (1.0, 0.0)
        hits += low <= 0 <= high
    assert 0.91 <= hits / 400 <= 0.98


def test_a_wider_level_gives_a_wider_interval() -> None:
    values = np.arange(10.0)
    narrow, wide = (bootstrap_interval(values, level=level) for level in (0.5, 0.99))
    assert narrow is not None
    assert wide is not None
    assert wide[0] < narrow[0] < 4.5 < narrow[1] < wide[1]


def test_few_or_infinite_values_have_no_interval() -> None:
    assert bootstrap_interval(np.array([])) is None
    assert bootstrap_interval(np.array([1.0])) is None
    assert bootstrap_interval(np.array([1.0, math.inf, 2.0])) is None
    assert bootstrap_interval(np.array([2.0, 2.0])) == (2.0, 2.0)


def test_the_interval_is_the_same_each_time_and_in_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    values = np.random.default_rng(0).normal(size=7)
    first = bootstrap_interval(values)
    assert bootstrap_interval(values) == first
    assert bootstrap_interval(values, seed=1) != first
    monkeypatch.setattr("rnnexp.results.statistics.CHUNK", 100)
    chunked = bootstrap_interval(values)
    assert chunked is not None
    assert first is not None
    np.testing.assert_allclose(chunked, first, atol=0.1)  # other draws of the same generator


def test_summaries_do_not_depend_on_the_order() -> None:
    values = np.random.default_rng(0).normal(size=9)
    got = summarise(values)
    assert got == summarise(values[::-1]) == summarise(np.random.default_rng(1).permutation(values))
    assert got.n == 9
    assert got.mean == pytest.approx(values.mean(), rel=1e-12)
    assert got.median == np.median(values)
    assert got[3:] == mean_interval(np.sort(values))


def test_summaries_of_nothing_and_of_infinities() -> None:
    assert summarise(np.array([])) == (0, None, None, None, None)
    assert summarise(np.array([3.0])) == (1, 3.0, 3.0, None, None)
    assert summarise(np.array([1.0, math.inf])) == (2, math.inf, math.inf, None, None)
    assert math.isnan(summarise(np.array([-math.inf, math.inf])).mean or 0)


@pytest.mark.parametrize("higher", [False, True])
def test_ranks_are_pandas_s(higher: bool) -> None:
    generator = np.random.default_rng(0)
    for _ in range(50):
        scores = generator.integers(0, 5, size=8).astype(float)  # with ties
        expected = pd.Series(scores).rank(ascending=not higher)
        (got,), means = mean_ranks(scores[None], higher_is_better=higher)
        np.testing.assert_array_equal(got, expected)
        np.testing.assert_array_equal(means, expected)


def test_missing_scores_have_no_rank_and_count_in_no_mean() -> None:
    nan = math.nan
    scores = np.array([[1.0, 2.0, 3.0], [nan, 2.0, 2.0], [3.0, nan, 1.0]])
    got, means = mean_ranks(scores, higher_is_better=False)
    np.testing.assert_array_equal(got, [[1, 2, 3], [nan, 1.5, 1.5], [2, nan, 1]])
    np.testing.assert_array_equal(means, [1.5, 1.75, (3 + 1.5 + 1) / 3])
    _, means = mean_ranks(np.array([[1.0, nan]]), higher_is_better=True)
    np.testing.assert_array_equal(means, [1.0, nan])


@pytest.mark.parametrize("n", [3, BOOTSTRAP_FROM, 60])
def test_a_level_above_that_of_the_bootstrap_is_students(n: int) -> None:
    values = np.random.default_rng(n).normal(1, 2, size=n)
    expected = stats.t.interval(0.995, n - 1, values.mean(), stats.sem(values))
    np.testing.assert_allclose(np.array(mean_interval(values, level=0.995)), expected, rtol=1e-9)
    inner, outer = mean_interval(values), mean_interval(values, level=0.98)
    assert inner is not None
    assert outer is not None
    assert outer[0] < inner[0] < inner[1] < outer[1]


@pytest.mark.parametrize("level", [0.95, 0.99])
def test_the_interval_of_independent_samples_is_welchs(level: float) -> None:
    rng = np.random.default_rng(0)
    one, two = rng.normal(1, 0.1, size=4), rng.normal(2, 3.0, size=9)
    expected = stats.ttest_ind(two, one, equal_var=False).confidence_interval(level)
    got = welch_interval(one, two, level=level)
    np.testing.assert_allclose(np.array(got), (expected.low, expected.high), rtol=1e-9)
    constant = welch_interval(np.full(3, 1.0), two, level=level)  # then only the other one varies
    alone = stats.t.interval(level, 8, two.mean() - 1.0, stats.sem(two))
    np.testing.assert_allclose(np.array(constant), alone, rtol=1e-9)


def test_independent_samples_that_say_nothing_have_no_interval() -> None:
    good = np.array([1.0, 2.0])
    for bad in ([], [1.0], [1.0, math.nan], [1.0, math.inf]):
        assert welch_interval(good, np.array(bad)) is None
        assert welch_interval(np.array(bad), good) is None
    assert welch_interval(np.full(3, 1.0), np.full(4, 2.0)) is None
