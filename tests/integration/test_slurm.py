"""Executor `slurm`: through submitit on this machine, and on stand-ins for Slurm's commands."""

import logging
import os
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from rnnexp.sweep.executors import Job, Options, Outcome, run_jobs
from rnnexp.sweep.executors import slurm as executor
from tests.helpers import fake_slurm
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

submitit = pytest.importorskip("submitit", reason="submitit is not installed")


@pytest.fixture(autouse=True)
def in_root(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Jobs work in the folder of their driver: from here they find the stand-in worker."""
    monkeypatch.chdir(root)
    yield
    (tmp_path / "cancel").touch()  # ends what a failed test has left


@pytest.mark.parametrize("signals", [(signal.SIGUSR2,), (signal.SIGTERM, signal.SIGUSR2)])
def test_a_preempted_submitit_job_checkpoints_and_goes_on(
    tmp_path: Path, signals: tuple[signal.Signals, ...]
) -> None:
    behave(tmp_path, steps=20, seconds=0.05, hold=10)

    def preempt() -> None:
        until(lambda: all(len(steps(tmp_path, group)) == 10 for group in (0, 1)))
        (tmp_path / "go-1").touch()
        processes = list(map(int, steps(tmp_path, 0)[0].split()[2:]))
        for number in signals:  # to all processes, as Slurm does
            for process in processes:
                if alive(process):
                    os.kill(process, number)
            time.sleep(0.5)  # long enough for the worker to end in between
        until((tmp_path / "checkpoints-0").exists)
        (tmp_path / "go-0").touch()

    preempter = threading.Thread(target=preempt)
    preempter.start()
    outcomes, why = run(tmp_path, 2, "slurm", slurm={"cluster": "local"})
    preempter.join()
    assert why == ""
    assert [outcomes[group].status for group in (0, 1)] == ["done", "done"]
    # Slurm's queue begins it again, not this process.
    assert [outcomes[group].tries for group in (0, 1)] == [1, 1]
    assert (tmp_path / "checkpoints-0").read_text().split() == ["10"]
    assert not (tmp_path / "checkpoints-1").exists()
    for group, processes in [(0, 2), (1, 1)]:
        assert numbers(tmp_path, group) == list(range(20))
        assert len({line.split()[2] for line in steps(tmp_path, group)}) == processes


@pytest.fixture
def slurm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of stand-ins for Slurm's commands."""
    fake_slurm.install(folder := tmp_path / "slurm-commands")
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    return folder


def test_jobs_become_a_slurm_array_with_what_they_ask_for(tmp_path: Path, slurm: Path) -> None:
    outcomes: dict[int, Outcome] = {}
    run_jobs(
        "slurm",
        [Job(tmp_path, n, memory_bytes=3 * 2**29, gpus=0.5, cpus=2) for n in range(2)],
        on_job_end=lambda job, outcome: outcomes.update({job.group: outcome}),
        options=Options(
            module=MODULE,
            slurm={"partition": "short", "array_parallelism": "1", "setup": "module load x || :"},
        ),
    )
    assert [outcomes[group].counts for group in (0, 1)] == [{"completed": 1}] * 2
    script = (slurm / "script").read_text().splitlines()
    asked = {line.removeprefix("#SBATCH --") for line in script if line.startswith("#SBATCH")}
    assert asked >= {
        "array=0-1%1", "partition=short", "time=240", "mem=1536MB", "gpus-per-node=1",
        "cpus-per-task=2", "signal=USR2@90", "open-mode=append", f"job-name={tmp_path.name}",
    }  # fmt: skip
    assert "module load x || :" in script


def test_jobs_in_the_queue_are_found_again_by_the_next_driver(
    tmp_path: Path, slurm: Path, caplog: pytest.LogCaptureFixture
) -> None:
    behave(tmp_path, steps=10, hold=5)
    driver = start_driver(tmp_path, 2, executor="slurm")
    submitted = tmp_path / "slurm" / "submitted.jsonl"
    until(lambda: submitted.exists() and len(submitted.read_text().splitlines()) == 2)
    until(lambda: all(len(steps(tmp_path, group)) == 5 for group in (0, 1)))
    driver.kill()
    driver.communicate()

    def let_go() -> None:
        """Once the next driver has looked into the queue: jobs may end sooner than it does so."""
        until(lambda: any(line.startswith("Slurm jobs of") for line in caplog.messages))
        for group in (0, 1):
            (tmp_path / f"go-{group}").touch()

    releaser = threading.Thread(target=let_go)
    with caplog.at_level(logging.INFO, "rnnexp"):
        releaser.start()
        outcomes, _ = run(tmp_path, 2, "slurm")
    releaser.join()
    assert {outcome.status for outcome in outcomes.values()} == {"done"}
    assert len(list((slurm / "jobs").iterdir())) == 2
    assert any(
        line.startswith("group 1 is in the queue already") and line.endswith("_1")
        for line in caplog.messages
    )
    assert len({line.split()[2] for line in steps(tmp_path, 1)}) == 1


@pytest.mark.parametrize("state", ["CANCELLED by 0", "NODE_FAIL", "OUT_OF_MEMORY", "PREEMPTED"])
def test_a_slurm_job_that_is_ended_is_begun_again_unless_cancelled(
    tmp_path: Path, slurm: Path, monkeypatch: pytest.MonkeyPatch, state: str
) -> None:
    monkeypatch.setattr(submitit.Job, "_results_timeout_s", 1)
    monkeypatch.setattr(executor, "PREEMPTED_S", 0)
    behave(tmp_path, steps=10, hold=5)

    def end() -> None:
        until(lambda: len(steps(tmp_path, 0)) == 5)
        (job,) = (slurm / "jobs").iterdir()
        fake_slurm.end(slurm, job.name, state)
        (tmp_path / "go-0").touch()

    ender = threading.Thread(target=end)
    ender.start()
    outcomes, _ = run(tmp_path, 1, "slurm", tries=2 if state == "OUT_OF_MEMORY" else 1)
    ender.join()
    if state.startswith("CANCELLED"):
        assert outcomes[0].status == "interrupted"
        assert outcomes[0].reason.endswith("ended as CANCELLED by 0")
    else:
        assert (outcomes[0].status, outcomes[0].tries) == ("done", 2)
        assert numbers(tmp_path, 0) == list(range(10))
