"""A score that is not finite is never a gain, and the text about it names what it was."""

import math

import pytest

from rnnexp.run.evaluations import (
    goal_is_met,
    is_gain,
    nonfinite_lengths,
    nonfinite_text,
    nonfinite_validations,
)

NONE = (math.nan, math.inf, -math.inf)


@pytest.mark.parametrize("higher", [False, True])
@pytest.mark.parametrize("value", NONE)
def test_what_is_not_finite_is_no_gain(value: float, higher: bool) -> None:
    for best in (None, 0.5, *NONE):
        assert not is_gain(value, best, higher_is_better=higher)


@pytest.mark.parametrize("higher", [False, True])
def test_what_is_finite_is_a_gain_where_it_is_better_or_the_first(higher: bool) -> None:
    for best in (None, *NONE):
        assert is_gain(0.5, best, higher_is_better=higher)
    assert is_gain(0.4, 0.5, higher_is_better=higher) is not higher
    assert is_gain(0.6, 0.5, higher_is_better=higher) is higher
    assert not is_gain(0.5, 0.5, higher_is_better=higher)


def test_a_goal_is_that_of_the_mean_of_the_last() -> None:
    assert goal_is_met([9.0, 0.1, 0.3], 0.21, 2)
    assert not goal_is_met([9.0, 0.1, 0.3], 0.2, 2)
    assert not goal_is_met([0.1], 1.0, 2)
    assert not goal_is_met([], 1.0, 1)
    assert not goal_is_met([0.1, math.nan], 1.0, 2)


def test_the_text_names_scores_and_the_first_step() -> None:
    assert nonfinite_text({"loss": 0.1, "accuracy": 1.0}) == ""
    assert nonfinite_text({"loss": math.nan, "x": 1.0, "y": -math.inf}) == "loss nan, y -inf"
    rows = [
        {"kind": "valid", "step": 10, "loss": 0.1, "time": 1.0},
        {"kind": "valid", "step": 20, "loss": "NaN", "time": 2.0},
        {"kind": "valid", "step": 30, "loss": "Infinity", "time": 3.0},
    ]
    assert nonfinite_validations(rows[:1]) == ""
    said = nonfinite_validations(rows)
    assert said == "2 of 3 validations were not finite, first at step 20: loss nan"
    assert nonfinite_validations(rows[:2]).startswith("1 of 2 validations was not finite")


def test_the_text_names_the_lengths_of_tests() -> None:
    assert nonfinite_lengths({}) == nonfinite_lengths({20: {"loss": 0.1}}) == ""
    found = {20: {"loss": 0.1}, 40: {"loss": math.inf}, 80: {"loss": math.nan}}
    assert nonfinite_lengths(found) == "not finite at length 40: loss inf; 80: loss nan"
