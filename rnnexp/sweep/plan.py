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
"""Statuses of runs that are not trained again unless the user asks for it."""


@dataclass(frozen=True)
class PlannedRun:
    """One run of a sweep.

    Attributes:
      run: its directory, relative to the runs directory.
      group: the number of its group; runs of a group share a compiled program.
      changes: the values of the swept keys, the seed among them.
      config: the whole configuration.
    """

    run: str
    group: int
    changes: dict[str, Any]
    config: dict[str, Any]

    def frozen(self) -> FrozenConfigDict:
        """The configuration, validated."""
        return from_saved(self.config)


def planned(
    config: FrozenConfigDict, group: int, changes: dict[str, Any], sources: str = ""
) -> PlannedRun:
    """The planned run of a configuration in a group; `sources` is the digest of its own files."""
    return PlannedRun(str(run_path(config, Path(), sources)), group, changes, config.to_dict())


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


def is_run_name(name: str) -> bool:
    """Whether a text is TASK/CELL/RUN_ID, a place below the runs directory."""
    parts = name.split("/")
    return len(parts) == 3 and not {"", ".", ".."} & set(parts) and "\0" not in name


def sweep_folder(runs_dir: Path, name: str) -> Path:
    """The directory of a sweep of that name; `UsageError` for a name that is no folder's."""
    if name in ("", ".", "..") or {"/", "\0"} & set(name) or len(os.fsencode(name)) > 200:
        raise UsageError(
            f"--name {name!r}: a sweep's name is that of a folder in {runs_dir / 'sweeps'}: "
            "no '/', and at most 200 bytes"
        )
    return runs_dir / "sweeps" / name


def with_hashes(files: Sequence[str]) -> tuple[str, ...]:
    """Files as `SHA256:PATH`, the path absolute."""
    paths = [Path(file).absolute() for file in files]
    return tuple(f"{hashlib.sha256(path.read_bytes()).hexdigest()}:{path}" for path in paths)


def require_imports(sweep_dir: Path, given: Sequence[str]) -> None:
    """Raise `UsageError` unless the given files, `SHA256:PATH`, are those of the sweep's plan."""
    planned_with = [str(file) for file in read_header(sweep_dir).get("imports", [])]
    known = {file.partition(":")[0] for file in given}
    for file in planned_with:
        digest, _, path = file.rpartition(":")  # older plans have the path alone
        if digest and digest not in known:
            raise UsageError(
                f"{sweep_dir} was planned with --import {path} (SHA-256 {digest[:12]}...). Name "
                "that file, unchanged, on the command line if its code is to run"
            )
        if not digest and path not in {name.partition(":")[2] for name in given}:
            raise UsageError(
                f"{sweep_dir} was planned with --import {path}. Name it on the command line if "
                "its code is to run"
            )


def read_header(sweep_dir: Path) -> dict[str, Any]:
    """The content of `sweep.json`."""
    if (header := read_json(sweep_dir / "sweep.json")) is None:
        raise UsageError(f"{sweep_dir} is not a sweep's directory: it has no sweep.json")
    return header


def runs_dir_of(sweep_dir: Path) -> Path:
    """The directory below which a sweep's runs lie, and the sweep's own directory.

    Raises `UsageError` if `sweep.json` names another.
    """
    named = read_header(sweep_dir).get("runs_dir")
    if not isinstance(named, str):
        raise UsageError(f"{sweep_dir}/sweep.json does not say where the runs are (runs_dir)")
    runs_dir = sweep_dir / named
    if not sweep_dir.resolve().is_relative_to(runs_dir.resolve()):
        raise UsageError(
            f"{sweep_dir}/sweep.json names the runs directory {runs_dir.resolve()}, in which the "
            "sweep does not lie"
        )
    return runs_dir


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
    """A run's status; `waiting` if it has not started, `killed` if its process was killed."""
    status = read_json(path / "status.json")
    if status is None:
        return "waiting"
    return shown_status(path, str(status["status"])).partition(" ")[0]


def cancelled(sweep_dir: Path) -> bool:
    """Whether the sweep is asked to stop."""
    return (sweep_dir / "cancel").exists()
