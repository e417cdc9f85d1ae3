"""Measures of a finished training that are not among its test scores: of its log, or anew."""

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import jax
import numpy as np

from rnnexp.config.schema import from_saved
from rnnexp.core.errors import UsageError
from rnnexp.results.load import Run
from rnnexp.results.summary import by_length
from rnnexp.run.sample import best_state, load_trained
from rnnexp.study.claims import Beyond, Value
from rnnexp.sweep.program_groups import signature
from rnnexp.tasks.batches import source_arrays, source_size, stream_keys
from rnnexp.train.compiled import initial_state
from rnnexp.train.evaluate import Evaluate, evaluate_function
from rnnexp.train.plan import Plan


def steps_until(
    kind: str, field: str, *, below: float | None = None, above: float | None = None, rows: int = 1
) -> Callable[[Run], Value]:
    """Updates until a figure is below, or above, a limit; `Beyond` the last one if it never is.

    Args:
      kind, field: of the lines of `metrics.jsonl`: `train` or `valid`, and `loss` or a score.
      rows: the mean of so many recorded lines, the last of which names the step, must be.

    A training that diverged before has not solved its task, so that it is `Beyond` too.
    """
    if (below is None) == (above is None):
        raise ValueError("steps_until takes either `below` or `above`")

    def measure(run: Run) -> Value:
        steps_N, values_N = run.curve(kind, field)
        if len(values_N) < rows:
            return Beyond(float(run.status["step"]))
        means_M = np.convolve(values_N, np.full(rows, 1 / rows), mode="valid")
        solved_M = means_M < below if below is not None else means_M > _limit(above)
        if not solved_M.any():
            return Beyond(float(run.status["step"]))
        return float(steps_N[rows - 1 :][int(np.argmax(solved_M))])

    return measure


def mean_of_last(kind: str, field: str, rows: int) -> Callable[[Run], Value]:
    """The mean of a figure over the last recorded lines; NaN if the training diverged."""

    def measure(run: Run) -> Value:
        _, values_N = run.curve(kind, field)
        if run.dead or len(values_N) == 0:
            return math.nan
        return float(np.mean(values_N[-rows:]))

    return measure


def over_lengths(
    score: str, combine: Callable[[Sequence[float]], float] = min
) -> Callable[[Run], Value]:
    """A test score at all `config.eval.lengths`, combined; NaN if the training diverged.

    The measure raises `UsageError` for a run that was tested at no other lengths.
    """

    def measure(run: Run) -> Value:
        if run.dead:
            return math.nan
        if (found := by_length(run.status)) is None:
            raise UsageError(f"{run.path.name} was tested at no other lengths: set eval.lengths")
        return float(combine([scores[score] for scores in found.test.values()]))

    return measure


def score_of(split: str, name: str, *, noise: bool = False) -> Callable[[Run], Value]:
    """A score of the best checkpoint over a split, the training set too; NaN if it diverged.

    Runs that share a program are evaluated by one. Data are looked for where a run without
    `--data-dir` does.

    Args:
      split: train, valid or test.
      noise: evaluate with the run's weight noise, one draw a seed.
    """
    known: dict[str, tuple[Plan, Evaluate]] = {}

    def measure(run: Run) -> Value:
        if run.dead:
            return math.nan
        program = signature(from_saved(run.config))
        if program not in known:
            plan = load_trained(run.path, with_data=True).plan
            known[program] = plan, _evaluation(plan, split, noise=noise)
        plan, evaluate = known[program]
        params = best_state(run.path, initial_state(plan)).params
        arrays = source_arrays(getattr(plan.recipe.task, split))
        key = stream_keys(run.config["seed"])[split]
        return float(evaluate(params, key, arrays)[name])

    return measure


def _evaluation(plan: Plan, split: str, *, noise: bool) -> Evaluate:
    """The compiled evaluation of a plan's recipe over a split."""
    section = plan.config.eval
    examples = source_size(getattr(plan.recipe.task, split)) or section.examples
    recipe = replace(plan.recipe, noisy_evaluation=noise)
    made: Any = jax.jit(evaluate_function(recipe, split, section.batch_size, examples))
    compiled: Evaluate = made
    return compiled


def _limit(value: float | None) -> float:
    return math.inf if value is None else value
