"""Rates and medians: exact intervals, and trainings that did not finish."""

import math

import pytest
from scipy import stats  # type: ignore[import-untyped]

from rnnexp.study import counts
from rnnexp.study import verdict as words
from rnnexp.study.claims import Beyond, Margin, Rate, Reference, Updates
from tests.study.test_rules import verdict


def test_rate_has_clopper_and_pearsons_interval() -> None:
    low, high = counts.binomial_interval(5, 5)
    assert (low, high) == pytest.approx((0.025 ** (1 / 5), 1))
    assert round(low, 2) == 0.48
    claim = Rate(
        name="a", reference=Reference("a paper", "V", 1.0), group="g", measure="m",
        margin=Margin(0.55, "of five"), at_most=1.0,
    )  # fmt: skip
    assert verdict(claim, 0.5, 0.5, 0.5, 0.5, 1.0).word == words.REPRODUCED
    found = verdict(claim, 0.5, 0.5, 0.5, 0.5, math.nan)
    assert (found.word, found.detail, found.value) == (words.UNDECIDED, "4 of 5", 0.8)
    assert verdict(claim, *[Beyond(9)] * 5).word == words.UNDECIDED  # [0, .52] meets [.45, 1]
    assert verdict(claim, *[Beyond(9)] * 9).word == words.NOT_REPRODUCED


def test_median_has_the_interval_of_order_statistics() -> None:
    assert counts.median_interval([1.0, 2, 3, 4, 5]) == (0, math.inf)
    assert counts.median_interval([1.0, 2, 3, 4, 5, 6]) == (1, 6)
    for n in range(6, 30):
        low, high = counts.median_interval(list(map(float, range(n))))
        assert high == n - 1 - low
        # so many values below the median, or fewer, make the lower end miss it
        assert 1 - 2 * stats.binom.cdf(low, n, 0.5) >= 0.95
        assert 1 - 2 * stats.binom.cdf(low + 1, n, 0.5) < 0.95


def test_updates_count_unsolved_trainings_as_slowest() -> None:
    claim = Updates(
        name="a", reference=Reference("a paper", "V", 100.0), group="g", measure="m",
        margin=Margin(2.0, "two logs differ by so much"),
    )  # fmt: skip
    assert verdict(claim, *map(float, (80, 90, 100, 110, 120, 130))).word == words.REPRODUCED
    slow = verdict(claim, 900.0, 800.0, *[Beyond(1000)] * 4)
    assert (slow.word, slow.detail) == (words.NOT_REPRODUCED, "2 of 6 solved; ours slower")
    assert slow.value == math.inf
    assert slow.p == pytest.approx(2 * 0.5**6)
    assert verdict(claim, 100.0, 100.0, *[Beyond(1000)] * 4).word == words.UNDECIDED
