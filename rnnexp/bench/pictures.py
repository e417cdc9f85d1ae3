"""The results of a benchmark as figures: ratios, the roofline, the map of a grid."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from rnnexp.bench.measure import MAIN, TimedRow
from rnnexp.bench.workloads import step_bytes, step_flops
from rnnexp.core.errors import UsageError
from rnnexp.report.figures import COLOURS, MARKERS, new_figure, save


def draw_ratios(rows: Sequence[TimedRow], file: Path) -> None:
    """Draw each contender's time over rnnexp's, with a panel for each workload."""
    works = list(dict.fromkeys(row.work for row in rows))
    names = [name for name in dict.fromkeys(n for row in rows for n in row.times) if name != MAIN]
    figure = new_figure((3.2 * len(works) + 1.5, 3.2))
    panels = figure.subplots(1, len(works), squeeze=False, sharey=True)[0]
    for axes, work in zip(panels, works, strict=True):
        here = [row for row in rows if row.work == work]
        for number, name in enumerate(names):
            there = [(place, row) for place, row in enumerate(here) if name in row.times]
            places = [p + (number - len(names) / 2 + 0.5) * 0.8 / len(names) for p, _ in there]
            ratios, colour = [row.ratio(name) for _, row in there], COLOURS[number % len(COLOURS)]
            axes.bar(places, ratios, 0.8 / len(names), color=colour, label=name)
        axes.axhline(1, color="0.3", linewidth=1)
        axes.set_xticks(range(len(here)), [row.cell for row in here])
        axes.set_title(f"{work.name} {work.title}")
    panels[0].set_ylabel(f"time, times that of {MAIN}")
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=6)
    save(figure, file)


def draw_roofline(rows: Sequence[TimedRow], file: Path) -> None:
    """Draw the rate that rnnexp and the fastest peer reach over operations a byte, below what the
    machine can do.

    Raises `UsageError` if that was not measured.
    """
    rates = [row.machine for row in rows if row.machine is not None]
    if not rates:
        raise UsageError("no roofline is drawn: what the machine can do was not measured")
    figure = new_figure((7.5, 5))
    axes = figure.subplots()
    for number, row in enumerate(rows):
        flops, colour = step_flops(row.work, row.cell), COLOURS[number % len(COLOURS)]
        at = flops / step_bytes(row.work, row.cell)
        marker = MARKERS[number // len(COLOURS) % len(MARKERS)]
        label = f"{row.work.name} {row.cell}"
        axes.plot(at, flops / row.median(MAIN) / 1e6, marker, color=colour, label=label)
        if (peer := row.fastest_peer()) is not None:
            axes.plot(at, flops / row.median(peer) / 1e6, marker, color=colour, fillstyle="none")
    most, moved = (max(each) for each in zip(*rates, strict=True))
    intensities = np.geomspace(most / moved / 30, most / moved * 300, 200)
    roof = np.minimum(most, intensities * moved) / 1e9
    axes.plot(intensities, roof, color="0.3", label="processor and memory")
    axes.set(xscale="log", yscale="log", xlabel="operations a byte", ylabel="Gflop/s")
    axes.set_title(f"filled: {MAIN}; empty: the fastest peer")
    figure.legend(loc="outside right upper", fontsize="small")
    save(figure, file)


def draw_map(rows: Sequence[TimedRow], file: Path) -> None:
    """Draw the fastest peer's time over rnnexp's over hidden size and batch, a panel a cell."""
    cells = list(dict.fromkeys(row.cell for row in rows))
    figure = new_figure((4 * len(cells) + 1, 4))
    panels = figure.subplots(1, len(cells), squeeze=False)[0]
    for axes, cell in zip(panels, cells, strict=True):
        here = {(r.work.hidden_size, r.work.batch_size): r for r in rows if r.cell == cell}
        hidden, batch = (sorted({place[axis] for place in here}) for axis in (0, 1))
        ratios = np.full((len(hidden), len(batch)), np.nan)
        for (i, h), (j, b) in ((i, j) for i in enumerate(hidden) for j in enumerate(batch)):
            row = here.get((h, b))
            if row is not None and (peer := row.fastest_peer()) is not None:
                ratios[i, j] = row.ratio(peer)
                axes.text(j, i, f"{ratios[i, j]:.2f}", ha="center", va="center")
        image = axes.imshow(
            np.log2(ratios), cmap="PuOr", vmin=-2, vmax=2, origin="lower", aspect="auto"
        )
        axes.set_xticks(range(len(batch)), [str(b) for b in batch])
        axes.set_yticks(range(len(hidden)), [str(h) for h in hidden])
        axes.set(title=cell, xlabel="batch", ylabel="hidden units")
    bar = figure.colorbar(image, ax=panels)
    bar.set_ticks([-2, -1, 0, 1, 2], labels=["1/4", "1/2", "1", "2", "4"])
    bar.set_label(f"fastest peer's time / {MAIN}'s")
    save(figure, file)
