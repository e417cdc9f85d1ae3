"""Figures of what the laboratory measured of a run: `laboratory.zarr` as PDF, SVG or PNG.

A panel a quantity and unit, of those that were measured: the Lyapunov spectrum, spectral radius
and norm of the recurrent matrices and dead units over training; singular values of
dh_{t+k}/dh_t over k, gates and time constants over t at the last measured step; the share of
dL/dW by lag.
"""

import logging
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from rnnexp.core.axis import axis_label, laboratory_axis, steps_of
from rnnexp.core.errors import UsageError
from rnnexp.report.figures import (
    COLOUR_MAP,
    log_if_positive,
    new_figure,
    save,
    usable,
    verbatim,
)
from rnnexp.report.paper_style import DPI, ROW_IN, STYLE, WIDTH_IN, inks

if TYPE_CHECKING:
    import xarray

log = logging.getLogger("rnnexp")
COLUMNS = 3
MOST_LINES = 8  # exponents or singular values in one panel
MOST_BARS = 12  # measured steps in one panel
SHARES = (0, 0.25, 0.5, 0.75, 1)
Panel = tuple[str, Callable[[Axes], None]]


def draw_laboratory(data: "xarray.Dataset", file: Path, title: str) -> None:
    """Draw everything of a Dataset of `rnnexp.load_laboratory`, a panel a quantity and unit.

    Raises:
      UsageError: it holds none of the quantities that are drawn, or the file's ending cannot
        be drawn.
    """
    panels = laboratory_panels(data)
    if not panels:
        raise UsageError(f"{title}: the laboratory measured nothing that can be drawn")
    with mpl.rc_context(STYLE):
        columns = min(COLUMNS, len(panels))
        rows = -(-len(panels) // columns)
        width = WIDTH_IN * columns / COLUMNS
        figure = new_figure((max(width, 3.0), ROW_IN * rows + 0.3))
        figure.suptitle(verbatim(title), fontsize=9)
        for number, (name, draw) in enumerate(panels, 1):
            axes = figure.add_subplot(rows, columns, number)
            draw(axes)
            axes.set_title(verbatim(name))
        save(figure, file, DPI)


def laboratory_panels(data: "xarray.Dataset") -> list[Panel]:
    """Titles and drawing functions of what was measured, in the order in which it is drawn."""
    kinds: list[tuple[str, str, Callable[[Axes, Any], None], str]] = [
        ("lyapunov", "unit", draw_lyapunov, "Lyapunov spectrum, {}"),
        ("singular", "unit", draw_singular, "singular values, {}"),
        ("spectral_radius", "unit", draw_matrices, "recurrent matrices, {}"),
        ("gate_low", "unit", draw_gates, "gates, {}"),
        ("time_constant", "unit", draw_time_constant, "time constant, {}"),
        ("saturated", "unit", draw_activity, "hidden units, {}"),
        ("lag_norm", "parameter", draw_lag_shares, "dL/dW by lag, {}"),
        ("each_lag_norm", "parameter", draw_each_lag, "dL/dW at each lag, {}"),
    ]
    panels = []
    for name, dimension, draw, title in kinds:
        if name not in data:
            continue
        for label, part in _measured(data, name, dimension):
            panels.append((title.format(label), _bound(draw, part)))
    return panels


def _bound(draw: Callable[[Axes, Any], None], part: "xarray.Dataset") -> Callable[[Axes], None]:
    return lambda axes: draw(axes, part)


def draw_lyapunov(axes: Axes, data: "xarray.Dataset") -> None:
    """The exponents of a unit over training, nats per step, bars as wide as their error."""
    values_SxE, shown = _first(data["lyapunov"].transpose("step", "exponent"), "exponent")
    errors = data.get("lyapunov_error")
    colours = mpl.colormaps[COLOUR_MAP](np.linspace(0, 0.85, len(shown)))
    for place, (number, colour) in enumerate(zip(shown, colours, strict=True)):
        error_S = None if errors is None else errors.isel(exponent=number).values
        axes.errorbar(
            data["step"].values, values_SxE[:, place], error_S, color=colour, marker=".",
            markersize=3, linewidth=1, capsize=1.5, label=rf"$\lambda_{{{number + 1}}}$",
        )  # fmt: skip
    axes.axhline(0, color="0.35", linestyle="--", linewidth=0.9)
    units = data["lyapunov"].attrs.get("units", "nats per step")
    axes.set(xlabel="training step", ylabel=units)
    _legend(axes)


def draw_singular(axes: Axes, data: "xarray.Dataset") -> None:
    """ln of the top and the smallest singular values of dh_{t+k}/dh_t over k, last step."""
    last = _last(data, "singular")
    values_KxR, shown = _first(last["singular"].transpose("span", "rank"), "rank")
    spans = last["span"].values
    colours = mpl.colormaps[COLOUR_MAP](np.linspace(0, 0.85, len(shown)))
    for place, (number, colour) in enumerate(zip(shown, colours, strict=True)):
        axes.plot(spans, values_KxR[:, place], color=colour, marker=".", label=f"{number + 1}")
    if "singular_smallest" in last:
        smallest_K = last["singular_smallest"].values
        axes.plot(spans, smallest_K, color="0.35", linestyle="--", marker=".", label="smallest")
    axes.axhline(0, color="0.35", linestyle=":", linewidth=0.9)
    units = data["span"].attrs.get("units", "steps")
    axes.set(xlabel=f"k, {units} (training step {int(last['step'])})", xscale="log")
    axes.set_ylabel("ln of singular value, nats")
    axes.set_xticks(spans, [str(int(span)) for span in spans], minor=False)
    axes.minorticks_off()
    _legend(axes)


def draw_matrices(axes: Axes, data: "xarray.Dataset") -> None:
    """Spectral radius (solid) and norm (dotted) of a unit's recurrent matrices over training."""
    parts = list(_measured(data, "spectral_radius", "matrix"))
    for (name, part), (colour, mark) in zip(parts, inks(len(parts)), strict=True):
        style: Any = {"color": colour, "marker": mark, "markersize": 2.5}
        axes.plot(part["step"], part["spectral_radius"], label=verbatim(name), **style)
        if "spectral_norm" in part:
            axes.plot(part["step"], part["spectral_norm"], linestyle=":", **style)
    axes.axhline(1, color="0.35", linestyle="--", linewidth=0.9)
    axes.set(xlabel="training step", ylabel="radius (solid), norm (dotted)")
    _legend(axes)


def draw_gates(axes: Axes, data: "xarray.Dataset") -> None:
    """Share of a unit's gates below 0.1 (dotted) and above 0.9 (solid) over t, last step."""
    last = _last(data, "gate_low")
    parts = list(_measured(last, "gate_low", "gate"))
    axis = laboratory_axis([str(dim) for dim in last["gate_low"].dims])
    for number, ((name, part), (colour, mark)) in enumerate(
        zip(parts, inks(len(parts)), strict=True)
    ):
        every = (number, max(1, part.sizes[axis] // 5))
        style: Any = {"color": colour, "marker": mark, "markersize": 2.5, "markevery": every}
        axes.plot(part[axis], part["gate_low"], linestyle=":", **style)
        axes.plot(part[axis], part["gate_high"], label=verbatim(name), **style)
    label = f"{axis_label(axis)} (training step {int(last['step'])})"
    axes.set(xlabel=label, ylim=(-0.03, 1.03), yticks=SHARES)
    axes.set_ylabel("share < 0.1 (dotted), > 0.9")
    _legend(axes)


def draw_time_constant(axes: Axes, data: "xarray.Dataset") -> None:
    """The effective time constant over t, steps, at the first and the last measured step."""
    measured = data.isel(step=np.flatnonzero(_finite(data["time_constant"])))
    axis = laboratory_axis([str(dim) for dim in data["time_constant"].dims])
    for place, dash in dict.fromkeys([(0, ":"), (measured.sizes["step"] - 1, "-")]):
        part = measured.isel(step=place)
        label = f"training step {int(part['step'])}"
        axes.plot(part[axis], part["time_constant"], inks(1)[0][0], linestyle=dash, label=label)
    axes.set(xlabel=axis_label(axis), ylabel=steps_of(axis), yscale="log")
    _legend(axes, columns=1)


def draw_activity(axes: Axes, data: "xarray.Dataset") -> None:
    """Share of a unit's hidden units that are dead or saturated, over training."""
    names = ("saturated", "dead")
    for name, (colour, mark) in zip(names, inks(len(names)), strict=True):
        if name in data:
            style: Any = {"color": colour, "marker": mark, "markersize": 2.5}
            axes.plot(data["step"], data[name], label=name, **style)
    axes.set(xlabel="training step", ylabel="share of units", ylim=(-0.03, 1.03), yticks=SHARES)
    _legend(axes)


def draw_lag_shares(axes: Axes, data: "xarray.Dataset") -> None:
    """Of one parameter, how the norms of dL/dW's parts are shared among the bins of lags.

    A bar a measured step, at most 12 evenly chosen ones; a share is the norm of a bin's part
    over the sum of the norms of all bins. Norms of parts do not add up to the whole's norm.
    """
    norms = data["lag_norm"].transpose("step", "lag")
    norms = norms.isel(step=np.flatnonzero(_finite(norms)))
    picked = np.linspace(0, norms.sizes["step"] - 1, min(norms.sizes["step"], MOST_BARS))
    if len(picked) < norms.sizes["step"]:
        log.info("lag shares: %d of %d measured steps drawn", len(picked), norms.sizes["step"])
    norms = norms.isel(step=picked.round().astype(int))
    parts_SxB = np.nan_to_num(norms.values)
    total_S = parts_SxB.sum(1, keepdims=True)
    shares_SxB = parts_SxB / np.where(total_S > 0, total_S, 1)
    bottom_S = np.zeros(len(shares_SxB))
    edges = [int(edge) for edge in norms["lag"].values]
    colours = mpl.colormaps[COLOUR_MAP](np.linspace(0, 1, len(edges)))
    for share_S, edge, colour in zip(shares_SxB.T, edges, colours, strict=True):
        axes.bar(range(len(share_S)), share_S, 0.9, bottom_S, color=colour, label=f"to {edge}")
        bottom_S = bottom_S + share_S
    steps = [str(int(step)) for step in norms["step"].values]
    axes.set_xticks(range(len(steps)), steps, rotation=90 if len(steps) > 4 else 0)
    axes.set(xlabel="training step", ylabel="share of the bins' norms", ylim=(0, 1))
    handles = [Line2D([], [], color=c, linewidth=4) for c in colours]
    axes.legend(
        handles[::-1], [str(edge) for edge in reversed(edges)], title=_lag_title(data),
        frameon=False, loc="center left", bbox_to_anchor=(1, 0.5), handlelength=0.8,
        title_fontsize=7,
    )  # fmt: skip


def draw_each_lag(axes: Axes, data: "xarray.Dataset") -> None:
    """Of one parameter, the norm of dL/dW's part from every lag, first and last measured step."""
    measured = data.isel(step=np.flatnonzero(_finite(data["each_lag_norm"])))
    for place, dash in dict.fromkeys([(0, ":"), (measured.sizes["step"] - 1, "-")]):
        part = measured.isel(step=place)
        norms_D = part["each_lag_norm"].values
        label = f"training step {int(part['step'])}"
        shown_D = np.where(usable(norms_D), norms_D, np.nan)
        axes.plot(part["each_lag"], shown_D, inks(1)[0][0], linestyle=dash, label=label)
    units = data["each_lag"].attrs.get("units", "steps")
    axes.set(xlabel=f"lag, {units}", ylabel="norm of dL/dW's part")
    log_if_positive(axes)
    axes.invert_xaxis()
    _legend(axes, columns=1)


def _lag_title(data: "xarray.Dataset") -> str:
    """The heading of the lags' key: `lag up to`, and in what if not in steps."""
    units = data["lag"].attrs.get("units", "steps")
    return "lag up to" if units == "steps" else f"lag, {units} up to"


def _legend(axes: Axes, columns: int = 2) -> None:
    """A legend in a room of its own above what is drawn."""
    axes.get_ylim()  # the limits are found when they are asked for
    entries = len(axes.get_legend_handles_labels()[1])
    low, high = axes.transAxes.transform([(0, 0), (0, 1)])[:, 1]
    top = high + (high - low) * (0.08 + 0.14 * -(-entries // columns))
    axes.set_ylim(top=float(axes.transData.inverted().transform((0, top))[1]))
    axes.legend(ncols=columns, handlelength=1.5, columnspacing=0.8, loc="upper left")


def _measured(
    data: "xarray.Dataset", name: str, dimension: str
) -> "Iterator[tuple[str, xarray.Dataset]]":
    """The parts along a dimension of which a quantity was measured, with their labels."""
    for label in data[dimension].values:
        part = data.sel({dimension: label})
        if np.isfinite(part[name].values).any():
            yield str(label), part


def _last(data: "xarray.Dataset", name: str) -> "xarray.Dataset":
    """The last step at which a quantity was measured."""
    return data.isel(step=int(np.flatnonzero(_finite(data[name]))[-1]))


def _finite(values: "xarray.DataArray") -> np.ndarray:
    """At which steps something is finite."""
    ordered = np.isfinite(values.transpose("step", ...).values)
    return np.asarray(ordered.reshape(len(ordered), -1).any(1))


def _first(values: "xarray.DataArray", dimension: str) -> tuple[np.ndarray, Sequence[int]]:
    """The first `MOST_LINES` along the last dimension of those that were measured, and which."""
    there = np.isfinite(values.values).any(0)
    shown = np.flatnonzero(there)
    if len(shown) > MOST_LINES:
        log.info("%s: the first %d of %d drawn", values.name, MOST_LINES, len(shown))
    shown = shown[:MOST_LINES]
    return np.asarray(values.values[:, shown]), [int(number) for number in shown]
