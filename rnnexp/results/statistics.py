"""Summaries of few repeated measurements: intervals of their mean, and ranks over tasks.

An interval that is called 95 % holds the mean of what the values are drawn from in 95 of 100
such experiments (coverage). Of normal values, measured in `tests/results/test_statistics.py`:

| n | 2 | 3 | 5 | 10 | 19 | 20 | 50 |
| --- | --- | --- | --- | --- | --- | --- | --- |
| Student's t | 95 % | 95 % | 95 % | 95 % | 95 % | 95 % | 95 % |
| percentile bootstrap | 50 % | 72 % | 83 % | 90 % | 93 % | 93 % | 94 % |
| expanded percentile bootstrap | | | | | | 95 % | 95 % |

Below `BOOTSTRAP_FROM` values the interval is Student's, whose coverage is exact for normal values
however few they are. That of two values is 12.7 standard errors wide on either side: nothing
narrower keeps the promise. From there on it is the bootstrap, which follows skewed values a little
better (of 20 lognormal ones 88 % instead of 86 %; the plain percentile bootstrap 85 %). Its
quantiles are those of `expanded_level`, because the plain ones are too narrow. No interval of few
values keeps its promise whatever they are: of 5 lognormal ones Student's holds the mean in 83 %.
"""

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np

RESAMPLES = 10_000
LEVEL = 0.95
HIGHEST_BOOTSTRAP = 0.99
"""Above this level, hardly any of the `RESAMPLES` lie outside: the quantiles would be luck."""
BOOTSTRAP_FROM = 20
"""So many values have an interval by the bootstrap, fewer have Student's."""
STUDENT, BOOTSTRAP = "Student's t", "bootstrap"
CHUNK = 1 << 20  # indices drawn at once, so that memory does not grow with the number of values


class Summary(NamedTuple):
    """Of `n` values: mean, median, and the interval of the mean; None where there is none."""

    n: int
    mean: float | None
    median: float | None
    low: float | None
    high: float | None


def summarise(values_N: np.ndarray) -> Summary:
    """Mean, median and `mean_interval`, whatever the order of the values."""
    if len(values_N) == 0:
        return Summary(0, None, None, None, None)
    values_N = np.sort(np.asarray(values_N, np.float64))
    low, high = mean_interval(values_N) or (None, None)
    with np.errstate(invalid="ignore", over="ignore"):  # inf - inf, and sums beyond float64
        mean, median = float(np.mean(values_N)), float(np.median(values_N))
    return Summary(len(values_N), mean, median, low, high)


def mean_interval(values_N: np.ndarray, *, level: float = LEVEL) -> tuple[float, float] | None:
    """The interval of the mean: Student's below `BOOTSTRAP_FROM` values, else the bootstrap.

    It is Student's above the level `HIGHEST_BOOTSTRAP` too. None where nothing honest can be said:
    of fewer than two values; where one is not finite; and where all are equal, which says that
    they are coarse, not that the mean is known exactly.
    """
    values_N = np.asarray(values_N, np.float64)
    n = len(values_N)
    if n < 2 or not np.isfinite(values_N).all() or (values_N == values_N[0]).all():
        return None
    _, power = np.frexp(np.abs(values_N).max())
    scaled_N = np.ldexp(values_N, -power)  # exact, and no sum or square is beyond float64
    if n < BOOTSTRAP_FROM or level > HIGHEST_BOOTSTRAP:
        ends = np.array(student_interval(scaled_N, level=level))
    else:
        ends = np.array(bootstrap_interval(scaled_N, level=expanded_level(n, level)))
    with np.errstate(over="ignore"):
        low, high = np.ldexp(ends, power)
    return (float(low), float(high)) if np.isfinite([low, high]).all() else None


def interval_words(counts: Iterable[int]) -> str:
    """By which method `mean_interval` makes the intervals of so many values each.

    `Student's t`, `bootstrap`, or both with the limit between them; empty if none has an interval.
    """
    kinds = {STUDENT if count < BOOTSTRAP_FROM else BOOTSTRAP for count in counts if count > 1}
    if len(kinds) > 1:
        return f"{STUDENT}; {BOOTSTRAP} from {BOOTSTRAP_FROM} values"
    return next(iter(kinds), "")


def student_interval(
    values_xN: np.ndarray, *, level: float = LEVEL
) -> tuple[np.ndarray, np.ndarray]:
    """The ends of Student's interval of the mean along the last axis, of two values or more.

    The mean plus and minus the (1 + level)/2 quantile of t with N - 1 degrees of freedom, times
    the standard error (Student 1908, "The probable error of a mean", Biometrika 6).
    """
    n = values_xN.shape[-1]
    mean_x, error_x = values_xN.mean(-1), values_xN.std(-1, ddof=1) / np.sqrt(n)
    half_x = student_quantile((1 + level) / 2, n - 1) * error_x
    return mean_x - half_x, mean_x + half_x


def student_quantile(probability: float, freedom: float) -> float:
    """That of Student's t. `scipy.stats` has the same, but takes most of a second to import."""
    from scipy import special  # type: ignore[import-untyped]

    return float(special.stdtrit(freedom, probability))


def welch_interval(
    one_N: np.ndarray, two_M: np.ndarray, *, level: float = LEVEL
) -> tuple[float, float] | None:
    """The interval of the mean of `two_M` minus that of `one_N`, two independent samples.

    Student's t with the degrees of freedom of Welch and Satterthwaite, so that the variances may
    differ (Welch 1947, "The generalization of 'Student's' problem when several different
    population variances are involved", Biometrika 34). None for fewer than two values of either,
    where one is not finite, and where all values of both samples are equal within the sample.
    """
    one_N, two_M = (np.asarray(values, np.float64) for values in (one_N, two_M))
    n, m = len(one_N), len(two_M)
    if min(n, m) < 2 or not (np.isfinite(one_N).all() and np.isfinite(two_M).all()):
        return None
    if (one_N == one_N[0]).all() and (two_M == two_M[0]).all():
        return None
    with np.errstate(over="ignore", invalid="ignore"):
        parts = np.array([one_N.var(ddof=1) / n, two_M.var(ddof=1) / m])  # of the squared error
        shares = parts / parts.sum()
        freedom = 1 / (shares**2 / np.array([n - 1, m - 1])).sum()
        half = student_quantile((1 + level) / 2, freedom) * np.sqrt(parts.sum())
        middle = two_M.mean() - one_N.mean()
    ends = float(middle - half), float(middle + half)
    return ends if np.isfinite(ends).all() else None


def expanded_level(n: int, level: float = LEVEL) -> float:
    """The level at which the percentile bootstrap of n normal values is as wide as Student's.

    The bootstrap's standard error lacks a factor sqrt(n / (n - 1)) and its quantiles are the
    normal ones. Both are made up for by quantiles further out (Hesterberg 2015, "What teachers
    should know about the bootstrap", American Statistician 69).
    """
    from scipy import special

    reach = np.sqrt(n / (n - 1)) * student_quantile((1 + level) / 2, n - 1)
    return float(1 - 2 * special.ndtr(-reach))


def bootstrap_interval(
    values_N: np.ndarray, *, level: float = LEVEL, resamples: int = RESAMPLES, seed: int = 0
) -> tuple[float, float] | None:
    """Efron's percentile bootstrap interval of the mean.

    The (1 - level)/2 and (1 + level)/2 quantiles of the means of `resamples` samples of N
    values, drawn from the N given ones with replacement (Efron 1979, "Bootstrap methods:
    another look at the jackknife", Annals of Statistics 7). It is too narrow, the more so
    the fewer the values are, and never leaves their range: see `mean_interval`.

    Returns None for fewer than two values, which say nothing of their spread, and where a
    value is not finite.
    """
    values_N = np.asarray(values_N, np.float64)
    n = len(values_N)
    if n < 2 or not np.isfinite(values_N).all():
        return None
    random, batch = np.random.default_rng(seed), max(1, CHUNK // n)
    means_B = np.concatenate(
        [
            values_N[random.integers(0, n, size=(min(batch, resamples - done), n))].mean(-1)
            for done in range(0, resamples, batch)
        ]
    )
    tail = (1 - level) / 2
    low, high = np.quantile(means_B, [tail, 1 - tail])
    return float(low), float(high)


def mean_ranks(scores_TxA: np.ndarray, *, higher_is_better: bool) -> tuple[np.ndarray, np.ndarray]:
    """Ranks of the alternatives of each task, 1 the best, and their means over the tasks.

    Equal scores share their mean rank. An alternative without a score gets no rank, and the
    others are ranked among themselves.

    Args:
      scores_TxA: a row a task, NaN where an alternative has no score.

    Returns:
      ranks_TxA, NaN where there is no score, and means_A over the tasks with a score; NaN for
      an alternative without any.
    """
    from scipy import stats

    signed_TxA = -scores_TxA if higher_is_better else scores_TxA
    ranks_TxA = stats.rankdata(signed_TxA, axis=1, nan_policy="omit")
    counts_A = np.sum(~np.isnan(ranks_TxA), axis=0)
    return ranks_TxA, np.nansum(ranks_TxA, axis=0) / np.where(counts_A > 0, counts_A, np.nan)
