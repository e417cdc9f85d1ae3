"""What is due after which training step.

Steps count updates made. A period of 0 means never.
"""

from typing import Literal, NamedTuple

from rnnexp.train.plan import Plan

Action = Literal["evaluate", "checkpoint", "keep", "measure"]
"""What the host does between two chunks: validate, save a checkpoint to resume from, save one
that is kept for good, measure with the laboratory."""


class Schedule(NamedTuple):
    """The length of a run and the period of everything that recurs in it, in steps.

    Attributes:
      total: the steps of the whole run.
      evaluate: validation, which also follows the last step.
      checkpoint, keep, measure: see `Action`.
      record: every so many steps, from step 0 on, a step is recorded.
      epoch: the steps of an epoch, which no chunk crosses; 0 for a task without epochs.
    """

    total: int
    evaluate: int
    checkpoint: int
    record: int
    keep: int = 0
    measure: int = 0
    epoch: int = 0


def schedule_of(plan: Plan) -> Schedule:
    """The schedule of a planned run."""
    return Schedule(
        total=plan.total_steps,
        evaluate=plan.eval_steps,
        checkpoint=plan.checkpoint_steps,
        record=plan.record_steps,
        keep=plan.keep_steps,
        measure=plan.laboratory_steps,
        epoch=plan.epoch_steps or 0,
    )


def due_actions(schedule: Schedule, step: int) -> frozenset[Action]:
    """What is due after `step` updates."""
    periods: dict[Action, int] = {
        "evaluate": schedule.evaluate,
        "checkpoint": schedule.checkpoint,
        "keep": schedule.keep,
        "measure": schedule.measure,
    }
    due = {action for action, every in periods.items() if every and step % every == 0}
    return frozenset(due | {"evaluate"} if step == schedule.total else due)


def next_boundary(schedule: Schedule, step: int) -> int:
    """The first step after `step` at which something is due, an epoch ends or the run does."""
    periods = schedule.evaluate, schedule.checkpoint, schedule.keep, schedule.measure
    boundaries = [_next_multiple(step, every) for every in periods if every]
    return min(schedule.total, epoch_end(schedule, step), *boundaries)


def epoch_end(schedule: Schedule, step: int) -> int:
    """Where the epoch ends that `step` is in; without epochs, where the run ends."""
    return _next_multiple(step, schedule.epoch) if schedule.epoch else schedule.total


def is_recorded(schedule: Schedule, step: int) -> bool:
    """Whether a step, counted from 0, is one that the run records."""
    return step % schedule.record == 0


def _next_multiple(step: int, period: int) -> int:
    return (step // period + 1) * period
