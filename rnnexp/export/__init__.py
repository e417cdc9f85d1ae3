"""Writes the logs of a run, or its trained weights, as files for other programs, offline.

An exporter of logs writes the figures of `metrics.jsonl` and of the laboratory as scalars, the
configuration, and for every profile a heat map and histograms over the time steps. An exporter of
weights writes those of one checkpoint.
"""

import hashlib
import importlib
import importlib.util
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from rnnexp.core.errors import UsageError, require_choice
from rnnexp.results.load import Run
from rnnexp.run.about import read_about


class Exported(NamedTuple):
    """The path of an export, whether it replaced an earlier one, and a command that shows it."""

    path: Path
    replaced: bool
    shown_by: str


class Exporter(NamedTuple):
    """An entry of the table.

    Attributes:
      module: the module with `export(run, directory) -> Exported`; of weights
        `export(run, directory, checkpoint, data_dir) -> Exported`.
      package: the required package, which is also the name of rnnexp's extra.
      summary: what the exporter writes.
      of_weights: it writes the weights of a checkpoint.
    """

    module: str
    package: str
    summary: str
    of_weights: bool = False


EXPORTERS = {
    "tensorboard": Exporter(
        "rnnexp.export.tensorboard", "tensorboard", "an event file, DIR/TASK/CELL/ID"
    ),
    "mlflow": Exporter("rnnexp.export.mlflow", "mlflow", "a run in the database DIR/mlflow.db"),
    "wandb": Exporter("rnnexp.export.wandb", "wandb", "an offline run in DIR/wandb"),
    "safetensors": Exporter(
        "rnnexp.export.safetensors", "safetensors", "all weights, DIR/TASK/CELL/ID.safetensors",
        of_weights=True,
    ),
    "pytorch": Exporter(
        "rnnexp.export.pytorch", "safetensors",
        "a state_dict of torch.nn modules and a file that loads it, in DIR/TASK/CELL/ID",
        of_weights=True,
    ),
}  # fmt: skip


def export(
    run: Run, to: str, directory: Path, *, checkpoint: str = "", data_dir: Path | None = None
) -> Exported:
    """Write a run for another program, without any network.

    An earlier export of the run in the same directory is replaced.

    Args:
      to: a name of `EXPORTERS`.
      directory: of the exports of many runs; made if it does not exist.
      checkpoint: of weights: `best`, `last` or a step; empty: the best, else the last.
      data_dir: of weights: where to look for data, of a run without a record of its task.

    Raises `UsageError` if there is no such exporter, its package is not installed, the directory
    cannot be written, a checkpoint is named for an exporter of logs, or the weights cannot be read
    or written in that form.
    """
    require_choice("exporter", to, EXPORTERS)
    entry = EXPORTERS[to]
    for option, value in (("--checkpoint", checkpoint), ("--data-dir", data_dir)):
        if value and not entry.of_weights:
            forms = ", ".join(name for name, known in EXPORTERS.items() if known.of_weights)
            raise UsageError(f"{to} gets no weights, and so {option} is only for {forms}")
    if importlib.util.find_spec(entry.package) is None:
        raise UsageError(
            f"export to {to} needs the package {entry.package}: "
            f"pip install 'rnnexp[{entry.package}]'"
        )
    try:
        directory.mkdir(parents=True, exist_ok=True)
        if not os.access(directory, os.W_OK):
            raise PermissionError(13, "Permission denied")
        more = (checkpoint, data_dir) if entry.of_weights else ()
        written: Exported = importlib.import_module(entry.module).export(run, directory, *more)
        return written
    except OSError as error:
        raise UsageError(f"cannot write {directory}: {error.strerror or error}") from error


@contextmanager
def with_environment(variables: Mapping[str, str]) -> Iterator[None]:
    """A context in which environment variables have other values."""
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def run_name(run: Run) -> str:
    """`TASK/CELL/ID`."""
    return f"{run.name}/{run.path.resolve().name}"


def shown_name(run: Run) -> str:
    """The name that its user gave the run, or else its id."""
    return read_about(run.path).name or run.path.resolve().name


def run_key(run: Run) -> str:
    """16 hexadecimal digits of a hash of `run_name`, which identify an earlier export."""
    return hashlib.sha256(run_name(run).encode()).hexdigest()[:16]
