"""Executor `ray` on a real cluster: a head and two nodes, whose processes and nodes are killed."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from rnnexp.core.errors import UsageError
from rnnexp.run.files import read_metrics
from rnnexp.sweep.executors import Job, Options, run_jobs
from rnnexp.sweep.plan import read_plan, run_status
from tests.helpers.counted_jobs import alive, behave, numbers, steps, until
from tests.helpers.ray_cluster import RayCluster
from tests.helpers.small_run import assert_same_runs

pytest.importorskip("ray", reason="Ray is not installed: pip install 'rnnexp[ray]'")


@pytest.fixture(autouse=True)
def in_root(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Jobs work in the folder of their driver: from here they find the stand-in worker."""
    monkeypatch.chdir(root)
    yield
    (tmp_path / "cancel").touch()  # ends what a failed test has left


def start_driver(
    cluster: RayCluster, sweep_dir: Path, groups: int, *more: str
) -> subprocess.Popen[str]:
    command = [
        sys.executable, "-W", "error", "-m", "tests.helpers.drive_jobs", "ray", str(sweep_dir),
        str(groups), f"address={cluster.address}", *more,
    ]  # fmt: skip
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        start_new_session=True,
    )  # fmt: skip


def ended_output(process: subprocess.Popen[str], limit_s: float) -> tuple[str, bool]:
    """What a process wrote, and whether it came to its end in time; if not, it is killed."""
    try:
        return process.communicate(timeout=limit_s)[0], True
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        return process.communicate()[0], False


def told(driver: subprocess.Popen[str]) -> dict[str, Any]:
    """The driver's last line; its log is shown by `pytest -rP`."""
    output, ended = ended_output(driver, 120)
    print(output)
    assert ended, "the driver did not come to its end"
    content: dict[str, Any] = json.loads(output.splitlines()[-1])
    return content


def begun(sweep_dir: Path, group: int) -> list[str]:
    """The lines of a group's log that say where each of its processes was begun."""
    lines = (sweep_dir / "logs" / f"group-{group:05d}.log").read_text().splitlines()
    return [line for line in lines if line.startswith("begun on")]


def node_of(sweep_dir: Path, group: int) -> str:
    """The address of the node on which a group was begun last."""
    return begun(sweep_dir, group)[-1].partition("(")[2].partition(")")[0]


def test_a_killed_process_and_a_killed_node_lose_nothing(tmp_path: Path) -> None:
    behave(tmp_path, steps=10, seconds=0.05, hold=5)
    with RayCluster(nodes=2) as cluster:
        driver = start_driver(cluster, tmp_path, 4)
        until(lambda: all(len(steps(tmp_path, group)) == 5 for group in (0, 1)))
        assert {node_of(tmp_path, group) for group in (0, 1)} == set(cluster.nodes)
        worker, task = map(int, steps(tmp_path, 0)[-1].split()[2:])
        print(f"kills process {task}, the task of group 0; its child is {worker}")
        os.kill(task, signal.SIGKILL)
        until(lambda: not alive(worker), limit_s=5)
        (tmp_path / "go-1").touch()
        until(lambda: len(steps(tmp_path, 2)) == 5)
        lost = node_of(tmp_path, 2)
        print(f"kills the raylet of node {lost}, which trains group 2")
        worker = int(steps(tmp_path, 2)[-1].split()[2])
        cluster.kill_raylet(lost)
        until(lambda: not alive(worker))
        for group in (0, 2, 3):
            (tmp_path / f"go-{group}").touch()
        content = told(driver)
    outcomes = content["outcomes"]
    assert {outcome["status"] for outcome in outcomes.values()} == {"done"}
    assert outcomes["0"]["tries"] > 1
    assert outcomes["1"]["tries"] == 1
    assert outcomes["2"]["tries"] > 1
    assert lost not in outcomes["2"]["host"]
    for group in range(4):
        assert numbers(tmp_path, group) == list(range(10))


def test_stopping_the_driver_checkpoints_its_tasks_and_killing_it_ends_them(
    tmp_path: Path,
) -> None:
    behave(tmp_path, steps=10_000, seconds=0.05, bad=[0])
    with RayCluster(nodes=1) as cluster:
        driver = start_driver(cluster, tmp_path, 3)
        until(lambda: steps(tmp_path, 1))
        os.killpg(driver.pid, signal.SIGTERM)
        content = told(driver)
        assert content["stopped_by"] == "SIGTERM"
        assert content["outcomes"]["0"]["status"] == "failed"
        assert "expected a number" in content["outcomes"]["0"]["reason"]
        for group in "12":
            assert content["outcomes"][group]["status"] == "interrupted"
        made = len(steps(tmp_path, 1))
        assert (tmp_path / "checkpoints-1").read_text().split() == [str(made)]

        driver = start_driver(cluster, tmp_path, 3)
        until(lambda: len(steps(tmp_path, 1)) > made)
        worker = int(steps(tmp_path, 1)[-1].split()[2])
        driver.kill()
        driver.communicate()
        until(lambda: not alive(worker), limit_s=20)
        assert (tmp_path / "checkpoints-1").read_text().split() == [str(made)]


def test_a_cluster_that_cannot_be_reached_is_named(tmp_path: Path) -> None:
    def run(address: str | None) -> None:
        run_jobs(
            "ray", [Job(tmp_path, 0)],
            on_job_end=lambda job, outcome: None, options=Options(address=address),
        )  # fmt: skip

    with pytest.raises(UsageError, match="executor ray needs a cluster: --address=HOST:PORT"):
        run(None)
    with pytest.raises(UsageError, match="expected HOST:PORT or auto"):
        run("ray://127.0.0.1:10001")
    with socket.create_server(("127.0.0.1", 0)) as free:
        address = f"127.0.0.1:{free.getsockname()[1]}"
    with pytest.raises(UsageError, match=f"cannot use a Ray cluster at {address}"):
        run(address)


SWEEP = (
    "copy_memory/lstm", "--sweep", "cell.hidden_size=4,6", "--seeds", "2", "--width", "1",
    "--config.task.delay_steps=5", "--config.train.batch_size=8",
    "--config.train.duration_steps=600", "--config.eval.every_steps=200",
    "--config.eval.examples=64", "--config.eval.batch_size=32",
    "--config.checkpoint.every_steps=100", "--config.record.every_steps=50",
)  # fmt: skip


def sweep(runs_dir: Path, *more: str) -> subprocess.Popen[str]:
    """The command itself, warnings as errors."""
    command = [sys.executable, "-W", "error", "-m", "rnnexp", "sweep", *SWEEP]
    return subprocess.Popen(
        [*command, "--runs-dir", str(runs_dir), *more],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True,
    )  # fmt: skip


def trained_steps(path: Path) -> dict[int, float]:
    """When each recorded step of a run was written."""
    return {row["step"]: row["time"] for row in read_metrics(path) if row["kind"] == "train"}


@pytest.mark.slow
def test_a_group_whose_worker_is_killed_goes_on_from_its_checkpoint(tmp_path: Path) -> None:
    away, here = tmp_path / "away", tmp_path / "here"
    with RayCluster(nodes=2) as cluster:
        driver = sweep(away, "--name", "s", "--executor=ray", f"--address={cluster.address}")
        until((away / "sweeps/s/plan.jsonl").exists, 180)
        plan = read_plan(away / "sweeps/s")
        mine = [away / run.run for run in plan if run.group == 0]
        until(lambda: any(max(trained_steps(path), default=0) >= 250 for path in mine), 180)
        worker = int(begun(away / "sweeps/s", 0)[-1].split()[-1])
        os.kill(worker, signal.SIGKILL)
        killed = time.time()
        until(lambda: not alive(worker))
        statuses = [run_status(path) for path in mine]
        print(f"killed the worker {worker} of group 0; its runs: {statuses}")
        output, _ = ended_output(driver, 180)
    print(output)
    assert driver.returncode == 0
    assert "killed" in statuses
    assert len(begun(away / "sweeps/s", 0)) == 2
    resumed = mine[statuses.index("killed")]
    assert any(time < killed for time in trained_steps(resumed).values())
    assert max(trained_steps(resumed).values()) > killed
    undisturbed = sweep(here)
    output, _ = ended_output(undisturbed, 180)
    assert undisturbed.returncode == 0, output
    for run in plan:
        assert run_status(away / run.run) == "completed"
        assert_same_runs(away / run.run, here / run.run, run.frozen())
