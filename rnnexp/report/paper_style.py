"""The style of figures for papers: sizes, fonts, colours, marks and dashes."""

from typing import Any

from rnnexp.report.figures import SOLID, line_style

WIDTH_IN = 7.0  # of two columns
ROW_IN = 2.0
DPI = 300
STYLE: Any = {
    "font.size": 8,
    "axes.titlesize": 8,
    "axes.labelsize": 8,
    "legend.fontsize": 7,
    "legend.framealpha": 0.75,
    "legend.edgecolor": "none",
    "legend.borderpad": 0.2,
    "xtick.labelsize": 7,
    "ytick.labelsize": 7,
    "axes.linewidth": 0.6,
    "lines.linewidth": 1.2,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "pdf.fonttype": 42,  # publishers refuse Type 3 fonts
}
FIRST: Any = (0, (1, 1))
LAST: Any = "-"


def inks(count: int) -> list[tuple[str, str]]:
    """The colour and the mark of each of some runs; colours repeat, but with other marks.

    Raises `UsageError` for more than colours and marks can tell apart.
    """
    styles = [line_style(number, SOLID) for number in range(count)]
    return [(style["color"], style["marker"]) for style in styles]
