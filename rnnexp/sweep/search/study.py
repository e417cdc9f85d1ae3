"""Where the study of a search is kept, and how processes share it.

| file in the sweep's directory | holds |
| --- | --- |
| `study.db` | Optuna's SQLite database, unless another storage is named |
| `search.lock` | locked by the process that reads or writes the study at this moment |
| `searchers/NAME` | locked by a process as long as it lives; its trials bear its name |

A trial whose process does not live any more is taken over. A process that works in another
directory, such as one on another machine, has no file here, and its trials are left alone.
"""

import fcntl
import json
import logging
import os
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rnnexp.core.errors import RunError, UsageError, first_line
from rnnexp.sweep.search.space import import_optuna

if TYPE_CHECKING:
    from optuna.storages import RDBStorage
    from optuna.study import Study

log = logging.getLogger("rnnexp")
BUSY_S = 60.0
"""Seconds that SQLite waits for another program that writes its file."""
TRIES = 3
"""Of making the tables; another machine may be at it in the same moment."""


class Seat:
    """This process among those that search in a directory; a context in which it is alone."""

    def __init__(self, sweep_dir: Path):
        self.folder = sweep_dir / "searchers"
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            self._lock = (sweep_dir / "search.lock").open("a")
            self.name = f"{os.uname().nodename}-{os.getpid()}-{secrets.token_hex(3)}"
            with self.alone():
                self._alive = (self.folder / self.name).open("a")
                fcntl.flock(self._alive, fcntl.LOCK_EX)
        except OSError as error:
            raise UsageError(f"cannot write the sweep's directory {sweep_dir}: {error}") from error

    @contextmanager
    def alone(self) -> Iterator[None]:
        """No other process that searches in this directory is in such a context now."""
        fcntl.flock(self._lock, fcntl.LOCK_EX)
        try:
            yield
        finally:
            fcntl.flock(self._lock, fcntl.LOCK_UN)

    def is_dead(self, name: str) -> bool:
        """Whether a process searched in this directory and lives no more."""
        try:
            with (self.folder / name).open() as file:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except (BlockingIOError, FileNotFoundError):
            return False
        return True

    def forget(self, name: str) -> None:
        """Remove the file of a dead process that no trial bears the name of."""
        (self.folder / name).unlink(missing_ok=True)

    def leave(self, *, keep: bool) -> None:
        """Give the seat up. The file is kept where trials still bear the name."""
        if not keep:
            (self.folder / self.name).unlink()
        self._alive.close()
        self._lock.close()


@contextmanager
def storage_errors() -> Iterator[None]:
    """Failures of the database or the directory in here are raised as `RunError`."""
    import_optuna()
    from optuna.exceptions import StorageInternalError
    from sqlalchemy.exc import SQLAlchemyError

    try:
        yield
    except (SQLAlchemyError, StorageInternalError, OSError) as error:
        cause = error.__cause__ or error
        raise RunError(
            f"the study's storage failed: {first_line(cause)}; the same command resumes"
        ) from error


def open_storage(url: str | None, sweep_dir: Path) -> "RDBStorage":
    """The database at an RDB URL; None: SQLite in the sweep's directory.

    Raises `UsageError`, without the URL's password, if there is no such database, it does
    not answer, its driver is not installed, or its tables are of another version of Optuna.
    """
    import_optuna()
    from optuna.exceptions import StorageInternalError
    from sqlalchemy.engine import URL, make_url
    from sqlalchemy.exc import ArgumentError, NoSuchModuleError, SQLAlchemyError

    try:
        place = (
            make_url(url)
            if url is not None
            else URL.create("sqlite", database=str((sweep_dir / "study.db").absolute()))
        )
    except ArgumentError as error:
        raise UsageError(
            f"storage {url!r} is no URL of a database; write sqlite:///FILE or "
            "postgresql://USER:PASSWORD@HOST/NAME"
        ) from error
    if place.get_backend_name() == "sqlite" and place.database in (None, "", ":memory:"):
        raise UsageError(f"storage {url!r} is in memory, where nothing can be resumed; name a file")
    said = f"storage {place.render_as_string(hide_password=True)}"
    try:
        return _connect(place)
    except (ImportError, NoSuchModuleError) as error:
        raise UsageError(
            f"{said}: no driver for this kind of database is installed "
            f"({first_line(error.__cause__ or error)})"
        ) from error
    except SQLAlchemyError as error:
        reason = first_line(getattr(error, "orig", None) or error)
        raise UsageError(f"cannot use {said}: {reason}") from error
    except (RuntimeError, StorageInternalError) as error:
        raise UsageError(f"cannot use {said}: {first_line(error.__cause__ or error)}") from error


def _connect(place: Any) -> "RDBStorage":
    from optuna.storages import RDBStorage
    from sqlalchemy.exc import SQLAlchemyError

    sqlite = place.get_backend_name() == "sqlite"
    options = {"connect_args": {"timeout": BUSY_S}} if sqlite else {"pool_pre_ping": True}
    text = place.render_as_string(hide_password=False).replace("{", "{{").replace("}", "}}")
    for attempt in range(1, TRIES + 1):
        try:
            return RDBStorage(text, engine_kwargs=options)
        except SQLAlchemyError as error:
            raced = "exist" in str(error) or "unique" in str(error).lower()
            if attempt == TRIES or not raced:
                raise
            time.sleep(attempt)
    raise AssertionError


def close_storage(storage: "RDBStorage") -> None:
    """End all connections to a database."""
    storage.remove_session()
    storage.engine.dispose()


def open_study(
    storage: "RDBStorage", name: str, *, higher_is_better: bool, identity: dict[str, Any]
) -> "Study":
    """The study of that name, made if there is none.

    Raises `UsageError` if it is of another search: its `identity` must be the same.
    """
    optuna = import_optuna()
    direction = "maximize" if higher_is_better else "minimize"
    study: Study = optuna.create_study(
        storage=storage, study_name=name, direction=direction, load_if_exists=True
    )
    mine = json.loads(json.dumps(identity))
    if (found := study.user_attrs.get("search")) is None and not study.get_trials(deepcopy=False):
        study.set_user_attr("search", mine)
        found = study.user_attrs.get("search")
    if found != mine:
        differing = [key for key in mine if (found or {}).get(key) != mine[key]]
        raise UsageError(
            f"the study {name!r} is that of another search: its {', '.join(differing)} is "
            f"{', '.join(str((found or {}).get(key)) for key in differing)}; choose another name "
            "or another storage"
        )
    return study
