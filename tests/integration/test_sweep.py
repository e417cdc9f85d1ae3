"""Sweeps that are killed, cancelled or fail in part end with the tables of the undisturbed one."""

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
from tests.helpers.readers import reading
from tests.helpers.small_sweep import sweep


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
    "kills", [1, *(pytest.param(9, marks=pytest.mark.slow, id=f"9-{n}") for n in range(6))]
)
def test_a_killed_sweep_ends_with_the_same_tables(
    kills: int, undisturbed: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    draws = random.Random(time.time_ns())
    with reading(tmp_path) as faults:
        for _ in range(kills):
            kill_after(draws.uniform(4, 25), tmp_path)
        assert main(sweep(tmp_path)) == 0
    assert not faults
    assert "8 runs: 8 completed" in capsys.readouterr().out
    assert tables(tmp_path, capsys) == tables(undisturbed, capsys)


def test_the_same_sweep_again_makes_nothing(
    undisturbed: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = {p: p.stat().st_mtime_ns for p in undisturbed.glob("adding/*/*/*")}
    assert main(sweep(undisturbed)) == 0
    assert "8 runs: 8 completed" in capsys.readouterr().out
    assert before == {p: p.stat().st_mtime_ns for p in undisturbed.glob("adding/*/*/*")}


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
