"""How surely one group beats another: the probability of a win, with an exact interval.

The values of two groups are merged and ranked. U counts the pairs (a, b) of which a is the better
one, ties half; U / (n m) estimates the probability that a beats b (Mann & Whitney 1947, "On a test
of whether one of two random variables is stochastically larger than the other"). Its interval
comes from the distribution of U where that probability is theta. Among all alternatives with that
theta we take Lehmann's, in which the hazard of one group is k times that of the other and
theta = k / (k + 1): the next value in the order belongs to a with probability a' k / (a' k + b'),
where a' and b' values of each are left (Lehmann 1953, "The power of rank tests"; Savage 1956). At
theta = 1/2 it is the exact rank test, so the interval leaves out 1/2 just where that test rejects.
No bootstrap, and nothing is assumed of the values but their order.
"""

import math
from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np

LEVEL = 0.95
Pair = tuple[Sequence[float], Sequence[float]]
"""The values of two groups under the same conditions, lower is better."""


class Wins(NamedTuple):
    """The probability that the first group beats the second, its interval, and the two-sided p of
    the exact rank test that it is 1/2."""

    probability: float
    low: float
    high: float
    p: float


def win_probability(strata: Sequence[Pair], level: float = LEVEL) -> Wins:
    """The probability that the first of each pair of groups has the lower value.

    Args:
      strata: pairs of groups, one for each task or condition; their counts of wins are added, and
        the interval holds for a probability that they share. Infinite values rank last.

    Ties are half a win in the estimate, and count against either side in the interval.
    """
    sizes = tuple((len(a_N), len(b_M)) for a_N, b_M in strata)
    surely, tied = 0, 0
    for a_N, b_M in strata:
        a_Nx1, b_1xM = np.asarray(a_N, float)[:, None], np.asarray(b_M, float)[None]
        surely += int((a_Nx1 < b_1xM).sum())
        tied += int((a_Nx1 == b_1xM).sum())
    most, tail = sum(n * m for n, m in sizes), (1 - level) / 2
    below, above = surely + tied // 2, surely + (tied + 1) // 2
    low = 0.0 if below == 0 else _solve(lambda x: _at_least(sizes, below, x) - tail)
    high = 1.0 if above == most else _solve(lambda x: tail - _at_most(sizes, above, x))
    p = 2 * min(_at_least(sizes, below, 0.5), _at_most(sizes, above, 0.5))
    return Wins((surely + tied / 2) / most, low, high, min(1.0, p))


def seeds_to_decide(strata: int = 1, level: float = LEVEL) -> int:
    """The fewest values a group with which the interval can leave out 1/2: 4 in one stratum."""
    n = 1
    while math.comb(2 * n, n) ** strata < 2 / (1 - level):
        n += 1
    return n


def seeds_at(probability: float, most: int = 60, level: float = LEVEL) -> int | None:
    """The fewest values a group with which a probability of winning is told from 1/2.

    As if the pairs of a larger sample were won as often; None if `most` would not do.
    """
    better = max(probability, 1 - probability)
    for n in range(seeds_to_decide(level=level), most + 1):
        if _at_least(((n, n),), math.floor(better * n * n), 0.5) <= (1 - level) / 2:
            return n
    return None


def _solve(rising: object) -> float:
    """The probability at which a function that rises with it is 0."""
    from scipy import optimize  # type: ignore[import-untyped]  # slow to import

    return float(optimize.brentq(rising, 1e-12, 1 - 1e-12, xtol=1e-12))


def _at_least(sizes: tuple[tuple[int, int], ...], wins: int, probability: float) -> float:
    return float(_distribution(sizes, probability)[wins:].sum())


def _at_most(sizes: tuple[tuple[int, int], ...], wins: int, probability: float) -> float:
    return float(_distribution(sizes, probability)[: wins + 1].sum())


def _distribution(sizes: tuple[tuple[int, int], ...], probability: float) -> np.ndarray:
    """The distribution of the number of pairs won, over 0 .. the sum of n m."""
    odds, total = probability / (1 - probability), np.ones(1)
    for n, m in sizes:
        total = np.convolve(total, _of_one(n, m, odds))
    return total


@lru_cache(maxsize=4096)
def _of_one(n: int, m: int, odds: float) -> np.ndarray:
    """The distribution of U for n and m values whose hazards have this ratio."""
    rows = {(a, 0): np.ones(1) for a in range(n + 1)} | {(0, b): np.ones(1) for b in range(m + 1)}
    for a in range(1, n + 1):
        for b in range(1, m + 1):
            first = a * odds / (a * odds + b)
            row = np.zeros(a * b + 1)
            won = rows[a - 1, b]  # the next value is one of a's, which beats the b that are left
            row[b : b + len(won)] += first * won
            lost = rows[a, b - 1]
            row[: len(lost)] += (1 - first) * lost
            rows[a, b] = row
    return rows[n, m]
