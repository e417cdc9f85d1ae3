"""Specifies a search: its space, objective, sampler and pruner, in Optuna's terms.

Each trial suggests a value on every axis, also on an axis whose key its cell lacks; the value
then changes nothing. Ordered numbers, such as the list 16,32,64 or an interval with a count, are
suggested by their position, so that the sampler knows which of them are neighbours.
"""

import logging
import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from ml_collections import FrozenConfigDict

from rnnexp.config.schema import duration_steps, options
from rnnexp.core.errors import UsageError, require_choice
from rnnexp.core.seeds import require_seed
from rnnexp.sweep.axes import DIGITS, EXPERIMENT, Space
from rnnexp.sweep.space import Base, Point, Suggestion, experiments, point, suggestion_axes
from rnnexp.sweep.starting_points import file_changes
from rnnexp.tasks.batches import epoch_length
from rnnexp.train.build import build_task

if TYPE_CHECKING:
    from optuna.pruners import BasePruner
    from optuna.samplers import BaseSampler
    from optuna.trial import Trial

log = logging.getLogger("rnnexp")
SAMPLERS = ("tpe", "random")
PRUNERS = ("none", "asha", "median")
ETA = 4
"""ASHA's reduction factor: one in `ETA` of the trials at a rung goes on, to a rung `ETA` times as
far."""
STARTUP = 5
"""The median pruner stops no trial before so many trials have completed."""


@dataclass(frozen=True, kw_only=True)
class SearchSettings:
    """How a space is searched.

    Attributes:
      trials: how many trials the study is to have in all, repeated and failed ones included.
      sampler, pruner, prune_after: see `make_sampler` and `make_pruner`.
      seed: of the draws. The runs have the seed of the space or of the base.
      at_once: how many runs train at a time in this process; None: see `default_at_once`.
      width: how many runs train side by side on a device; None measures which is fastest.

    Raises:
      UsageError: for an unknown sampler or pruner, or a number below one.
    """

    trials: int
    sampler: str = "tpe"
    pruner: str = "none"
    prune_after: int | None = None
    seed: int = 0
    at_once: int | None = None
    width: int | None = None

    def __post_init__(self) -> None:
        require_choice("sampler", self.sampler, SAMPLERS)
        require_choice("pruner", self.pruner, PRUNERS)
        require_seed("--draw-seed", self.seed)
        if self.at_once is not None and self.at_once < 1:
            raise UsageError(f"at least one run trains at once, not {self.at_once}")
        if self.trials < 1:
            raise UsageError(f"a search needs at least one trial, not {self.trials}")

    @property
    def learns(self) -> bool:
        """Whether trials that have ended influence later ones."""
        return self.sampler != "random" or self.pruner != "none"


@dataclass(frozen=True)
class Objective:
    """What a search optimises: the best validation score of a run, and when runs are validated."""

    metric: str
    higher_is_better: bool
    total_steps: int
    eval_steps: int


@dataclass(frozen=True)
class SearchSpec:
    """A search as specified; the same in all processes that share its study.

    Attributes:
      suggestions: what each trial suggests.
      identity: what must be the same in all processes that share the study.
    """

    space: Space
    base: Base
    settings: SearchSettings
    suggestions: Sequence[Suggestion]
    objective: Objective
    pruner: "BasePruner"
    identity: dict[str, Any]

    def sampler(self, number: int) -> "BaseSampler":
        """The sampler of the trial with this number."""
        return make_sampler(self.settings.sampler, self.settings.seed, number)

    def choose(self, trial: "Trial") -> dict[str, Any]:
        """The values that a trial suggests, by key."""
        return choose(trial, self.suggestions)

    def point(self, values: dict[str, Any]) -> Point:
        """The point with these values; see `seeded_point`."""
        return seeded_point(self.space, self.base, values)

    @property
    def num_points(self) -> float:
        """How many different points there are; infinite if an axis is an interval of numbers."""
        return math.prod(
            len(dict.fromkeys(s.choices))
            if s.choices is not None
            else (s.high - s.low + 1 if s.integer else math.inf)
            for s in self.suggestions
        )


def make_spec(
    space: Space, base: Base, settings: SearchSettings, *, data_dir: Path | None
) -> SearchSpec:
    """The specification of a search; reads the data of its task.

    Raises:
      UsageError: if Optuna is not installed or the space cannot be searched.
    """
    suggestions = make_suggestions(space, base)
    first = seeded_point(space, base, first_values(suggestions)).config
    if settings.pruner != "none":
        require_same_steps(space, first)
    objective = make_objective(first, data_dir)
    return SearchSpec(
        space,
        base,
        settings,
        suggestions,
        objective,
        pruner=make_pruner(settings.pruner, objective, settings.prune_after),
        identity={
            "axes": [str(axis) for axis in space.axes],
            "base": [base.name, {**file_changes(base), **base.overrides}],
            "seed": first.seed,
            "metric": objective.metric,
        },
    )


def make_suggestions(space: Space, base: Base) -> list[Suggestion]:
    """What each trial suggests.

    Raises:
      UsageError: for a space that cannot be searched. A search compares runs of one task, and
        trains each setting with one seed.
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
    return [_only_fitting(suggestion, fitting) for suggestion in suggestion_axes(space, base)]


def _only_fitting(suggestion: Suggestion, fitting: Sequence[dict[str, Any]]) -> Suggestion:
    """The suggestion without the cells and tasks that occur in no fitting experiment."""

    def fits(row: tuple[Any, ...]) -> bool:
        named = {k: v for k, v in zip(suggestion.keys, row, strict=True) if k in EXPERIMENT}
        return any(named.items() <= values.items() for values in fitting)

    if suggestion.choices is None:
        return suggestion
    return replace(suggestion, choices=tuple(row for row in suggestion.choices if fits(row)))


def seeded_point(space: Space, base: Base, values: dict[str, Any]) -> Point:
    """The point with these values, and with the space's seed if it names one (else the base's)."""
    seed = {} if isinstance(space.seeds, int) else {"seed": space.seeds[0]}
    return point(space, base, values | seed)


def first_values(suggestions: Sequence[Suggestion]) -> dict[str, Any]:
    """The first or lowest value on every axis."""
    values: dict[str, Any] = {}
    for suggestion in suggestions:
        row = suggestion.choices[0] if suggestion.choices is not None else (suggestion.low,)
        values |= dict(zip(suggestion.keys, row, strict=True))
    return values


def require_same_steps(space: Space, config: FrozenConfigDict) -> None:
    """Raise `UsageError` if runs are validated after different numbers of updates.

    A pruner could not compare such runs. `config` is any of the space's configurations.
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


def make_objective(config: FrozenConfigDict, data_dir: Path | None) -> Objective:
    """The objective of a search, from any of its configurations; reads the data of its task."""
    task = build_task(config.task.name, data_dir, **options(config, "task"))
    batch_size = config.train.batch_size
    sizes = {"batch_size": batch_size, "epoch_steps": epoch_length(task.train, batch_size)}
    total = duration_steps(config, "train.duration", **sizes)
    every = duration_steps(config, "eval.every", **sizes)
    return Objective(task.headline, task.higher_is_better, total, min(every, total))


def choose(trial: "Trial", suggestions: Sequence[Suggestion]) -> dict[str, Any]:
    """The values that an Optuna trial suggests, by key; earlier suggestions are kept."""
    values: dict[str, Any] = {}
    for suggestion in suggestions:
        row = _choose_row(trial, suggestion)
        values |= dict(zip(suggestion.keys, row, strict=True))
    return values


def _choose_row(trial: "Trial", suggestion: Suggestion) -> tuple[Any, ...]:
    """The values of one suggestion, one for each key."""
    name, low, high = "+".join(suggestion.keys), suggestion.low, suggestion.high
    log_scale = suggestion.scale == "log"
    if suggestion.choices is None and suggestion.integer:
        return (trial.suggest_int(name, int(low), int(high), log=log_scale),)
    if suggestion.choices is None:
        value = trial.suggest_float(name, low, high, log=log_scale)
        return (min(max(float(f"{value:.{DIGITS}g}"), low), high),)
    rows = list(dict.fromkeys(suggestion.choices))
    if _in_order(rows):
        position: int = trial.suggest_int(f"{name} (place)", 0, len(rows) - 1)
        return rows[position]
    texts = [", ".join(map(str, row)) for row in rows]
    return rows[texts.index(trial.suggest_categorical(name, texts))]


def _in_order(rows: Sequence[tuple[Any, ...]]) -> bool:
    """Whether all rows are single numbers in rising or in falling order."""
    if any(len(row) > 1 or isinstance(row[0], bool | str) for row in rows):
        return False
    values = [row[0] for row in rows]
    return values in (sorted(values), sorted(values, reverse=True))


def import_optuna() -> Any:
    """Optuna's module; its warnings go to this program's log handlers, and nothing else does.

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


def make_sampler(name: str, seed: int, number: int) -> "BaseSampler":
    """The sampler of trial `number`, whose draws depend on no other process and no restart.

    random: independent and uniform; in the logarithm on a log axis.
    tpe: Bergstra et al. 2011. Running trials count as bad ones (constant liar), so that trials
    that train side by side differ.
    """
    optuna = import_optuna()
    require_choice("sampler", name, SAMPLERS)
    own = int(np.random.SeedSequence([seed, number]).generate_state(1)[0])
    with warnings.catch_warnings():  # the constant liar was experimental before Optuna 5
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        if name == "random":
            sampler: BaseSampler = optuna.samplers.RandomSampler(seed=own)
        else:
            sampler = optuna.samplers.TPESampler(seed=own, constant_liar=True)
    return sampler


def make_pruner(name: str, objective: Objective, first_step: int | None) -> "BasePruner":
    """The pruner of that name, which stops no run before `first_step` updates.

    asha: asynchronous successive halving, Li et al. 2020. The first rung is at `first_step` (by
    default at the first validation or after 1/64 of a run, whichever is later), and each further
    one at `ETA` times the rung before. Of the runs that have reached a rung, the best one in
    `ETA` goes on.
    median: stops a run whose best value so far is worse than the median of what completed
    trials had after the same step.

    Raises `UsageError` if the pruner could stop no run.
    """
    optuna = import_optuna()
    require_choice("pruner", name, PRUNERS)
    if first_step is not None and first_step < 1:
        raise UsageError(f"pruning begins after 1 step at the earliest, not {first_step}")
    earliest = -(-(first_step or 1) // objective.eval_steps) * objective.eval_steps
    if name != "none" and earliest >= objective.total_steps:
        raise UsageError(
            f"{name} would stop no run: its first look is at step {earliest}, and runs end at "
            f"step {objective.total_steps}; validate more often (config.eval.every_steps)"
        )
    pruner: BasePruner
    if name == "none":
        pruner = optuna.pruners.NopPruner()
    elif name == "asha":
        first = first_step or max(objective.eval_steps, objective.total_steps // ETA**3)
        pruner = optuna.pruners.SuccessiveHalvingPruner(min_resource=first, reduction_factor=ETA)
        log.info("asha: the first rung is at step %d of %d", first, objective.total_steps)
    else:
        pruner = optuna.pruners.MedianPruner(
            n_startup_trials=STARTUP, n_warmup_steps=first_step or 0
        )
    return pruner
