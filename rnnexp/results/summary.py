"""What tables need to know of a run, read from its two JSON files."""

import json
import os
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple

from rnnexp.run.files import shown_status


class Best(NamedTuple):
    """The best validation headline of a run so far, and after how many updates."""

    metric: str
    value: float
    step: int
    higher_is_better: bool


@dataclass(frozen=True, slots=True)
class Record:
    """One run.

    Attributes:
      run: `TASK/CELL/RUN_ID`.
      path: its directory.
      status: as `rnnexp.run.files.shown_status` says it; `damaged` if its files cannot be
        read, `waiting` if a sweep has yet to begin it.
      test: the test scores of a completed run.
      best: None before the first evaluation.
      keys: the value of every configuration key, by its dotted name; of a damaged run those
        of the task and the cell only.
      mtime_ns: when `status.json` was written; 0 without one.
      swept: the keys that its sweep changes, if it is read as part of one.
    """

    run: str
    path: str
    status: str
    step: int = 0
    reason: str = ""
    test: dict[str, float] = field(default_factory=dict)
    best: Best | None = None
    keys: dict[str, Any] = field(default_factory=dict)
    mtime_ns: int = 0
    swept: tuple[str, ...] = ()


def read_record(root: str, run: str, mtime_ns: int) -> Record | None:
    """The record of `run` below the runs directory `root`; None if it has no `status.json`.

    A run that cannot be read becomes a record of status `damaged` with the reason.
    """
    path = f"{root}/{run}"
    try:
        status = _read_object(f"{path}/status.json")
        if not isinstance(status["status"], str):
            raise ValueError(f"status.json: 'status' must be a text, not {status['status']!r}")
        return Record(
            run, path, status["status"], int(status["step"]), str(status["reason"]),
            {name: float(value) for name, value in status.get("test", {}).items()},
            _best(status.get("best")),
            flatten(_read_object(f"{path}/config.json")),
            mtime_ns,
        )  # fmt: skip
    except FileNotFoundError as error:
        if not os.path.exists(f"{path}/status.json"):
            return None
        reason = f"there is no {os.path.basename(error.filename)}"
    except KeyError as error:
        reason = f"status.json has no {error}"
    except (OSError, ValueError, TypeError, AttributeError) as error:
        reason = str(error)
    task, cell, _ = run.split("/")
    known = {"task.name": task, "cell.name": cell}
    return Record(run, path, "damaged", reason=reason, keys=known, mtime_ns=mtime_ns)


def as_shown(record: Record) -> Record:
    """The record with the status that a reader is told: asks the lock of a `running` run."""
    if record.status != "running":
        return record
    return replace(record, status=shown_status(Path(record.path), record.status))


def flatten(values: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """The leaves of nested dictionaries by dotted key, in the order of their places."""
    result: dict[str, Any] = {}
    for key, value in values.items():
        if isinstance(value, dict):
            result.update(flatten(value, f"{prefix}{key}."))
        else:
            result[prefix + key] = value
    return result


def _read_object(path: str) -> dict[str, Any]:
    with open(path, encoding="utf-8") as stream:
        text = stream.read()
    try:
        content = json.loads(text)
    except ValueError as error:
        raise ValueError(f"{os.path.basename(path)} is damaged: {error}") from error
    if not isinstance(content, dict):
        raise ValueError(f"{os.path.basename(path)} holds no JSON object")
    return content


def _best(content: dict[str, Any] | None) -> Best | None:
    if content is None:
        return None
    value, higher = float(content["value"]), bool(content["higher_is_better"])
    return Best(str(content["metric"]), value, int(content["step"]), higher)


def baseline(path: str) -> dict[str, float]:
    """The closed-form figures that a run logged when it began; none if there is no such line."""
    try:
        with open(f"{path}/metrics.jsonl", encoding="utf-8") as stream:
            row = json.loads(stream.readline())
    except (OSError, ValueError):
        return {}
    if not isinstance(row, dict) or row.get("kind") != "baseline":
        return {}
    return {k: float(v) for k, v in row.items() if k not in ("kind", "step", "time")}
