"""Executors: jobs as processes of this machine, their ends, losses and stops."""

import json
import logging
import os
import signal
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from rnnexp.core.errors import UsageError
from rnnexp.sweep.executors import Job, Outcome
from rnnexp.sweep.executors.base import make_spec
from rnnexp.sweep.executors.process import Process, run_here
from tests.helpers.counted_jobs import (
    MODULE,
    alive,
    behave,
    numbers,
    run,
    start_driver,
    steps,
    until,
)


@pytest.fixture(autouse=True)
def in_root(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Jobs work in the folder of their driver: from here they find the stand-in worker."""
    monkeypatch.chdir(root)
    yield
    (tmp_path / "cancel").touch()  # ends what a failed test has left


def test_jobs_run_to_their_ends_and_tell_their_counts(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, "rnnexp"):
        outcomes, why = run(tmp_path, 3, at_once=2)
    assert why == ""
    assert sorted(outcomes) == [0, 1, 2]
    assert all(outcome.status == "done" for outcome in outcomes.values())
    assert all(outcome.counts == {"completed": 1} for outcome in outcomes.values())
    assert numbers(tmp_path, 2) == [0, 1, 2, 3, 4]
    assert "group 1: goes on from step 0" in caplog.text
    assert any("group 1: done" in line and "1 completed" in line for line in caplog.messages)
    assert not any("{" in line for line in caplog.messages)


def test_no_more_processes_than_asked_for(tmp_path: Path) -> None:
    behave(tmp_path, steps=3, seconds=0.1)
    run(tmp_path, 3)
    ends = [os.stat(tmp_path / f"steps-{group}").st_mtime for group in range(3)]
    begins = [os.stat(tmp_path / "logs" / f"group-{group:05d}.lock").st_mtime for group in range(3)]
    assert ends[0] <= begins[1]
    assert ends[1] <= begins[2]


def test_a_failed_job_is_told_and_the_others_go_on(tmp_path: Path) -> None:
    behave(tmp_path, bad=[0])
    outcomes, why = run(tmp_path, 2)
    assert (outcomes[0].status, outcomes[0].tries) == ("failed", 1)
    assert outcomes[0].reason == "config.seed: expected a number"
    assert outcomes[1].status == "done"
    assert why == ""


def test_a_killed_process_is_begun_again_and_goes_on(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    behave(tmp_path, steps=10, seconds=0.05)

    def kill() -> None:
        until(lambda: len(steps(tmp_path, 0)) >= 3)
        os.kill(int(steps(tmp_path, 0)[0].split()[2]), signal.SIGKILL)

    killer = threading.Thread(target=kill)
    killer.start()
    outcomes, _ = run(tmp_path, 1)
    killer.join()
    assert (outcomes[0].status, outcomes[0].tries) == ("done", 2)
    assert numbers(tmp_path, 0) == list(range(10))
    assert any("lost" in line and "SIGKILL" in line for line in caplog.messages)


def test_a_job_that_always_crashes_is_given_up(tmp_path: Path) -> None:
    behave(tmp_path, steps=10, crash=[0])
    outcomes, _ = run(tmp_path, 2, tries=2)
    assert (outcomes[0].status, outcomes[0].tries) == ("failed", 2)
    assert "SIGKILL" in outcomes[0].reason
    assert "given up after 2 tries" in outcomes[0].reason
    assert numbers(tmp_path, 0) == [0, 1]
    assert outcomes[1].status == "done"


def test_cancelling_checkpoints_what_runs_and_begins_no_more(tmp_path: Path) -> None:
    behave(tmp_path, steps=1000, seconds=0.05)

    def cancel() -> None:
        until(lambda: len(steps(tmp_path, 0)) >= 3)
        (tmp_path / "cancel").touch()

    canceller = threading.Thread(target=cancel)
    canceller.start()
    outcomes, why = run(tmp_path, 2)
    canceller.join()
    assert why == "cancelled"
    assert [outcomes[group].status for group in range(2)] == ["interrupted"] * 2
    assert outcomes[0].counts == {"interrupted": 1}
    assert (tmp_path / "checkpoints-0").exists()
    assert not steps(tmp_path, 1)
    assert "not begun" in outcomes[1].reason


@pytest.mark.parametrize("name", ["SIGTERM", "SIGINT"])
def test_a_signal_to_the_driver_checkpoints_its_jobs(tmp_path: Path, name: str) -> None:
    behave(tmp_path, steps=1000, seconds=0.05)
    driver = start_driver(tmp_path, 3, "at_once=2")
    until(lambda: all(len(steps(tmp_path, group)) >= 3 for group in (0, 1)))
    os.killpg(driver.pid, signal.Signals[name])  # a terminal signals the whole process group
    output, _ = driver.communicate(timeout=60)
    told = json.loads(output.splitlines()[-1])
    assert told["stopped_by"] == name
    assert {outcome["status"] for outcome in told["outcomes"].values()} == {"interrupted"}
    for group in (0, 1):
        kept = (tmp_path / f"checkpoints-{group}").read_text().split()
        assert kept == [str(len(steps(tmp_path, group)))]


def test_a_process_does_not_outlive_its_killed_driver(tmp_path: Path) -> None:
    behave(tmp_path, steps=1000, seconds=0.05)
    driver = start_driver(tmp_path, 1)
    until(lambda: steps(tmp_path, 0))
    worker = int(steps(tmp_path, 0)[0].split()[2])
    driver.kill()
    driver.communicate()
    until(lambda: not alive(worker), limit_s=5)
    made = len(steps(tmp_path, 0))
    behave(tmp_path, steps=made + 2)
    outcomes, _ = run(tmp_path, 1)
    assert outcomes[0].status == "done"
    assert numbers(tmp_path, 0) == list(range(made + 2))


def test_two_processes_never_work_on_a_group_at_once(tmp_path: Path) -> None:
    behave(tmp_path, steps=10, seconds=0.05)
    spec = make_spec(Job(tmp_path, 0), MODULE)
    processes = [Process(spec), Process(spec)]
    until(lambda: all(process.poll() is not None for process in processes))
    assert numbers(tmp_path, 0) == list(range(10))
    assert len({line.split()[2] for line in steps(tmp_path, 0)}) == 1
    assert "waits for a process" in spec.job.log_path.read_text()


def test_a_group_that_stays_locked_is_tried_later(tmp_path: Path) -> None:
    behave(tmp_path, steps=1000, seconds=0.05)
    spec = make_spec(Job(tmp_path, 0), MODULE)
    first = Process(spec)
    until(lambda: steps(tmp_path, 0))
    second = Process(spec, lock_wait_s=0.2)
    until(lambda: second.poll() is not None)
    outcome = second.poll()
    first.kill()
    assert outcome is not None
    assert outcome.status == "evicted"
    assert "another process holds" in outcome.reason


def test_settings_that_cannot_be_used_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(UsageError, match=r"unknown executor 'rey'\. Did you mean 'ray'"):
        run(tmp_path, 1, "rey")
    with pytest.raises(UsageError, match="--address is for executor ray, not local"):
        run(tmp_path, 1, address="auto")
    with pytest.raises(UsageError, match="--jobs is for executor local, not ray"):
        run(tmp_path, 1, "ray", at_once=2)
    for package, extra, executor in [("ray", "ray", "ray"), ("submitit", "slurm", "slurm")]:
        monkeypatch.setitem(sys.modules, package, None)
        with pytest.raises(UsageError, match=rf"pip install 'rnnexp\[{extra}\]'"):
            run(tmp_path, 1, executor)


def test_a_file_stops_the_try_that_is_under_way_and_no_later_one(tmp_path: Path) -> None:
    behave(tmp_path, steps=10_000)
    job = Job(tmp_path, 0)
    job.stop_path.parent.mkdir()
    job.stop_path.touch()  # left by an earlier try
    outcomes: list[Outcome] = []
    spec = make_spec(job, MODULE)
    thread = threading.Thread(target=lambda: outcomes.append(run_here(spec)))
    thread.start()
    until(lambda: len(steps(tmp_path, 0)) >= 20)
    assert not job.stop_path.exists()
    job.stop_path.touch()
    thread.join(20)
    (outcome,) = outcomes
    assert (outcome.status, outcome.counts) == ("evicted", {"interrupted": 1})
    made = len(steps(tmp_path, 0))
    assert (tmp_path / "checkpoints-0").read_text().split() == [str(made)]
    assert not job.stop_path.exists()
