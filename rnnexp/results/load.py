"""Finds runs and reads their logs."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from rnnexp.core.axis import TIME
from rnnexp.core.errors import UsageError, unknown
from rnnexp.results.index import read_index, scan
from rnnexp.run import zarr_append
from rnnexp.run.files import closed_forms, read_metrics, read_status, saved_config
from rnnexp.run.gradient_store import by_unit

RUNS_DIR = Path("runs")
"""Where runs are kept if nothing else is said."""


@dataclass(frozen=True)
class Run:
    """The content of a run's directory.

    Attributes:
      path: the directory.
      config, status: the content of the JSON files.
      metrics: the lines of `metrics.jsonl`.
      steps: training steps of the profiles, (steps,).
      norms: profiles (steps, L, T) by state leaf, `{"h": ...}`, the hidden state first.
      units: the names of the profiles' rows, `layer_0` and so on.
      axis: what the steps of the profiles are, `time` or a word such as `hop`.
    """

    path: Path
    config: dict[str, Any]
    status: dict[str, Any]
    metrics: list[dict[str, Any]]
    steps: np.ndarray
    norms: dict[str, np.ndarray]
    units: list[str]
    axis: str = TIME

    @property
    def name(self) -> str:
        """TASK/CELL."""
        return f"{self.config['task']['name']}/{self.config['cell']['name']}"

    @property
    def dead(self) -> bool:
        """Whether it diverged, or the last loss that it logged is not finite."""
        _, losses = self.curve("train", "loss")
        lost = len(losses) > 0 and not np.isfinite(losses[-1])
        return bool(self.status.get("status") == "diverged" or lost)

    def by_lag(self, leaf: str, unit: int) -> np.ndarray:
        """A unit's profiles (steps, T) over the lag: time steps before the unit's own last one."""
        norms = self.norms[leaf][:, unit]
        return norms if self.units[unit].endswith("_backward") else norms[:, ::-1]

    def curve(self, kind: str, field: str) -> tuple[np.ndarray, np.ndarray]:
        """Steps and values of a field in the lines of a kind."""
        rows = [row for row in self.metrics if row["kind"] == kind and field in row]
        steps = np.array([row["step"] for row in rows], int)
        return steps, np.array([float(row[field]) for row in rows], float)

    def baseline(self, kind: str = "baseline") -> dict[str, float]:
        """The closed-form figures that the run logged, those of kind `baseline` or `reference`."""
        return closed_forms(self.metrics).get(kind, {})


def load_run(path: Path | str, metrics: list[dict[str, Any]] | None = None) -> Run:
    """Read a run's directory; `UsageError` if it is no such directory or a file is damaged.

    `metrics`: the lines of `metrics.jsonl`, if they are known already.
    """
    path = Path(path)
    if (status := read_status(path)) is None or not (path / "config.json").exists():
        raise UsageError(f"{path} is not a run's directory: it has no config.json and status.json")
    config = saved_config(path)
    steps, norms, units, axis = _read_profiles(path / "gradients.zarr")
    rows = read_metrics(path) if metrics is None else metrics
    return Run(path, config, status, rows, steps, norms, units, axis)


def _read_profiles(path: Path) -> tuple[np.ndarray, dict[str, np.ndarray], list[str], str]:
    if not path.exists():
        return np.zeros(0, np.int32), {}, [], TIME
    data = by_unit(zarr_append.load(path))
    names = sorted(map(str, data.data_vars), key=lambda name: (name != "dL_dh", name))
    leaves = {name.removeprefix("dL_d"): data[name].values for name in names}
    units = [str(name) for name in data["unit"].values]
    return data["step"].values, leaves, units, str(data[names[0]].dims[-1])


def find_run(name: str, runs_dir: Path) -> Path:
    """The latest of the runs with a name; see `find_runs`."""
    return find_runs(name, runs_dir)[-1]


def find_runs(name: str, runs_dir: Path, *, most: int | None = None) -> list[Path]:
    """The runs with a name, oldest first: a directory, the start of an id, TASK/CELL, or the name
    that its user gave it.

    Raises `UsageError` if there is none, or if there are more than `most`.
    """
    if not name.strip():
        raise UsageError("a run has a name: its directory, its id, or TASK/CELL for the latest")
    if (Path(name) / "status.json").exists():
        return [Path(name)]
    runs = [run for run, _ in scan(runs_dir)]
    matching = [
        run
        for run in runs
        if run.rpartition("/")[2].startswith(name) or name in (run, run.rpartition("/")[0])
    ] or [record.run for record in read_index(runs_dir) if record.about.name == name]
    if most is not None and len(matching) > most:
        raise UsageError(f"{len(matching)} runs are called {name!r}; name a directory or an id")
    if matching:
        return [runs_dir / run for run in matching]
    if not runs:
        raise UsageError(f"no runs in {runs_dir}; start one with `rnnexp run TASK/CELL`")
    raise unknown("run", name, sorted({run.rpartition("/")[0] for run in runs}))
