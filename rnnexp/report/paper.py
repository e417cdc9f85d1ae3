"""Figures for papers: runs side by side, two columns wide, as PDF, SVG or PNG.

The figures show the loss against the closed-form baseline, the slope of ln||dL/dh_t|| over
training, and for every unit the profiles at the first and the last recorded step and one heat
map for each run. All heat maps share one logarithmic colour scale. The colours, those of Okabe
and Ito and viridis, suit colour-blind eyes; lines also differ in their marks or dashes. Runs that
diverged do not set the ranges of losses, slopes and profiles.
"""

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from rnnexp.core.axis import step_of_all
from rnnexp.core.errors import UsageError
from rnnexp.report.figures import (
    COLOUR_MAP,
    colour_scale,
    draw_heat_map,
    fit_to_living,
    log_if_positive,
    losses,
    new_figure,
    save,
    usable,
    verbatim,
)
from rnnexp.report.fitted_lines import draw_fitted_line, half_life_text
from rnnexp.report.paper_key import draw_key, key_height, key_names
from rnnexp.report.paper_style import DPI, FIRST, LAST, ROW_IN, STYLE, WIDTH_IN, inks
from rnnexp.results.load import Run
from rnnexp.results.side_by_side import labels

log = logging.getLogger("rnnexp")
MOST_HALF_LIVES = 8
"""Of a panel's legend."""
DECADES = 12.0
"""The colour scale ends this far below the largest norm; an arrow on its bar indicates it."""


def draw_comparison(runs: Sequence[Run], file: Path) -> None:
    """Draw runs side by side.

    Raises `UsageError` if no run has recorded gradients, or the file's ending is unknown.
    """
    with_norms = [run for run in runs if len(run.steps)]
    if not with_norms:
        raise UsageError("none of these runs has recorded gradients yet")
    names = labels(runs)
    for run, name in zip(runs, names, strict=True):
        if not len(run.steps):
            log.warning("%s has no recorded gradients yet: only its loss is drawn", name)
    leaf = next(iter(with_norms[0].norms))
    units = list(dict.fromkeys(unit for run in with_norms for unit in run.units))
    with mpl.rc_context(STYLE):
        names, texts = key_names(runs, names)
        having = {unit: sum(leaf in r.norms and unit in r.units for r in runs) for unit in units}
        counts = [1 + number for number in having.values()]
        figure, blocks = _frame(counts, max(ROW_IN, key_height(texts)))
        first, *rest = blocks
        draw_outcome(first[0], runs)
        draw_slopes(first[1], runs, leaf, units)
        draw_key(first[2], texts)
        arrays = [run.norms[leaf] for run in with_norms if leaf in run.norms]
        scale = colour_scale(arrays, DECADES)
        for unit, axes in zip(units, rest, strict=True):
            draw_unit(axes, runs, names, leaf, unit, scale)
        _colour_bar(figure, [axes for block in rest for axes in block[1:]], leaf, scale, arrays)
        save(figure, file, DPI)


def _frame(counts: Sequence[int], top_in: float) -> tuple[Figure, list[list[Axes]]]:
    """Axes in rows: loss, slope and key; then for each unit its count, a profile and its maps."""
    columns = 4 if max(counts) in (4, 7, 8) else 3  # so that few places remain empty
    rows = [-(-count // columns) for count in counts]
    figure = new_figure((WIDTH_IN, top_in + ROW_IN * sum(rows)))
    parts: Any = figure.subfigures(2, 1, height_ratios=[top_in, ROW_IN * sum(rows)])
    top, below = parts
    blocks = [list(top.subplots(1, 3))]
    grid = below.add_gridspec(sum(rows), columns)
    begin = 0
    for count, height in zip(counts, rows, strict=True):
        places = [divmod(number, columns) for number in range(count)]
        blocks.append([below.add_subplot(grid[begin + row, column]) for row, column in places])
        begin += height
    return figure, blocks


def draw_outcome(axes: Axes, runs: Sequence[Run]) -> None:
    """Draw the losses over training: batches (thin), validation (marks), baseline (dashed)."""
    levels: dict[float, list[int]] = {}
    styles = inks(len(runs))
    for index, (run, (colour, mark)) in enumerate(zip(runs, styles, strict=True)):
        axes.plot(*run.curve("train", "loss"), color=colour, alpha=0.35, linewidth=0.6)
        axes.plot(*run.curve("valid", "loss"), color=colour, marker=mark, markersize=2.5)
        if (level := run.baseline().get("loss")) is not None:
            levels.setdefault(level, []).append(index)
    for level, members in levels.items():
        colour = "0.35" if len(members) > 1 else styles[members[0]][0]
        axes.axhline(level, color=colour, linestyle="--", linewidth=0.9)
    axes.set(xlabel="training step")
    log_if_positive(axes)
    fit_to_living(axes, runs, losses)
    axes.set_title("loss")


def draw_slopes(axes: Axes, runs: Sequence[Run], leaf: str, units: Sequence[str]) -> None:
    """Draw the slope of ln||dL/dh_t|| over the lag for every unit, over training."""
    for run, (colour, mark) in zip(runs, inks(len(runs)), strict=True):
        for number, unit in enumerate(units):
            steps, slopes = run.curve("train", f"slope/{unit}/{leaf}")
            shade = 1 - 0.6 * number / len(units)
            axes.plot(
                steps, slopes, color=colour, alpha=shade, linewidth=0.9, marker=mark,
                markersize=2.5, markevery=max(1, len(steps) // 6),
            )  # fmt: skip
    names = [f"slope/{unit}/{leaf}" for unit in units]
    zero = np.zeros(1)  # the dashed line
    fit_to_living(axes, runs, lambda run: [*(run.curve("train", n)[1] for n in names), zero])
    axes.axhline(0, color="0.35", linestyle="--", linewidth=0.9)
    axes.set(xlabel="training step", ylabel=f"nats per {step_of_all(run.axis for run in runs)}")
    paler = " (paler: higher units)" if len(units) > 1 else ""
    axes.set_title(f"slope of ln ||dL/d{leaf}_t||{paler}")


def draw_unit(
    axes: Sequence[Axes],
    runs: Sequence[Run],
    names: Sequence[str],
    leaf: str,
    unit: str,
    scale: LogNorm | None,
) -> None:
    """Draw a unit's profiles over the lag on the first axes, each run's heat map on the others.

    The line fitted to each last profile is thin, and its half-life is in the panel's legend.
    """
    places, styles = iter(axes[1:]), inks(len(runs))
    fitted = []
    for index, (run, name) in enumerate(zip(runs, names, strict=True)):
        if leaf not in run.norms or unit not in run.units:
            continue
        layer = run.units.index(unit)
        lagged = run.by_lag(leaf, layer)
        for row, dash in ((0, FIRST), (-1, LAST)):
            norms_T = np.where(usable(lagged[row]), lagged[row], np.nan)
            axes[0].plot(
                norms_T, color=styles[index][0], linestyle=dash, marker=styles[index][1],
                markersize=2.5, markevery=(index, max(1, len(norms_T) // 5)), linewidth=1,
            )  # fmt: skip
        if (line := draw_fitted_line(axes[0], lagged[-1], styles[index][0])) is not None:
            fitted.append((line[0], half_life_text(line[1])))
        place = next(places)
        draw_heat_map(place, run.steps, run.norms[leaf][:, layer], scale, run.axis)
        place.set_title(verbatim(f"{name}, {unit}"))
    there = [run.axis for run in runs if leaf in run.norms and unit in run.units]
    axes[0].set(xlabel=f"lag, {step_of_all(there)}s", ylabel=f"||dL/d{leaf}_t||")
    axes[0].invert_xaxis()
    axes[0].set_title(f"profile, {unit}")
    _half_lives(axes[0], fitted, step_of_all(there))
    log_if_positive(axes[0])

    def ends(run: Run) -> list[np.ndarray]:
        there = leaf in run.norms and unit in run.units
        return [run.norms[leaf][[0, -1], run.units.index(unit)]] if there else []

    fit_to_living(axes[0], runs, ends)


def _half_lives(axes: Axes, fitted: Sequence[tuple[Line2D, str]], word: str) -> None:
    """The legend of a panel's fitted lines, if it has room for them."""
    if len(fitted) > MOST_HALF_LIVES:
        log.warning("half-lives of %d runs: the tables have them, the panel no room", len(fitted))
    elif fitted:
        lines, texts = zip(*fitted, strict=True)
        axes.legend(
            lines, texts, title=f"half-life, {word}s", fontsize=6, title_fontsize=6,
            handlelength=1.6, labelspacing=0.2, ncols=1 + (len(fitted) > 4),
        )  # fmt: skip


def _colour_bar(
    figure: Figure, axes: Sequence[Axes], leaf: str, scale: LogNorm | None, arrays: Sequence[Any]
) -> None:
    """One bar for all heat maps; an arrow where values lie below its end."""
    if scale is None:
        return
    lowest = min(part[usable(part)].min() for part in arrays if usable(part).any())
    figure.colorbar(
        mpl.cm.ScalarMappable(scale, COLOUR_MAP), ax=list(axes), pad=0.01, aspect=40,
        extend="min" if lowest < scale.vmin else "neither",
        label=f"||dL/d{leaf}_t||",
    )  # fmt: skip
