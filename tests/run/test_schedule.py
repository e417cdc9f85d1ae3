"""What is due after which step, and where the host acts next."""

import pytest

from rnnexp.run.schedule import (
    Schedule,
    due_actions,
    epoch_end,
    is_recorded,
    next_boundary,
    schedule_of,
)
from rnnexp.train.plan import make_plan
from tests.helpers.small_run import small_config

PERIODS = Schedule(
    total=100, evaluate=20, checkpoint=30, record=7, keep=45, measure=50, epoch=33
)  # fmt: skip
RARE = Schedule(total=10, evaluate=1000, checkpoint=1000, record=1)


@pytest.mark.parametrize(
    ("step", "due"),
    [
        (1, set()),
        (20, {"evaluate"}),
        (30, {"checkpoint"}),
        (33, set()),
        (45, {"keep"}),
        (50, {"measure"}),
        (60, {"evaluate", "checkpoint"}),
        (90, {"checkpoint", "keep"}),
        (100, {"evaluate", "measure"}),
        (0, {"evaluate", "checkpoint", "keep", "measure"}),
    ],
)
def test_what_is_due_after_a_step(step: int, due: set[str]) -> None:
    assert due_actions(PERIODS, step) == due


def test_zero_means_never() -> None:
    never = PERIODS._replace(keep=0, measure=0)
    for step in range(101):
        assert due_actions(never, step) == due_actions(PERIODS, step) - {"keep", "measure"}
    assert due_actions(RARE._replace(evaluate=0, checkpoint=0), 5) == set()


def test_validation_follows_the_last_step() -> None:
    assert due_actions(RARE, 9) == set()
    assert due_actions(RARE, 10) == {"evaluate"}


def test_the_next_boundary_is_the_first_step_with_something_to_do() -> None:
    """As found by trying every step."""
    for schedule in (PERIODS, PERIODS._replace(keep=0, measure=0), PERIODS._replace(epoch=0), RARE):
        for step in range(schedule.total):
            expected = next(
                later
                for later in range(step + 1, schedule.total + 1)
                if due_actions(schedule, later)
                or (schedule.epoch and later % schedule.epoch == 0)
                or later == schedule.total
            )
            assert next_boundary(schedule, step) == expected


def test_no_chunk_crosses_the_end_of_an_epoch() -> None:
    assert [epoch_end(PERIODS, step) for step in (0, 32, 33, 98, 99)] == [33, 33, 66, 99, 132]
    assert next_boundary(PERIODS, 30) == 33
    assert epoch_end(RARE, 3) == 10


def test_recorded_steps_are_counted_from_the_first() -> None:
    assert [step for step in range(30) if is_recorded(PERIODS, step)] == [0, 7, 14, 21, 28]


def test_the_schedule_of_a_plan() -> None:
    changes = {"checkpoint__keep_every_steps": 40, "laboratory__every_steps": 50}
    plan = make_plan(small_config(**changes), data_dir=None, chunk_steps=2)
    expected = Schedule(total=150, evaluate=30, checkpoint=25, record=2, keep=40, measure=50)
    assert schedule_of(plan) == expected
