"""What a study has found: the best trial comes with its test value."""

from pathlib import Path

from rnnexp.results.load import load_run
from rnnexp.sweep.search.found import Found
from tests.helpers.small_search import study_in


def test_the_best_trial_comes_with_the_test_value_of_its_run(
    undisturbed: tuple[Path, Found],
) -> None:
    folder, found = undisturbed
    best = found.best
    assert best is not None
    values = [trial.value for trial in study_in(folder)]
    assert best.validation == min(values)
    assert best.trial == values.index(min(values))
    assert best.test == load_run(folder / best.run).status["test"]["loss"]
