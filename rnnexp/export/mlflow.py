"""A run in MLflow's database `DIR/mlflow.db`, its pictures in `DIR/mlartifacts`.

The database is SQLite, because MLflow no longer writes its old store of plain files. An
experiment is a TASK/CELL. MLflow has no histograms: they are in the file `histograms.json`
beside the heat maps. MLflow stores infinity as the largest float. The database refers to the
artifacts by their absolute path.
"""

import json
import logging
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rnnexp.core.files import to_json
from rnnexp.export import Exported, run_key, run_name, shown_name, with_environment
from rnnexp.export.series import histograms, pictures, scalars
from rnnexp.results.load import Run
from rnnexp.results.summary import flatten

if TYPE_CHECKING:
    from mlflow import MlflowClient

log = logging.getLogger("rnnexp")
TAG = "rnnexp.key"
METRICS, PARAMETERS = 1000, 100  # MLflow's largest batches
TEXT = 6000  # characters of a parameter's value
STATES = {"completed": "FINISHED", "pruned": "FINISHED", "running": "RUNNING"}
QUIET = {"MLFLOW_DISABLE_TELEMETRY": "true", "MLFLOW_LOGGING_LEVEL": "WARNING"}
"""MLflow reads these variables when it is imported."""


def export(run: Run, directory: Path) -> Exported:
    """Write the run, then delete an earlier export of it in this database.

    MLflow keeps a deleted run until `mlflow gc`, but does not show it by default.
    """
    directory = directory.resolve()
    uri = f"sqlite:///{directory / 'mlflow.db'}"
    with with_environment(QUIET), _quiet_logs():
        from mlflow import MlflowClient

        client = MlflowClient(tracking_uri=uri, registry_uri=uri)
        number = _experiment(client, run.name, directory / "mlartifacts")
        earlier = client.search_runs([number], f"tags.`{TAG}` = '{run_key(run)}'")
        _write(client, number, run)
        for old in earlier:
            client.delete_run(old.info.run_id)
    command = f"mlflow ui --backend-store-uri {uri}"
    return Exported(directory / "mlflow.db", bool(earlier), command)


def _experiment(client: "MlflowClient", name: str, artifacts: Path) -> str:
    """The number of the experiment of that name; it is made, or restored if deleted."""
    found = client.get_experiment_by_name(name)
    if found is None:
        return str(client.create_experiment(name, artifact_location=artifacts.as_uri()))
    if found.lifecycle_stage == "deleted":
        client.restore_experiment(found.experiment_id)
    return str(found.experiment_id)


def _write(client: "MlflowClient", experiment: str, run: Run) -> None:
    """Write a new run; it is deleted again if that fails."""
    figures = scalars(run)
    times = [round(figure.time * 1000) for figure in figures]  # milliseconds
    tags = {
        TAG: run_key(run),
        "rnnexp.run": run_name(run),
        "rnnexp.path": str(run.path.resolve()),
        "rnnexp.status": run.status["status"],
        "rnnexp.reason": run.status["reason"],
    }
    created = client.create_run(
        experiment, start_time=min(times, default=0), tags=tags, run_name=shown_name(run)
    )
    name = created.info.run_id
    try:
        _log_values(client, name, run, times)
        with tempfile.TemporaryDirectory() as folder:
            _write_files(Path(folder), run)
            client.log_artifacts(name, folder)
    except BaseException:
        client.delete_run(name)
        raise
    state = STATES.get(run.status["status"], "FAILED")
    client.set_terminated(name, state, max(times, default=0))


def _log_values(client: "MlflowClient", name: str, run: Run, times: list[int]) -> None:
    from mlflow.entities import Metric, Param

    params = [Param(_allowed(k), _text(k, v)) for k, v in flatten(run.config).items()]
    for some in _batches(params, PARAMETERS):
        client.log_batch(name, params=some)
    metrics = [
        Metric(_allowed(figure.name), figure.value, time, figure.step)
        for figure, time in zip(scalars(run), times, strict=True)
    ]
    for some in _batches(metrics, METRICS):
        client.log_batch(name, metrics=some)


def _write_files(folder: Path, run: Run) -> None:
    """Write the configuration, the heat maps and the histograms as files."""
    (folder / "config.json").write_text(to_json(run.config, indent=2))
    for picture in pictures(run):
        file = folder / f"{picture.name}.png"
        file.parent.mkdir(exist_ok=True)
        file.write_bytes(picture.png)
    by_name: dict[str, list[dict[str, Any]]] = {}
    for part in histograms(run):
        entry = {"step": part.step, "edges": part.edges.tolist(), "counts": part.counts.tolist()}
        by_name.setdefault(part.name, []).append(entry)
    (folder / "histograms.json").write_text(to_json(by_name))


def _batches(items: list[Any], size: int) -> Iterator[list[Any]]:
    for first in range(0, len(items), size):
        yield items[first : first + size]


def _text(key: str, value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value)
    if len(text) > TEXT:
        log.warning("MLflow keeps %d characters of %s; config.json has all of it", TEXT, key)
    return text[:TEXT]


def _allowed(name: str) -> str:
    """The name with `_` for each character that MLflow does not allow in names."""
    return re.sub(r"[^\w\-. :/]", "_", name)


@contextmanager
def _quiet_logs() -> Iterator[None]:
    levels = {name: logging.getLogger(name).level for name in ("alembic", "mlflow")}
    for name in levels:
        logging.getLogger(name).setLevel(logging.WARNING)
    try:
        yield
    finally:
        for name, level in levels.items():
            logging.getLogger(name).setLevel(level)
