"""The rules of a verdict: what may be said of a claim, given the values that were measured.

| claim | reproduced if | not reproduced if |
| --- | --- | --- |
| `Number`, mean | our interval lies within the margin around the published value | outside |
| `Number`, single | the same, or the value lies in an interval no wider | the same |
| `Ordering` | the interval of the probability of winning lies above 1/2 | below |
| `Comparable` | the interval of the difference lies within the margin | outside |
| `Bound` | our interval lies on the claimed side of the limit | on the other |
| `Rate` | the exact binomial interval lies within the margin | outside |
| `Updates` | the interval of the median lies within the factor | outside |
| `Constant` | every value lies within the tolerance | one does not |

The interval of a `single` published value is that for one more training like ours. Otherwise a
claim is undecided, and `seeds` says how many would decide if the estimates stayed as
they are. An interval that merely holds the published value says nothing: of few or scattered values
it always does. Intervals are 95 % ones, so that a claim at the edge of its margin is wrongly
called reproduced with probability at most 2.5 %, and wrongly not reproduced with as much.

Means have Student's interval (Schuirmann 1987, two one-sided tests); rates Clopper and Pearson's;
medians the interval of order statistics, in which a training that did not finish ranks last.
"""

import math
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from rnnexp.results.statistics import student_quantile, welch_interval
from rnnexp.study.claims import (
    Beyond,
    Bound,
    Claim,
    Comparable,
    Constant,
    NotComparable,
    Number,
    Ordering,
    Rate,
    Updates,
    Value,
)
from rnnexp.study.counts import rate, successes, updates
from rnnexp.study.rank_order import LEVEL, seeds_at, seeds_to_decide, win_probability
from rnnexp.study.verdict import (
    DOES_NOT,
    HOLDS,
    NOT_COMPARABLE,
    NOT_REPRODUCED,
    REPRODUCED,
    UNDECIDED,
    Verdict,
)

MOST_SEEDS = 10_000
Values = Mapping[tuple[str, str], Sequence[Value]]
"""The values of a group's measure, by group and measure."""


def judge(claim: Claim, values: Values, *, reduced: bool) -> Verdict:
    """The verdict on one claim.

    Args:
      reduced: whether the protocol deviates from the paper's; then nothing is called reproduced.
    """
    verdict = _judge(claim, values)
    words = {REPRODUCED: HOLDS, NOT_REPRODUCED: DOES_NOT}
    return replace(verdict, word=words.get(verdict.word, verdict.word)) if reduced else verdict


def _judge(claim: Claim, values: Values) -> Verdict:
    match claim:
        case NotComparable():
            return Verdict(NOT_COMPARABLE, claim.reason)
        case Ordering():
            pairs = [(values[a, claim.measure], values[b, claim.measure]) for a, b in claim.pairs]
            return ordering(pairs, higher_is_better=claim.higher_is_better)
        case Comparable():
            first, second = (values[group, claim.measure] for group in claim.groups)
            return comparable(first, second, claim.margin.value)
    measured = values[claim.group, claim.measure]  # type: ignore[attr-defined]
    published = claim.reference.value
    match claim:
        case Bound():
            return bound(measured, at_most=claim.at_most, at_least=claim.at_least)
        case Number():
            return number(claim, measured)
        case Rate():
            wins = successes(measured, at_most=claim.at_most, at_least=claim.at_least)
            return rate(wins, len(measured), _given(published), claim.margin.value)
        case Updates():
            return updates(measured, _given(published), claim.margin.value)
        case Constant():
            return constant(measured, _given(published), claim.margin.value)
    raise TypeError(f"no rule for {type(claim).__name__}")


def _given(value: float | None) -> float:
    """A published value that the plan has made sure of."""
    if value is None:
        raise ValueError("a claim without a published value")
    return value


def number(claim: Number, values: Sequence[Value]) -> Verdict:
    """Equivalence of a mean, or of one more training, with the published value."""
    published, margin = _given(claim.reference.value), claim.margin.value
    finite_N = _finite(values)
    if len(finite_N) < len(values):
        return _with_diverged(values)
    if claim.logarithm:
        if published <= 0 or (finite_N <= 0).any():
            return Verdict(UNDECIDED, "a logarithm of a value that is not positive", n=len(values))
        inner = _same(np.log(finite_N), math.log(published), math.log(margin), claim)
        value, low, high = _exp(inner.value), _exp(inner.low), _exp(inner.high)
        return replace(inner, value=value, low=low, high=high)
    return _same(finite_N, published, margin, claim)


def _same(values_N: np.ndarray, published: float, margin: float, claim: Number) -> Verdict:
    """`number` of finite values on the scale of the margin."""
    n, mean = len(values_N), float(np.mean(values_N))
    if n < 2 or (values_N == values_N[0]).all():
        return Verdict(UNDECIDED, _no_interval(n), mean, n=n)
    single = claim.published == "single"
    error = float(np.std(values_N, ddof=1)) * math.sqrt((1 if single else 0) + 1 / n)
    low, high = _interval(mean, error, n)
    same, apart = _inside(low, high, published, margin), _outside(low, high, published, margin)
    if single and not same:
        same = low <= published <= high and (high - low) / 2 <= margin
    better = (mean > published) == claim.higher_is_better
    found = Verdict("", "", mean, low, high, n, _p_apart(abs(mean - published) - margin, error, n))
    if same:
        return replace(found, word=REPRODUCED)
    if apart:
        return replace(found, word=NOT_REPRODUCED, detail="ours better" if better else "ours worse")
    spread = float(np.std(values_N, ddof=1))
    seeds = _seeds_for(abs(mean - published), margin, spread, single=single, least=n + 1)
    return replace(found, word=UNDECIDED, seeds=seeds)


def ordering(
    pairs: Sequence[tuple[Sequence[Value], Sequence[Value]]], *, higher_is_better: bool
) -> Verdict:
    """Whether the first of each pair is better: the probability of winning against 1/2."""
    sign = -1.0 if higher_is_better else 1.0
    strata = [([_rank(v, sign) for v in a], [_rank(v, sign) for v in b]) for a, b in pairs]
    wins = win_probability(strata)
    n = min(min(len(a), len(b)) for a, b in strata)
    p = wins.p if wins.probability < 0.5 else 1.0
    found = Verdict(UNDECIDED, "", wins.probability, wins.low, wins.high, n, p)
    if wins.low > 0.5:
        return replace(found, word=REPRODUCED)
    if wins.high < 0.5:
        return replace(found, word=NOT_REPRODUCED, detail="the other is better")
    least = seeds_to_decide(len(strata))
    seeds = least if n < least else seeds_at(wins.probability)
    return replace(found, seeds=seeds if seeds is None else max(seeds, n + 1))


def comparable(first: Sequence[Value], second: Sequence[Value], margin: float) -> Verdict:
    """Equivalence of two means, by Welch's interval of their difference."""
    from scipy import stats  # type: ignore[import-untyped]  # slow to import

    a_N, b_M = _finite(first), _finite(second)
    n = min(len(first), len(second))
    if len(a_N) < len(first) or len(b_M) < len(second):
        return Verdict(UNDECIDED, "a training diverged: the means cannot be compared", n=n)
    difference = float(np.mean(a_N) - np.mean(b_M))
    if (interval := welch_interval(b_M, a_N)) is None:
        return Verdict(UNDECIDED, _no_interval(n), difference, n=n)
    low, high = interval
    edge, side = (margin, "greater") if difference > 0 else (-margin, "less")
    tail = stats.ttest_ind(a_N - edge, b_M, equal_var=False, alternative=side).pvalue
    p = min(1.0, 2 * float(tail))
    error = math.sqrt(sum(float(np.var(v, ddof=1)) / len(v) for v in (a_N, b_M)))
    found = Verdict(UNDECIDED, "", difference, low, high, n, p)
    if _inside(low, high, 0.0, margin):
        return replace(found, word=REPRODUCED)
    if _outside(low, high, 0.0, margin):
        return replace(found, word=NOT_REPRODUCED, detail="they differ by more than the margin")
    return replace(
        found, seeds=_seeds_for(abs(difference), margin, error * math.sqrt(n), least=n + 1)
    )


def bound(
    values: Sequence[Value], *, at_most: float | None = None, at_least: float | None = None
) -> Verdict:
    """Whether a mean lies on the claimed side of a limit."""
    limit, sign = (at_most, 1.0) if at_most is not None else (_given(at_least), -1.0)
    finite_N = _finite(values)
    if len(finite_N) < len(values):
        return _with_diverged(values)
    n, mean = len(values), float(np.mean(finite_N))
    if n < 2 or (finite_N == finite_N[0]).all():
        return Verdict(UNDECIDED, _no_interval(n), mean, n=n)
    spread = float(np.std(finite_N, ddof=1))
    low, high = _interval(mean, spread / math.sqrt(n), n)
    past = sign * (mean - _given(limit))
    found = Verdict(UNDECIDED, "", mean, low, high, n, _p_apart(past, spread / math.sqrt(n), n))
    if sign * ((high if sign > 0 else low) - _given(limit)) <= 0:
        return replace(found, word=REPRODUCED)
    if sign * ((low if sign > 0 else high) - _given(limit)) > 0:
        return replace(found, word=NOT_REPRODUCED, detail="beyond the limit")
    return replace(found, seeds=_seeds_for(abs(past), 0.0, spread, least=n + 1))


def constant(values: Sequence[Value], published: float, tolerance: float) -> Verdict:
    """Whether every value is the published one within a tolerance."""
    finite_N = _finite(values)
    if len(finite_N) < len(values):
        return _with_diverged(values)
    far = float(np.abs(finite_N - published).max())
    low, high = (float(finite_N.min()), float(finite_N.max())) if len(values) > 1 else (None, None)
    found = Verdict(REPRODUCED, "", float(np.mean(finite_N)), low, high, len(values))
    if far <= tolerance:
        return found
    return replace(found, word=NOT_REPRODUCED, detail=f"off by {far:.2g}")


def holm(p_values: Sequence[float], level: float = 1 - LEVEL) -> int:
    """How many hypotheses are rejected at a family-wise error rate (Holm 1979)."""
    rejected = 0
    for number, p in enumerate(sorted(p_values)):
        if p > level / (len(p_values) - number):
            break
        rejected += 1
    return rejected


def _finite(values: Sequence[Value]) -> np.ndarray:
    numbers = [math.nan if isinstance(v, Beyond) else v for v in values]
    array_N = np.asarray(numbers, np.float64)
    return array_N[np.isfinite(array_N)]


def _with_diverged(values: Sequence[Value]) -> Verdict:
    """Of values some of which are not finite: no mean includes them, and none is left out."""
    n, lost = len(values), len(values) - len(_finite(values))
    detail = f"{lost} of {n} diverged"
    return Verdict(NOT_REPRODUCED if lost == n else UNDECIDED, detail, n=n)


def _rank(value: Value, sign: float) -> float:
    """A value to rank, lower is better; trainings that diverged or did not finish rank last."""
    if isinstance(value, Beyond) or math.isnan(value):
        return math.inf
    return sign * value


def _interval(mean: float, error: float, n: int) -> tuple[float, float]:
    """Student's interval of a mean with its standard error."""
    half = student_quantile((1 + LEVEL) / 2, n - 1) * error
    return mean - half, mean + half


def _p_apart(distance: float, error: float, n: int) -> float:
    """Two-sided p that a mean this far beyond a limit is not beyond it; at most .05 where the
    interval lies outside."""
    from scipy import stats

    return min(1.0, 2 * float(stats.t.sf(distance / error, n - 1)))


def _inside(low: float, high: float, middle: float, margin: float) -> bool:
    return middle - margin <= low and high <= middle + margin


def _outside(low: float, high: float, middle: float, margin: float) -> bool:
    return low > middle + margin or high < middle - margin


def _no_interval(n: int) -> str:
    return "all values are equal: their spread is unknown" if n > 1 else "one value has no spread"


def _seeds_for(
    distance: float, margin: float, spread: float, *, single: bool = False, least: int = 2
) -> int | None:
    """So many values that an interval of this spread lies inside the margin, or outside."""

    def decided(n: int) -> bool:
        half = student_quantile((1 + LEVEL) / 2, n - 1) * spread * math.sqrt(single + 1 / n)
        return half <= margin - distance or half < distance - margin

    sizes = range(max(least, 2), MOST_SEEDS)
    place = bisect_left(sizes, True, key=decided)  # more values never undo a verdict
    return sizes[place] if place < len(sizes) else None


def _exp(value: float | None) -> float | None:
    return None if value is None else math.exp(value)
