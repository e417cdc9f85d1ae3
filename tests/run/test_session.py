"""A run's decisions: which checkpoint is the best, when to stop early, what is tested."""

import json
import math
from collections.abc import Sequence
from dataclasses import replace
from itertools import count
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import jax
import jax.numpy as jnp
import pytest
from ml_collections import FrozenConfigDict

import rnnexp
from rnnexp.config.schema import experiment, finish
from rnnexp.core.types import Array, Batch, Key
from rnnexp.results.compare import compare
from rnnexp.results.index import read_index
from rnnexp.results.load import load_run
from rnnexp.run.callbacks import Observer
from rnnexp.run.checkpoint import Checkpoints
from rnnexp.run.files import RunLog, read_metrics
from rnnexp.run.run import run
from rnnexp.run.session import RunSession
from rnnexp.runtime import signals
from rnnexp.tasks.base import Endless, Score, Task
from rnnexp.tasks.scores import over_steps
from rnnexp.train.compiled import LaneStates, Programs, initial_state
from rnnexp.train.plan import make_plan
from tests.helpers.own_tables import own_tables  # noqa: F401  a fixture
from tests.helpers.small_run import assert_same_runs, small_config


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


def log_config(**changes: Any) -> FrozenConfigDict:
    """A small run of the task `logs`, evaluated every 10 steps."""
    config = experiment("logs/rnn")
    values = {
        "cell.hidden_size": 3, "train.batch_size": 4, "train.duration_steps": 100,
        "eval.every_steps": 10, "eval.examples": 8, "checkpoint.every_steps": 50,
    }  # fmt: skip
    config.update_from_flattened_dict(values | changes)
    return finish(config)


def logs(*, valid_from: float = 0.5, test_from: float = 0.5) -> Task:
    """Logarithms of numbers, which below 0 have none; the ranges of two splits are options."""

    def source(low: float) -> Endless:
        def draw(key: Key, batch_size: int) -> Batch:
            x = jax.random.uniform(key, (3, batch_size, 1), minval=low, maxval=1.0)
            return Batch(x, jnp.log(x))

        return Endless(draw)

    def scores(outputs: Array, batch: Batch) -> dict[str, Score]:
        return {"loss": over_steps(jnp.square(outputs - batch.targets)[..., 0])}

    return Task(
        name="logs", mode="synchronous", input_size=1, output_size=1, num_steps=3,
        train=source(0.5), valid=source(valid_from), test=source(test_from), scores=scores,
        baseline={"loss": 1.0}, headline="loss", higher_is_better=False,
    )  # fmt: skip


@pytest.mark.usefixtures("own_tables")
def test_validations_that_are_no_number_stop_early_and_the_last_line_says_so(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    rnnexp.task("logs", modes=("synchronous",))(logs)
    changes = {"task.valid_from": -1.0, "early_stopping.patience": 3}
    result = run(log_config(**changes), runs_dir=tmp_path)
    assert (result.status, result.step) == ("completed", 30)
    assert "best" not in result.details
    assert result.reason == (
        "early stopping after step 30; 3 of 3 validations were not finite, first at step 10: "
        "loss nan"
    )
    said = [r.getMessage() for r in caplog.records if "not finite" in r.getMessage()]
    assert said == [f"{result.path}: the validation at step 10 is not finite: loss nan"]
    assert result.details["test_step"] == 30  # without a best state the last one is tested
    assert math.isfinite(result.details["test"]["loss"])
    row = compare(read_index(tmp_path), ["cell"], "test_loss")[0]
    assert row["best_setting"] is None
    assert row["best_by_validation"] is None


@pytest.mark.usefixtures("own_tables")
def test_a_test_score_that_is_no_number_is_said_in_the_last_line(tmp_path: Path) -> None:
    rnnexp.task("logs", modes=("synchronous",))(logs)
    changes = {"task.test_from": -1.0, "train.duration_steps": 10}
    result = run(log_config(**changes), runs_dir=tmp_path)
    assert (result.status, result.reason) == ("completed", "the test is not finite: loss nan")
    assert result.details["best"]["step"] == 10


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
    assert result.step == steps[-1] < 500
    assert steps[losses.argmin()] == result.step - 20
    again = run(config, runs_dir=tmp_path)
    assert again.step == result.step


GOAL: dict[str, Any] = {
    "early_stopping__goal": "loss", "early_stopping__goal_validations": 3,
    "early_stopping__goal_below": 0.16, "eval__every_steps": 10, "train__duration_steps": 500,
    "checkpoint__every_steps": 250, "model__num_layers": 1, "optimizer__learning_rate": 0.02,
}  # fmt: skip


def test_a_run_ends_at_its_goal(tmp_path: Path) -> None:
    result = run(small_config(**GOAL), runs_dir=tmp_path)
    assert (result.status, result.reason) == (
        "completed", f"early stopping after step {result.step}"
    )  # fmt: skip
    steps, losses = load_run(result.path).curve("valid", "loss")
    means = [sum(losses[n - 3 : n]) / 3 for n in range(3, len(losses) + 1)]
    assert len(means) > 1
    assert [mean < 0.16 for mean in means] == [False] * (len(means) - 1) + [True]
    assert result.step == steps[-1] < 500


def test_the_weights_that_meet_the_goal_are_tested(tmp_path: Path) -> None:
    """Though another score, that of the headline, was better before."""
    plan = make_plan(small_config(**GOAL), data_dir=None, chunk_steps=2)
    session = RunSession(plan, RunLog(tmp_path / "run"), Observer())
    state = session.begin()
    for n, value in enumerate((0.2, 0.01, 0.02, 0.03)):
        step = 10 * (n + 1)
        session.advance_to(step)
        session.evaluated({"loss": value}, state._replace(step=jnp.asarray(step, jnp.int32)))
        assert session.ended == (step >= 30)
        assert session.progress.best_step == (10, 20, 30, 40)[n]
    session.close()


def test_a_resumed_run_knows_the_validations_before(tmp_path: Path) -> None:
    plan = make_plan(small_config(**GOAL), data_dir=None, chunk_steps=2)
    session = RunSession(plan, RunLog(tmp_path / "run"), Observer())
    state = session.begin()
    for n, value in enumerate((0.1, 0.1)):
        state = state._replace(step=jnp.asarray(10 * (n + 1), jnp.int32))
        session.advance_to(10 * (n + 1))
        session.evaluated({"loss": value}, state)
    assert not session.ended
    session.save_last(state)
    session.close()
    again = RunSession(plan, RunLog(tmp_path / "run"), Observer())
    state = again.begin()
    assert not again.ended
    again.advance_to(30)
    again.evaluated({"loss": 0.2}, state._replace(step=jnp.asarray(30, jnp.int32)))
    assert again.ended
    again.close()


LENGTHS: dict[str, Any] = {
    "eval__lengths": (12, 20), "model__num_layers": 1, "train__duration_steps": 4,
    "optimizer__warmup_steps": 0, "record__every_steps": 4,
}  # fmt: skip


def test_the_best_checkpoint_is_tested_at_every_length(tmp_path: Path) -> None:
    config = small_config(**LENGTHS)
    result = run(config, runs_dir=tmp_path)
    found = result.details["by_length"]
    assert (found["unit"], found["train"]) == ("steps", [12, 12])
    assert found["baseline"] == {"12": {"loss": 1 / 6}, "20": {"loss": 1 / 6}}
    assert found["test"]["12"] == result.details["test"]
    rows = [row for row in read_metrics(result.path) if row["kind"] == "length"]
    assert [(row["step"], row["length"], row["loss"]) for row in rows] == [
        (4, length, found["test"][str(length)]["loss"]) for length in (12, 20)
    ]
    ended = json.loads((result.path / "status.json").read_text())
    ended |= {"status": "interrupted"}  # as if it had been killed before the test was written
    (result.path / "status.json").write_text(json.dumps(ended))
    again = run(config, runs_dir=tmp_path)
    assert again.details["by_length"] == found
    assert len(load_run(result.path).metrics) == len(
        {(row["kind"], row["step"], row.get("length")) for row in load_run(result.path).metrics}
    )


def test_a_length_for_which_a_device_has_no_memory_does_not_lose_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    scores = LaneStates.scores

    def without_memory(lanes: LaneStates, split: str, due: Sequence[bool]) -> Any:
        if split == "test@20":
            raise jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: Out of memory")
        return scores(lanes, split, due)

    monkeypatch.setattr(LaneStates, "scores", without_memory)
    result = run(small_config(**LENGTHS), runs_dir=tmp_path)
    assert (result.status, result.reason) == ("completed", "no test at length 20")
    assert list(result.details["by_length"]["test"]) == ["12"]
    assert "no test at length 20: RESOURCE_EXHAUSTED" in caplog.text


FEW: dict[str, Any] = {
    "train__duration_steps": 12, "eval__every_steps": 6, "record__every_steps": 3,
    "checkpoint__every_steps": 6, "model__num_layers": 1, "optimizer__warmup_steps": 0,
}  # fmt: skip


def test_a_run_is_validated_before_its_first_update_if_asked(tmp_path: Path) -> None:
    plain = run(small_config(**FEW), runs_dir=tmp_path)
    asked = run(small_config(**FEW, eval__at_start=True), runs_dir=tmp_path)
    rows = [
        [{k: v for k, v in row.items() if k != "time"} for row in read_metrics(result.path)]
        for result in (plain, asked)
    ]
    first = [row for row in rows[1] if row["kind"] == "valid" and row["step"] == 0]
    assert len(first) == 1
    assert [row for row in rows[1] if row not in first] == rows[0]
    plan = make_plan(small_config(**FEW), data_dir=None, chunk_steps=2)
    states = LaneStates(Programs(plan))
    states.put(0, plan, initial_state(plan))
    assert states.scores("valid", [True])[0] == {
        name: first[0][name] for name in first[0] if name not in ("kind", "step")
    }


@pytest.mark.parametrize("seconds", [0.5, 3.5])
def test_a_run_stops_at_its_time_budget_and_goes_on_where_it_stopped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seconds: float
) -> None:
    ticks = count(0.0)  # the clock of the budget goes on by a second at every look
    monkeypatch.setattr(signals, "time", SimpleNamespace(monotonic=lambda: next(ticks)))
    config = small_config(**FEW, eval__at_start=True)
    whole = run(config, runs_dir=tmp_path / "whole")
    short = small_config(**FEW, eval__at_start=True, train__budget_minutes=seconds / 60)
    stopped = run(short, runs_dir=tmp_path / "parts")
    assert stopped.status == "interrupted"
    assert (stopped.step == 0) if seconds < 1 else (0 < stopped.step < 12)
    assert stopped.reason == "time budget; the same command resumes"
    resumed = run(config, runs_dir=tmp_path / "parts")
    assert (resumed.status, resumed.path) == ("completed", stopped.path)
    assert_same_runs(whole.path, resumed.path, config)
