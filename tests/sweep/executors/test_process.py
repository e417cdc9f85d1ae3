"""A job's exit code says how it ended."""

import pytest

from rnnexp.sweep.executors.process import outcome_of_exit


@pytest.mark.parametrize(
    ("code", "status"),
    [
        *[(0, "done"), (1, "failed"), (2, "failed"), (75, "evicted"), (130, "evicted")],
        *[(143, "evicted"), (-15, "evicted"), (-9, "crashed"), (-11, "crashed")],
    ],
)
def test_exit_codes_have_their_meaning(code: int, status: str) -> None:
    assert outcome_of_exit(code, "the last line").status == status
