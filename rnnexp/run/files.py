"""The run directory: configuration, environment, status and metrics as plain files.

| file | holds |
| --- | --- |
| `config.json` | every configuration key |
| `environment.json` | versions, device and source revision at the run's start |
| `sources.json`, `sources/` | the user's own files, if any; see `rnnexp.run.sources` |
| `task.json` | what a reader needs of the task; see `rnnexp.run.task_facts` |
| `status.json` | running, completed, diverged, pruned, interrupted or failed, and why |
| `metrics.jsonl` | one line per logged step or evaluation; see `RunLog.log` |
| `gradients.zarr` | see `rnnexp.run.gradient_store` |
| `laboratory.zarr` | see `rnnexp.run.laboratory_store` |
| `divergence.zarr` | see `rnnexp.run.divergence.store` |
| `checkpoints/` | see `rnnexp.run.checkpoint` |
| `events.out.tfevents.*` | with `log.tensorboard`; see `rnnexp.run.tensorboard` |
"""

import json
import logging
import os
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from rnnexp.core.errors import UsageError
from rnnexp.core.files import append_text, replace_text, require_readable, to_json
from rnnexp.core.locks import try_lock

log = logging.getLogger("rnnexp")
ENDED = ("completed", "diverged", "pruned")
CLOSED_FORMS = ("baseline", "reference")
"""Kinds of lines of `metrics.jsonl` that hold closed-form figures; they precede all others."""
NO_FIGURES = ("kind", "step", "time", "length")
"""Fields of a line of `metrics.jsonl` that are no figures."""
NOT_FINITE = ("NaN", "Infinity", "-Infinity")
"""How numbers that are not finite are written; see `rnnexp.core.files.to_json`."""
BLOCK = 1 << 14
"""Bytes that `last_line` reads at a time."""


class LineCopy(Protocol):
    """Receives the lines of `metrics.jsonl`, for another program."""

    def add(self, rows: Iterable[dict[str, Any]]) -> None:
        """Lines that were just written, with their `kind` and `time`."""

    def close(self) -> None:
        """No line follows."""


class RunLog:
    """A run's directory while the run trains: holds the lock, writes status and metrics.

    Raises `UsageError` if the directory cannot be written, a file in it may not be read, or
    another process holds the lock.
    """

    def __init__(self, path: Path):
        self.path = path
        require_readable(path)
        try:
            path.mkdir(parents=True, exist_ok=True)
            self._lock = (path / "lock").open("a+")
        except OSError as error:
            raise UsageError(f"cannot write the run directory {path}: {error.strerror}") from error
        try:
            free = self._take_lock()
        except BaseException:
            self._lock.close()
            raise
        if not free:
            self._lock.seek(0)
            holder = self._lock.read().strip() or "unknown"
            self._lock.close()
            raise UsageError(
                f"another process ({holder}) is working in {path}; wait for it or stop it"
            )
        self._lock.truncate(0)
        self._lock.write(f"pid {os.getpid()} on {os.uname().nodename}")
        self._lock.flush()
        self._copy: LineCopy | None = None

    def _take_lock(self) -> bool:
        for _ in range(5):
            if try_lock(self._lock, self.path / "lock"):
                return True
            time.sleep(0.05)  # `shown_status` holds it for a moment
        return False

    def close(self) -> None:
        """Release the lock."""
        try:
            if self._copy is not None:
                self._copy.close()
        except OSError as error:  # the run's own files are complete
            log.warning("%s: a copy of its lines has no end: %s", self.path, error.strerror)
        finally:
            self._lock.close()

    def write_json(self, name: str, content: dict[str, Any]) -> None:
        """Replace one of the directory's JSON files."""
        replace_text(self.path / name, to_json(content, indent=2) + "\n")

    def set_status(self, status: str, step: int, reason: str, **more: Any) -> None:
        """Replace `status.json`. `step` counts updates made."""
        content = {"status": status, "step": step, "reason": reason, **more, "time": time.time()}
        self.write_json("status.json", content)

    def set_failed(self, step: int, reason: str) -> None:
        """`set_status`, by a process that may be the last one left of a run."""
        self.set_status("failed", step, reason)

    def warn_of_changes(self, here: dict[str, Any]) -> None:
        """Warn if a resumed run's environment, `here`, differs from that of its start."""
        before = read_json(self.path / "environment.json") or {}
        for name in ("python", "packages", "device", "recurrence"):
            if before.get(name) != here[name]:
                log.warning(
                    "%s changed since the run began (%s, now %s): its results may differ in "
                    "the last digits from an uninterrupted run's",
                    name, before.get(name), here[name],
                )  # fmt: skip

    def log(self, kind: str, rows: Iterable[dict[str, Any]]) -> None:
        """Append lines to `metrics.jsonl`; they are on the disk when this returns.

        Kinds: `baseline` and `reference` (closed forms, once), `train` (a recorded
        step), `valid` (an evaluation after `step` updates), `test` (of the best
        checkpoint), `length` (the test at another `length`). `time`, in Unix seconds,
        is the only field that differs between two runs of a configuration.
        """
        timed = [{"kind": kind, **row, "time": time.time()} for row in rows]
        append_text(self.path / "metrics.jsonl", "".join(to_json(row) + "\n" for row in timed))
        if self._copy is not None:
            self._copy.add(timed)

    def copy_lines(self, make: Callable[[list[dict[str, Any]]], LineCopy]) -> None:
        """Give the lines that there are to `make`, and all that follow to what it returns."""
        self._copy = make(read_metrics(self.path))

    def rows(self, kind: str) -> list[dict[str, Any]]:
        """The lines of a kind in `metrics.jsonl`."""
        return [row for row in read_metrics(self.path) if row["kind"] == kind]

    def truncate(self, step: int | None) -> None:
        """Drop the lines that a run resumed after `step` updates writes again; None: all."""
        rows = read_metrics(self.path) if step is not None else []
        kept = [row for row in rows if _before(row, step or 0)]
        replace_text(self.path / "metrics.jsonl", "".join(to_json(row) + "\n" for row in kept))


def shown_status(path: Path, status: str) -> str:
    """The status to show of a run: one that is `running`, but not locked, was killed."""
    if status != "running":
        return status
    try:
        with (path / "lock").open() as lock:
            free = try_lock(lock, path / "lock", shared=True, needed=True)
    except (OSError, UsageError):
        return "running (cannot see its lock)"
    return "killed (the same command resumes)" if free else "running"


def _before(row: dict[str, Any], step: int) -> bool:
    """Whether a line was written before the checkpoint after `step` updates."""
    match row["kind"]:
        case "train":
            return bool(row["step"] < step)
        case "valid":
            return bool(row["step"] <= step)
    return row["kind"] in CLOSED_FORMS


def read_metrics(run: Path) -> list[dict[str, Any]]:
    """The lines of a run's `metrics.jsonl`; an incomplete last line is left out.

    Raises `UsageError` if it may not be read, or a line is damaged.
    """
    file = run / "metrics.jsonl"
    try:
        lines = file.read_bytes().splitlines(keepends=True)
    except FileNotFoundError:
        return []
    except OSError as error:
        raise UsageError(f"cannot read {file}: {error.strerror}") from error
    if lines and not _is_json(lines[-1]):
        lines.pop()  # a process was killed while it wrote this line
    return parse_lines(file, lines)


def parse_lines(file: Path, lines: Iterable[bytes], first: int = 1) -> list[dict[str, Any]]:
    """Lines of a `metrics.jsonl`, of which the first has the number `first`.

    Raises `UsageError` that names a damaged one.
    """
    rows = []
    for number, line in enumerate(lines, first):
        try:
            row = json.loads(line)
        except ValueError as error:
            raise UsageError(f"{file} line {number} is damaged: {error}") from error
        if (fault := _fault(row)) is not None:
            raise UsageError(f"{file} line {number} is damaged: {fault}")
        rows.append(row)
    return rows


def _is_json(line: bytes) -> bool:
    try:
        json.loads(line)
    except ValueError:
        return False
    return True


def _fault(row: Any) -> str | None:
    """What is wrong with a line of `metrics.jsonl`, or None."""
    if not isinstance(row, dict):
        return f"it holds no JSON object, but {row!r}"[:80]
    if not isinstance(row.get("kind"), str):
        return f"'kind' must be a text, not {row.get('kind')!r}"[:80]
    if type(row.get("step")) is not int:
        return f"'step' must be a whole number, not {row.get('step')!r}"[:80]
    if type(row.get("length", 1)) is not int:
        return f"'length' must be a whole number, not {row['length']!r}"[:80]
    for name, value in row.items():
        if name not in NO_FIGURES and not _is_figure(value):
            return f"{name!r} must be a number, not {value!r}"[:80]
    return None


def figures(row: dict[str, Any]) -> dict[str, float]:
    """The figures of a line of `metrics.jsonl`, by name."""
    return {name: float(value) for name, value in row.items() if name not in NO_FIGURES}


class Scalar(NamedTuple):
    """A figure: `train/loss` and so on, after `step` updates, at `time` (Unix seconds)."""

    name: str
    step: int
    value: float
    time: float


def scalars_of(row: dict[str, Any], step: int | None = None) -> list[Scalar]:
    """The figures of a line of `metrics.jsonl`, named KIND/NAME, for other programs.

    A test at another length (kind `length`) has the length in place of the step.

    Args:
      step: instead of the line's own.
    """
    own = row["length"] if row["kind"] == "length" else row["step"]
    at, when = int(own if step is None else step), float(row["time"])
    return [
        Scalar(f"{row['kind']}/{name}", at, value, when) for name, value in figures(row).items()
    ]


def closed_forms(rows: Iterable[dict[str, Any]]) -> dict[str, dict[str, float]]:
    """By kind (see `CLOSED_FORMS`) the closed-form figures among lines of `metrics.jsonl`."""
    return {row["kind"]: figures(row) for row in rows if row["kind"] in CLOSED_FORMS}


def read_closed_forms(run: Path | str) -> dict[str, dict[str, float]]:
    """`closed_forms` of a run; of its `metrics.jsonl` only the first lines are read.

    Nothing for a run that has not begun, or was killed while it wrote its first line.
    """
    rows = []
    try:
        with open(f"{run}/metrics.jsonl", encoding="utf-8") as stream:
            for line in stream:
                row = json.loads(line)
                if row["kind"] not in CLOSED_FORMS:
                    break
                rows.append(row)
    except (OSError, ValueError, KeyError, TypeError):
        pass
    try:
        return closed_forms(rows)
    except (ValueError, TypeError):  # a figure that is no number
        return {}


def last_line(run: Path | str, kind: str) -> dict[str, Any] | None:
    """The last whole line of a kind of a run's `metrics.jsonl`, read from the file's end."""
    for line in _lines_backwards(f"{run}/metrics.jsonl"):
        try:
            row = json.loads(line)
        except ValueError:
            continue  # a process was killed while it wrote this line
        if isinstance(row, dict) and row.get("kind") == kind:
            return row
    return None


def _lines_backwards(path: str) -> Iterator[bytes]:
    """The lines of a file, last first; none if it cannot be opened."""
    try:
        stream = open(path, "rb")  # noqa: SIM115 - its failure alone is no error
    except OSError:
        return
    with stream:
        end, rest = stream.seek(0, os.SEEK_END), b""
        while end > 0:
            begin = max(0, end - BLOCK)
            stream.seek(begin)
            first, *lines = (stream.read(end - begin) + rest).split(b"\n")
            yield from reversed(lines)
            end, rest = begin, first
        yield rest


def read_object(path: Path | str) -> dict[str, Any]:
    """The content of a JSON file.

    Raises `OSError` if it cannot be opened, `ValueError` if it is damaged and `TypeError` if
    it holds no JSON object.
    """
    with open(path, encoding="utf-8") as stream:
        content = json.loads(stream.read())
    if not isinstance(content, dict):
        raise TypeError(f"{os.path.basename(path)} holds no JSON object")
    return content


def read_json(path: Path) -> dict[str, Any] | None:
    """The content of a JSON file, or None if there is no such file."""
    try:
        return read_object(path)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (ValueError, TypeError, OSError) as error:
        raise UsageError(f"cannot read {path}: {error}") from error


def saved_config(run: Path) -> dict[str, Any]:
    """The content of a run's `config.json`; `UsageError` if there is none, or it is damaged."""
    saved = read_json(run / "config.json")
    if saved is None:
        raise UsageError(f"{run} is not a run's directory: it has no config.json")
    for part in ("task", "cell"):
        if not isinstance(saved.get(part), dict) or not isinstance(saved[part].get("name"), str):
            raise UsageError(f"{run / 'config.json'} is damaged: {part}.name must be a text")
    return saved


def read_status(run: Path) -> dict[str, Any] | None:
    """The content of a run's `status.json`, or None if there is none.

    Raises `UsageError` if it is damaged: without `status` and `reason` as texts, `step` as a
    whole number, or with scores that are no numbers.
    """
    content = read_json(run / "status.json")
    if content is None:
        return None
    test, best = content.get("test", {}), content.get("best")
    by_length = content.get("by_length")
    sound = {
        "status must be a text": isinstance(content.get("status"), str),
        "reason must be a text": isinstance(content.get("reason"), str),
        "step must be a whole number": type(content.get("step")) is int,
        "test must hold numbers": isinstance(test, dict) and all(map(_is_figure, test.values())),
        "best must hold a value": best is None
        or (isinstance(best, dict) and _is_figure(best.get("value"))),
        "by_length must hold numbers by length": by_length is None or _is_by_length(by_length),
    }
    if faults := [fault for fault, holds in sound.items() if not holds]:
        raise UsageError(f"{run / 'status.json'} is damaged: {faults[0]}")
    return content


def _is_by_length(content: Any) -> bool:
    """Whether a value is what `RunSession` writes of the tests by length."""
    if not isinstance(content, dict) or not isinstance(content.get("unit"), str):
        return False
    train = content.get("train")
    if not isinstance(train, list) or len(train) != 2 or any(type(n) is not int for n in train):
        return False
    tables = [content.get("test"), content.get("baseline")]
    return all(
        isinstance(table, dict)
        and all(
            length.isdecimal() and isinstance(row, dict) and all(map(_is_figure, row.values()))
            for length, row in table.items()
        )
        for table in tables
    )


def _is_figure(value: Any) -> bool:
    """Whether a value is one that `to_json` wrote of a number or a truth value."""
    return isinstance(value, int | float) or value in NOT_FINITE
