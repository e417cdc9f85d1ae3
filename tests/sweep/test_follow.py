"""The state of a sweep's groups, from files that are written here by hand."""

from pathlib import Path

import pytest

from rnnexp.run.files import RunLog
from rnnexp.sweep.follow import Follower
from rnnexp.sweep.plan import planned, write_plan
from tests.helpers.small_run import small_config


@pytest.fixture
def sweep_dir(tmp_path: Path) -> Path:
    """A sweep of two groups of three and of two runs, of 100 steps each."""
    configs = [small_config(train__duration_steps=100, seed=seed) for seed in range(5)]
    runs = [planned(config, n // 3, {"seed": n}) for n, config in enumerate(configs)]
    write_plan(tmp_path / "sweeps" / "s", runs, tmp_path)
    return tmp_path / "sweeps" / "s"


def write(follower: Follower, number: int, status: str, step: int, loss: float | None) -> None:
    """Write the status of a run, and a recorded step before it."""
    run = [run for runs in follower.plan.values() for run in runs][number]
    files = RunLog(follower.runs_dir / run.run)
    files.set_status(status, step, "")
    if loss is not None:
        files.log("train", [{"step": step - 1, "loss": loss}])
    files.close()


def test_progress_counts_steps_and_ended_runs(sweep_dir: Path) -> None:
    follower = Follower(sweep_dir)
    assert tuple(follower.groups[0]) == (3, {"waiting": 3}, 0.0, None)
    write(follower, 0, "completed", 100, 0.5)
    write(follower, 1, "running", 25, 0.25)
    write(follower, 2, "diverged", 7, 9.0)
    follower.look([0])
    state = follower.groups[0]
    assert state.counts == {"completed": 1, "running": 1, "diverged": 1}
    assert state.ended == 2
    assert state.made == pytest.approx(2.25)
    assert state.loss == 0.25
    assert follower.groups[1].counts == {"waiting": 2}


def test_a_recorded_step_counts_before_the_next_checkpoint(sweep_dir: Path) -> None:
    follower = Follower(sweep_dir)
    write(follower, 0, "running", 20, None)
    run = follower.plan[0][0]
    with (follower.runs_dir / run.run / "metrics.jsonl").open("a") as stream:
        stream.write('{"kind": "train", "step": 49, "loss": 0.1}\n{"kind": "tra')
    follower.look([0])
    assert follower.groups[0].made == pytest.approx(0.5)


def test_a_damaged_status_is_no_error(sweep_dir: Path) -> None:
    follower = Follower(sweep_dir)
    write(follower, 3, "running", 20, None)
    run = follower.plan[1][0]
    (follower.runs_dir / run.run / "status.json").write_text("{")
    follower.look([1])
    assert follower.groups[1].counts == {"damaged": 1, "waiting": 1}


def test_time_left_by_hand(sweep_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1000.0
    monkeypatch.setattr("rnnexp.sweep.follow.time.monotonic", lambda: now)
    follower = Follower(sweep_dir)
    assert follower.seconds_left(0) is None
    assert follower.all_seconds_left([0]) is None
    now = 1050.0  # compiled until now: counts for nothing
    follower.look([0])
    write(follower, 0, "running", 50, 1.0)
    now = 1060.0
    follower.look([0])  # half a run in 10 s: 20 s a run, 2.5 runs are left
    assert follower.seconds_left(0) == pytest.approx(50.0)
    assert follower.all_seconds_left([0]) == pytest.approx(50.0 + 2 * 20.0)
    assert follower.all_seconds_left([0, 1]) == pytest.approx(50.0)  # at a time: the longest
