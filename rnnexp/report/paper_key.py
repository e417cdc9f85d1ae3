"""The key of a figure of several runs: their names and scores, and the meaning of its signs."""

import string
import textwrap
from collections.abc import Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from rnnexp.report.figures import MISSING, verbatim
from rnnexp.report.fitted_lines import THIN
from rnnexp.report.paper_style import FIRST, LAST, inks
from rnnexp.results.load import Run

LINE_IN = 0.135
LONG, WRAP = 14, 34  # characters: of a name in the title of a map, of a line of the key
INDENT = "    "
SIGNS = 7  # lines of the key beside those of the runs


def key_names(runs: Sequence[Run], names: Sequence[str]) -> tuple[list[str], list[str]]:
    """The titles of the heat maps, and the lines of the key: A, B, C if the names are long."""
    short = full = list(names)
    if max(map(len, names)) > LONG:
        short = [_letter(number) for number in range(len(names))]
        full = [f"{letter}: {name}" for letter, name in zip(short, names, strict=True)]
    texts = []
    for run, name in zip(runs, full, strict=True):
        whole = ": ".join(filter(None, [name, _score(run)]))
        parts = [*textwrap.wrap(name, WRAP, subsequent_indent=INDENT), INDENT + _score(run)]
        lines = [whole] if len(whole) <= WRAP else [part for part in parts if part.strip()]
        texts.append("\n".join(map(verbatim, lines)))
    return short, texts


def _letter(number: int) -> str:
    """A to Z, then A1 to Z1 and so on."""
    turn, place = divmod(number, len(string.ascii_uppercase))
    return string.ascii_uppercase[place] + (str(turn) if turn else "")


def key_height(texts: Sequence[str]) -> float:
    """The height in inches of the key of these texts."""
    return (sum(text.count("\n") + 1 for text in texts) + SIGNS + 1) * LINE_IN


def draw_key(axes: Axes, texts: Sequence[str]) -> None:
    """Draw the key of colours, marks and dashes on its own axes, with one text for each run."""
    axes.set_axis_off()
    handles: list[Any] = [
        Line2D([], [], color=colour, marker=mark, markersize=3.5)
        for colour, mark in inks(len(texts))
    ]
    grey: Any = {"color": "0.3"}
    signs: dict[str, Any] = {
        "loss: of batches": Line2D([], [], linewidth=0.6, alpha=0.6, **grey),
        "loss: of validation": Line2D([], [], marker=".", **grey),
        "loss: baseline": Line2D([], [], linestyle="--", linewidth=0.9, **grey),
        "profile: first recorded step": Line2D([], [], linestyle=FIRST, **grey),
        "profile: last recorded step": Line2D([], [], linestyle=LAST, **grey),
        "line fitted to it (dashed: badly)": Line2D([], [], linewidth=THIN, **grey),
        MISSING: Patch(facecolor="white", edgecolor="0.6", hatch="//////", linewidth=0),
    }
    axes.legend(
        [*handles, *signs.values()], [*texts, *signs], loc="center left", frameon=False,
        bbox_to_anchor=(-0.12, 0.5), labelspacing=0.35, handlelength=1.6,
    )  # fmt: skip


def _score(run: Run) -> str:
    """`test loss 0.52`, of the headline, if the run is completed."""
    metric = (run.status.get("best") or {}).get("metric")
    test = run.status.get("test", {})
    return f"test {metric} {float(test[metric]):.3g}" if metric in test else ""
