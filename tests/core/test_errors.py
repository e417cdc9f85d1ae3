"""Errors name what was not known, and suggest what may have been meant."""

import pytest

from rnnexp.core.errors import UsageError, require_choice, unknown


def test_a_choice_is_one_of_the_known() -> None:
    require_choice("schedule", "cosine", ["linear", "cosine"])
    with pytest.raises(UsageError, match=r"schedule 'cosin'\. Did you mean 'cosine'\?"):
        require_choice("schedule", "cosin", iter(["linear", "cosine"]))
    assert str(unknown("thing", "q", ["b", "a"])) == "unknown thing 'q'. Known: a, b."
