"""Measures the checkpoints of a run with the laboratory, whether or not the run has ended."""

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import jax
import numpy as np
from ml_collections import ConfigDict

from rnnexp.config.overrides import override
from rnnexp.config.schema import finish, from_saved
from rnnexp.core.errors import UsageError
from rnnexp.core.types import Tree
from rnnexp.run.checkpoint import read_checkpoints
from rnnexp.run.files import saved_config
from rnnexp.run.laboratory_store import LaboratoryLog
from rnnexp.run.measure import RECORDED, Examiner, settings_of
from rnnexp.run.sources import find_sources, require_same
from rnnexp.train.compiled import initial_state
from rnnexp.train.plan import Plan, make_plan

if TYPE_CHECKING:
    import xarray

log = logging.getLogger("rnnexp")


class Analysed(NamedTuple):
    """The steps measured now, those measured before, and all rows of the store."""

    measured: list[int]
    skipped: list[int]
    data: "xarray.Dataset"


def analyze_run(
    path: Path,
    *,
    data_dir: Path | None = None,
    overrides: Mapping[str, str] | None = None,
    again: bool = False,
) -> Analysed:
    """Measure the initial weights and every checkpoint of a run, into its `laboratory.zarr`.

    Each row is written as soon as it is measured. The initial weights are drawn again from the
    run's seed. A step that has a row with these settings is skipped.

    Args:
      path: the run's directory; the run may still be training.
      data_dir: where to look for data files first.
      overrides: texts of keys `laboratory.KEY`, in place of the run's own settings.
      again: measure all steps anew.

    Raises:
      UsageError: the run or its data cannot be read, its code or data is no longer that with
        which it was made, or a setting is wrong.
    """
    plan = plan_of_run(path, data_dir, overrides or {})
    settings = settings_of(plan.config)
    store = LaboratoryLog(path / "laboratory.zarr")
    wanted = [float(getattr(settings, name)) for name in RECORDED]
    done, other = ([], []) if again else _rows(store.load(), wanted)
    if other:
        log.info("rows with other settings, measured anew where there is a checkpoint: %s", other)
    examiner = Examiner(plan, settings)
    measured = []

    def measure(params: Tree, step: int) -> None:
        store.append(examiner.measure(plan, jax.device_get(params), step))
        store.flush()
        measured.append(step)
        log.info("step %d measured", step)

    if 0 not in done:
        measure(plan.params, 0)
    like = jax.device_get(initial_state(plan))
    for state, progress in read_checkpoints(path / "checkpoints", like, [*done, 0]):
        measure(state.params, progress.step)
    data = store.load()
    assert data is not None
    return Analysed(measured, done, data)


def plan_of_run(path: Path, data_dir: Path | None, overrides: Mapping[str, str]) -> Plan:
    """The plan of a run, with other settings of the laboratory, on one device; with its data.

    Raises `UsageError` as `analyze_run` does.
    """
    saved = saved_config(path)
    saved["devices"] = 1  # one is enough to measure, however many trained
    config = ConfigDict(from_saved(saved).to_dict())
    for key in overrides:
        if not key.startswith("laboratory.") or key.startswith("laboratory.every_"):
            raise UsageError(
                f"config.{key} cannot be changed: a run is analysed as it was trained; only "
                "config.laboratory.KEY can be, but for every_..."
            )
    override(config, overrides)
    final = finish(config)
    sources, task = find_sources(final, data_dir)
    require_same(path, sources)
    return make_plan(final, data_dir=data_dir, chunk_steps=1, task=task)


def _rows(data: "xarray.Dataset | None", wanted: list[float]) -> tuple[list[int], list[int]]:
    """The steps of rows with the wanted settings, and those of the others."""
    if data is None:
        return [], []
    steps = [int(step) for step in data["step"].values]
    if "measured_with" not in data:
        return [], steps
    found = data["measured_with"].reindex(setting=list(RECORDED)).transpose("step", "setting")
    found = found.fillna(0.0)  # a setting that came after the row
    same = np.all(found.values == np.array([wanted]), axis=1)
    return [s for s, yes in zip(steps, same, strict=True) if yes], [
        s for s, yes in zip(steps, same, strict=True) if not yes
    ]


def summary(data: "xarray.Dataset") -> dict[str, list[dict[str, Any]]]:
    """By unit, a row of the main figures for each measured step.

    Keys: `step`; `exponent` and `error`, the largest Lyapunov exponent and its standard error
    (nats per step); `kaplan_yorke`, the dimension of the attractor; `singular`, ln of the
    largest singular value of dh_{t+k}/dh_t at the longest k (nats), and `span`, that k (steps);
    `radius`, the largest spectral radius of the recurrent matrices; `gates`, the fraction of
    gates below 0.1 or above 0.9; `long_lags`, the fraction of dL/dW from the longer half of all
    lags, by the norms of the bins' parts. What was not measured is left out, or NaN.
    """
    return {
        str(unit): [_figures(data.sel(unit=unit, step=step)) for step in data["step"].values]
        for unit in data["unit"].values
    }


def _figures(row: "xarray.Dataset") -> dict[str, Any]:
    found: dict[str, Any] = {"step": int(row["step"])}
    if "lyapunov" in row:
        found["exponent"] = float(row["lyapunov"][0])
        found["error"] = float(row["lyapunov_error"][0])
        found["kaplan_yorke"] = float(row["kaplan_yorke"])
    if "singular" in row:
        known = np.flatnonzero(~np.isnan(row["singular"].isel(rank=0).values))
        at = int(known[-1]) if len(known) else 0
        found["singular"] = float(row["singular"].isel(rank=0)[at])
        found["span"] = int(row["span"][at])
    if "spectral_radius" in row:
        found["radius"] = _over(np.max, row["spectral_radius"].values)
    if "gate_low" in row:
        found["gates"] = _over(np.mean, (row["gate_low"] + row["gate_high"]).values)
    if "lag_norm" in row:
        own = [str(name).startswith(f"{row['unit'].item()}/") for name in row["parameter"].values]
        parts_D = np.sqrt(np.sum(row["lag_norm"].values[own] ** 2, axis=0))
        total = np.nansum(parts_D)
        found["long_lags"] = float(parts_D[-1] / total) if total > 0 else float("nan")
    return found


def _over(reduce: Any, values: np.ndarray) -> float:
    """A reduction of the values that are not NaN; NaN if all are."""
    known = values[~np.isnan(values)]
    return float(reduce(known)) if known.size else float("nan")
