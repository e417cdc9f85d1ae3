"""The command `sweep`: what it plans, and what it refuses."""

import json
from pathlib import Path

import pytest

from rnnexp.cli.main import main
from tests.helpers.small_sweep import sweep


def test_the_plan_is_printed_first_and_a_dry_run_writes_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*sweep(tmp_path), "--dry-run", "--json"]) == 0
    plan = json.loads(capsys.readouterr().out)
    assert [(g["experiment"], g["runs"], g["made"]) for g in plan["groups"]] == [
        ("adding/rnn", 4, 0),
        ("adding/lstm", 4, 0),
    ]
    assert [g["parameters"] for g in plan["groups"]] == [33, 117]
    assert all(g["seconds"] > 0 and g["MiB a run"] > 0 for g in plan["groups"])
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["sweep", "adding/lstm", "--sweep", "cell.hiden_size=1,2"], "Did you mean"),
        (["sweep", "adding/lstm", "--sweep", "train.batch_size=0,8"], "must be positive"),
        (["sweep", "adding/lstm", "--sweep", "optimizer.learning_rate=log:1..2"], "append :COUNT"),
        (["sweep", "adding/lstm", "--executor", "slrum"], "Did you mean 'slurm'"),
        (["sweep", "--status", "nothing"], "not a sweep's directory"),
        (["sweep", "adding/lstm", "--status", "x"], "a directory alone"),
        (["sweep"], "name TASK/CELL"),
        (["compare", "nothing"], "nothing"),
        (["sweep", "adding/lstm", "--match-parameters", "7"], "7 parameters"),
    ],
)
def test_bad_input_is_named_and_starts_nothing(
    arguments: list[str], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*arguments, "--runs-dir", str(tmp_path)]) == 2
    assert said in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []
