"""The style of figures for papers: sizes, fonts, marks and dashes."""

from typing import Any

from rnnexp.report.figures import COLOURS

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
MARKS = ("o", "s", "^", "D", "v", "P")
FIRST: Any = (0, (1, 1))
LAST: Any = "-"


def mark(index: int) -> str:
    """The mark of a run; colours repeat after six runs, but then with other marks."""
    return MARKS[(index + index // len(COLOURS)) % len(MARKS)]
