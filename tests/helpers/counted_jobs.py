"""Jobs of the stand-in worker, what they have done, and processes that drive them."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from rnnexp.sweep.executors import Job, Options, Outcome, run_jobs

MODULE = "tests.helpers.counting_worker"
LIMIT_S = 60.0


def behave(sweep_dir: Path, **behaviour: object) -> None:
    (sweep_dir / "behaviour.json").write_text(json.dumps(behaviour))


def steps(sweep_dir: Path, group: int) -> list[str]:
    file = sweep_dir / f"steps-{group}"
    return file.read_text().splitlines() if file.exists() else []


def numbers(sweep_dir: Path, group: int) -> list[int]:
    return [int(line.split()[0]) for line in steps(sweep_dir, group)]


def until(condition: Callable[[], object], limit_s: float = LIMIT_S) -> None:
    deadline = time.monotonic() + limit_s
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.02)


def run(
    sweep_dir: Path, groups: int, executor: str = "local", **options: object
) -> tuple[dict[int, Outcome], str]:
    outcomes: dict[int, Outcome] = {}
    deadline = time.monotonic() + LIMIT_S
    why = run_jobs(
        executor,
        [Job(sweep_dir, group) for group in range(groups)],
        on_job_end=lambda job, outcome: outcomes.update({job.group: outcome}),
        cancelled=lambda: time.monotonic() > deadline or (sweep_dir / "cancel").exists(),
        options=Options(module=MODULE, **options),  # type: ignore[arg-type]
    )
    return outcomes, why


def start_driver(
    sweep_dir: Path, groups: int, *more: str, executor: str = "local"
) -> subprocess.Popen[str]:
    command = [
        sys.executable,
        "-m",
        "tests.helpers.drive_jobs",
        executor,
        str(sweep_dir),
        str(groups),
    ]
    return subprocess.Popen(
        [*command, *more], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        start_new_session=True,
    )  # fmt: skip


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True
