"""Verdicts on counts: how many trainings succeed, and after how many updates."""

import math
from collections.abc import Sequence
from dataclasses import replace

from rnnexp.study.claims import Beyond, Value
from rnnexp.study.rank_order import LEVEL
from rnnexp.study.verdict import NOT_REPRODUCED, REPRODUCED, UNDECIDED, Verdict


def successes(
    values: Sequence[Value], *, at_most: float | None = None, at_least: float | None = None
) -> int:
    """How many values are at most, or at least, a limit; diverged and unfinished ones are not."""
    wins = 0
    for value in values:
        if isinstance(value, Beyond) or math.isnan(value):
            continue
        wins += (at_most is None or value <= at_most) and (at_least is None or value >= at_least)
    return wins


def rate(wins: int, n: int, published: float, margin: float) -> Verdict:
    """Equivalence of a success rate, by the exact binomial interval."""
    from scipy import stats  # type: ignore[import-untyped]  # slow to import

    low, high = binomial_interval(wins, n)
    floor, ceiling = max(0.0, published - margin), min(1.0, published + margin)
    tails = (stats.binom.sf(wins - 1, n, ceiling), stats.binom.cdf(wins, n, floor))
    found = Verdict(
        UNDECIDED, f"{wins} of {n}", wins / n, low, high, n, min(1.0, 2 * float(min(tails)))
    )
    if floor <= low and high <= ceiling:
        return replace(found, word=REPRODUCED)
    if low > ceiling or high < floor:
        return replace(found, word=NOT_REPRODUCED)
    for more in range(n + 1, 500):
        low, high = binomial_interval(round(wins / n * more), more)
        if (floor <= low and high <= ceiling) or low > ceiling or high < floor:
            return replace(found, seeds=more)
    return found


def binomial_interval(wins: int, n: int, level: float = LEVEL) -> tuple[float, float]:
    """Clopper and Pearson's exact interval of a rate: of 5 in 5 it is [.478, 1]."""
    from scipy import stats

    found = stats.binomtest(wins, n).proportion_ci(level, method="exact")
    return float(found.low), float(found.high)


def updates(values: Sequence[Value], published: float, factor: float) -> Verdict:
    """The median number of updates until solved, within a factor of the published one."""
    ordered = sorted(math.inf if isinstance(v, Beyond) or math.isnan(v) else v for v in values)
    n, solved = len(ordered), sum(math.isfinite(v) for v in ordered)
    middle = (ordered[(n - 1) // 2] + ordered[n // 2]) / 2
    low, high = median_interval(ordered)
    detail = f"{solved} of {n} solved"
    found = Verdict(
        UNDECIDED, detail, middle, low, high, n, _p_of_median(ordered, published, factor)
    )
    if low >= published / factor and high <= published * factor:
        return replace(found, word=REPRODUCED)
    if low > published * factor or high < published / factor:
        faster = "ours faster" if high < published else "ours slower"
        return replace(found, word=NOT_REPRODUCED, detail=f"{detail}; {faster}")
    return replace(found, seeds=6 if n < 6 else None)


def median_interval(ordered: Sequence[float], level: float = LEVEL) -> tuple[float, float]:
    """The interval of the median by order statistics, exact whatever the values' distribution.

    Of fewer than six values none is bounded at 95 %: it is (0, infinity).
    """
    from scipy import stats

    n = len(ordered)
    outer = int(stats.binom.ppf((1 - level) / 2, n, 0.5))
    if stats.binom.cdf(outer, n, 0.5) > (1 - level) / 2:
        outer -= 1
    if outer < 0:
        return 0.0, math.inf
    return ordered[outer], ordered[n - 1 - outer]


def _p_of_median(ordered: Sequence[float], published: float, factor: float) -> float:
    """Two-sided p of the sign test that the median lies within the factor."""
    from scipy import stats

    n = len(ordered)
    slow = sum(value > published * factor for value in ordered)
    fast = sum(value < published / factor for value in ordered)
    return min(1.0, 2 * float(stats.binom.sf(max(slow, fast) - 1, n, 0.5)))
