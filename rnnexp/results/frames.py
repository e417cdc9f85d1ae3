"""Runs as a pandas table, and the records of a run as xarray Datasets.

Columns and dimensions have the names that the files and the commands use.
"""

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from rnnexp.core.axis import steps_of
from rnnexp.core.errors import UsageError
from rnnexp.laboratory.units import UNITS
from rnnexp.results.index import load_records
from rnnexp.results.load import RUNS_DIR, find_run
from rnnexp.results.summary import Record
from rnnexp.run import zarr_append
from rnnexp.run.files import figures, last_line, read_closed_forms
from rnnexp.run.gradient_store import by_unit

if TYPE_CHECKING:
    import pandas
    import xarray

log = logging.getLogger("rnnexp")


def load_runs(directory: Path | str) -> "pandas.DataFrame":
    """A table with one row for each run of a directory (oldest first) or a sweep (as planned).

    Columns, in this order:
      `path`, `id`, `task`, `cell`, `status`, `step` (updates made), `reason`;
      `config.KEY`: every configuration key, such as `config.optimizer.learning_rate`;
      `train_step` and `train_NAME`: the figures of the last recorded training step;
      `valid_step` and `valid_NAME`: the best validation headline so far;
      `test_NAME`: the scores of a completed run, and `test_NAME@LENGTH` those by length;
      `baseline_NAME` and `reference_NAME`: the closed forms that the run logged.

    Missing values are NaN or None: an option of other cells, a score before the first
    evaluation. Lists of whole numbers become text as it is typed (`20,40`), others tuples, so that
    every column can be grouped by. Only the first and
    last lines of each `metrics.jsonl` are read.

    Raises `UsageError` if the directory holds no runs.
    """
    import pandas

    records = load_records(Path(directory))
    rows = [_row(record) for record in records]
    table = pandas.DataFrame(rows, columns=_columns(rows))
    if damaged := int((table["status"] == "damaged").sum()):
        log.warning("%d runs in %s are damaged: their rows say why", damaged, directory)
    return table


def load_gradients(run: Path | str, runs_dir: Path | str = RUNS_DIR) -> "xarray.Dataset":
    """The recorded profiles of a run: `dL_dh` (and `dL_dc` ...) over (step, unit, time).

    The last dimension has the name of the cell's axis: `hop` or `update` in place of `time`.

    Coordinates: `step`, updates made; `unit`, `layer_0` and so on; `time`, the time step;
    `lag` over (unit, time), time steps before the unit's own last one, which equals the time for
    a backward unit. `data.dL_dh.sel(unit="layer_0").swap_dims(time="lag")` is a profile of one
    unit over the lag.

    Args:
      run: a run's directory or id, or TASK/CELL for the latest one below `runs_dir`.

    Raises `UsageError` if there is no such run, or it has recorded no gradients.
    """
    path = find_run(str(run), Path(runs_dir))
    data = by_unit(_read(path, "gradients.zarr", "they are written with the first checkpoint"))
    axis = str(next(iter(data.data_vars.values())).dims[-1])
    time_T = data[axis].values
    backward = [str(name).endswith("_backward") for name in data["unit"].values]
    lag_LxT = [time_T if backwards else time_T[::-1] for backwards in backward]
    data = data.assign_coords(lag=(("unit", axis), np.stack(lag_LxT)))
    for name, variable in data.data_vars.items():
        variable.attrs["units"] = f"loss per unit of {str(name).removeprefix('dL_d')}"
    return _described(
        data, path, {"step": "updates made", axis: steps_of(axis), "lag": steps_of(axis)}
    )


def load_laboratory(run: Path | str, runs_dir: Path | str = RUNS_DIR) -> "xarray.Dataset":
    """The laboratory's measurements of a run: Lyapunov spectra, gates, dL/dW by lag.

    These are the variables and dimensions of `laboratory.zarr`, in memory. Missing values are
    NaN. The attribute `units` of a variable or coordinate holds its unit.

    Args:
      run: as in `load_gradients`.

    Raises `UsageError` if there is no such run, or nothing was measured.
    """
    path = find_run(str(run), Path(runs_dir))
    data = _read(path, "laboratory.zarr", "`rnnexp analyze RUN` measures its checkpoints")
    return _described(data, path, UNITS)


def _read(path: Path, name: str, remedy: str) -> "xarray.Dataset":
    if not (path / name).exists():
        raise UsageError(f"{path} has no {name} yet: {remedy}")
    return zarr_append.load(path / name)


def _described(data: "xarray.Dataset", path: Path, units: Mapping[str, str]) -> "xarray.Dataset":
    """The Dataset with missing units filled in, and with the path of its run."""
    for name, unit in units.items():
        if name in data.variables:
            data[name].attrs.setdefault("units", unit)
    return data.assign_attrs(run=str(path))


def _row(record: Record) -> dict[str, Any]:
    task, cell, run_id = record.run.split("/")
    row = {
        "path": record.path, "id": run_id, "task": task, "cell": cell,
        "status": record.status, "step": record.step, "reason": record.reason,
    }  # fmt: skip
    row |= {f"config.{key}": _groupable(value) for key, value in record.keys.items()}
    if (last := last_line(record.path, "train")) is not None:
        row["train_step"] = last["step"]
        row |= {f"train_{name}": value for name, value in figures(last).items()}
    if (best := record.best) is not None:
        row |= {"valid_step": best.step, f"valid_{best.metric}": best.value}
    row |= {f"test_{name}": value for name, value in record.test.items()}
    for length, scores in ({} if record.by_length is None else record.by_length.test).items():
        row |= {f"test_{name}@{length}": value for name, value in scores.items()}
    for kind, forms in read_closed_forms(record.path).items():
        row |= {f"{kind}_{name}": value for name, value in forms.items()}
    return row


def _columns(rows: list[dict[str, Any]]) -> list[str]:
    """All columns, grouped by kind, in the order of their first rows."""
    kinds = ("config.", "train_", "valid_", "test_", "baseline_", "reference_")
    met = dict.fromkeys(name for row in rows for name in row)

    def place(name: str) -> int:
        return next((n for n, kind in enumerate(kinds, 1) if name.startswith(kind)), 0)

    return sorted(met, key=place)


def _hashable(value: Any) -> Any:
    return tuple(map(_hashable, value)) if isinstance(value, list) else value


def _groupable(value: Any) -> Any:
    """The value of a key in a form by which pandas can group, also beside missing ones."""
    if isinstance(value, list) and all(type(part) is int for part in value):
        return ",".join(map(str, value))
    return _hashable(value)
