"""Pictures through matplotlib: the heat map of a run's gradients, and runs side by side."""

from collections.abc import Sequence
from pathlib import Path

import matplotlib

matplotlib.use("Agg")  # pictures go to files; no display is needed

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure

from rnnexp.errors import RunError, UsageError
from rnnexp.report.load import Run

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")  # Okabe & Ito
FLOOR = 1e-38  # float32 has no normal numbers below


def draw_run(run: Run, file: Path) -> None:
    """Loss and gradient norm against the baseline; a heat map and the last profile a layer."""
    if not run.norms:
        raise UsageError(f"{run.path} has no recorded gradients yet")
    panels = [(leaf, layer) for leaf in run.norms for layer in range(run.norms[leaf].shape[1])]
    figure, axes = plt.subplots(
        len(panels) + 1, 2, figsize=(11, 3.1 * (len(panels) + 1)), layout="constrained"
    )
    figure.suptitle(f"{run.name}   {run.path.name}   {run.status['status']}")
    draw_loss(axes[0, 0], [run])
    _draw_norm(axes[0, 1], run)
    for row, (leaf, layer) in enumerate(panels, 1):
        _draw_heat_map(figure, axes[row, 0], run, leaf, layer)
        title = f"last profile, {run.units[layer]}, step {run.steps[-1]}"
        draw_profiles(axes[row, 1], [run], leaf, layer, labels=[run.name])
        axes[row, 1].set_title(title)
    save(figure, file)


def draw_loss(axes: Axes, runs: Sequence[Run], labels: Sequence[str] | None = None) -> None:
    """Training and validation loss of runs, and the closed-form baseline of each."""
    for index, run in enumerate(runs):
        label = labels[index] if labels else run.name
        colour = COLOURS[index % len(COLOURS)]
        axes.plot(*run.curve("train", "loss"), color=colour, alpha=0.35, linewidth=0.8)
        axes.plot(*run.curve("valid", "loss"), color=colour, marker=".", label=label)
        if (level := run.baseline().get("loss")) is not None:
            name = f"{label}: baseline {level:.4g}"
            axes.axhline(level, color=colour, linestyle="--", linewidth=1, label=name)
    axes.set(xlabel="training step", ylabel="loss", yscale="log")
    axes.legend(fontsize="small")
    axes.set_title("loss: training (thin), validation (dots)")


def draw_profiles(
    axes: Axes, runs: Sequence[Run], leaf: str, layer: int, labels: Sequence[str]
) -> None:
    """The last recorded profile of each run over the lag, with its logarithmic slope."""
    for index, (run, label) in enumerate(zip(runs, labels, strict=True)):
        norms_T = run.by_lag(leaf, layer)[-1]
        lags = np.arange(len(norms_T))
        shown = np.where(norms_T > FLOOR, norms_T, np.nan)
        _, slopes = run.curve("train", f"slope/{run.units[layer]}/{leaf}")
        text = f"{label}: {slopes[-1]:+.3g} nats/step" if len(slopes) else label
        axes.plot(lags, shown, color=COLOURS[index % len(COLOURS)], label=text)
    axes.set(xlabel="lag: steps before the last one", ylabel=f"||dL/d{leaf}_t||", yscale="log")
    axes.invert_xaxis()
    axes.legend(fontsize="small")


def _draw_norm(axes: Axes, run: Run) -> None:
    axes.plot(*run.curve("train", "grad_norm"), color=COLOURS[0], label="before clipping")
    axes.plot(*run.curve("train", "grad_norm_clipped"), color=COLOURS[1], label="after clipping")
    axes.set(xlabel="training step", ylabel="global gradient norm", yscale="log")
    axes.legend(fontsize="small")
    axes.set_title("gradient norm")


def _draw_heat_map(figure: Figure, axes: Axes, run: Run, leaf: str, layer: int) -> None:
    norms = run.norms[leaf][:, layer]
    usable = np.isfinite(norms) & (norms > FLOOR)
    axes.set(xlabel="time step t", ylabel="training step")
    axes.set_title(f"||dL/d{leaf}_t||, {run.units[layer]} (grey: zero or not finite)")
    axes.set_facecolor("0.7")
    if not usable.any():
        return
    mesh = axes.pcolormesh(
        np.arange(norms.shape[1] + 1) - 0.5,
        _edges(run.steps),
        np.ma.masked_where(~usable, norms),
        norm=LogNorm(norms[usable].min(), max(norms[usable].max(), norms[usable].min() * 1.01)),
        cmap="cividis",
        rasterized=True,
    )
    figure.colorbar(mesh, ax=axes)


def _edges(steps: np.ndarray) -> np.ndarray:
    """Boundaries halfway between recorded steps."""
    if len(steps) == 1:
        return np.array([steps[0] - 0.5, steps[0] + 0.5])
    middle = (steps[1:] + steps[:-1]) / 2
    return np.concatenate([[2 * steps[0] - middle[0]], middle, [2 * steps[-1] - middle[-1]]])


def save(figure: Figure, file: Path) -> None:
    """Write a figure; `UsageError` for a format that matplotlib does not know."""
    known = figure.canvas.get_supported_filetypes()
    try:
        if file.suffix.lstrip(".").lower() not in known:
            raise UsageError(f"cannot draw {file}: its ending must be one of {', '.join(known)}")
        figure.savefig(file, dpi=130)
    except OSError as error:
        raise RunError(f"cannot write {file}: {error.strerror}") from error
    finally:
        plt.close(figure)
