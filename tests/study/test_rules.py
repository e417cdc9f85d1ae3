"""The rules of a verdict: known cases, and their error rates by simulation.

The simulated rates at the edge of a margin are held to the nominal 2.5 % in `test_error_rates`;
`python -m pytest -m slow tests/study` prints them with more trials.
"""

import math
from collections.abc import Callable

import numpy as np
import pytest
from scipy import stats  # type: ignore[import-untyped]

from rnnexp.study import rules
from rnnexp.study import verdict as words
from rnnexp.study.claims import (
    Beyond,
    Bound,
    Claim,
    Comparable,
    Constant,
    Margin,
    NotComparable,
    Number,
    Ordering,
    Reference,
    Value,
)

ALARM = 0.025


def number(value: float, margin: float, **changes: object) -> Number:
    fields: dict = {"published": "mean", "logarithm": False, "higher_is_better": True} | changes
    return Number(
        name="a", reference=Reference("a paper", "V", value), group="g", measure="m",
        margin=Margin(margin, "its last digit"), **fields,
    )  # fmt: skip


def verdict(claim: Claim, *values: Value, reduced: bool = False) -> words.Verdict:
    return rules.judge(claim, {("g", "m"): list(values)}, reduced=reduced)


def test_mean_is_reproduced_where_the_interval_lies_within_the_margin() -> None:
    found = verdict(number(10, 1), 10.1, 9.9, 10.2, 10.0, 9.8)
    low, high = stats.t.interval(0.95, 4, 10, stats.sem([10.1, 9.9, 10.2, 10.0, 9.8]))
    assert (found.low, found.high) == pytest.approx((low, high))
    assert found.word == words.REPRODUCED


@pytest.mark.parametrize(("higher", "detail"), [(True, "ours better"), (False, "ours worse")])
def test_mean_outside_says_which_is_better(higher: bool, detail: str) -> None:
    found = verdict(number(9, 0.5, higher_is_better=higher), 10.1, 9.9, 10.2, 10.0, 9.8)
    assert (found.word, found.detail) == (words.NOT_REPRODUCED, detail)
    assert found.p is not None
    assert found.p < 0.05


def test_wide_interval_around_the_published_value_decides_nothing() -> None:
    found = verdict(number(10, 1), 6.0, 14.0, 10.0)
    assert found.word == words.UNDECIDED
    assert found.seeds is not None
    n, spread = found.seeds, 4.0
    assert stats.t.ppf(0.975, n - 1) * spread / math.sqrt(n) <= 1
    assert stats.t.ppf(0.975, n - 2) * spread / math.sqrt(n - 1) > 1


@pytest.mark.parametrize("values", [(3.0,), (3.0, 3.0, 3.0)])
def test_no_spread_no_verdict(values: tuple[float, ...]) -> None:
    assert verdict(number(3, 1), *values).word == words.UNDECIDED


def test_diverged_training_is_never_left_out_of_a_mean() -> None:
    found = verdict(number(10, 1), 10.1, 9.9, math.nan, 10.0)
    assert (found.word, found.detail, found.n) == (words.UNDECIDED, "1 of 4 diverged", 4)
    assert verdict(number(10, 1), math.nan, math.nan).word == words.NOT_REPRODUCED


def test_logarithms_take_the_margin_as_a_factor() -> None:
    values = (1.0e-4, 1.2e-4, 0.9e-4, 1.1e-4, 1.0e-4)
    claim = number(1e-4, 2.0, logarithm=True, higher_is_better=False)
    found = verdict(claim, *values)
    assert found.word == words.REPRODUCED
    assert found.value == pytest.approx(stats.gmean(values))
    assert verdict(claim, 1e-4, 0.0, 1e-4).word == words.UNDECIDED
    worse = verdict(number(1e-5, 2.0, logarithm=True, higher_is_better=False), *values)
    assert (worse.word, worse.detail) == (words.NOT_REPRODUCED, "ours worse")


def test_single_published_value_meets_the_interval_of_one_more_training() -> None:
    values = (10.0, 10.4, 9.6, 10.2, 9.8)
    half = stats.t.ppf(0.975, 4) * np.std(values, ddof=1) * math.sqrt(1 + 1 / 5)
    found = verdict(number(10.5, 1.0, published="single"), *values)
    assert (found.low, found.high) == pytest.approx((10 - half, 10 + half))
    assert found.word == words.REPRODUCED
    assert verdict(number(10.5, 0.5, published="single"), *values).word == words.UNDECIDED
    assert verdict(number(13, 1.0, published="single"), *values).word == words.NOT_REPRODUCED


def ordering(a: list[Value], b: list[Value], *, higher: bool = False) -> words.Verdict:
    claim = Ordering(
        name="a", reference=Reference("a paper", "V"), pairs=[("a", "b")], measure="m",
        higher_is_better=higher,
    )  # fmt: skip
    return rules.judge(claim, {("a", "m"): a, ("b", "m"): b}, reduced=False)


def test_ordering_is_decided_by_the_exact_rank_test() -> None:
    low: list[Value] = [1.0, 2, 3, 4]
    high: list[Value] = [5.0, 6, 7, 8]
    assert ordering(low, high).word == words.REPRODUCED
    assert ordering(low, high, higher=True).word == words.NOT_REPRODUCED
    assert ordering([1.0, 2, 3, 9], high).word == words.UNDECIDED
    few = ordering([1.0, 2, 3], [4.0, 5, 6])
    assert (few.word, few.seeds) == (words.UNDECIDED, 4)


def test_unfinished_and_diverged_trainings_rank_last() -> None:
    slow: list[Value] = [Beyond(100), math.nan, Beyond(100), Beyond(100)]
    assert ordering([1.0, 2, 3, 99], slow).word == words.REPRODUCED
    assert ordering(slow, slow).value == 0.5
    assert ordering(slow, [-1.0, -2, -3, -4], higher=True).word == words.NOT_REPRODUCED


def test_comparable_is_welchs_interval_within_the_margin() -> None:
    claim = Comparable(
        name="a", reference=Reference("a paper", "V"), groups=("a", "b"), measure="m",
        margin=Margin(1.0, "why"),
    )  # fmt: skip
    a, b = [1.0, 1.1, 0.9, 1.2], [1.5, 1.6, 1.3, 1.4, 1.7]
    found = rules.judge(claim, {("a", "m"): a, ("b", "m"): b}, reduced=False)
    interval = stats.ttest_ind(a, b, equal_var=False).confidence_interval(0.95)
    assert (found.low, found.high) == pytest.approx((interval.low, interval.high))
    assert found.word == words.REPRODUCED
    assert rules.comparable(a, [v + 9 for v in b], 1.0).word == words.NOT_REPRODUCED
    assert rules.comparable(a, [1.0, 9.0], 1.0).word == words.UNDECIDED


def test_bound_is_one_sided() -> None:
    claim = Bound(
        name="a", reference=Reference("a paper", "V"), group="g", measure="m", at_most=0.2
    )
    assert verdict(claim, 0.1, 0.12, 0.11).word == words.REPRODUCED
    assert verdict(claim, 0.5, 0.52, 0.51).word == words.NOT_REPRODUCED
    assert verdict(claim, 0.1, 0.3, 0.2).word == words.UNDECIDED
    other = Bound(
        name="a", reference=Reference("a paper", "V"), group="g", measure="m", at_least=0.2
    )
    assert verdict(other, 0.5, 0.52, 0.51).word == words.REPRODUCED


def test_constant_is_within_its_tolerance_or_not() -> None:
    claim = Constant(
        name="a", reference=Reference("closed form", "C", 1.0), group="g", measure="m",
        margin=Margin(0.1, "rounding"),
    )  # fmt: skip
    assert verdict(claim, 1.05, 0.95).word == words.REPRODUCED
    assert verdict(claim, 1.05, 0.85).word == words.NOT_REPRODUCED
    assert verdict(claim, math.nan).word == words.NOT_REPRODUCED


def test_other_protocol_is_never_called_reproduced() -> None:
    assert verdict(number(10, 1), 10.1, 9.9, 10.0, reduced=True).word == words.HOLDS
    assert verdict(number(3, 1), 10.1, 9.9, 10.0, reduced=True).word == words.DOES_NOT
    assert verdict(number(10, 1), 1.0, 20.0, reduced=True).word == words.UNDECIDED


def test_what_cannot_be_tested_says_why() -> None:
    claim = NotComparable(name="a", reference=Reference("a paper", "V", 1.0), reason="private data")
    found = rules.judge(claim, {}, reduced=True)
    assert (found.word, found.detail) == (words.NOT_COMPARABLE, "private data")


def test_holm_is_stepwise() -> None:
    assert rules.holm([0.01, 0.02, 0.03]) == 3  # .01 <= .05/3, .02 <= .05/2, .03 <= .05
    assert rules.holm([0.01, 0.03, 0.04]) == 1
    assert rules.holm([0.2, 0.02]) == 1
    assert rules.holm([]) == 0


Draw = Callable[[np.random.Generator, float], list[words.Verdict]]


def means(rng: np.random.Generator, shift: float) -> list[words.Verdict]:
    """Of five normal values whose mean lies this far above the published one; the margin is 1."""
    return [verdict(number(0, 1), *map(float, rng.normal(shift, 0.3, 5)))]


def singles(rng: np.random.Generator, shift: float) -> list[words.Verdict]:
    """One published training of the same procedure, shifted."""
    published = float(rng.normal(-shift, 0.3))
    claim = number(published, 1.5, published="single")
    return [verdict(claim, *map(float, rng.normal(0, 0.3, 8)))]


@pytest.mark.parametrize(
    "trials", [pytest.param(2000), pytest.param(20_000, marks=pytest.mark.slow)]
)
def test_error_rates_at_the_edge_of_the_margin(trials: int) -> None:
    """There both wrong verdicts have the probability 2.5 %, not less and not more."""
    rng = np.random.default_rng(0)
    found_words = [found.word for _ in range(trials) for found in means(rng, 1.0)]
    low, high = stats.binom.ppf([0.0005, 0.9995], trials, ALARM)
    for word in (words.REPRODUCED, words.NOT_REPRODUCED):
        count = found_words.count(word)
        print(f"{word} at the edge: {count / trials:.4f}, nominal {ALARM}")
        assert low <= count <= high


def test_same_procedure_is_found_different_in_one_of_twenty() -> None:
    """A published single training of the same procedure lies outside its interval in 5 %; with a
    margin of its own the verdict is rarer still."""
    rng, trials = np.random.default_rng(0), 2000
    seen = [found.word for _ in range(trials) for found in singles(rng, 0.0)]
    assert seen.count(words.NOT_REPRODUCED) <= stats.binom.ppf(0.9995, trials, 2 * ALARM)
    assert seen.count(words.REPRODUCED) > 0.9 * trials
    far = [found.word for _ in range(200) for found in singles(rng, 9.0)]
    assert set(far) == {words.NOT_REPRODUCED}


def test_ordering_of_equal_groups_is_found_in_less_than_one_of_twenty() -> None:
    rng, trials = np.random.default_rng(0), 600
    seen = []
    for _ in range(trials):
        a, b = rng.lognormal(size=(2, 5)).tolist()
        seen.append(ordering(a, b).word)
    decided = trials - seen.count(words.UNDECIDED)
    assert decided <= stats.binom.ppf(0.9995, trials, 0.05)
