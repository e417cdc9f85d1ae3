"""A run's decisions: which checkpoint is the best, when to stop early, what is tested."""

import math
from dataclasses import replace
from pathlib import Path

from rnnexp.results.load import load_run
from rnnexp.run.callbacks import Observer
from rnnexp.run.checkpoint import Checkpoints
from rnnexp.run.files import RunLog
from rnnexp.run.run import run
from rnnexp.run.session import RunSession
from rnnexp.train.compiled import Programs
from rnnexp.train.plan import make_plan
from tests.helpers.small_run import small_config


def test_a_first_validation_that_is_not_a_number_is_not_the_best_for_ever(tmp_path: Path) -> None:
    plan = make_plan(small_config(), data_dir=None, chunk_steps=2)
    session = RunSession(plan, RunLog(tmp_path / "run"), Observer())
    state = session.begin()
    for step, value in ((30, math.nan), (60, 0.5), (90, 0.7)):
        session.progress = replace(session.progress, step=step)
        session.evaluated({"loss": value}, state)
    assert (session.progress.best_value, session.progress.best_step) == (0.5, 60)
    assert session.progress.stale_evaluations == 1
    session.close()


def test_the_test_set_sees_the_best_checkpoint(tmp_path: Path) -> None:
    config = small_config(optimizer__learning_rate=0.3, optimizer__schedule="constant")
    result = run(config, runs_dir=tmp_path)
    steps, losses = load_run(result.path).curve("valid", "loss")
    best = int(steps[losses.argmin()])
    assert result.details["test_step"] == best
    programs = Programs(make_plan(config, data_dir=None, chunk_steps=2))
    checkpoints = Checkpoints(result.path / "checkpoints")
    restored = checkpoints.restore("best", programs.initial())
    checkpoints.close()
    assert restored is not None
    state, progress = restored
    assert progress.best_step == progress.step == best
    assert progress.best_value == losses.min()
    assert programs.scores("test", state) == result.details["test"]
    assert programs.scores("valid", state)["loss"] == losses.min()


def test_early_stopping(tmp_path: Path) -> None:
    config = small_config(
        optimizer__learning_rate=0.5,
        optimizer__schedule="constant",
        early_stopping__patience=2,
        eval__every_steps=10,
        train__duration_steps=3000,
    )
    result = run(config, runs_dir=tmp_path)
    assert result.status == "completed"
    assert result.reason == f"early stopping after step {result.step}"
    steps, losses = load_run(result.path).curve("valid", "loss")
    assert result.step == steps[-1] < 3000
    assert steps[losses.argmin()] == result.step - 20
    again = run(config, runs_dir=tmp_path)
    assert again.step == result.step
