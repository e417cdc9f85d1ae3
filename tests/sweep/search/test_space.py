"""Samplers and pruners of a search: what they draw, what they stop, and what Optuna says."""

import logging
import sys
from collections.abc import Callable
from typing import Any

import pytest

from rnnexp.core.errors import UsageError
from rnnexp.sweep.search.space import Goal, import_optuna, make_pruner, make_sampler
from tests.helpers.small_search import optuna


def proposals(name: str, told_as: Any, *, of: Callable[[float], float | None]) -> list[float]:
    """What a sampler proposes for x in [0, 1] while it is told `of(x)`; None is an end without."""
    study = optuna.create_study()
    drawn = []
    for number in range(60):
        trial = study.ask()
        study.sampler = make_sampler(name, 0, number)
        drawn.append(trial.suggest_float("x", 0, 1))
        value = of(drawn[-1])
        study.tell(trial, value, None if value is not None else told_as)
    return drawn


def test_tpe_draws_near_the_minimum_and_random_does_not() -> None:
    def distance(name: str) -> float:
        drawn = proposals(name, None, of=lambda x: (x - 0.3) ** 2)
        return sum(abs(x - 0.3) for x in drawn[20:]) / 40

    assert distance("tpe") < 0.15 < 0.25 < distance("random")


def test_tpe_avoids_what_diverged_but_not_what_failed() -> None:
    def in_bad_half(told_as: Any) -> int:
        drawn = proposals("tpe", told_as, of=lambda x: None if x > 0.5 else 1 - x)
        return sum(x > 0.5 for x in drawn[10:])

    state = optuna.trial.TrialState
    assert in_bad_half(state.PRUNED) < in_bad_half(state.FAIL) / 2


def test_what_a_trial_draws_depends_on_seed_number_and_what_was_told() -> None:
    def draw(seed: int, number: int) -> float:
        study = optuna.create_study(sampler=make_sampler("random", seed, number))
        return float(study.ask().suggest_float("x", 0, 1))

    def parabola(x: float) -> float:
        return (x - 0.3) ** 2

    assert draw(0, 3) == draw(0, 3)
    assert proposals("tpe", None, of=parabola) == proposals("tpe", None, of=parabola)
    assert len({draw(seed, number) for seed in range(3) for number in range(5)}) == 15


def test_the_median_pruner_waits_for_its_first_step_and_for_completed_trials() -> None:
    goal = Goal("loss", False, total_steps=10, eval_steps=1)
    study = optuna.create_study(pruner=make_pruner("median", goal, 3))

    def stops_at(*values: float) -> int | None:
        trial = study.ask()
        for step, value in enumerate(values, 1):
            trial.report(value, step)
            if trial.should_prune():
                study.tell(trial, state=optuna.trial.TrialState.PRUNED)
                return step
        study.tell(trial, values[-1])
        return None

    assert [stops_at(v, v, v, v) for v in (1.0, 2.0, 3.0, 4.0, 5.0)] == [None] * 5
    assert stops_at(9.0, 9.0, 9.0, 9.0) == 3
    assert stops_at(2.9, 2.9, 2.9, 2.9) is None


def test_without_optuna_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(UsageError, match=r"pip install 'rnnexp\[search\]'"):
        import_optuna()


def test_optuna_says_nothing_past_the_handlers_of_the_program() -> None:
    logger = logging.getLogger("optuna")
    import_optuna()
    assert (logger.propagate, logger.handlers) == (True, [])
