"""The run directory: configuration, environment, status and metrics as plain files.

| file | holds |
| --- | --- |
| `config.json` | every configuration key |
| `environment.json` | versions, device and source revision of the run's start |
| `status.json` | one of `STATUSES`, and why |
| `metrics.jsonl` | one line per logged step or evaluation; see `RunLog.log` |
| `gradients.zarr` | see `rnnexp.run.gradient_store` |
| `checkpoints/` | see `rnnexp.run.checkpoint` |
"""

import fcntl
import json
import os
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from rnnexp.core.errors import UsageError
from rnnexp.core.files import append_text, replace_text, to_json

STATUSES = ("running", "completed", "diverged", "pruned", "interrupted", "failed")
ENDED = ("completed", "diverged", "pruned")


class RunLog:
    """Owns a run's directory while it runs: takes the lock, writes status and metrics.

    Raises `UsageError` if the directory cannot be written or another process holds it.
    """

    def __init__(self, path: Path):
        self.path = path
        try:
            path.mkdir(parents=True, exist_ok=True)
            self._lock = (path / "lock").open("a+")
        except OSError as error:
            raise UsageError(f"cannot write the run directory {path}: {error.strerror}") from error
        if not self._take_lock():
            self._lock.seek(0)
            holder = self._lock.read().strip() or "unknown"
            self._lock.close()
            raise UsageError(
                f"another process ({holder}) is working in {path}; wait for it or stop it"
            )
        self._lock.truncate(0)
        self._lock.write(f"pid {os.getpid()} on {os.uname().nodename}")
        self._lock.flush()

    def _take_lock(self) -> bool:
        for _ in range(5):
            try:
                fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return True
            except BlockingIOError:
                time.sleep(0.05)  # `shown_status` holds it for a moment
        return False

    def close(self) -> None:
        """Let other processes in."""
        self._lock.close()

    def write_json(self, name: str, content: dict[str, Any]) -> None:
        """Replace one of the directory's JSON files."""
        replace_text(self.path / name, to_json(content, indent=2) + "\n")

    def set_status(self, status: str, step: int, reason: str, **more: Any) -> None:
        """Replace `status.json`. `step` counts the updates made."""
        content = {"status": status, "step": step, "reason": reason, **more, "time": time.time()}
        self.write_json("status.json", content)

    def set_failed(self, step: int, reason: str) -> None:
        """`set_status`, by a process that may be the last one left."""
        self.set_status("failed", step, reason)

    def log(self, kind: str, rows: Iterable[dict[str, Any]]) -> None:
        """Append lines to `metrics.jsonl` and hand them to the disk.

        Kinds: `baseline` and `reference` (closed forms, once), `train` (a recorded
        step), `valid` (an evaluation after `step` updates), `test` (of the best
        checkpoint). `time`, in Unix seconds, is the only field that differs between two
        runs of a configuration.
        """
        lines = [to_json({"kind": kind, **row, "time": time.time()}) + "\n" for row in rows]
        append_text(self.path / "metrics.jsonl", "".join(lines))

    def truncate(self, step: int | None) -> None:
        """Drop what a run resumed after `step` updates writes again; None: everything."""
        rows = read_metrics(self.path) if step is not None else []
        kept = [row for row in rows if _before(row, step or 0)]
        replace_text(self.path / "metrics.jsonl", "".join(to_json(row) + "\n" for row in kept))


def shown_status(path: Path, status: str) -> str:
    """The status that a reader is told: a `running` run that nobody holds was killed."""
    if status != "running":
        return status
    try:
        with (path / "lock").open() as lock:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return "running"
    except OSError:
        return "running (cannot see its lock)"
    return "killed (the same command resumes)"


def _before(row: dict[str, Any], step: int) -> bool:
    """Whether a line was written before the checkpoint after `step` updates."""
    match row["kind"]:
        case "train":
            return bool(row["step"] < step)
        case "valid":
            return bool(row["step"] <= step)
    return row["kind"] in ("baseline", "reference")


def read_metrics(path: Path) -> list[dict[str, Any]]:
    """The lines of a run's `metrics.jsonl`; an incomplete last line is left out."""
    file = path / "metrics.jsonl"
    if not file.exists():
        return []
    rows = []
    lines = file.read_bytes().splitlines(keepends=True)
    for number, line in enumerate(lines, 1):
        try:
            rows.append(json.loads(line))
        except ValueError as error:
            if number == len(lines):
                break  # a process was killed while it wrote this line
            raise UsageError(f"{file} line {number} is damaged: {error}") from error
    return rows


def read_json(path: Path) -> dict[str, Any] | None:
    """A JSON file's content, or None if there is no such file."""
    try:
        content: dict[str, Any] = json.loads(path.read_text())
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (ValueError, OSError) as error:
        raise UsageError(f"cannot read {path}: {error}") from error
    return content
