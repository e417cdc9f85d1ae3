"""A run's files and decisions: best checkpoint, early stopping, what is written once."""

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import xarray

from rnnexp.core.errors import UsageError
from rnnexp.report.table import gradient_rows, sparkline
from rnnexp.results.load import find_run, load_run
from rnnexp.run.callbacks import Observer, read_result
from rnnexp.run.checkpoint import Checkpoints
from rnnexp.run.files import RunLog, read_json
from rnnexp.run.run import run
from rnnexp.run.session import Journal
from rnnexp.train.compiled import Programs
from rnnexp.train.plan import make_plan
from tests.helpers.small_run import small_config


def test_the_files_of_a_run(tmp_path: Path) -> None:
    config = small_config()
    result = run(config, runs_dir=tmp_path)
    assert result.path.parent == tmp_path / "adding" / "lstm"
    assert result.status == "completed"
    assert read_result(result.path) == result
    assert (read_json(result.path / "config.json") or {}) == config.to_dict()
    environment = read_json(result.path / "environment.json") or {}
    assert environment["packages"]["jax"]
    assert environment["device"]["platform"] == "cpu"
    logged = load_run(result.path)
    assert logged.baseline() == {"loss": 1 / 6}
    kinds = [row["kind"] for row in logged.metrics]
    assert {k: kinds.count(k) for k in kinds} == {"baseline": 1, "train": 75, "valid": 5, "test": 1}
    with xarray.open_zarr(result.path / "gradients.zarr") as data:
        assert dict(data.sizes) == {"step": 75, "layer": 2, "time": 12}
        assert set(data.data_vars) == {"dL_dh", "dL_dc"}
        assert data["step"].values.tolist() == list(range(0, 150, 2))
    assert find_run("adding/lstm", tmp_path) == find_run(result.path.name[:6], tmp_path)
    with pytest.raises(UsageError, match="Did you mean 'adding/lstm'"):
        find_run("adding/lst", tmp_path)


def test_a_first_validation_that_is_not_a_number_is_not_the_best_for_ever(tmp_path: Path) -> None:
    plan = make_plan(small_config(), data_dir=None, chunk_steps=2)
    journal = Journal(plan, RunLog(tmp_path / "run"), Observer())
    state = journal.begin([])
    for step, value in ((30, math.nan), (60, 0.5), (90, 0.7)):
        journal.progress = replace(journal.progress, step=step)
        journal.evaluated({"loss": value}, state)
    assert (journal.progress.best_value, journal.progress.best_step) == (0.5, 60)
    assert journal.progress.stale_evaluations == 1
    journal.close()


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


def test_seeds_differ_and_only_in_the_run_s_name(tmp_path: Path) -> None:
    results = [
        run(small_config(seed=seed, train__duration_steps=30), runs_dir=tmp_path) for seed in (0, 1)
    ]
    names = [result.path.name.partition("-seed") for result in results]
    assert names[0][0] == names[1][0]
    assert [name[2] for name in names] == ["0", "1"]
    assert results[0].details["test"] != results[1].details["test"]


def test_the_gradient_table(tmp_path: Path) -> None:
    logged = load_run(run(small_config(), runs_dir=tmp_path).path)
    rows = gradient_rows(logged, 1, "h")
    assert [row["step"] for row in rows] == [0, 22, 42, 64, 84, 106, 126, 148]
    last = logged.norms["h"][-1, 1]
    assert rows[-1]["norm"] == {0: last[-1], 5: last[-6], 11: last[0]}
    slopes = logged.curve("train", "slope/layer_1/h")[1]
    assert rows[-1]["slope"] == slopes[-1]


def test_sparklines() -> None:
    assert sparkline(np.exp(np.arange(8.0)), 0, 7) == "▁▂▃▄▅▆▇█"
    assert sparkline(np.array([0, np.nan, np.inf, 1.0]), 0, 1) == "···▁"
    assert len(sparkline(np.ones(784), 0, 1)) == 32
