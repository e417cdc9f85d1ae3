"""From the space of a sweep to what Optuna samples and prunes.

Every trial chooses a value on every axis, also where its cell lacks the key: the value
then changes nothing. Numbers in order, such as a list 16,32,64 or an interval with a
count, are chosen by their place, so that the sampler knows which are neighbours.
"""

import logging
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from rnnexp.core.errors import UsageError, require_choice
from rnnexp.sweep.axes import DIGITS, EXPERIMENT, Space
from rnnexp.sweep.space import Base, Suggestion, experiments, suggestion_axes

if TYPE_CHECKING:
    from optuna.pruners import BasePruner
    from optuna.samplers import BaseSampler
    from optuna.trial import Trial

log = logging.getLogger("rnnexp")
SAMPLERS = ("tpe", "random")
PRUNERS = ("none", "asha", "median")
ETA = 4
"""Of the trials that reach a rung of ASHA, one in so many goes on; the next is so far off."""
STARTUP = 5
"""The median pruner stops nobody before so many trials have completed."""


@dataclass(frozen=True)
class Goal:
    """What a search optimises: the best validation headline of a run; and its run's steps."""

    metric: str
    higher_is_better: bool
    total_steps: int
    eval_steps: int


def import_optuna() -> Any:
    """Optuna's module, its messages through the handlers of this program and only warnings of them.

    Raises `UsageError` if it is not installed.
    """
    try:
        import optuna
    except ImportError as error:
        raise UsageError("a search needs Optuna: pip install 'rnnexp[search]'") from error
    optuna.logging.disable_default_handler()
    optuna.logging.enable_propagation()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return optuna


def searched(space: Space, base: Base) -> list[Suggestion]:
    """What a trial chooses. Raises `UsageError` for a space that cannot be searched.

    A search compares values of one task, and trains each setting with one seed.
    """
    if not space.groups:
        raise UsageError("nothing to search: give a --sweep, such as KEY=log:LOW..HIGH")
    if space.random is not None:
        raise UsageError("random:N draws the points of a sweep; a search has its own --trials")
    if (space.seeds if isinstance(space.seeds, int) else len(space.seeds)) > 1:
        raise UsageError(
            "a search trains every setting with one seed; afterwards train the best setting "
            "with several by a sweep with --seeds"
        )
    fitting = experiments(space, base)
    tasks = list(dict.fromkeys(values.get("task.name") for values in fitting))
    if len(tasks) > 1:
        raise UsageError(
            f"a search compares runs of one task, not of {', '.join(map(str, tasks))}; "
            "search them one by one"
        )
    return [_fitting(suggestion, fitting) for suggestion in suggestion_axes(space, base)]


def _fitting(suggestion: Suggestion, fitting: Sequence[dict[str, Any]]) -> Suggestion:
    """Without the cells and tasks of which no experiment fits."""

    def fits(row: tuple[Any, ...]) -> bool:
        named = {k: v for k, v in zip(suggestion.keys, row, strict=True) if k in EXPERIMENT}
        return any(named.items() <= values.items() for values in fitting)

    if suggestion.choices is None:
        return suggestion
    return replace(suggestion, choices=tuple(row for row in suggestion.choices if fits(row)))


def choose(trial: "Trial", suggestions: Sequence[Suggestion]) -> dict[str, Any]:
    """The values that an Optuna trial chooses, by key; what it has chosen before stays."""
    values: dict[str, Any] = {}
    for suggestion in suggestions:
        row = _choose_one(trial, suggestion)
        values |= dict(zip(suggestion.keys, row, strict=True))
    return values


def _choose_one(trial: "Trial", suggestion: Suggestion) -> tuple[Any, ...]:
    """The values of the keys of one suggestion."""
    name, low, high = "+".join(suggestion.keys), suggestion.low, suggestion.high
    log_scale = suggestion.scale == "log"
    if suggestion.choices is None and suggestion.integer:
        return (trial.suggest_int(name, int(low), int(high), log=log_scale),)
    if suggestion.choices is None:
        value = trial.suggest_float(name, low, high, log=log_scale)
        return (min(max(float(f"{value:.{DIGITS}g}"), low), high),)
    rows = list(dict.fromkeys(suggestion.choices))
    if _in_order(rows):
        place: int = trial.suggest_int(f"{name} (place)", 0, len(rows) - 1)
        return rows[place]
    texts = [", ".join(map(str, row)) for row in rows]
    return rows[texts.index(trial.suggest_categorical(name, texts))]


def _in_order(rows: Sequence[tuple[Any, ...]]) -> bool:
    """Whether all are single numbers that rise, or all fall."""
    if any(len(row) > 1 or isinstance(row[0], bool | str) for row in rows):
        return False
    values = [row[0] for row in rows]
    return values in (sorted(values), sorted(values, reverse=True))


def make_sampler(name: str, seed: int, number: int) -> "BaseSampler":
    """The sampler of trial `number`: what it draws depends on no other process or start.

    random: independent and uniform, on the logarithm for a log axis. tpe: Bergstra et al.
    2011; it counts trials under way as bad ones (constant liar), so that trials side by side
    differ.
    """
    optuna = import_optuna()
    require_choice("sampler", name, SAMPLERS)
    own = int(np.random.SeedSequence([seed, number]).generate_state(1)[0])
    with warnings.catch_warnings():  # the liar was called experimental before Optuna 5
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        if name == "random":
            sampler: BaseSampler = optuna.samplers.RandomSampler(seed=own)
        else:
            sampler = optuna.samplers.TPESampler(seed=own, constant_liar=True)
    return sampler


def make_pruner(name: str, goal: Goal, first_step: int | None) -> "BasePruner":
    """The pruner of that name, which stops no run before `first_step` updates.

    asha: asynchronous successive halving, Li et al. 2020. Rungs are at `first_step` and at
    `ETA` times the rung before; of the runs that came to a rung so far, the best one in
    `ETA` goes on. By default the first is at the first validation, or after 1/64 of a run.
    median: a run is stopped if its best value so far is worse than the median of what
    completed trials had after the same step.

    Raises `UsageError` if it could stop no run.
    """
    optuna = import_optuna()
    require_choice("pruner", name, PRUNERS)
    if first_step is not None and first_step < 1:
        raise UsageError(f"pruning begins after 1 step at the earliest, not {first_step}")
    earliest = -(-(first_step or 1) // goal.eval_steps) * goal.eval_steps
    if name != "none" and earliest >= goal.total_steps:
        raise UsageError(
            f"{name} would stop no run: its first look is at step {earliest}, and runs end at "
            f"step {goal.total_steps}; validate more often (config.eval.every_steps)"
        )
    pruner: BasePruner
    if name == "none":
        pruner = optuna.pruners.NopPruner()
    elif name == "asha":
        first = first_step or max(goal.eval_steps, goal.total_steps // ETA**3)
        pruner = optuna.pruners.SuccessiveHalvingPruner(min_resource=first, reduction_factor=ETA)
        log.info("asha: the first rung is at step %d of %d", first, goal.total_steps)
    else:
        pruner = optuna.pruners.MedianPruner(
            n_startup_trials=STARTUP, n_warmup_steps=first_step or 0
        )
    return pruner
