"""Executor `ray` on a real cluster: a head and two nodes, whose processes and nodes are killed."""

import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from rnnexp.errors import UsageError
from rnnexp.sweep.executors import Job, Options, run_jobs
from tests.ray_cluster import RayCluster
from tests.counted_jobs import alive, behave, numbers, steps, until

pytest.importorskip("ray", reason="Ray is not installed: pip install 'rnnexp[ray]'")


pytestmark = pytest.mark.usefixtures("in_root")


def start_driver(
    cluster: RayCluster, sweep_dir: Path, groups: int, *more: str
) -> subprocess.Popen[str]:
    command = [
        sys.executable, "-W", "error", "-m", "tests.drive_jobs", "ray", str(sweep_dir),
        str(groups), f"address={cluster.address}", *more,
    ]  # fmt: skip
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        start_new_session=True,
    )  # fmt: skip


def told(driver: subprocess.Popen[str]) -> dict[str, Any]:
    """The driver's last line; its log is shown by `pytest -rP`."""
    output, _ = driver.communicate(timeout=120)
    print(output)
    content: dict[str, Any] = json.loads(output.splitlines()[-1])
    return content


def node_of(sweep_dir: Path, group: int) -> str:
    """The address of the node on which a group was begun last."""
    lines = (sweep_dir / "logs" / f"group-{group:05d}.log").read_text().splitlines()
    begun = [line for line in lines if line.startswith("begun on")]
    return begun[-1].partition("(")[2].partition(")")[0]


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
        cluster.kill_raylet(lost)
        for group in (0, 2, 3):
            (tmp_path / f"go-{group}").touch()
        content = told(driver)
    outcomes = content["outcomes"]
    assert {outcome["status"] for outcome in outcomes.values()} == {"done"}
    assert outcomes["0"]["tries"] > 1
    assert outcomes["1"]["tries"] == 1
    assert outcomes["2"]["tries"] > 1 or lost in outcomes["2"]["host"]
    for group in range(4):
        assert numbers(tmp_path, group) == list(range(10))


def test_stopping_the_driver_checkpoints_its_tasks_and_killing_it_ends_them(
    tmp_path: Path,
) -> None:
    behave(tmp_path, steps=1000, seconds=0.05, bad=[0])
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
            finished=lambda job, outcome: None, options=Options(address=address),
        )  # fmt: skip

    with pytest.raises(UsageError, match="executor ray needs a cluster: --address=HOST:PORT"):
        run(None)
    with socket.create_server(("127.0.0.1", 0)) as free:
        address = f"127.0.0.1:{free.getsockname()[1]}"
    with pytest.raises(UsageError, match=f"cannot use a Ray cluster at {address}"):
        run(address)
