"""What a study has found: its trials by status, and the best of them with its test score."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rnnexp.sweep.search.space import Goal

if TYPE_CHECKING:
    from optuna.trial import FrozenTrial


@dataclass(frozen=True)
class Best:
    """The trial with the best validation value, and what its run scored on the test set.

    `run` lies below the runs directory of the process that trained it; `test` is the
    `metric` of its best checkpoint.
    """

    trial: int
    run: str
    values: dict[str, Any]
    metric: str
    validation: float
    test: float


@dataclass(frozen=True)
class Found:
    """What a study has found so far.

    Attributes:
      counts: trials by status: completed, pruned, diverged, failed; running, in whichever
        process, and waiting.
      repeated: trials whose values another one had before; they are in `counts` as well.
      best: None if no trial has completed.
      stopped: the signal, or `cancelled`, that ended the search early; None: it is through.
    """

    study: str
    counts: dict[str, int]
    repeated: int
    best: Best | None
    stopped: str | None = None


def summarise(name: str, trials: "Sequence[FrozenTrial]", goal: Goal, stopped: str | None) -> Found:
    """The summary of a study with these trials; of equal ones the first is the best."""
    statuses = Counter(status_of(trial) for trial in trials)
    repeated = sum("repeats" in trial.user_attrs for trial in trials)
    sign = -1 if goal.higher_is_better else 1
    completed = [t for t in trials if t.state.name == "COMPLETE" and t.user_attrs.get("outcome")]
    best = min(
        completed, key=lambda trial: (sign * (trial.value or 0.0), trial.number), default=None
    )
    return Found(
        name, dict(sorted(statuses.items())), repeated,
        None if best is None else best_of(best, goal.metric), stopped,
    )  # fmt: skip


def best_of(trial: "FrozenTrial", metric: str) -> Best:
    """A completed trial as the best one."""
    attributes = trial.user_attrs
    assert trial.value is not None
    return Best(
        trial=trial.number,
        run=attributes["run"],
        values=attributes["values"],
        metric=metric,
        validation=trial.value,
        test=float(attributes["outcome"]["test"][metric]),
    )


def status_of(trial: "FrozenTrial") -> str:
    """How the run of a trial ended, else what state the trial is in."""
    if outcome := trial.user_attrs.get("outcome"):
        return str(outcome["status"])
    state = str(trial.state.name)
    return {"FAIL": "failed", "COMPLETE": "completed"}.get(state, state.lower())
