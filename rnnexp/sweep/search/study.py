"""The study of a search: its storage, the locks of the processes that share it, its summary.

| file in the sweep's directory | content |
| --- | --- |
| `study.db` | Optuna's SQLite database, unless another storage is named |
| `search.lock` | locked by the process that reads or writes the study at this moment |
| `searchers/NAME` | locked by a process while it lives; its trials carry its name |

A process takes over the trials of a dead one. A process that works in another directory, such as
one on another machine, has no file here, so its trials are left alone.
"""

import json
import logging
import os
import secrets
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rnnexp.core.errors import RunError, UsageError, first_line
from rnnexp.core.locks import try_lock, unlock, wait_for_lock
from rnnexp.sweep.search.spec import Objective, import_optuna

if TYPE_CHECKING:
    from optuna.storages import RDBStorage
    from optuna.study import Study
    from optuna.trial import FrozenTrial

log = logging.getLogger("rnnexp")
BUSY_S = 60.0
"""Seconds for which SQLite waits while another process writes its file."""
TRIES = 3
"""Attempts to make the database's tables, as another machine may be making them too."""


class WorkerLock:
    """Marks this process as a worker that lives, and excludes the others for a moment.

    Attributes:
      name: of this worker; unique among all machines.

    Raises:
      UsageError: if the sweep's directory cannot be written.
    """

    def __init__(self, sweep_dir: Path):
        self.folder = sweep_dir / "searchers"
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            self._lock = (sweep_dir / "search.lock").open("a")
            self.name = f"{os.uname().nodename}-{os.getpid()}-{secrets.token_hex(3)}"
            with self.exclusive():
                self._alive = (self.folder / self.name).open("a")
                wait_for_lock(self._alive, self._alive.name, needed=True)
        except OSError as error:
            raise UsageError(f"cannot write the sweep's directory {sweep_dir}: {error}") from error

    @contextmanager
    def exclusive(self) -> Iterator[None]:
        """A context that only one worker in this directory can be in at a time."""
        wait_for_lock(self._lock, self._lock.name, needed=True)
        try:
            yield
        finally:
            unlock(self._lock)

    def is_dead(self, name: str) -> bool:
        """Whether the worker of that name worked in this directory and is dead."""
        try:
            with (self.folder / name).open() as file:
                return try_lock(file, file.name, shared=True, needed=True)
        except FileNotFoundError:
            return False

    def forget(self, name: str) -> None:
        """Remove the file of a dead worker whose name no trial carries any more."""
        (self.folder / name).unlink(missing_ok=True)

    def release(self, *, keep: bool) -> None:
        """Release the locks; `keep` this worker's file if trials still carry its name."""
        if not keep:
            (self.folder / self.name).unlink()
        self._alive.close()
        self._lock.close()


@contextmanager
def storage_errors() -> Iterator[None]:
    """A context in which failures of the database or the directory become a `RunError`."""
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

    Raises:
      UsageError: if there is no such database, it does not answer, its driver is not installed,
        or its tables are of another version of Optuna. The message leaves out the password.
    """
    import_optuna()
    from optuna.exceptions import StorageInternalError
    from sqlalchemy.engine import URL, make_url
    from sqlalchemy.exc import ArgumentError, NoSuchModuleError, SQLAlchemyError

    try:
        address = (
            make_url(url)
            if url is not None
            else URL.create("sqlite", database=str((sweep_dir / "study.db").absolute()))
        )
    except ArgumentError as error:
        raise UsageError(
            f"storage {url!r} is no URL of a database; write sqlite:///FILE or "
            "postgresql://USER:PASSWORD@HOST/NAME"
        ) from error
    if address.get_backend_name() == "sqlite" and address.database in (None, "", ":memory:"):
        raise UsageError(f"storage {url!r} is in memory, where nothing can be resumed; name a file")
    text = f"storage {address.render_as_string(hide_password=True)}"
    try:
        return _connect(address)
    except (ImportError, NoSuchModuleError) as error:
        raise UsageError(
            f"{text}: no driver for this kind of database is installed "
            f"({first_line(error.__cause__ or error)})"
        ) from error
    except SQLAlchemyError as error:
        reason = first_line(getattr(error, "orig", None) or error)
        raise UsageError(f"cannot use {text}: {reason}") from error
    except (RuntimeError, StorageInternalError) as error:
        raise UsageError(f"cannot use {text}: {first_line(error.__cause__ or error)}") from error


def _connect(address: Any) -> "RDBStorage":
    from optuna.storages import RDBStorage
    from sqlalchemy.exc import SQLAlchemyError

    sqlite = address.get_backend_name() == "sqlite"
    options = {"connect_args": {"timeout": BUSY_S}} if sqlite else {"pool_pre_ping": True}
    url = address.render_as_string(hide_password=False).replace("{", "{{").replace("}", "}}")
    for attempt in range(1, TRIES + 1):
        try:
            return RDBStorage(url, engine_kwargs=options)
        except SQLAlchemyError as error:
            raced = "exist" in str(error) or "unique" in str(error).lower()
            if attempt == TRIES or not raced:
                raise
            time.sleep(attempt)
    raise AssertionError


def close_storage(storage: "RDBStorage") -> None:
    """Close all connections to a database."""
    storage.remove_session()
    storage.engine.dispose()


def open_study(
    storage: "RDBStorage", name: str, *, higher_is_better: bool, identity: dict[str, Any]
) -> "Study":
    """The study of that name, made if there is none.

    Raises `UsageError` if it belongs to another search, one with another `identity`.
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


@dataclass(frozen=True)
class BestTrial:
    """The trial with the best validation score, and the score of its run on the test set.

    `run` is relative to the runs directory of the process that trained it; `test` is the
    `metric` of its best checkpoint.
    """

    trial: int
    run: str
    values: dict[str, Any]
    metric: str
    validation: float
    test: float


@dataclass(frozen=True)
class StudySummary:
    """The state of a study.

    Attributes:
      counts: trials by status: completed, pruned, diverged, failed, running (in any process) or
        waiting.
      repeated: trials whose values an earlier one has; `counts` includes them.
      best: None if no trial has completed.
      stopped: the signal, or `cancelled`, that ended the search early; None if it is complete.
    """

    study: str
    counts: dict[str, int]
    repeated: int
    best: BestTrial | None
    stopped: str | None = None


def summarise(
    name: str, trials: "Sequence[FrozenTrial]", objective: Objective, stopped: str | None
) -> StudySummary:
    """The summary of a study with these trials; of equally good trials the first is the best."""
    statuses = Counter(trial_status(trial) for trial in trials)
    repeated = sum("repeats" in trial.user_attrs for trial in trials)
    sign = -1 if objective.higher_is_better else 1
    completed = [t for t in trials if t.state.name == "COMPLETE" and t.user_attrs.get("outcome")]
    best = min(
        completed, key=lambda trial: (sign * (trial.value or 0.0), trial.number), default=None
    )
    return StudySummary(
        name, dict(sorted(statuses.items())), repeated,
        None if best is None else best_trial(best, objective.metric), stopped,
    )  # fmt: skip


def best_trial(trial: "FrozenTrial", metric: str) -> BestTrial:
    """A completed trial as the best one."""
    attributes = trial.user_attrs
    assert trial.value is not None
    return BestTrial(
        trial=trial.number,
        run=attributes["run"],
        values=attributes["values"],
        metric=metric,
        validation=trial.value,
        test=float(attributes["outcome"]["test"][metric]),
    )


def trial_status(trial: "FrozenTrial") -> str:
    """The status of a trial's run if that has ended, else the state of the trial."""
    if outcome := trial.user_attrs.get("outcome"):
        return str(outcome["status"])
    state = str(trial.state.name)
    return {"FAIL": "failed", "COMPLETE": "completed"}.get(state, state.lower())
