"""The command `inspect --divergence` explains a divergence and replays it."""

import argparse
import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from rnnexp.cli.divergence import divergence_command
from rnnexp.cli.main import main
from rnnexp.core.errors import UsageError
from rnnexp.results.load import load_run
from rnnexp.run.divergence import store
from rnnexp.run.divergence.window import WINDOW_STEPS
from rnnexp.run.files import read_json
from rnnexp.run.run import run
from tests.helpers.diverging_runs import config, flight_of, printed
from tests.helpers.stopped_run import StopAt

TINY = {
    "task.length_steps": 6,
    "cell.hidden_size": 4,
    "cell.activation": "relu",
    "train.batch_size": 4,
    "train.duration_steps": 20,
    "record.every_steps": 1,
    "eval.every_steps": 20,
    "eval.examples": 16,
    "eval.batch_size": 16,
    "optimizer.name": "sgd",
    "optimizer.learning_rate": 1e30,
    "clip.name": "none",
}


def test_inspect_explains_a_divergence_and_replays_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    changes = [f"--config.{key}={value}" for key, value in TINY.items()]
    assert main(["run", "adding/rnn", *changes, "--runs-dir", str(tmp_path)]) == 0
    assert "diverged after " in capsys.readouterr().out
    command = ["inspect", "adding/rnn", "--divergence", "--runs-dir", str(tmp_path)]
    assert main([*command, "--data-dir", str(tmp_path)]) == 0
    shown = capsys.readouterr().out
    assert "recorded: steps 0 to " in shown
    assert ": identical (" in shown


def test_the_command_explains_and_replays(
    diverged: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    known = argparse.Namespace(run=str(diverged), runs_dir=diverged.parent, json=False)
    assert divergence_command(known) == 0
    out = capsys.readouterr().out
    status = load_run(diverged).status
    assert status["reason"] in out
    assert "they led to the run's own state, bit for bit" in out
    assert f"replayed step {status['step']}: identical" in out
    data = printed(diverged)
    assert data["divergence"]["growth"] == status["divergence"]["growth"]
    assert len(data["steps"]) == WINDOW_STEPS + 1
    row = data["steps"][-2]
    norms = flight_of(diverged)["dL_dh"].values[-2]
    assert row["largest"] == float(norms.max())
    assert norms[0, row["time"]] == norms.max()


@pytest.fixture
def refused(capsys: pytest.CaptureFixture[str]) -> Iterator[Callable[[Path], str]]:
    """The error that the command gives for a run."""

    def message(path: Path) -> str:
        with pytest.raises(UsageError) as caught:
            divergence_command(argparse.Namespace(run=str(path), runs_dir=path.parent, json=False))
        return str(caught.value)

    yield message
    assert capsys.readouterr().out == ""


def test_the_command_refuses_runs_that_have_not_diverged_or_recorded_nothing(
    refused: Callable[[Path], str], diverged: Path, tmp_path: Path
) -> None:
    path = run(config(), runs_dir=tmp_path, observer=StopAt(1)).path
    assert refused(path) == f"{path} has not diverged: its status is interrupted"
    older = tmp_path / "older"
    shutil.copytree(diverged, older)
    shutil.rmtree(older / store.NAME)
    assert "has no divergence.zarr" in refused(older)


def test_the_command_refuses_states_of_another_model(
    refused: Callable[[Path], str], diverged: Path, tmp_path: Path
) -> None:
    other = tmp_path / "other"
    shutil.copytree(diverged, other)
    saved = read_json(other / "config.json") or {}
    saved["cell"]["hidden_size"] = 7
    (other / "config.json").write_text(json.dumps(saved))
    assert "the run's model needs state.params" in refused(other)
