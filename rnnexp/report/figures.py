"""Figures through matplotlib: a run's loss, gradient norms and heat maps."""

import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")  # pictures go to files; no display is needed

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backend_bases import FigureCanvasBase
from matplotlib.collections import QuadMesh
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure

from rnnexp.core.axis import TIME, axis_label, lag_label, step_of
from rnnexp.core.errors import RunError, UsageError
from rnnexp.report.fitted_lines import draw_fitted_line, half_life_text
from rnnexp.report.looks import Kinds, look_by_number
from rnnexp.results.load import Run

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")  # Okabe & Ito
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "<", ">", "*")
DASHES: Any = ("-", "--", ":", "-.")
LINES = Kinds(len(COLOURS), len(DASHES), len(MARKERS))
SOLID = Kinds(len(COLOURS), 1, len(MARKERS))
"""The looks of lines in pictures where the dash says something else."""
FLOOR = 1e-38  # float32 has no normal numbers below
COLOUR_MAP = "viridis"  # perceptually uniform, also for colour-blind eyes, and without grey
MISSING = "hatched: zero or not finite"
CELLS = 800  # of a heat map, along either axis; a page cannot show more

log = logging.getLogger("rnnexp")


def verbatim(text: str) -> str:
    """A text that matplotlib draws literally: on one line, with `$` escaped, and not hidden.

    Unprintable characters become `?`. A legend omits labels that begin with an underscore, so
    those get a leading space.
    """
    line = "".join(" " if c.isspace() else c if c.isprintable() else "?" for c in text)
    return f" {line}".replace("$", r"\$") if line.startswith("_") else line.replace("$", r"\$")


def draw_run(run: Run, file: Path) -> None:
    """Draw a run: loss and baseline, gradient norm, heat map and last profile of each unit."""
    if not run.norms:
        raise UsageError(f"{run.path} has no recorded gradients yet")
    panels = [(leaf, unit) for leaf in run.norms for unit in range(run.norms[leaf].shape[1])]
    rows = len(panels) + 1
    figure, axes = plt.subplots(rows, 2, figsize=(11, 3.1 * rows), layout="constrained")
    figure.suptitle(verbatim(f"{run.name}   {run.path.name}   {run.status['status']}"))
    draw_loss(axes[0, 0], [run], [run.name])
    _draw_norm(axes[0, 1], run)
    for row, (leaf, unit) in enumerate(panels, 1):
        norms = run.norms[leaf][:, unit]
        mesh = draw_heat_map(axes[row, 0], run.steps, norms, colour_scale([norms]), run.axis)
        axes[row, 0].set_title(f"||dL/d{leaf}_t||, {run.units[unit]} ({MISSING})")
        if mesh is not None:
            figure.colorbar(mesh, ax=axes[row, 0])
        _draw_last_profile(axes[row, 1], run, leaf, unit)
        axes[row, 1].set_title(f"last profile, {run.units[unit]}, step {run.steps[-1]}")
    save(figure, file)


def draw_loss(axes: Axes, runs: Sequence[Run], labels: Sequence[str]) -> None:
    """Draw training and validation loss of runs, and the closed-form baseline of each.

    Runs that diverged do not set the range of the losses, unless there are no others.
    """
    for index, (run, text) in enumerate(zip(runs, labels, strict=True)):
        label, style = verbatim(text), line_style(index, SOLID) | {"markersize": 3}
        axes.plot(*run.curve("train", "loss"), color=style["color"], alpha=0.35, linewidth=0.8)
        axes.plot(*run.curve("valid", "loss"), label=label, **style)
        if (level := run.baseline().get("loss")) is not None:
            name = f"{label}: baseline {level:.4g}"
            axes.axhline(level, color=style["color"], linestyle="--", linewidth=1, label=name)
    axes.set(xlabel="training step", ylabel="loss", yscale="log")
    fit_to_living(axes, runs, losses)
    axes.legend(fontsize="small")
    axes.set_title("loss: training (thin), validation (dots)")


def losses(run: Run) -> list[np.ndarray]:
    """The heights of a run in a picture of losses."""
    level = run.baseline().get("loss", np.nan)
    return [*(run.curve(kind, "loss")[1] for kind in ("train", "valid")), np.array([level])]


def fit_to_living(
    axes: Axes, runs: Sequence[Run], heights: Callable[[Run], Sequence[np.ndarray]]
) -> None:
    """Let the runs that are not dead set the upright range; nothing if all are, or none is.

    Args:
      heights: what a run has drawn.
    """
    living = [run for run in runs if not run.dead]
    if len(living) < len(runs):
        fit_heights(axes, [values for run in living for values in heights(run)])


def fit_heights(axes: Axes, arrays: Sequence[np.ndarray]) -> None:
    """Set the upright range to that of finite values (positive ones on a logarithmic axis).

    Nothing changes if there are none.
    """
    log_scale = axes.get_yscale() == "log"
    values = np.concatenate([np.ravel(part).astype(float) for part in [*arrays, np.zeros(0)]])
    values = values[np.isfinite(values) & ((values > 0) | (not log_scale))]
    if len(values) == 0:
        return
    low, high = float(values.min()), float(values.max())
    if log_scale:
        room = (high / low) ** 0.05 if high > low else 1.3
        axes.set_ylim(low / room, high * room)
    else:
        room = 0.05 * (high - low) or 0.05 * abs(high) or 0.05
        axes.set_ylim(low - room, high + room)


def line_style(number: int, kinds: Kinds = LINES) -> dict[str, Any]:
    """Colour, marker and dash of the n-th line of a picture; no two are alike.

    Raises `UsageError` if there are too many to tell apart.
    """
    look = look_by_number(number, kinds)
    return {
        "color": COLOURS[look.colour], "marker": MARKERS[look.marker],
        "linestyle": DASHES[look.dash],
    }  # fmt: skip


def _draw_norm(axes: Axes, run: Run) -> None:
    axes.plot(*run.curve("train", "grad_norm"), color=COLOURS[0], label="before clipping")
    axes.plot(*run.curve("train", "grad_norm_clipped"), color=COLOURS[1], label="after clipping")
    axes.set(xlabel="training step", ylabel="global gradient norm")
    log_if_positive(axes)
    axes.legend(fontsize="small")
    axes.set_title("gradient norm")


def _draw_last_profile(axes: Axes, run: Run, leaf: str, unit: int) -> None:
    """The last recorded profile over the lag, with the line whose slope is logged."""
    norms_T, word = run.by_lag(leaf, unit)[-1], step_of(run.axis)
    shown = np.where(norms_T > FLOOR, norms_T, np.nan)
    axes.plot(np.arange(len(norms_T)), shown, color=COLOURS[0], label=verbatim(run.name))
    fitted = draw_fitted_line(axes, norms_T, COLOURS[1])
    if fitted is not None:
        drawn, line = fitted
        life = f"half-life {half_life_text(line)}"
        drawn.set_label(f"{line.slope:+.3g} nats/{word}, {life}")
    axes.set(xlabel=lag_label([run.axis]), ylabel=f"||dL/d{leaf}_t||")
    log_if_positive(axes)
    axes.invert_xaxis()
    axes.legend(fontsize="small")


def log_if_positive(axes: Axes) -> None:
    """Make the axis of heights logarithmic if it shows any positive value."""
    values = np.concatenate([np.ravel(line.get_ydata()).astype(float) for line in axes.lines])
    if (np.isfinite(values) & (values > 0)).any():
        axes.set_yscale("log")


def colour_scale(arrays: Sequence[np.ndarray], decades: float | None = None) -> LogNorm | None:
    """One logarithmic scale for all arrays, over their finite values above `FLOOR`.

    The scale ends at most `decades` below the largest value. None if there is no such value.
    """
    values = np.concatenate([part[usable(part)] for part in arrays])
    if len(values) == 0:
        return None
    low, high = float(values.min()), float(values.max())
    if decades is not None:
        low = max(low, high * 10**-decades)
    return LogNorm(low, max(high, low * 1.01))


def draw_heat_map(
    axes: Axes,
    steps: np.ndarray,
    norms_SxT: np.ndarray,
    scale: LogNorm | None,
    axis: str = TIME,
) -> QuadMesh | None:
    """Draw norms over (training step, step of the axis); zero or non-finite ones are hatched.

    Rows and columns beyond `CELLS` are omitted evenly, with a line in the log. Returns the mesh
    for a colour bar; None if everything is hatched.
    """
    axes.set(xlabel=axis_label(axis), ylabel="training step")
    axes.patch.set(facecolor="white", edgecolor="0.6", hatch="////", linewidth=0)
    rows, columns = (_picked(size) for size in norms_SxT.shape)
    if (len(rows), len(columns)) != norms_SxT.shape:
        text = "heat map of %d x %d values: drawn are %d training and %d time steps, evenly chosen"
        log.warning(text, *norms_SxT.shape, len(rows), len(columns))
    edges_T = np.concatenate([columns - 0.5, [norms_SxT.shape[1] - 0.5]])
    edges_S = _edges(steps[rows])
    axes.set(xlim=(edges_T[0], edges_T[-1]), ylim=(edges_S[0], edges_S[-1]))
    shown = norms_SxT[np.ix_(rows, columns)]
    if scale is None or not usable(shown).any():
        return None
    masked = np.ma.masked_where(~usable(shown), shown)
    return axes.pcolormesh(edges_T, edges_S, masked, norm=scale, cmap=COLOUR_MAP, rasterized=True)


def usable(norms: np.ndarray) -> np.ndarray:
    """Which norms are finite and above `FLOOR`, as a logarithmic scale needs."""
    return np.asarray(np.isfinite(norms) & (norms > FLOOR))


def _picked(size: int) -> np.ndarray:
    """All indices below `size`, or `CELLS` evenly spaced ones."""
    return np.linspace(0, size - 1, min(size, CELLS)).round().astype(int)


def _edges(steps: np.ndarray) -> np.ndarray:
    """Boundaries halfway between recorded steps."""
    if len(steps) == 1:
        return np.array([steps[0] - 0.5, steps[0] + 0.5])
    middle = (steps[1:] + steps[:-1]) / 2
    return np.concatenate([[2 * steps[0] - middle[0]], middle, [2 * steps[-1] - middle[-1]]])


def new_figure(size_in: tuple[float, float]) -> Figure:
    """A figure without a window, which needs no closing."""
    return Figure(figsize=size_in, layout="constrained")


def require_picture_name(file: Path) -> None:
    """Raise `UsageError` for an ending that matplotlib does not know."""
    known = FigureCanvasBase.get_supported_filetypes()
    if file.suffix.lstrip(".").lower() not in known:
        raise UsageError(f"cannot draw {file}: its ending must be one of {', '.join(known)}")


def save(figure: Figure, file: Path, dpi: int = 130) -> None:
    """Write a figure; `UsageError` for a format that matplotlib does not know."""
    try:
        require_picture_name(file)
        figure.savefig(file, dpi=dpi)
    except OSError as error:
        raise RunError(f"cannot write {file}: {error.strerror}") from error
    finally:
        plt.close(figure)
