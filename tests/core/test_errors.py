"""Errors name what was not known, and suggest what may have been meant."""

import pytest

from rnnexp.core.errors import UsageError, require_at_least, require_choice, unknown


def test_a_choice_is_one_of_the_known() -> None:
    require_choice("schedule", "cosine", ["linear", "cosine"])
    with pytest.raises(UsageError, match=r"schedule 'cosin'\. Did you mean 'cosine'\?"):
        require_choice("schedule", "cosin", iter(["linear", "cosine"]))
    assert str(unknown("thing", "q", ["b", "a"])) == "unknown thing 'q'. Known: a, b."


def test_a_number_is_at_least_so_much() -> None:
    require_at_least(1, slots=1, width=2)
    require_at_least(0.5, rate=0.5)
    with pytest.raises(UsageError, match=r"^width must be at least 1, not 0$"):
        require_at_least(1, slots=1, width=0)
    with pytest.raises(UsageError, match=r"^width of ntm must be at least 1, not 0$"):
        require_at_least(1, of="ntm", width=0)
