"""Directories of runs for the report, with curves, gradients and a laboratory, without training."""

import json
import math
import shutil
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import xarray

from rnnexp.run.gradient_store import GradientLog
from tests.helpers.synthetic_runs import write_run

UNITS = ("layer_0",)
BASELINE = 0.5


def decaying(steps: Sequence[int], times: int, rates: Sequence[float]) -> np.ndarray:
    """Norms (steps, units, times) exp(rate * lag), the rate growing by 0.01 a recorded step."""
    lags = np.arange(times - 1, -1, -1)
    grown = np.asarray(rates)[None, :] + 0.01 * np.arange(len(steps))[:, None]
    norms: np.ndarray = np.exp(np.clip(grown[:, :, None] * lags, -80, 80))
    return norms.astype(np.float32)


def write_gradients(
    run: Path,
    steps: Sequence[int],
    norms: dict[str, np.ndarray],
    units: Sequence[str] = UNITS,
) -> None:
    """A run's `gradients.zarr`; `norms`: (steps, units, times) by state leaf."""
    store = GradientLog(run / "gradients.zarr", units)
    for index, step in enumerate(steps):
        store.append(step, {leaf: values[index] for leaf, values in norms.items()})
    store.flush()


def write_metrics(run: Path, steps: Sequence[int], slopes: dict[str, float]) -> None:
    """A run's `metrics.jsonl`: baseline, a training line a step, validation every fifth."""
    rows: list[dict[str, Any]] = [{"kind": "baseline", "step": 0, "loss": BASELINE}]
    for number, step in enumerate(steps):
        loss = 0.1 + math.exp(-number / 5)
        decay: dict[str, Any] = {f"slope/{name}": slope for name, slope in slopes.items()}
        decay |= {f"half_life/{name}": -math.log(2) / slope for name, slope in slopes.items()}
        rows.append({"kind": "train", "step": step, "loss": loss, "clip_fired": number == 0})
        rows[-1] |= decay
        if number % 5 == 4:
            rows.append({"kind": "valid", "step": step, "loss": loss + 0.01})
    (run / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))


def laboratory(steps: Sequence[int], times: int, gates: Sequence[str] = ("f", "i", "o")) -> Any:
    """A laboratory of one unit, its numbers plain functions of their place."""
    count, exponents, lags = len(steps), 6, [1, 2, 4, 8, 16]
    growth = -0.1 * np.arange(exponents)[None, None, :] + 0.01 * np.arange(count)[:, None, None]
    wave = 0.5 + 0.4 * np.sin(np.arange(times) / 5)[None, None, None, :]
    share = np.broadcast_to(wave, (count, 1, len(gates), times))
    span_SxUxKxR = growth[:, :, :3, None] * np.array([1.0, 1.5])
    fading = np.exp(-0.7 * np.arange(len(lags)))[None, None, :] * np.ones((count, 2, 1))
    grid = ("step", "unit")
    return xarray.Dataset(
        {
            "lyapunov": ((*grid, "exponent"), growth),
            "lyapunov_error": ((*grid, "exponent"), 0.01 * np.ones_like(growth)),
            "kaplan_yorke": (grid, np.full((count, 1), 1.5)),
            "singular": ((*grid, "span", "rank"), span_SxUxKxR),
            "spectral_radius": ((*grid, "matrix"), np.full((count, 1, 1), 0.95)),
            "spectral_norm": ((*grid, "matrix"), np.full((count, 1, 1), 1.2)),
            "gate_low": ((*grid, "gate", "time"), share),
            "gate_high": ((*grid, "gate", "time"), 1 - share),
            "time_constant": ((*grid, "time"), np.full((count, 1, times), 12.0)),
            "dead": (grid, np.full((count, 1), 0.1)),
            "saturated": (grid, np.full((count, 1), 0.2)),
            "lag_norm": (("step", "parameter", "lag"), fading),
        },
        coords={
            "step": list(steps), "unit": list(UNITS), "exponent": range(exponents),
            "span": [1, 2, 4], "rank": [0, 1], "matrix": ["w_h"], "gate": list(gates),
            "time": range(times), "parameter": ["w_h", "w_x"], "lag": lags,
        },
    )  # fmt: skip


def write_laboratory(run: Path, content: Any) -> None:
    """A run's `laboratory.zarr`."""
    with warnings.catch_warnings():
        # Zarr points out that version 3 of the format does not specify all that xarray writes.
        warnings.filterwarnings("ignore", message=".*(onsolidated metadata|not have a Zarr V3).*")
        content.to_zarr(run / "laboratory.zarr", mode="w")


def write_whole_run(
    runs_dir: Path,
    experiment: str = "copy_memory/lstm",
    changes: dict[str, Any] | None = None,
    *,
    steps: Sequence[int] = range(0, 200, 10),
    times: int = 40,
    slope: float = -0.3,
    leaves: Sequence[str] = ("h",),
    with_laboratory: bool = False,
    **status: Any,
) -> Path:
    """A run with everything that a page shows; `status`: as of `write_run`."""
    ended: dict[str, Any] = {"test": {"loss": 0.2 - slope}, "valid": 0.3}
    run = runs_dir / write_run(runs_dir, experiment, changes, **(ended | status))
    slopes = {f"layer_0/{leaf}": slope for leaf in leaves}
    write_gradients(run, steps, {leaf: decaying(steps, times, [slope]) for leaf in leaves})
    write_metrics(run, steps, slopes)
    if with_laboratory:
        write_laboratory(run, laboratory(list(steps)[::4], times))
    return run


def write_three_settings(root: Path) -> Path:
    """Three settings of two tasks, one with two seeds and a laboratory; one has diverged."""
    for seed in (0, 1):
        write_whole_run(root, changes={"seed": seed}, leaves=("h", "c"), with_laboratory=True)
    write_whole_run(root, "copy_memory/rnn", slope=-0.6)
    ended: dict[str, Any] = {"status": "diverged", "reason": "non-finite loss", "test": None}
    write_whole_run(root, "adding/gru", slope=0.5, **ended)
    return root


def many_large_runs(runs_dir: Path, count: int) -> list[Path]:
    """Runs over 784 time steps, 200 of their training steps recorded, two leaves, a laboratory.

    All have the same arrays, which are written once and copied.
    """
    runs = [
        runs_dir / write_run(
            runs_dir, f"mnist/{('lstm', 'gru')[number % 2]}",
            {"seed": number // 2, "cell.hidden_size": 32 + number % 4},
            test={"loss": 0.1 + 0.01 * number, "accuracy": 0.9}, valid=0.3,
        )
        for number in range(count)
    ]  # fmt: skip
    steps = range(0, 2000, 10)
    norms = decaying(steps, 784, [-0.02])
    write_gradients(runs[0], steps, {"h": norms, "c": norms})
    write_metrics(runs[0], steps, {"layer_0/h": -0.02, "layer_0/c": -0.02})
    write_laboratory(runs[0], laboratory(list(steps)[::4], 784))
    for run in runs[1:]:
        for name in ("gradients.zarr", "laboratory.zarr"):
            shutil.copytree(runs[0] / name, run / name)
        shutil.copy(runs[0] / "metrics.jsonl", run)
    return runs
