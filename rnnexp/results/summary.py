"""The summary of a run that tables need, read from its two JSON files."""

import os
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple

from rnnexp.config.defaults import later_keys
from rnnexp.run.about import FILE as ABOUT
from rnnexp.run.about import About, about_of
from rnnexp.run.files import read_object, shown_status

SOURCES = "sources"
"""The key, beside those of the configuration, of the user's own code and data in a run."""
Rows = list[dict[str, Any]]
"""The rows of a table, by column."""


class Best(NamedTuple):
    """The best validation value so far of the task's headline score, and its step."""

    metric: str
    value: float
    step: int
    higher_is_better: bool


class ByLength(NamedTuple):
    """Test scores and baselines by length: `{40: {"loss": 0.1}}`.

    Attributes:
      unit: what a length counts, such as `vectors`.
      train: the shortest and the longest length of training.
    """

    unit: str
    train: tuple[int, int]
    test: dict[int, dict[str, float]]
    baseline: dict[int, dict[str, float]]


@dataclass(frozen=True, slots=True)
class Record:
    """The summary of one run.

    Attributes:
      run: `TASK/CELL/RUN_ID`.
      path: its directory.
      status: see `rnnexp.run.files.shown_status`; `damaged` if its files cannot be read,
        `waiting` if a sweep has not started it yet.
      step: updates made.
      reason: why it ended.
      test: the test scores of a completed run.
      by_length: its test scores at other lengths; None if it has none.
      best: None before the first evaluation.
      keys: the value of every configuration key, by dotted name; of a damaged run only those
        of the task and the cell. A run with code or data of the user's also has `SOURCES`.
      mtime_ns: when `status.json` was written, in ns; 0 if there is none.
      about: its name, tags and note.
      swept: the keys that its sweep varies, if it is read as part of a sweep.
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
    by_length: ByLength | None = None
    about: About = field(default_factory=About)


def read_record(root: str, run: str, mtime_ns: int) -> Record | None:
    """The record of `run` below the runs directory `root`; None if it has no `status.json`.

    A run that cannot be read becomes a record of status `damaged` with the reason.
    """
    path = f"{root}/{run}"
    try:
        status = _read(f"{path}/status.json")
        if not isinstance(status["status"], str):
            raise ValueError(f"status.json: 'status' must be a text, not {status['status']!r}")
        return Record(
            run, path, status["status"], int(status["step"]), str(status["reason"]),
            {name: float(value) for name, value in status.get("test", {}).items()},
            _best(status.get("best")),
            _keys(f"{path}/config.json") | _sources(path),
            mtime_ns, by_length=by_length(status), about=_about(path),
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
    """The record with the status to show, which for a `running` run depends on its lock."""
    if record.status != "running":
        return record
    return replace(record, status=shown_status(Path(record.path), record.status))


def by_length(status: dict[str, Any]) -> ByLength | None:
    """The scores by length of a run's `status.json`; None without any."""
    content = status.get("by_length")
    if content is None:
        return None
    first, last = map(int, content["train"])
    test, baseline = (
        {
            int(length): {name: float(value) for name, value in scores.items()}
            for length, scores in content[table].items()
        }
        for table in ("test", "baseline")
    )
    return ByLength(str(content["unit"]), (first, last), test, baseline)


def with_later_keys(keys: dict[str, Any]) -> dict[str, Any]:
    """The keys of a run with those that came after it, at the values at which they change
    nothing, in the form that JSON has."""
    known = later_keys(str(keys.get("task.name")), str(keys.get("cell.name")))
    later = {key: list(v) if isinstance(v, tuple) else v for key, v in known.items()}
    return keys | {key: value for key, value in later.items() if key not in keys}


def flatten(values: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """The leaves of nested dictionaries by dotted key, in their order."""
    result: dict[str, Any] = {}
    for key, value in values.items():
        if isinstance(value, dict):
            result.update(flatten(value, f"{prefix}{key}."))
        else:
            result[prefix + key] = value
    return result


def _read(path: str) -> dict[str, Any]:
    """`read_object`, whose errors name the file."""
    try:
        return read_object(path)
    except ValueError as error:
        raise ValueError(f"{os.path.basename(path)} is damaged: {error}") from error


def _keys(file: str) -> dict[str, Any]:
    """The configuration keys of a run; `ValueError` unless task and cell have names."""
    keys = with_later_keys(flatten(_read(file)))
    for key in ("task.name", "cell.name"):
        if not isinstance(keys.get(key), str):
            raise ValueError(f"config.json is damaged: {key} must be a text")
    return keys


def sources_key(digest: str) -> dict[str, str]:
    """The start of the digest of a run's own files, under its key; empty without any."""
    return {SOURCES: digest[:8]} if digest else {}


def _sources(path: str) -> dict[str, str]:
    """`sources_key` of a run's directory."""
    try:
        return sources_key(str(_read(f"{path}/sources.json")["digest"]))
    except FileNotFoundError:
        return {}


def _about(path: str) -> About:
    """What its user says of a run."""
    try:
        return about_of(_read(f"{path}/{ABOUT}"))
    except FileNotFoundError:
        return About()


def _best(content: dict[str, Any] | None) -> Best | None:
    if content is None:
        return None
    value, higher = float(content["value"]), bool(content["higher_is_better"])
    return Best(str(content["metric"]), value, int(content["step"]), higher)
