"""A run that is killed or stopped at any moment ends as if it never had been."""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from rnnexp.config.schema import experiment, finish
from rnnexp.results.load import load_run
from rnnexp.run.callbacks import run_path
from rnnexp.run.files import RunLog, read_json, read_metrics, shown_status
from rnnexp.run.run import run
from tests.helpers.readers import reading
from tests.helpers.small_run import assert_same_runs, small_config
from tests.helpers.stopped_run import StopAt

CONFIG = small_config()


def start(root: Path, runs_dir: Path, last: int) -> subprocess.Popen[str]:
    """`killed_run.py` in a process of its own."""
    return subprocess.Popen(
        [sys.executable, "-m", "tests.helpers.killed_run", str(runs_dir), str(last)],
        cwd=root,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, int]:
    """A complete run in its own process, and how many file operations it took."""
    runs_dir = tmp_path_factory.mktemp("undisturbed")
    out, err = start(Path(__file__).parents[2], runs_dir, 0).communicate(timeout=300)
    assert out.startswith("completed"), err
    return run_path(CONFIG, runs_dir), int(out.split()[1])


def kill_until_done(root: Path, runs_dir: Path, operations: int, kills: int, seed: int) -> int:
    """Run and kill at random operations, then let it finish; returns the kills that hit."""
    moments = random.Random(seed)
    hit = 0
    for _ in range(kills):
        process = start(root, runs_dir, moments.randint(1, operations // 2))
        process.communicate(timeout=300)
        hit += process.returncode == -signal.SIGKILL
    out, err = start(root, runs_dir, 0).communicate(timeout=300)
    assert out.startswith("completed"), err
    return hit


@pytest.mark.slow
def test_killed_at_random_moments(
    undisturbed: tuple[Path, int], root: Path, tmp_path: Path
) -> None:
    with reading(tmp_path) as faults:
        hit = kill_until_done(root, tmp_path, undisturbed[1], kills=3, seed=1)
    assert not faults
    assert hit >= 2
    assert_same_runs(run_path(CONFIG, tmp_path), undisturbed[0], CONFIG)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(45))
def test_killed_at_many_moments(
    undisturbed: tuple[Path, int], root: Path, tmp_path: Path, seed: int
) -> None:
    with reading(tmp_path) as faults:
        hit = kill_until_done(root, tmp_path, undisturbed[1] // 2, kills=8, seed=100 + seed)
    assert not faults
    assert hit >= 3
    assert_same_runs(run_path(CONFIG, tmp_path), undisturbed[0], CONFIG)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_stopped_by_a_signal(root: Path, tmp_path: Path, number: int, code: int) -> None:
    command = [sys.executable, "-m", "rnnexp", "run", "adding/rnn", "--runs-dir", str(tmp_path)]
    command += ["--config.train.duration_steps=200000", "--config.task.length_steps=10"]
    process = subprocess.Popen(
        command, cwd=root, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    deadline = time.monotonic() + 120
    while not any(len(read_metrics(p)) > 3 for p in tmp_path.glob("*/*/*")):
        assert time.monotonic() < deadline, "no metrics within two minutes"
        time.sleep(0.05)
    process.send_signal(number)
    out, err = process.communicate(timeout=60)
    assert process.returncode == code, err
    [path] = tmp_path.glob("*/*/*")
    status = read_json(path / "status.json")
    assert status is not None
    assert status["status"] == "interrupted"
    assert signal.Signals(number).name in status["reason"]
    assert "interrupted after" in out
    # the checkpoint is at the very step at which it stopped, and so are the gradients
    assert (path / "checkpoints" / "last" / str(status["step"])).is_dir()
    recorded = load_run(path).steps
    assert list(recorded) == list(range(0, status["step"], 10))


@pytest.mark.as_users
def test_interrupted_then_resumed_equals_undisturbed(
    undisturbed: tuple[Path, int], tmp_path: Path
) -> None:
    for step in (1, 40, 150):
        result = run(CONFIG, runs_dir=tmp_path, observer=StopAt(step))
    assert result.status == "completed"  # at step 150 there is nothing left to interrupt
    assert_same_runs(result.path, undisturbed[0], CONFIG)
    again = run(CONFIG, runs_dir=tmp_path)
    assert (again.status, again.details) == (result.status, result.details)


def test_a_stream_resumes_with_the_states_that_it_carried(tmp_path: Path) -> None:
    text = tmp_path / "text.txt"
    text.write_text("".join(chr(97 + n * n % 11) for n in range(800)))
    config = experiment("char_lm/lstm")
    config.update_from_flattened_dict(
        {
            "task.file": str(text),
            "task.window_steps": 8,
            "cell.hidden_size": 6,
            "model.dropout": 0.2,
            "train.batch_size": 4,
            "train.duration_steps": 60,
            "eval.every_steps": 20,
            "checkpoint.every_steps": 10,
            "record.every_steps": 3,
        }
    )
    frozen = finish(config)
    whole = run(frozen, runs_dir=tmp_path / "whole")
    for step in (5, 30, 60):
        pieces = run(frozen, runs_dir=tmp_path / "pieces", observer=StopAt(step))
    assert pieces.status == "completed"
    assert_same_runs(pieces.path, whole.path, frozen)


def test_a_damaged_checkpoint_costs_nothing_but_time(
    undisturbed: tuple[Path, int], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = run(CONFIG, runs_dir=tmp_path, observer=StopAt(110)).path
    newest = max((path / "checkpoints" / "last").iterdir(), key=lambda p: int(p.name))
    for file in newest.rglob("*"):
        if file.is_file() and file.stat().st_size > 500:
            file.write_bytes(file.read_bytes()[:-300] + bytes(300))
    result = run(CONFIG, runs_dir=tmp_path)
    assert result.status == "completed"
    assert f"checkpoint last/{newest.name} is damaged" in caplog.text
    assert list((path / "checkpoints" / "damaged").iterdir())
    assert_same_runs(result.path, undisturbed[0], CONFIG)


def test_another_process_in_the_same_run_is_refused(tmp_path: Path) -> None:
    holder = RunLog(run_path(CONFIG, tmp_path))
    assert shown_status(holder.path, "running") == "running"
    with pytest.raises(ValueError, match=f"another process .pid {os.getpid()}"):
        run(CONFIG, runs_dir=tmp_path)
    holder.close()
    assert shown_status(holder.path, "running").startswith("killed")
    assert shown_status(holder.path, "completed") == "completed"
    assert not (holder.path / "metrics.jsonl").exists()
