"""The interval of the probability of a win, against SciPy's rank test and by simulation."""

import math

import numpy as np
import pytest
from scipy import stats  # type: ignore[import-untyped]

from rnnexp.study.rank_order import seeds_at, seeds_to_decide, win_probability


@pytest.mark.parametrize("n", [2, 3, 4, 5, 8])
def test_complete_separation_is_decided_from_four_values_on(n: int) -> None:
    wins = win_probability([(range(n), range(n, 2 * n))])
    assert wins.probability == 1
    assert wins.high == 1
    assert wins.p == pytest.approx(2 / math.comb(2 * n, n))
    assert (wins.low > 0.5) == (n >= 4)
    assert seeds_to_decide() == 4


@pytest.mark.parametrize("seed", range(12))
def test_p_is_that_of_the_exact_rank_test(seed: int) -> None:
    rng = np.random.default_rng(seed)
    n, m = rng.integers(2, 9, 2)
    a_N, b_M = rng.normal(size=n), rng.normal(0.8, size=m)
    wins = win_probability([(a_N.tolist(), b_M.tolist())])
    test = stats.mannwhitneyu(a_N, b_M, method="exact")
    assert wins.p == pytest.approx(test.pvalue)
    assert wins.probability == pytest.approx(1 - test.statistic / (n * m))
    assert (wins.low > 0.5 or wins.high < 0.5) == (test.pvalue <= 0.05)


def test_interval_is_mirrored_where_the_groups_change_places() -> None:
    a, b = [1.0, 3, 4, 8, 9], [2.0, 5, 6, 7, 10, 11]
    one, other = win_probability([(a, b)]), win_probability([(b, a)])
    assert one.probability + other.probability == pytest.approx(1)
    assert one.low + other.high == pytest.approx(1)
    assert one.low < one.probability < one.high


def test_ties_are_half_a_win_and_widen_the_interval() -> None:
    tied = win_probability([([1.0] * 4, [1.0] * 4)])
    assert tied.probability == 0.5
    assert tied.p == 1
    broken = win_probability([([1.0, 1, 1, 2], [2.0, 3, 3, 3])])
    assert broken.probability == pytest.approx(15.5 / 16)
    assert broken.low < win_probability([([1.0, 1, 1, 1.5], [2.0, 3, 3, 3])]).low


def test_unfinished_values_rank_last() -> None:
    wins = win_probability([([1.0, 2, 3, math.inf], [4.0, 5, math.inf, math.inf])])
    assert wins.probability == pytest.approx((4 + 4 + 4 + 2 * 0.5) / 16)


def test_strata_add_up_and_need_fewer_seeds() -> None:
    assert seeds_to_decide(2) == 3
    pair = (range(3), range(3, 6))
    both = win_probability([pair, pair])
    assert both.p == pytest.approx(2 / math.comb(6, 3) ** 2)
    assert both.low > 0.5 > win_probability([pair]).low


@pytest.mark.parametrize("hazard", [1.0, 3.0])
def test_interval_holds_the_truth_as_often_as_it_says(hazard: float) -> None:
    """Of exponential values the ratio of hazards is constant: P(a < b) = k / (k + 1)."""
    rng, truth, trials = np.random.default_rng(0), hazard / (hazard + 1), 400
    below = above = 0
    for _ in range(trials):
        a, b = rng.exponential(1 / hazard, 5).tolist(), rng.exponential(1, 6).tolist()
        wins = win_probability([(a, b)])
        below += truth < wins.low
        above += truth > wins.high
    most = stats.binom.ppf(0.999, trials, 0.025)
    assert below <= most
    assert above <= most


def test_seeds_at_is_the_first_number_that_decides() -> None:
    n = seeds_at(0.8)
    assert n == 8
    for size, decided in ((n, True), (n - 1, False)):
        p = stats.mannwhitneyu(*_with(0.8, size), method="exact").pvalue
        assert (p <= 0.05) == decided
    assert seeds_at(0.5) is None


def _with(probability: float, n: int) -> tuple[list[float], list[float]]:
    """Two groups of n values of which the first wins floor(probability n n) pairs."""
    wins = math.floor(probability * n * n)
    a: list[float] = []
    for left in range(n, 0, -1):  # each value of a beats as many of b as are still wanted
        beats = min(n, max(0, wins - sum(n - int(v) for v in a)))
        a.append(n - beats + 0.5 - left / 1000)
    return a, [v + 0.6 for v in range(n)]
