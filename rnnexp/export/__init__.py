"""What a run has logged, written as files that other programs open: offline, never a service.

`EXPORTERS` is the table of them. Each writes the figures of `metrics.jsonl` as scalars, the
configuration, and of every profile a heat map and its histogram over the time steps.
"""

import hashlib
import importlib
import importlib.util
import os
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from rnnexp.core.errors import UsageError, require_choice
from rnnexp.results.load import Run


class Exported(NamedTuple):
    """Where an export lies, whether an earlier one gave way to it, and a command that shows it."""

    path: Path
    replaced: bool
    shown_by: str


class Exporter(NamedTuple):
    """An entry of the table.

    Attributes:
      module: its home, which has `export(run, directory) -> Exported`.
      package: what it needs, which is also the name of rnnexp's extra.
      summary: what it writes.
    """

    module: str
    package: str
    summary: str


EXPORTERS = {
    "tensorboard": Exporter(
        "rnnexp.export.tensorboard", "tensorboard", "an event file, DIR/TASK/CELL/ID"
    ),
    "mlflow": Exporter("rnnexp.export.mlflow", "mlflow", "a run in the database DIR/mlflow.db"),
    "wandb": Exporter("rnnexp.export.wandb", "wandb", "an offline run in DIR/wandb"),
}


def export(run: Run, to: str, directory: Path) -> Exported:
    """Write a run for another program; no network is used.

    The same run exported again replaces its earlier export in the same directory.

    Args:
      run: as of `rnnexp.load_run`.
      to: a name of `EXPORTERS`.
      directory: holds the exports of many runs; made if it is not there.

    Raises:
      UsageError: there is no such exporter, its package is not installed, or the directory
        cannot be written.
    """
    require_choice("exporter", to, EXPORTERS)
    entry = EXPORTERS[to]
    if importlib.util.find_spec(entry.package) is None:
        raise UsageError(
            f"export to {to} needs the package {entry.package}: "
            f"pip install 'rnnexp[{entry.package}]'"
        )
    try:
        directory.mkdir(parents=True, exist_ok=True)
        if not os.access(directory, os.W_OK):
            raise PermissionError(13, "Permission denied")
        write: Callable[[Run, Path], Exported] = importlib.import_module(entry.module).export
        return write(run, directory)
    except OSError as error:
        raise UsageError(f"cannot write {directory}: {error.strerror or error}") from error


def run_name(run: Run) -> str:
    """`TASK/CELL/ID`."""
    return f"{run.name}/{run.path.resolve().name}"


def run_key(run: Run) -> str:
    """16 letters and digits made from `run_name`, by which an earlier export is found."""
    return hashlib.sha256(run_name(run).encode()).hexdigest()[:16]
