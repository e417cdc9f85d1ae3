"""The command `inspect --divergence` explains a divergence and replays it."""

from pathlib import Path

import pytest

from rnnexp.cli.main import main

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
