"""Runs as a pandas table, and what one of them has recorded as xarray Datasets.

Columns and dimensions carry the names that the files and the commands use.
"""

import json
import logging
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from rnnexp.core.errors import UsageError
from rnnexp.laboratory.units import UNITS
from rnnexp.results.index import load_records
from rnnexp.results.load import find_run
from rnnexp.results.summary import Record

if TYPE_CHECKING:
    import pandas
    import xarray

log = logging.getLogger("rnnexp")
RUNS_DIR = Path("runs")
BLOCK = 1 << 14  # bytes read at a time from the end of a file
NAMES = ("kind", "step", "time")  # fields of a line of metrics.jsonl that are no figures


def load_runs(directory: Path | str) -> "pandas.DataFrame":
    """A table with a row a run of a runs directory (oldest first) or of a sweep (as planned).

    Columns, in this order:
      `path`, `id`, `task`, `cell`, `status`, `step` (updates made), `reason`;
      `config.KEY`: every configuration key, such as `config.optimizer.learning_rate`;
      `train_step` and `train_NAME`: the figures of the last recorded training step;
      `valid_step` and `valid_NAME`: the best validation headline so far;
      `test_NAME`: the scores of a completed run;
      `baseline_NAME` and `reference_NAME`: the closed forms that the run logged.

    What a run does not have is missing (NaN or None): an option of other cells, a score
    before the first evaluation. Lists become tuples, so that every column can be grouped by.
    Of each run only the two ends of its `metrics.jsonl` are read.

    Raises:
      UsageError: the directory holds no runs.
    """
    import pandas

    records = load_records(Path(directory))
    rows = [_row(record) for record in records]
    table = pandas.DataFrame(rows, columns=_columns(rows))
    damaged = int((table["status"] == "damaged").sum())
    if damaged:
        log.warning("%d runs in %s are damaged: their rows say why", damaged, directory)
    return table


def load_gradients(run: Path | str, runs_dir: Path | str = RUNS_DIR) -> "xarray.Dataset":
    """The recorded profiles of a run: `dL_dh` (and `dL_dc` ...) over (step, unit, time).

    Coordinates: `step`, updates made; `unit`, `layer_0` and so on; `time`, the step of the
    sequence; `lag` over (unit, time), how many steps before the unit's own last one, which of
    a unit that reads backwards is its time. Of one unit
    `data.dL_dh.sel(unit="layer_0").swap_dims(time="lag")` is a profile over the lag.

    Args:
      run: a run's directory or id, or TASK/CELL for the latest one below `runs_dir`.

    Raises:
      UsageError: there is no such run, or it has recorded no gradients.
    """
    path = find_run(str(run), Path(runs_dir))
    data = _read(path, "gradients.zarr", "they are written with the first checkpoint")
    names = [str(name) for name in next(iter(data.data_vars.values())).attrs["unit_names"]]
    data = data.rename(layer="unit").assign_coords(unit=names)
    time_T = data["time"].values
    lag_LxT = [time_T if name.endswith("_backward") else time_T[::-1] for name in names]
    data = data.assign_coords(lag=(("unit", "time"), np.stack(lag_LxT)))
    for name, variable in data.data_vars.items():
        variable.attrs["units"] = f"loss per unit of {str(name).removeprefix('dL_d')}"
        del variable.attrs["unit_names"]
    return _described(data, path, {"step": "updates made", "time": "steps", "lag": "steps"})


def load_laboratory(run: Path | str, runs_dir: Path | str = RUNS_DIR) -> "xarray.Dataset":
    """What the laboratory measured of a run: Lyapunov spectra, gates, parts of dL/dW by lag.

    The variables and dimensions of `laboratory.zarr`, in memory; missing values are NaN, and
    the attribute `units` of a variable or coordinate says its unit.

    Args:
      run: as of `load_gradients`.

    Raises:
      UsageError: there is no such run, or nothing was measured of it.
    """
    path = find_run(str(run), Path(runs_dir))
    data = _read(path, "laboratory.zarr", "`rnnexp analyze RUN` measures its checkpoints")
    return _described(data, path, UNITS)


def _read(path: Path, name: str, remedy: str) -> "xarray.Dataset":
    import xarray

    if not (path / name).exists():
        raise UsageError(f"{path} has no {name} yet: {remedy}")
    try:
        # The arrays' own metadata: the gathered one may be of the moment before.
        with xarray.open_zarr(path / name, consolidated=False) as data:
            names = {k: list(map(str, v.values)) for k, v in data.coords.items() if _texts(v)}
            loaded: xarray.Dataset = data.load().assign_coords(names)
            return loaded
    except (OSError, ValueError, KeyError) as error:
        raise UsageError(f"cannot read {path / name}: {error}") from error


def _texts(coordinate: "xarray.DataArray") -> bool:
    """Whether it holds names; Zarr's variable-length strings are no index of every library."""
    return coordinate.ndim == 1 and coordinate.dtype.kind in "TOU"


def _described(data: "xarray.Dataset", path: Path, units: Mapping[str, str]) -> "xarray.Dataset":
    """The Dataset with units where it has none, and with the run that it is of."""
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
    row |= {f"config.{key}": _hashable(value) for key, value in record.keys.items()}
    if (last := last_line(f"{record.path}/metrics.jsonl", "train")) is not None:
        row["train_step"] = last["step"]
        row |= {f"train_{name}": float(v) for name, v in last.items() if name not in NAMES}
    if (best := record.best) is not None:
        row |= {"valid_step": best.step, f"valid_{best.metric}": best.value}
    row |= {f"test_{name}": value for name, value in record.test.items()}
    for kind, figures in _closed_forms(record.path).items():
        row |= {f"{kind}_{name}": value for name, value in figures.items()}
    return row


def _columns(rows: list[dict[str, Any]]) -> list[str]:
    """All columns, those of a kind together, in the order in which they are met."""
    kinds = ("config.", "train_", "valid_", "test_", "baseline_", "reference_")
    met = dict.fromkeys(name for row in rows for name in row)

    def place(name: str) -> int:
        return next((n for n, kind in enumerate(kinds, 1) if name.startswith(kind)), 0)

    return sorted(met, key=place)


def _hashable(value: Any) -> Any:
    return tuple(map(_hashable, value)) if isinstance(value, list) else value


def _closed_forms(path: str) -> dict[str, dict[str, float]]:
    """The figures of kind `baseline` and `reference`, the first lines of a `metrics.jsonl`."""
    found: dict[str, dict[str, float]] = {}
    try:
        with open(f"{path}/metrics.jsonl", encoding="utf-8") as stream:
            for line in stream:
                row = json.loads(line)
                if row["kind"] not in ("baseline", "reference"):
                    break
                found[row["kind"]] = {k: float(v) for k, v in row.items() if k not in NAMES}
    except (OSError, ValueError, KeyError, TypeError):
        pass  # a run that has not begun, or was killed while it wrote its first line
    return found


def last_line(path: str, kind: str) -> dict[str, Any] | None:
    """The last whole line of a kind of a `metrics.jsonl`, read from its end; None without one."""
    for line in _lines_backwards(path):
        try:
            row = json.loads(line)
        except ValueError:
            continue  # a process was killed while it wrote this line
        if isinstance(row, dict) and row.get("kind") == kind:
            return row
    return None


def _lines_backwards(path: str) -> Iterator[bytes]:
    """The lines of a file, last first; none of a file that cannot be read."""
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
