"""The command `sweep`: what it plans, makes, survives and reports."""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from rnnexp.cli.main import main

SPACE = [
    "--sweep", "cell=rnn,lstm", "--sweep", "optimizer.learning_rate=log:1e-3..1e-1:2", "--seeds",
    "2", "--config.task.length_steps=8", "--config.cell.hidden_size=4",
    "--config.train.duration_steps=120", "--config.eval.every_steps=30",
    "--config.checkpoint.every_steps=20", "--config.eval.examples=32",
    "--config.train.batch_size=8", "--width", "1",
]  # fmt: skip


def sweep(runs_dir: Path) -> list[str]:
    """The arguments of a sweep of 8 small runs in 2 groups."""
    return ["sweep", "adding", *SPACE, "--runs-dir", str(runs_dir)]


def tables(runs_dir: Path, capsys: pytest.CaptureFixture[str]) -> str:
    """What `compare` says of a sweep, and every run's metrics without times."""
    (sweep_dir,) = (runs_dir / "sweeps").iterdir()
    capsys.readouterr()
    assert main(["compare", str(sweep_dir), "--by", "cell,optimizer.learning_rate", "--json"]) == 0
    text = capsys.readouterr().out
    for file in sorted(runs_dir.glob("adding/*/*/metrics.jsonl")):
        for line in file.read_text().splitlines():
            row = json.loads(line)
            row.pop("time")
            text += json.dumps(row) + "\n"
    return text


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The runs directory of the sweep, made in one go."""
    runs_dir = tmp_path_factory.mktemp("undisturbed")
    subprocess.run([sys.executable, "-m", "rnnexp", *sweep(runs_dir)], check=True)
    return runs_dir


def kill_after(seconds: float, runs_dir: Path) -> bool:
    """Start the sweep, SIGKILL its process and its workers' after a while; False: it ended."""
    command = [sys.executable, "-m", "rnnexp", *sweep(runs_dir)]
    process = subprocess.Popen(command, start_new_session=True, stderr=subprocess.DEVNULL)
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        return True
    return False


@pytest.mark.parametrize(
    "kills", [1, pytest.param(3, marks=pytest.mark.slow), pytest.param(8, marks=pytest.mark.slow)]
)
def test_a_killed_sweep_ends_with_the_same_tables(
    kills: int, undisturbed: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    draws = random.Random(time.time_ns())
    for _ in range(kills):
        kill_after(draws.uniform(4, 25), tmp_path)
    assert main(sweep(tmp_path)) == 0
    assert "8 runs: 8 completed" in capsys.readouterr().out
    assert tables(tmp_path, capsys) == tables(undisturbed, capsys)


def test_the_same_sweep_again_makes_nothing(
    undisturbed: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = {p: p.stat().st_mtime_ns for p in undisturbed.glob("adding/*/*/*")}
    assert main(sweep(undisturbed)) == 0
    assert "8 runs: 8 completed" in capsys.readouterr().out
    assert before == {p: p.stat().st_mtime_ns for p in undisturbed.glob("adding/*/*/*")}


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


def test_failed_runs_are_counted_listed_and_tried_again(
    undisturbed: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    runs_dir = tmp_path / "runs"
    shutil.copytree(undisturbed, runs_dir)
    victim = sorted((runs_dir / "adding" / "rnn").iterdir())[0]
    shutil.rmtree(victim)
    victim.mkdir()
    (victim / "checkpoints").write_text("in the way")
    assert main(sweep(runs_dir)) == 1
    said = capsys.readouterr().out
    assert "8 runs: 7 completed, 1 failed" in said
    assert "1 failed: " in said
    (sweep_dir,) = (runs_dir / "sweeps").iterdir()
    assert main(sweep(runs_dir)) == 1  # not tried again unless asked for
    (victim / "checkpoints").unlink()
    assert main(["sweep", "--status", str(sweep_dir)]) == 1
    assert main(["sweep", "--retry-failed", str(sweep_dir)]) == 0
    assert "8 runs: 8 completed" in capsys.readouterr().out
    assert tables(runs_dir, capsys) == tables(undisturbed, capsys)


def test_a_cancelled_sweep_checkpoints_and_goes_on_later(
    undisturbed: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = [sys.executable, "-m", "rnnexp", *sweep(tmp_path)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 120
    while not list(tmp_path.glob("adding/*/*/metrics.jsonl")):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    (sweep_dir,) = (tmp_path / "sweeps").iterdir()
    assert main(["sweep", "--cancel", str(sweep_dir)]) == 0
    out, _ = process.communicate(timeout=120)
    assert process.returncode == 143
    assert "interrupted" in out or "waiting" in out
    assert "running" not in out
    assert main(sweep(tmp_path)) == 0
    assert tables(tmp_path, capsys) == tables(undisturbed, capsys)


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
