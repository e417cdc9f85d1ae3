"""The picture of beam widths: what is found, over how many prefixes are kept."""

from collections.abc import Sequence
from pathlib import Path

from rnnexp.report.figures import COLOURS, MARKERS, new_figure, save, verbatim
from rnnexp.run.beam_widths import AtWidth

PANEL_IN = (4.5, 3.6)


def draw_beams(rows: Sequence[AtWidth], file: Path, title: str) -> None:
    """Exact answers and search errors, beside them ln p, and BLEU if all widths have it, over the
    width, in powers of two."""
    widths = [row.width for row in rows]
    further = {"mean ln p of the best hypothesis": [row.log_p for row in rows]}
    if None not in (bleu := [row.bleu for row in rows]):
        further["BLEU"] = [value for value in bleu if value is not None]
    panels = 1 + len(further)
    figure = new_figure((PANEL_IN[0] * panels, PANEL_IN[1]))
    figure.suptitle(verbatim(title))
    left, *others = figure.subplots(1, panels)
    lines = {
        "exact": [row.exact for row in rows], "search errors": [row.search_errors for row in rows]
    }  # fmt: skip
    for number, (name, values) in enumerate(lines.items()):
        left.plot(widths, values, color=COLOURS[number], marker=MARKERS[number], label=name)
    left.set(ylabel="fraction of examples", ylim=(-0.03, 1.03))
    left.legend()
    for number, (axes, (name, values)) in enumerate(
        zip(others, further.items(), strict=True), len(lines)
    ):
        axes.plot(widths, values, color=COLOURS[number], marker=MARKERS[number])
        axes.set_ylabel(name)
    for axes in (left, *others):
        axes.set_xscale("log", base=2)
        axes.set_xticks(widths, [str(width) for width in widths])
        axes.set_xlabel("beam width")
    save(figure, file)
