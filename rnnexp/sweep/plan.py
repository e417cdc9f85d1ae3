"""The plan of a sweep, kept in files: its runs, and which of them share a program.

| file in the sweep's directory | holds |
| --- | --- |
| `sweep.json` | the arguments, the user's imported files, and where the runs are kept |
| `plan.jsonl` | one line for each run: directory, group, swept values, whole configuration |
| `cancel` | exists while the sweep is asked to stop |

The runs themselves lie in the runs directory like any other. A run that exists already, made
alone or by another sweep, is not trained again.
"""

import hashlib
import json
import os
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ml_collections import FrozenConfigDict

from rnnexp.config.schema import from_saved
from rnnexp.core.errors import UsageError
from rnnexp.core.files import replace_text, to_json
from rnnexp.run.callbacks import read_result, run_path
from rnnexp.run.files import ENDED, RunLog, read_status, shown_status
from rnnexp.sweep.directory import is_run_name

SETTLED = (*ENDED, "failed")
"""Statuses of runs that are not trained again unless the user asks for it."""


@dataclass(frozen=True)
class PlannedRun:
    """One run of a sweep.

    Attributes:
      run: its directory, relative to the runs directory.
      group: the number of its group; runs of a group share a compiled program.
      changes: the values of the swept keys, the seed among them.
      config: the whole configuration.
      sources: the digest of the user's own files, "" without any; see `rnnexp.run.sources`.
        None in a plan of an older version, which did not know them.
    """

    run: str
    group: int
    changes: dict[str, Any]
    config: dict[str, Any]
    sources: str | None = None

    def frozen(self) -> FrozenConfigDict:
        """The configuration, validated."""
        return from_saved(self.config)


def planned(
    config: FrozenConfigDict, group: int, changes: dict[str, Any], sources: str = ""
) -> PlannedRun:
    """The planned run of a configuration in a group; `sources` is the digest of its own files."""
    path = run_path(config, Path(), sources)
    return PlannedRun(str(path), group, changes, config.to_dict(), sources)


def by_group(runs: Iterable[PlannedRun]) -> dict[int, list[PlannedRun]]:
    """Runs by the number of their group, in their order."""
    groups: dict[int, list[PlannedRun]] = {}
    for run in runs:
        groups.setdefault(run.group, []).append(run)
    return groups


def plan_id(runs: Sequence[PlannedRun]) -> str:
    """A name made from a set of runs, so that the same command finds its sweep again."""
    text = "\n".join(sorted(run.run for run in runs))
    return hashlib.sha256(text.encode()).hexdigest()[:8]


def write_plan(sweep_dir: Path, runs: Sequence[PlannedRun], runs_dir: Path, **facts: Any) -> None:
    """Write or replace the plan; `facts` go into `sweep.json`.

    Raises `UsageError` if the directory cannot be written.
    """
    relative = os.path.relpath(runs_dir.absolute(), sweep_dir.absolute())
    try:
        sweep_dir.mkdir(parents=True, exist_ok=True)
        lines = [json.dumps(asdict(run)) + "\n" for run in runs]
        replace_text(sweep_dir / "plan.jsonl", "".join(lines))
        header = {"runs_dir": relative, **facts}
        replace_text(sweep_dir / "sweep.json", to_json(header, indent=2) + "\n")
    except OSError as error:
        raise UsageError(f"cannot write the sweep's directory {sweep_dir}: {error}") from error


def read_plan(sweep_dir: Path) -> list[PlannedRun]:
    """The runs of a sweep.

    Raises `UsageError` if the directory holds none, or a run would lie elsewhere than at
    TASK/CELL/RUN_ID below the runs directory.
    """
    file = sweep_dir / "plan.jsonl"
    try:
        runs = [PlannedRun(**json.loads(line)) for line in file.read_text().splitlines()]
    except (OSError, ValueError, TypeError) as error:
        raise UsageError(f"{sweep_dir} is not a sweep's directory: cannot read {file}") from error
    for number, run in enumerate(runs, 1):
        if not isinstance(run.run, str) or not is_run_name(run.run):
            raise UsageError(f"{file} line {number}: a run is TASK/CELL/RUN_ID, not {run.run!r}")
    return runs


def record_failure(path: Path, run: PlannedRun, reason: str) -> int:
    """Record why a run cannot start or go on; returns how many updates it has made.

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
    """A run's status; `waiting` if it has not started, `killed` if its process was killed.

    `damaged` if `status.json` cannot be read; such a run goes on from its checkpoints.
    """
    try:
        status = read_status(path)
    except UsageError:
        return "damaged"
    if status is None:
        return "waiting"
    return shown_status(path, status["status"]).partition(" ")[0]
