"""The gradient table of a run: figures and sparklines of ||dL/dh_t|| by training step."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from rnnexp.core.axis import TIME, step_of, steps_of
from rnnexp.results.clipping import clip_data, clip_lines
from rnnexp.results.line_fit import line_fit
from rnnexp.results.load import Run
from rnnexp.run.files import shown_status

BARS = "▁▂▃▄▅▆▇█"
MISSING = "·"
WIDTH = 32
MOST_ROWS = 8


def sparkline(values: np.ndarray, low: float, high: float, width: int = WIDTH) -> str:
    """Logarithms of positive values as bars from `low` to `high`; a dot for all others.

    Longer sequences are averaged (geometrically) into `width` columns.
    """
    columns = []
    for part in np.array_split(values, min(width, len(values))):
        usable = part[np.isfinite(part) & (part > 0)]
        if len(usable) == 0:
            columns.append(MISSING)
            continue
        height = (float(np.mean(np.log(usable))) - low) / (high - low) if high > low else 1.0
        columns.append(BARS[min(len(BARS) - 1, max(0, int(height * len(BARS))))])
    return "".join(columns)


def gradient_rows(run: Run, layer: int, leaf: str, width: int = WIDTH) -> list[dict[str, Any]]:
    """Norms, slope, half-life, their fit (R²) and bars at up to 8 recorded steps, the first and
    last included.

    All sparklines of a table share one logarithmic scale.
    """
    norms, unit = run.norms[leaf][:, layer], run.units[layer]
    lagged = run.by_lag(leaf, layer)
    picked = sorted(set(np.linspace(0, len(run.steps) - 1, MOST_ROWS).round().astype(int)))
    shown = norms[picked]
    usable = shown[np.isfinite(shown) & (shown > 0)]
    low, high = (math.log(usable.min()), math.log(usable.max())) if len(usable) else (0.0, 0.0)
    scalars = {row["step"]: row for row in run.metrics if row["kind"] == "train"}
    rows = []
    for index in picked:
        step = int(run.steps[index])
        row = scalars.get(step, {})
        rows.append(
            {
                "step": step,
                "loss": float(row.get("loss", math.nan)),
                "norm": {lag: float(lagged[index, lag]) for lag in table_lags(norms.shape[1])},
                "slope": float(row.get(f"slope/{unit}/{leaf}", math.nan)),
                "half_life": float(row.get(f"half_life/{unit}/{leaf}", math.nan)),
                "fit": line_fit(norms[index]),
                "bars": sparkline(norms[index], low, high, width),
            }
        )
    return rows


def table_lags(steps: int) -> Sequence[int]:
    """The lags that a table shows: 0, half of the sequence, and the whole sequence."""
    return sorted({0, (steps - 1) // 2, steps - 1})


def gradient_tables(run: Run, width: int = WIDTH) -> list[tuple[str, list[dict[str, Any]]]]:
    """A titled table for each unit and state leaf, with flat columns for printing.

    Args:
      width: of the sparklines, in characters.
    """
    tables, word = [], step_of(run.axis)
    place, lags = ("t =", "") if run.axis == TIME else (word, f", lag in {steps_of(run.axis)}")
    for leaf, norms in run.norms.items():
        for layer in range(norms.shape[1]):
            rows = []
            for row in gradient_rows(run, layer, leaf, width):
                columns = {f"lag {lag}": norm for lag, norm in row["norm"].items()}
                shown = {"step": row["step"], "loss": row["loss"], **columns}
                shown |= {
                    f"nats/{word}": row["slope"],
                    "half-life": row["half_life"],
                    "R²": row["fit"],
                }
                rows.append(shown | {f"{place} 0 ... {norms.shape[2] - 1}": row["bars"]})
            tables.append((f"mean ||dL/d{leaf}_t||, {run.units[layer]}{lags}", rows))
    return tables


def headlines(run: Run) -> list[str]:
    """The lines above the table: status, scores against the baseline, clipping."""
    status = run.status
    reason = f" ({status['reason']})" if status.get("reason") else ""
    lines = [
        f"{run.name}  {run.path}",
        f"{shown_status(run.path, status['status'])} after {status['step']} steps{reason}",
    ]
    baseline = run.baseline()
    for name, value in status.get("test", {}).items():
        versus = f"  (baseline {baseline[name]:.4g})" if name in baseline else ""
        lines.append(f"test {name} {float(value):.4g}{versus}")
    for name, value in run.baseline("reference").items():
        lines.append(f"for comparison: {name} {value:.4g}")
    lines += clip_lines(run)
    if not run.norms:
        lines.append("no gradients recorded yet: they are written with the first checkpoint")
    return lines


def clip_rate(run: Run) -> float | None:
    """Fraction of the recorded steps whose gradient clipping changed; None without any steps."""
    _, fired = run.curve("train", "clip_fired")
    return float(np.mean(fired)) if len(fired) else None


def as_data(run: Run) -> dict[str, Any]:
    """Everything that `inspect --json` prints: status, metrics and profiles in full."""
    profiles = {f"dL_d{leaf}": norms.tolist() for leaf, norms in run.norms.items()}
    return {
        "run": str(run.path),
        "experiment": run.name,
        "status": run.status,
        "baseline": run.baseline(),
        "clipping": clip_data(run),
        "metrics": run.metrics,
        "gradients": {"dimensions": ["step", "layer", run.axis], "step": run.steps.tolist()}
        | profiles
        | {f"fit_{leaf}": _fits(norms) for leaf, norms in run.norms.items()},
    }


def _fits(norms_SxLxT: np.ndarray) -> list[list[float]]:
    """R² of the slopes' lines, by step and layer."""
    return [[line_fit(norms_T) for norms_T in norms_LxT] for norms_LxT in norms_SxLxT]
