"""Runs and sweeps from Python are those of the same command lines."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import rnnexp
from rnnexp.api.train import _space
from rnnexp.cli.main import main
from rnnexp.sweep.space import parse_space

SMALL: dict[str, Any] = {
    "task.length_steps": 6, "cell.hidden_size": 4, "train.batch_size": 4,
    "train.duration_steps": 4, "eval.examples": 8, "eval.every_steps": 2,
}  # fmt: skip
TYPED = [f"--config.{key}={value}" for key, value in SMALL.items()]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory of the run that the command line makes of `SMALL`."""
    runs_dir = tmp_path_factory.mktemp("runs")
    assert main(["run", "adding/gru", *TYPED, "--runs-dir", str(runs_dir)]) == 0
    [path] = runs_dir.glob("adding/gru/*")
    return path


@pytest.fixture(scope="module")
def runs_dir(made: Path) -> Path:
    """The directory of all runs of these tests."""
    return made.parents[2]


def test_the_same_experiment_is_the_same_run(made: Path, runs_dir: Path, tmp_path: Path) -> None:
    config = rnnexp.experiment("adding/gru", SMALL)
    file = tmp_path / "config.json"
    file.write_text(json.dumps(rnnexp.finish(config).to_dict()))
    ends: list[rnnexp.RunResult] = []
    callbacks = rnnexp.Callbacks(on_end=ends.append)
    for start in (config, rnnexp.finish(config), file):
        assert rnnexp.run(start, runs_dir=str(runs_dir), callbacks=callbacks).path == made
    result = rnnexp.run("adding/gru", SMALL, runs_dir=runs_dir, name="first", tags=["a", "b"])
    assert result.path == made
    assert (result.status, result.step) == ("completed", 4)
    assert result.details["test"]["loss"] > 0
    about = json.loads((made / "about.json").read_text())
    assert about == {"name": "first", "tags": ["a", "b"], "note": ""}
    assert ends == []  # it had ended


def test_a_longer_run_goes_on_from_a_named_one(made: Path, runs_dir: Path) -> None:
    steps: list[int] = []
    callbacks = rnnexp.Callbacks(on_start=lambda path, step, total: steps.extend((step, total)))
    longer = {"train.duration_steps": 6}
    result = rnnexp.run(changes=longer, origin=made.name, runs_dir=runs_dir, callbacks=[callbacks])
    assert (result.status, result.step, steps) == ("completed", 6, [4, 6])


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({}, "name an experiment"),
        ({"origin": "adding/lstm"}, "Did you mean 'adding/gru'"),
        ({"experiment": "adding/gru", "callbacks": [print]}, "callbacks are rnnexp.Callbacks"),
        ({"experiment": "adding/gru", "name": "two\nlines"}, "takes one line of text"),
    ],
)
def test_a_run_that_cannot_be_is_refused(
    runs_dir: Path, arguments: dict[str, Any], words: str
) -> None:
    with pytest.raises(rnnexp.UsageError, match=words):
        rnnexp.run(**arguments, runs_dir=runs_dir)


@pytest.mark.parametrize(
    ("axes", "texts"),
    [
        ({"cell": ["rnn", "lstm"]}, ["cell=rnn,lstm"]),
        ({"optimizer.learning_rate": [1e-3, 0.1]}, ["optimizer.learning_rate=0.001,0.1"]),
        ({"optimizer.learning_rate": np.array([0.5])}, ["optimizer.learning_rate=0.5"]),
        ({"model.bidirectional": (True, False)}, ["model.bidirectional=true,false"]),
        (
            {"cell": "gru", "optimizer.learning_rate": "log:1e-3..1e-1:3"},
            ["cell=gru", "optimizer.learning_rate=log:1e-3..1e-1:3"],
        ),
        (["zip:cell.hidden_size=2,4;seed=1,2"], ["zip:cell.hidden_size=2,4;seed=1,2"]),
        ("seed=1,2", ["seed=1,2"]),
    ],
)
def test_axes_are_those_that_are_typed(axes: Any, texts: list[str]) -> None:
    if any("seed" in text for text in texts):
        with pytest.raises(rnnexp.UsageError, match="seeds are not swept as a key"):
            _space(axes, 1, None, 0)
        return
    typed = parse_space([*texts, "random:3"], seeds="4,5", draw_seed=6)
    assert _space(axes, [4, 5], 3, 6) == typed
    assert _space(axes, 3, None, 0) == parse_space(texts, seeds="3")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"axes": {"cell": []}}, "the list of values is empty"),
        ({"axes": {"cell": 3}}, "sweep of cell: give a list of values"),
        ({"axes": {"optimizer.lr": [1]}}, "Did you mean 'config.optimizer.learning_rate'"),
        ({"axes": {}, "changes": {"hidden": 3}}, "Did you mean 'config.cell.hidden_size'"),
        ({"axes": {}, "seeds": 0}, "at least one seed"),
        ({"axes": {}, "width": 0}, "width of a sweep must be at least 1"),
        ({"axes": {}, "imports": ["none.py"]}, "no imported file 'none.py'"),
    ],
)
def test_a_sweep_that_cannot_be_is_refused(
    tmp_path: Path, arguments: dict[str, Any], words: str
) -> None:
    with pytest.raises(rnnexp.UsageError, match=words):
        rnnexp.sweep("adding/gru", **arguments, runs_dir=tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_sweep_trains_what_is_missing(made: Path, runs_dir: Path) -> None:
    """The run with seed 0 is that of the command line, and is there."""
    before = (made / "status.json").read_text()
    found = rnnexp.sweep("adding/gru", {}, SMALL, seeds=[0, 1], runs_dir=runs_dir, name="two")
    assert found == (runs_dir / "sweeps" / "two", {"completed": 2}, "")
    assert (made / "status.json").read_text() == before
    table = rnnexp.load_runs(found.path)
    assert table["config.seed"].tolist() == [0, 1]
    row = rnnexp.compare(found.path).iloc[0]
    assert row["mean"] == pytest.approx(np.mean(table["test_loss"]))
