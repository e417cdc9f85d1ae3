"""The plan of a sweep, as files: which runs there are, and which share a program.

| file in the sweep's directory | holds |
| --- | --- |
| `sweep.json` | the arguments, the groups, and where the runs are kept |
| `plan.jsonl` | one line a run: its directory, group, what varies, the whole configuration |
| `cancel` | there while the sweep is to stop |

The runs lie in the runs directory like any other, so a run that was made already, alone or
by another sweep, is not made again.
"""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ml_collections import FrozenConfigDict

from rnnexp.config.schema import from_saved
from rnnexp.core.errors import UsageError
from rnnexp.core.files import replace_text, to_json
from rnnexp.run.callbacks import read_result, run_path
from rnnexp.run.files import ENDED, RunLog, read_json, shown_status

SETTLED = (*ENDED, "failed")
"""Statuses of runs that are not made again unless it is asked for."""


@dataclass(frozen=True)
class PlannedRun:
    """One run of a sweep: its directory below the runs directory, and its configuration."""

    run: str
    group: int
    changes: dict[str, Any]
    config: dict[str, Any]

    def frozen(self) -> FrozenConfigDict:
        """The configuration, validated."""
        return from_saved(self.config)


def planned(config: FrozenConfigDict, group: int, changes: dict[str, Any]) -> PlannedRun:
    """The planned run of a configuration."""
    return PlannedRun(str(run_path(config, Path())), group, changes, config.to_dict())


def plan_id(runs: Sequence[PlannedRun]) -> str:
    """A name for a set of runs: the same command again means the same sweep."""
    text = "\n".join(sorted(run.run for run in runs))
    return hashlib.sha256(text.encode()).hexdigest()[:8]


def write_plan(sweep_dir: Path, runs: Sequence[PlannedRun], runs_dir: Path, **facts: Any) -> None:
    """Make or replace the plan. Raises `UsageError` if the directory cannot be written."""
    relative = Path(_relative(runs_dir, sweep_dir))
    try:
        sweep_dir.mkdir(parents=True, exist_ok=True)
        lines = [json.dumps(asdict(run)) + "\n" for run in runs]
        replace_text(sweep_dir / "plan.jsonl", "".join(lines))
        header = {"runs_dir": str(relative), **facts}
        replace_text(sweep_dir / "sweep.json", to_json(header, indent=2) + "\n")
    except OSError as error:
        raise UsageError(f"cannot write the sweep's directory {sweep_dir}: {error}") from error


def _relative(path: Path, start: Path) -> str:
    import os

    return os.path.relpath(path.absolute(), start.absolute())


def read_plan(sweep_dir: Path) -> list[PlannedRun]:
    """The runs of a sweep; `UsageError` if the directory holds none."""
    file = sweep_dir / "plan.jsonl"
    try:
        lines = file.read_text().splitlines()
        return [PlannedRun(**json.loads(line)) for line in lines]
    except (OSError, ValueError, TypeError) as error:
        raise UsageError(f"{sweep_dir} is not a sweep's directory: cannot read {file}") from error


def read_header(sweep_dir: Path) -> dict[str, Any]:
    """The content of `sweep.json`."""
    if (header := read_json(sweep_dir / "sweep.json")) is None:
        raise UsageError(f"{sweep_dir} is not a sweep's directory: it has no sweep.json")
    return header


def runs_dir_of(sweep_dir: Path) -> Path:
    """Where a sweep's runs are kept."""
    return sweep_dir / str(read_header(sweep_dir)["runs_dir"])


def record_failure(path: Path, run: PlannedRun, reason: str) -> int:
    """Record why a run cannot begin or go on; returns the updates that it had made.

    Raises `UsageError` if another process holds the run's directory.
    """
    files = RunLog(path)
    before = read_result(path)
    step = before.step if before else 0
    files.write_json("config.json", run.config)
    files.set_status("failed", step, reason)
    files.close()
    return step


def run_status(path: Path) -> str:
    """A run's status, `waiting` if it has not begun, `killed` if it was."""
    status = read_json(path / "status.json")
    if status is None:
        return "waiting"
    return shown_status(path, str(status["status"])).partition(" ")[0]


def cancelled(sweep_dir: Path) -> bool:
    """Whether the sweep was asked to stop."""
    return (sweep_dir / "cancel").exists()
