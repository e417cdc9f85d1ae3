"""What is searched, for what and how: all of a search that is the same for its processes."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ml_collections import FrozenConfigDict

from rnnexp.config.schema import duration_steps, options
from rnnexp.core.errors import UsageError
from rnnexp.sweep.axes import Space
from rnnexp.sweep.search.space import Goal, choose, make_pruner, make_sampler, searched
from rnnexp.sweep.space import Base, Point, Suggestion, point
from rnnexp.sweep.starting_points import file_changes
from rnnexp.tasks.batches import epoch_length
from rnnexp.train.build import build_task

if TYPE_CHECKING:
    from optuna.pruners import BasePruner
    from optuna.samplers import BaseSampler
    from optuna.trial import Trial


@dataclass(frozen=True, kw_only=True)
class Outline:
    """A search as it was ordered.

    Attributes:
      budget: how many trials the study is to have in all.
      settings: how many different ones there are; infinite if an axis is an interval.
      sampler: of the trial with a number.
      choose: the values of a trial; `make`: the point with these values.
      identity: what must be the same for all processes that share the study.
    """

    goal: Goal
    budget: int
    settings: float
    sampler_name: str
    pruner_name: str
    sampler: "Callable[[int], BaseSampler]"
    pruner: "BasePruner"
    choose: "Callable[[Trial], dict[str, Any]]"
    make: Callable[[dict[str, Any]], Point]
    identity: dict[str, Any]

    @property
    def learns(self) -> bool:
        """Whether what has ended matters for what comes."""
        return self.sampler_name != "random" or self.pruner_name != "none"


def make_outline(
    space: Space,
    base: Base,
    *,
    trials: int,
    sampler: str,
    pruner: str,
    prune_after: int | None,
    seed: int,
    data_dir: Path | None,
) -> Outline:
    """The search that the arguments of `rnnexp.sweep.search.search.search` order.

    It reads the data of the task. Raises `UsageError` where that function does.
    """
    if trials < 1:
        raise UsageError(f"a search needs at least one trial, not {trials}")
    suggestions = searched(space, base)

    def make(values: dict[str, Any]) -> Point:
        named = {} if isinstance(space.seeds, int) else {"seed": space.seeds[0]}
        return point(space, base, values | named)

    first = make(first_values(suggestions)).config
    if pruner != "none":
        require_same_steps(space, first)
    goal = find_goal(first, data_dir)
    return Outline(
        goal=goal,
        budget=trials,
        settings=count_settings(suggestions),
        sampler_name=sampler,
        pruner_name=pruner,
        sampler=partial(make_sampler, sampler, seed),
        pruner=make_pruner(pruner, goal, prune_after),
        choose=partial(choose, suggestions=suggestions),
        make=make,
        identity={
            "axes": [str(axis) for axis in space.axes],
            "base": [base.name, {**file_changes(base), **base.overrides}],
            "seed": first.seed,
            "metric": goal.metric,
        },
    )


def require_same_steps(space: Space, config: FrozenConfigDict) -> None:
    """Raise `UsageError` where runs are validated after different numbers of updates.

    `config` is one of the space's; a pruner could not compare such runs.
    """
    in_epochs = config.eval.every_epochs is not None
    for axis in space.axes:
        if axis.key.startswith("eval.every"):
            what = "when it is"
        elif axis.key == "train.batch_size":
            what = "the size of its steps, after so many of which it is"
        elif axis.key.startswith("task.") and axis.key != "task.name" and in_epochs:
            what = "the length of its epochs, after which it is"
        else:
            continue
        raise UsageError(
            f"a pruner compares runs that were validated after the same steps, but {axis.key} "
            f"changes for each run {what} validated; leave it out or choose --pruner none"
        )


def find_goal(config: FrozenConfigDict, data_dir: "Path | None") -> Goal:
    """The goal of a search, from one configuration of it; reads the data of its task."""
    task = build_task(config.task.name, data_dir, **options(config, "task"))
    batch_size = config.train.batch_size
    sizes = {"batch_size": batch_size, "epoch_steps": epoch_length(task.train, batch_size)}
    total = duration_steps(config, "train.duration", **sizes)
    every = duration_steps(config, "eval.every", **sizes)
    return Goal(task.headline, task.higher_is_better, total, min(every, total))


def first_values(suggestions: Sequence[Suggestion]) -> dict[str, Any]:
    """The first or the lowest value on every axis."""
    values: dict[str, Any] = {}
    for suggestion in suggestions:
        row = suggestion.choices[0] if suggestion.choices is not None else (suggestion.low,)
        values |= dict(zip(suggestion.keys, row, strict=True))
    return values


def count_settings(suggestions: Sequence[Suggestion]) -> float:
    """How many different settings a space has; infinite if one of its axes is an interval."""
    sizes = [
        len(dict.fromkeys(s.choices))
        if s.choices is not None
        else (s.high - s.low + 1 if s.integer else math.inf)
        for s in suggestions
    ]
    return math.prod(sizes)
