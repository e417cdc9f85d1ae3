"""Deletes runs, puts them away and brings them back; never one that is being trained."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rnnexp.core.errors import UsageError
from rnnexp.core.locks import try_lock

ARCHIVE = "archive"
"""The folder of the runs directory with runs that were put away: a runs directory of its own."""


def delete_run(path: Path) -> None:
    """Delete a run's directory. `UsageError` if it is none, a process works in it, or it cannot
    be deleted."""
    with _alone(path):
        hidden = path.with_name(f".{path.name}.deleted")
        _rename(path, hidden)  # a deletion that is interrupted leaves no half of a run
    shutil.rmtree(hidden, ignore_errors=True)
    if hidden.exists():
        raise UsageError(f"{path} is no run any more, but {hidden} could not be deleted whole")


def move_run(path: Path, target: Path) -> None:
    """Move a run's directory. `UsageError` as of `delete_run`, and if the target exists."""
    with _alone(path):
        if target.exists():
            raise UsageError(f"cannot move {path}: {target} exists already")
        target.parent.mkdir(parents=True, exist_ok=True)
        _rename(path, target)


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    """Hold the lock of a run's directory."""
    if path.is_symlink():
        raise UsageError(f"{path} is a link; name the run's own directory")
    if not ((path / "status.json").exists() and (path / "config.json").exists()):
        raise UsageError(f"{path} is not a run's directory: it has no config.json and status.json")
    try:
        lock = (path / "lock").open("a+")
    except OSError as error:
        raise UsageError(f"cannot change {path}: {error.strerror}") from error
    with lock:
        if not try_lock(lock, path / "lock", needed=True):
            raise UsageError(f"{path} is being trained or changed by a process; stop it first")
        yield


def _rename(path: Path, target: Path) -> None:
    try:
        path.rename(target)
    except OSError as error:
        raise UsageError(f"cannot move {path} to {target}: {error.strerror}") from error
