"""The picture of beam widths: what is found, over how many prefixes are kept."""

from collections.abc import Sequence
from pathlib import Path

from rnnexp.report.figures import COLOURS, MARKERS, new_figure, save, verbatim
from rnnexp.run.beam_widths import AtWidth

SIZE_IN = (9.0, 3.6)


def draw_beams(rows: Sequence[AtWidth], file: Path, title: str) -> None:
    """Exact answers and search errors, and beside them ln p, over the width, in powers of two."""
    widths = [row.width for row in rows]
    figure = new_figure(SIZE_IN)
    figure.suptitle(verbatim(title))
    left, right = figure.subplots(1, 2)
    lines = {
        "exact": [row.exact for row in rows], "search errors": [row.search_errors for row in rows]
    }  # fmt: skip
    for number, (name, values) in enumerate(lines.items()):
        left.plot(widths, values, color=COLOURS[number], marker=MARKERS[number], label=name)
    left.set(ylabel="fraction of examples", ylim=(-0.03, 1.03))
    left.legend()
    right.plot(widths, [row.log_p for row in rows], color=COLOURS[2], marker=MARKERS[2])
    right.set_ylabel("mean ln p of the best hypothesis")
    for axes in (left, right):
        axes.set_xscale("log", base=2)
        axes.set_xticks(widths, [str(width) for width in widths])
        axes.set_xlabel("beam width")
    save(figure, file)
