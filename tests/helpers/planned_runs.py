"""Plans of small sweeps for tests, and what their workers leave behind."""

import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ml_collections import FrozenConfigDict

from rnnexp.sweep.plan import PlannedRun, planned, write_plan
from rnnexp.sweep.program_groups import group_runs
from tests.helpers.small_run import small_config


def plan_of(configs: Sequence[FrozenConfigDict], runs_dir: Path, name: str = "s") -> Path:
    """Write the plan of these runs; returns the sweep's directory."""
    groups = group_runs(configs)
    runs = [planned(c, g, {"seed": c.seed}) for c, g in zip(configs, groups, strict=True)]
    write_plan(runs_dir / "sweeps" / name, runs, runs_dir)
    return runs_dir / "sweeps" / name


def small_runs(*changes: Mapping[str, Any]) -> list[PlannedRun]:
    """Small runs of one group that differ in these keys."""
    return [planned(small_config(**change), 0, dict(change)) for change in changes]


def start_worker(sweep_dir: Path, group: int = 0) -> "subprocess.Popen[str]":
    """A worker process on a group."""
    command = [sys.executable, "-m", "rnnexp.sweep.worker", str(sweep_dir), str(group)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def counts_of(worker: "subprocess.Popen[str]") -> dict[str, int]:
    """Wait for a worker; the counts that it printed."""
    out, err = worker.communicate(timeout=300)
    assert out, err
    counts: dict[str, int] = json.loads(out)
    return counts
