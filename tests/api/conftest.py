"""A small run for the tests of this package that only read it."""

from pathlib import Path

import pytest

import rnnexp

SMALL = {
    "task.length_steps": 8, "cell.hidden_size": 5, "train.batch_size": 8,
    "train.duration_steps": 40, "eval.every_steps": 10, "eval.examples": 64,
    "eval.batch_size": 64, "checkpoint.keep_every_steps": 20, "optimizer.learning_rate": 0.05,
}  # fmt: skip


@pytest.fixture(scope="session")
def small_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory of a run of adding/lstm; `small_run.parents[2]` is the runs directory."""
    return rnnexp.run("adding/lstm", SMALL, runs_dir=tmp_path_factory.mktemp("runs")).path
