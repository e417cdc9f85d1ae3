"""Summaries of few repeated measurements: bootstrap intervals, and ranks over tasks."""

from typing import NamedTuple

import numpy as np

RESAMPLES = 10_000
LEVEL = 0.95
CHUNK = 1 << 20  # indices drawn at once, so that memory does not grow with the number of values


class Summary(NamedTuple):
    """Of `n` values: mean, median, and the interval of the mean; None where there is none."""

    n: int
    mean: float | None
    median: float | None
    low: float | None
    high: float | None


def summarise(values_N: np.ndarray) -> Summary:
    """Mean, median and `bootstrap_interval` of the mean, whatever the order of the values."""
    if len(values_N) == 0:
        return Summary(0, None, None, None, None)
    values_N = np.sort(np.asarray(values_N, np.float64))
    low, high = bootstrap_interval(values_N) or (None, None)
    with np.errstate(invalid="ignore"):  # inf - inf
        mean, median = float(np.mean(values_N)), float(np.median(values_N))
    return Summary(len(values_N), mean, median, low, high)


def bootstrap_interval(
    values_N: np.ndarray, *, level: float = LEVEL, resamples: int = RESAMPLES, seed: int = 0
) -> tuple[float, float] | None:
    """Efron's percentile bootstrap interval of the mean.

    The (1 - level)/2 and (1 + level)/2 quantiles of the means of `resamples` samples of N
    values, drawn from the N given ones with replacement (Efron 1979, "Bootstrap methods:
    another look at the jackknife", Annals of Statistics 7). Of few values it is too
    narrow: it never leaves their range.

    Returns None for fewer than two values, which say nothing of their spread, and where a
    value is not finite.
    """
    values_N = np.asarray(values_N, np.float64)
    n = len(values_N)
    if n < 2 or not np.isfinite(values_N).all():
        return None
    generator = np.random.default_rng(seed)
    means_B = np.empty(resamples)
    rows = max(1, CHUNK // n)
    for first in range(0, resamples, rows):
        count = min(rows, resamples - first)
        means_B[first : first + count] = values_N[generator.integers(n, size=(count, n))].mean(1)
    tail = (1 - level) / 2
    low, high = np.quantile(means_B, [tail, 1 - tail])
    return float(low), float(high)


def ranks(scores_A: np.ndarray, *, higher_is_better: bool) -> np.ndarray:
    """Ranks of the alternatives of a task, 1 the best; equal scores share their mean rank.

    An alternative without a score (NaN) gets no rank (NaN), and the others are ranked
    among themselves.
    """
    scores_A = np.asarray(scores_A, np.float64)
    there = ~np.isnan(scores_A)
    values = -scores_A[there] if higher_is_better else scores_A[there]
    ordered = np.sort(values)
    before = np.searchsorted(ordered, values, side="left")
    upto = np.searchsorted(ordered, values, side="right")
    result = np.full(scores_A.shape, np.nan)
    result[there] = (before + 1 + upto) / 2
    return result


def mean_ranks(scores_TxA: np.ndarray, *, higher_is_better: bool) -> tuple[np.ndarray, np.ndarray]:
    """The mean rank of each alternative over the tasks that it has a score of.

    Args:
      scores_TxA: a row a task, NaN where an alternative has no score.

    Returns:
      ranks_TxA as of `ranks`, and their means_A; NaN for an alternative without any score.
    """
    rows = [ranks(scores_A, higher_is_better=higher_is_better) for scores_A in scores_TxA]
    ranks_TxA = np.array(rows).reshape(np.shape(scores_TxA))
    there_TxA = ~np.isnan(ranks_TxA)
    counts_A = there_TxA.sum(0)
    totals_A = np.where(there_TxA, ranks_TxA, 0.0).sum(0)
    means_A = np.where(counts_A > 0, totals_A / np.maximum(counts_A, 1), np.nan)
    return ranks_TxA, means_A
