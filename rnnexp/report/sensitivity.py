"""A figure of a metric over a swept number, such as the learning rate."""

import logging
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from rnnexp.report.figures import fit_heights, line_style, save
from rnnexp.results.groups import (
    full_key,
    grouped,
    short_key,
    status_kind,
    telling_keys,
    value_text,
    with_numbers,
    with_tasks,
)
from rnnexp.results.lengths import LENGTH
from rnnexp.results.metrics import metric_value, require_metric
from rnnexp.results.statistics import interval_words, summarise
from rnnexp.results.summary import Record
from rnnexp.run.files import read_closed_forms

log = logging.getLogger("rnnexp")
PANELS_A_ROW = 3
PANEL_IN = (4.2, 3.1)
STRIP_ROW_IN = 0.17
SHIFT, SPREAD = 0.1, 0.4  # fractions of the way to the next place: between groups, and in all
MOST_COUNTS = 12  # with more places than this there is no space for counts beside the crosses
BASELINE, TRAINING = "baseline", "lengths in training"

Line = tuple[str, list[Record]]  # the text of a group, and its runs in one panel


class _Style(NamedTuple):
    colour: str
    marker: str
    dash: Any
    shift: float  # of its marks, as a fraction of the way to the next place


def draw_sensitivity(
    records: Sequence[Record],
    file: Path,
    *,
    metric: str,
    x: str = "optimizer.learning_rate",
    by: str = "cell",
) -> None:
    """Draw the metric over the key `x`: a panel for each task, a line for each value of `by`.

    Lines are means over the completed runs, bands the 95 % intervals of these means (the legend
    says by which method; they may leave the picture, whose range the runs set), and marks the
    runs, side by side if groups share a place. A cross above a panel marks a place where runs
    diverged, with their number among those that started. The grey line is the task's closed-form
    baseline for this score, if any. Over the length of tests (`x` is `LENGTH`, records are those of
    `at_lengths`) the grey band is the range of training. Omitted runs are logged.

    Raises `UsageError` if no run has such a key or metric, if `x` is not a number, or if the
    ending of `file` is unknown.
    """
    require_metric(records, metric)
    x, by = full_key(x), short_key(full_key(by))
    drawn = with_numbers(records, x)
    _log_what_is_left_out(drawn, metric)
    keys = [key for key in with_tasks(drawn, ["task"]) if full_key(key) not in (x, full_key(by))]
    panels = grouped(drawn, keys)
    groups = [(value_text(group[by]), members) for group, members in grouped(drawn, [by])]
    styles = {text: _style(place, len(groups)) for place, (text, _) in enumerate(groups)}
    lost = [text for text, members in groups if _count(members, "diverged")]
    figure, pairs = _frame(len(panels), len(lost))
    for (axes, strip), (group, members) in zip(pairs, panels, strict=True):
        lines = [(value_text(part[by]), runs) for part, runs in grouped(members, [by])]
        _panel(axes, lines, styles, metric, x)
        _strip(strip, lines, styles, lost, x)
        title = "  ".join(
            value_text(v) if k == "task" else f"{k}={value_text(v)}" for k, v in group.items()
        )
        (strip if lost else axes).set_title(title, fontsize="medium")
    points = grouped(drawn, [*keys, by, x])
    _note_mixtures(figure, points)
    _legend(figure, [axes for axes, _ in pairs], by, _band_words(points, metric))
    save(figure, file)


def _log_what_is_left_out(records: Sequence[Record], metric: str) -> None:
    kinds = Counter(
        status_kind(record) if record.status != "completed" else f"completed without a {metric}"
        for record in records
        if record.status != "diverged" and not np.isfinite(_value(record, metric))
    )
    if kinds:
        log.warning("not drawn: %s", ", ".join(f"{n} {kind}" for kind, n in sorted(kinds.items())))


def _frame(panels: int, lost: int) -> tuple[Figure, list[tuple[Axes, Axes]]]:
    """A figure of panels, each below a strip with a row for each group that diverged."""
    rows = -(-panels // PANELS_A_ROW)
    columns, strip = -(-panels // rows), STRIP_ROW_IN * max(lost, 0.1)
    size = (PANEL_IN[0] * columns + 1.2, (PANEL_IN[1] + strip + 0.25) * rows)
    figure = plt.figure(figsize=size, layout="constrained")
    grid = figure.add_gridspec(2 * rows, columns, height_ratios=[strip, PANEL_IN[1]] * rows)
    pairs = []
    for number in range(panels):
        row, column = divmod(number, columns)
        axes = figure.add_subplot(grid[2 * row + 1, column])
        pairs.append((axes, figure.add_subplot(grid[2 * row, column], sharex=axes)))
    return figure, pairs


def _panel(axes: Axes, lines: list[Line], styles: dict[str, _Style], metric: str, x: str) -> None:
    """Draw a task's lines, bands, marks and baseline."""
    everything = [record for _, members in lines for record in members]
    places = sorted({float(record.keys[x]) for record in everything})
    if logarithmic := _spans_decades(places):
        axes.set_xscale("log")
    gap = _smallest_gap(places, logarithmic)
    values = []
    for text, members in lines:
        style = styles[text]
        for place, runs in _by_place(members, x):
            found = [value for value in (_value(run, metric) for run in runs) if np.isfinite(value)]
            shift = style.shift * gap
            mark = place * 10**shift if logarithmic else place + shift
            axes.scatter(
                [mark] * len(found), found, s=11, color=style.colour, marker=style.marker,
                alpha=0.55, linewidths=0, zorder=2,
            )  # fmt: skip
            values += found
        values += _line(axes, text, members, style, metric, x)
    if _spans_decades(values):
        axes.set_yscale("log")
    values += _baseline(axes, everything, metric.partition("_")[2], x)
    fit_heights(axes, [np.array(values)])
    axes.set(xlabel=axes.get_xlabel() or short_key(x), ylabel=metric)


def _baseline(axes: Axes, records: Sequence[Record], score: str, x: str) -> list[float]:
    """Draw the closed-form baseline of a score; returns its heights. Over the length of tests it
    is a curve, and a grey band marks the lengths of training."""
    style: dict[str, Any] = {
        "color": "0.45", "linestyle": (0, (6, 3)), "linewidth": 1, "label": BASELINE
    }  # fmt: skip
    tests = [record.by_length for record in records if x == LENGTH and record.by_length is not None]
    if tests:
        levels = {
            n: found[score] for t in tests for n, found in t.baseline.items() if score in found
        }
        places = sorted(levels)
        heights = [levels[place] for place in places]
        if heights:
            axes.plot(places, heights, **style)
        for first, last in sorted({test.train for test in tests}):
            axes.axvspan(first, last, color="0.45", alpha=0.15, linewidth=2, label=TRAINING)
        axes.set_xlabel(f"length ({', '.join(sorted({test.unit for test in tests}))})")
        return heights
    baselines = (read_closed_forms(record.path).get("baseline", {}) for record in records)
    found = (baseline.get(score) for baseline in baselines)
    if (level := next((level for level in found if level is not None), None)) is None:
        return []
    axes.axhline(level, **style)
    return [level]


def _line(
    axes: Axes, text: str, members: list[Record], style: _Style, metric: str, x: str
) -> list[float]:
    """Draw a group's means over the places, and the band of their intervals; returns the means."""
    points = []
    for place, runs in _by_place(members, x):
        values = np.array([_value(record, metric) for record in runs])
        point = summarise(values[np.isfinite(values)])
        if point.mean is not None:
            points.append([place, point.mean, point.low, point.high])  # None becomes NaN
    place_P, mean_P, low_P, high_P = np.array(points, np.float64).reshape(-1, 4).T
    axes.plot(
        place_P, mean_P, linestyle=style.dash, color=style.colour, marker=style.marker,
        markersize=4, label=text, zorder=3,
    )  # fmt: skip
    axes.fill_between(place_P, low_P, high_P, color=style.colour, alpha=0.15, linewidth=0)
    return [float(mean) for mean in mean_P]


def _band_words(points: list[tuple[dict[str, Any], list[Record]]], metric: str) -> str:
    """What the bands are; empty if there are none."""
    summaries = [
        summarise(values[np.isfinite(values)])
        for values in (np.array([_value(run, metric) for run in runs]) for _, runs in points)
    ]
    words = interval_words(found.n for found in summaries if found.low is not None)
    return f"95 % of the mean\n({words})" if words else ""


def _strip(
    strip: Axes, lines: list[Line], styles: dict[str, _Style], lost: list[str], x: str
) -> None:
    """Draw a row for each group: a cross where runs diverged, and how many of how many."""
    if not lost:
        strip.set_axis_off()
        return
    strip.tick_params(axis="x", which="both", bottom=False, labelbottom=False)
    strip.spines[:].set_visible(False)
    strip.tick_params(axis="y", length=0, labelsize=7)
    strip.set_ylim(len(lost) - 0.5, -0.5)
    strip.set_yticks(range(len(lost)), [f"{text} diverged" for text in lost])
    places = {record.keys[x] for _, members in lines for record in members}
    for text, members in lines:
        for place, runs in _by_place(members, x):
            if count := _count(runs, "diverged"):
                row, colour = lost.index(text), styles[text].colour
                strip.plot([place], [row], "x", color=colour, markersize=5, clip_on=False)
                begun = len(runs) - _count(runs, "waiting")
                if begun > 1 and len(places) <= MOST_COUNTS:
                    strip.annotate(
                        f"{count}/{begun}", (place, row), (4, 0), textcoords="offset points",
                        fontsize=6, va="center", annotation_clip=False,
                    )  # fmt: skip


def _note_mixtures(figure: Figure, points: list[tuple[dict[str, Any], list[Record]]]) -> None:
    """State in the log and in the figure if points are means of several settings."""
    mixed = {key for _, runs in points for key in telling_keys(runs)}
    if mixed:
        text = f"points are means of runs that differ in {', '.join(sorted(mixed))}"
        log.warning(text)
        figure.supxlabel(text, fontsize="small", color="0.35")


def _legend(figure: Figure, panels: list[Axes], by: str, band: str) -> None:
    handles: dict[Any, Any] = {}
    for axes in panels:
        for handle, label in zip(*axes.get_legend_handles_labels(), strict=True):
            handles.setdefault(label, handle)
    for label in (BASELINE, TRAINING):  # last, whatever the first panel has
        if label in handles:
            handles[label] = handles.pop(label)
    if band:
        handles[band] = Patch(color="0.35", alpha=0.15, linewidth=0)
    figure.legend(
        list(handles.values()), list(handles), title=by, loc="outside right upper",
        frameon=False, fontsize="small",
    )  # fmt: skip


def _style(place: int, count: int) -> _Style:
    """The style of a group, by its place among `count`; no two are alike."""
    style = line_style(place)
    shift = (place - (count - 1) / 2) * min(SHIFT, SPREAD / max(1, count - 1))
    return _Style(style["color"], style["marker"], style["linestyle"], shift)


def _by_place(members: Sequence[Record], x: str) -> list[tuple[float, list[Record]]]:
    return [(float(group[x]), runs) for group, runs in grouped(members, [x])]


def _count(members: Sequence[Record], kind: str) -> int:
    return sum(status_kind(record) == kind for record in members)


def _value(record: Record, metric: str) -> float:
    value = metric_value(record, metric)
    return float("nan") if value is None else value


def _spans_decades(values: Sequence[float]) -> bool:
    return len(values) > 0 and min(values) > 0 and max(values) > 10 * min(values)


def _smallest_gap(places: Sequence[float], logarithmic: bool) -> float:
    """The smallest distance of neighbours on the drawn axis, at most an eighth of its length."""
    scaled = np.log10(places) if logarithmic else np.array(places)
    return float(min(np.diff(scaled).min(), np.ptp(scaled) / 8)) if len(scaled) > 1 else 0.0
