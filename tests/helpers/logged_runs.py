"""A run's directory with metrics and profiles of a known closed form, without training."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from rnnexp.results.load import Run, load_run
from rnnexp.run.files import RunLog
from rnnexp.run.gradient_store import GradientLog
from tests.helpers.synthetic_runs import synthetic_config, synthetic_name

STEPS = (0, 10, 20, 30)
TIMES = 21


def exponential(slope: float, times: int = TIMES) -> np.ndarray:
    """A profile (T,) that is exp(slope * lag), the lag counted from the last step."""
    return np.asarray(np.exp(slope * np.arange(times - 1, -1, -1)))


def write_logged_run(
    runs_dir: Path,
    name: str = "adding/lstm",
    changes: dict[str, Any] | None = None,
    *,
    slopes: Mapping[str, Sequence[float]] | None = None,
    times: int = TIMES,
    steps: Sequence[int] = STEPS,
    status: str = "completed",
) -> Path:
    """Write a run whose unit `u` has at its n-th recorded step the slope `slopes[u][n]`.

    Its training loss at step s is 1 / (1 + s), its best validation loss 0.2 at the last step,
    its test loss 0.25, its baseline 1/6. `slopes` is by default -0.1, -0.2, ... of `layer_0`.
    """
    if slopes is None:
        slopes = {"layer_0": [-0.1 * (n + 1) for n in range(len(steps))]}
    config = synthetic_config(name, changes or {})
    path = runs_dir / synthetic_name(name, config)
    files = RunLog(path)
    files.write_json("config.json", config)
    files.log("baseline", [{"step": 0, "loss": 1 / 6}])
    files.log("reference", [{"step": 0, "theirs/loss": 0.01}])
    gradients = GradientLog(path / "gradients.zarr", list(slopes))
    for number, step in enumerate(steps):
        row: dict[str, Any] = {"step": step, "loss": 1 / (1 + step), "clip_fired": step > 10}
        row |= {"grad_norm": 2.0 + step, "grad_norm_clipped": min(1.0, 2.0 + step)}
        for unit, by_step in slopes.items():
            slope = by_step[number]
            row[f"slope/{unit}/h"] = slope
            row[f"half_life/{unit}/h"] = np.log(2) / -slope if slope < 0 else np.inf
            row[f"zero_lags/{unit}/h"] = 0
        files.log("train", [row])
        profiles = [_profile(unit, by_step[number], times) for unit, by_step in slopes.items()]
        gradients.append(step, {"h": np.stack(profiles).astype(np.float32)})
    gradients.flush()
    end = steps[-1] + 1
    files.log("valid", [{"step": end, "loss": 0.2}])
    best = {"metric": "loss", "value": 0.2, "step": end, "higher_is_better": False}
    if status == "completed":
        files.log("test", [{"step": end, "loss": 0.25}])
        files.set_status(status, end, "", test={"loss": 0.25}, test_step=end, best=best)
    else:
        files.set_status(status, end, "non-finite loss", best=best)
    files.close()
    return path


def logged(runs_dir: Path, *runs: tuple[str, dict[str, Any]], **more: Any) -> list[Run]:
    """Runs as they are read again, given as experiment and changes."""
    return [load_run(write_logged_run(runs_dir, *run, **more)) for run in runs]


def dead_and_living(runs_dir: Path) -> list[Run]:
    """A run that diverged, a completed one whose last loss is lost, and a healthy one.

    The losses and slopes of the first two are above 1e30.
    """
    runs = []
    for cell, status in (("rnn", "diverged"), ("gru", "completed"), ("lstm", "completed")):
        dead = cell != "lstm"
        norms = {"layer_0": [3.0] * len(STEPS)} if dead else None
        path = write_logged_run(runs_dir, f"adding/{cell}", slopes=norms, status=status)
        lines = [json.loads(line) for line in (path / "metrics.jsonl").read_text().splitlines()]
        for row in lines if dead else []:
            if row["kind"] == "train":
                row["loss"] = 10.0 ** (30 + row["step"] / 10)
                row |= {name: 1e30 for name in row if name.startswith("slope/")}
        if cell == "gru":
            [row for row in lines if row["kind"] == "train"][-1]["loss"] = float("nan")
        (path / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in lines))
        runs.append(load_run(path))
    return runs


def rewritten_run(parent: Path, name: str, threshold: float, **figures: list[Any]) -> Run:
    """A run in a folder of its own whose clipping and logged figures are those given."""
    changes = {"clip.name": name, "clip.threshold": threshold}
    folder = parent / str(len(list(parent.iterdir())))
    path = write_logged_run(folder, changes=changes)
    lines = [json.loads(line) for line in (path / "metrics.jsonl").read_text().splitlines()]
    for number, row in enumerate(row for row in lines if row["kind"] == "train"):
        row |= {key: values[number] for key, values in figures.items()}
    (path / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in lines))
    return load_run(path)


def _profile(unit: str, slope: float, times: int) -> np.ndarray:
    profile_T = exponential(slope, times)
    return profile_T[::-1] if unit.endswith("_backward") else profile_T
