"""The command `sweep`: what it plans, and what it refuses."""

import argparse
import json
from pathlib import Path

import pytest

from rnnexp.cli import sweep as sweep_command
from rnnexp.cli.main import main
from rnnexp.sweep.launch import plan_sweep
from rnnexp.sweep.space import parse_space, read_base
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


def test_a_dry_run_tells_every_value_and_every_point_that_was_drawn(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    axes = ["cell.forget_bias=0,1", "optimizer.learning_rate=log:1e-4..1e-1", "random:25"]
    given = ["--config.task.length_steps=8", "--config.cell.hidden_size=4"]
    space, base = parse_space(axes, seeds="2"), read_base("adding/lstm", given)
    plan = plan_sweep(space, base)
    for as_json in (True, False):
        known = argparse.Namespace(json=as_json, dry_run=True, runs_dir=tmp_path)
        sweep_command.print_plan(plan, {}, known)
    out = capsys.readouterr().out
    end = out.index("\n}\n") + 2
    found, text = json.loads(out[:end]), out[end:]
    assert len(found["points"]) == 25
    (group,) = found["groups"]
    assert group["values"]["cell.forget_bias"] == [0.0, 1.0]
    assert group["with"].startswith("cell.forget_bias 0.0, 1.0; optimizer.learning_rate 25 values")
    table = text[text.index("points that were drawn") :]
    rates = [str(point["values"]["optimizer.learning_rate"]) for point in found["points"]]
    assert all((rate in table) == (number < 20) for number, rate in enumerate(rates))
    assert "and 5 more points: --dry-run --json lists them all" in table


def test_a_grid_has_no_table_of_points(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*sweep(tmp_path), "--dry-run"]) == 0
    out = capsys.readouterr().out
    assert "points that were drawn" not in out
    assert "optimizer.learning_rate 0.001, 0.1" in out
