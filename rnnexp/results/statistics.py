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
    from scipy import stats  # type: ignore[import-untyped]  # takes a second to import

    means_B = stats.bootstrap(
        (values_N,), np.mean, n_resamples=resamples, batch=max(1, CHUNK // n),
        method="percentile", rng=np.random.default_rng(seed),
    ).bootstrap_distribution  # fmt: skip
    tail = (1 - level) / 2
    # SciPy's own quantiles differ in the last bit from those of older comparisons.
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
