"""Measures of a training that are read from its log, or computed from its checkpoint."""

import math
import statistics
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rnnexp.config.schema import from_saved
from rnnexp.core.errors import UsageError
from rnnexp.results.load import Run, load_run
from rnnexp.run.sample import best_state
from rnnexp.study import Beyond, mean_of_last, over_lengths, score_of, steps_until
from rnnexp.train.compiled import Programs, initial_state
from rnnexp.train.plan import make_plan
from tests.helpers.exported import write_checkpoints
from tests.helpers.logged_runs import write_logged_run


def run(losses: list[float], status: str = "completed") -> Run:
    metrics: list[dict[str, Any]] = [
        {"kind": "train", "step": 10 * (n + 1), "loss": loss} for n, loss in enumerate(losses)
    ]
    ended = {"status": status, "step": 10 * len(losses)}
    return Run(Path("x"), {}, ended, metrics, np.zeros(0, int), {}, [])


def test_first_step_below_or_above() -> None:
    trained = run([3.0, 0.5, 2.0, 0.4, 0.3])
    assert steps_until("train", "loss", below=1.0)(trained) == 20
    assert steps_until("train", "loss", above=2.5)(trained) == 10
    assert steps_until("train", "loss", below=0.1)(trained) == Beyond(50)


def test_mean_of_several_rows_names_its_last() -> None:
    assert steps_until("train", "loss", below=1.0, rows=2)(run([3.0, 0.5, 2.0, 0.4, 0.3])) == 50
    assert steps_until("train", "loss", below=1.0, rows=9)(run([0.1, 0.1])) == Beyond(20)


def test_diverged_training_has_not_solved_anything() -> None:
    assert steps_until("train", "loss", below=0.1)(run([3.0, math.nan], "diverged")) == Beyond(20)
    assert math.isnan(float(mean_of_last("train", "loss", 2)(run([3.0, math.nan], "diverged"))))  # type: ignore[arg-type]


def test_mean_of_last_rows() -> None:
    assert mean_of_last("train", "loss", 2)(run([3.0, 1.0, 2.0])) == 1.5


def test_one_limit_is_given() -> None:
    with pytest.raises(ValueError, match="either"):
        steps_until("train", "loss")


def test_scores_over_lengths() -> None:
    tested = run([0.5])
    tested.status["by_length"] = {
        "unit": "steps",
        "train": [20, 20],
        "test": {"20": {"accuracy": 1.0}, "40": {"accuracy": 0.5}, "80": {"accuracy": 0.6}},
        "baseline": {"20": {}, "40": {}, "80": {}},
    }
    assert over_lengths("accuracy")(tested) == 0.5
    assert over_lengths("accuracy", statistics.mean)(tested) == pytest.approx(0.7)
    tested.status["status"] = "diverged"
    assert math.isnan(float(over_lengths("accuracy")(tested)))  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="no other lengths"):
        over_lengths("accuracy")(run([0.5]))


def test_scores_are_those_of_the_best_checkpoint_with_noise_or_without(tmp_path: Path) -> None:
    path = write_logged_run(
        tmp_path, "adding/rnn", {"cell.hidden_size": 3, "model.weight_noise": 0.3}
    )
    write_checkpoints(path, {"best": 2, "last": 4})
    plan = make_plan(from_saved(load_run(path).config), data_dir=None, chunk_steps=1)
    state = best_state(path, initial_state(plan))
    plain = score_of("test", "loss")
    assert plain(load_run(path)) == pytest.approx(Programs(plan).scores("test", state)["loss"])
    noisy = float(score_of("test", "loss", noise=True)(load_run(path)))  # type: ignore[arg-type]
    assert noisy != pytest.approx(plain(load_run(path)))
    assert float(score_of("train", "loss")(load_run(path))) > 0  # type: ignore[arg-type]
    assert math.isnan(float(plain(run([math.nan]))))  # type: ignore[arg-type]
