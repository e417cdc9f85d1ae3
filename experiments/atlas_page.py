"""The picture, the table and the page of `experiments/atlas.py`."""

import base64
import html
import math
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import matplotlib as mpl
import numpy as np
from atlas_networks import WORDS, Case, Network
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from rnnexp.core.axis import step_of, steps_of
from rnnexp.report.figures import new_figure
from rnnexp.report.paper_style import FIRST, LAST, STYLE, inks

COLUMNS = 4
FLOOR = 1e-9
"""The least norm, relative to the largest of a profile, that the picture shows."""


class Measured(NamedTuple):
    """What the atlas shows of a run; pairs are before and after training.

    Attributes:
      score, baseline: an error, a loss or the like: less is better.
      profiles: the norm of the adjoint over the lag, (lags,).
      exponents: the largest Lyapunov exponent, nats a step; nan if there is none.
    """

    case: Case
    score: float
    baseline: float
    axis: str
    profiles: tuple[np.ndarray, np.ndarray]
    exponents: tuple[float, float]

    @property
    def reach(self) -> tuple[float, float]:
        """The longest lag's norm over the largest."""
        first, last = (float(p[-1] / p.max()) if p.max() > 0 else 0.0 for p in self.profiles)
        return first, last

    def __str__(self) -> str:
        return f"{self.case.title}: {number(self.score)} / {number(self.baseline)}"


Pair = tuple[Measured, Measured]
Found = Sequence[tuple[Network, Pair]]


def number(value: float) -> str:
    """A figure of the table, three digits at most."""
    if math.isnan(value):
        return "none"
    if value == 0 or math.isinf(value):
        return f"{value:g}"
    return f"{value:.2g}" if abs(value) < 0.01 else f"{value:.3g}"


def draw(found: Found, out: Path) -> None:
    """A panel a network: the profiles of both its runs before and after training."""
    rows = math.ceil((len(found) + 1) / COLUMNS)
    with mpl.rc_context(STYLE):
        figure = new_figure((2.3 * COLUMNS, 1.9 * rows))
        for place, (network, cases) in enumerate(found, 1):
            draw_network(figure.add_subplot(rows, COLUMNS, place), network, cases)
        draw_key(figure.add_subplot(rows, COLUMNS, len(found) + 1))
        figure.supylabel("norm of the adjoint / its largest", fontsize=8)
        figure.savefig(out, dpi=200)
    print(f"drawn: {out}")


def draw_key(axes: Axes) -> None:
    """What colours and dashes say."""
    (suits, _), (limit, _) = inks(2)
    looks = {
        "a task that suits it: score / baseline": {"color": suits, "linestyle": LAST},
        "its limit: score / baseline": {"color": limit, "linestyle": LAST},
        "before training": {"color": "0.4", "linestyle": FIRST},
        "after training": {"color": "0.4", "linestyle": LAST},
    }
    for label, look in looks.items():
        axes.plot([], [], label=label, **look)
    axes.axis("off")
    axes.legend(loc="center left", frameon=False)


def draw_network(axes: Axes, network: Network, cases: Pair) -> None:
    """Profiles over the lag: dotted before training, solid after; the limit in orange."""
    axes.set_title(network.name, fontweight="bold", pad=18)
    visible = 0
    for place, (case, (colour, _)) in enumerate(zip(cases, inks(2), strict=True)):
        for profile, dash in zip(case.profiles, (FIRST, LAST), strict=True):
            relative = profile / profile.max() if profile.max() > 0 else profile
            shown = np.where(relative >= FLOOR, relative, np.nan)
            few = "o" if np.isfinite(shown).sum() < 4 else None
            axes.plot(shown, color=colour, linestyle=dash, marker=few, markersize=3)
            visible = max(visible, *np.flatnonzero(np.isfinite(shown)), 0)
        axes.text(
            0, 1.13 - 0.1 * place, str(case), color=colour, fontsize=6, transform=axes.transAxes
        )
    longest = min(max(len(case.profiles[0]) for case in cases), max(12, 1.2 * visible))
    axes.set(
        yscale="log", ylim=(FLOOR / 3, 3), xlim=(longest - 1 + 0.05 * longest, -0.05 * longest)
    )
    axes.set_xlabel(f"lag, {steps_of(cases[0].axis)}", labelpad=1)
    axes.xaxis.set_major_locator(MaxNLocator(nbins=4, integer=True))


TITLE = "An atlas of recurrent networks"
INTRODUCTION = (
    "Every network here updates a state again and again: over time, over hops through a memory, "
    "over updates of a pattern, over steps of a Markov chain, over steps along the edges of a "
    "graph. The gradient of the loss by that state, the adjoint, says how far back the network can "
    "learn. Each network trains on a task that suits it and on one that does not."
)
CSS = (
    "body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;"
    "color-scheme:light dark}img{width:100%;background:#fff}div{overflow-x:auto}"
    "table{border-collapse:collapse;font-size:.85rem}td,th{padding:.2rem .6rem;text-align:left;"
    "border-bottom:1px solid #8886}figcaption{font-size:.85rem}figure{margin:0}"
)
HEADS = (
    "network", "task", "score", "baseline", "reach, before → after", "λ₁, nats a step",
)  # fmt: skip
LEGEND = (
    "Scores are errors or losses of the test, less is better; the baseline is the best answer "
    "without the network's memory, or chance. Reach is the norm of the adjoint at the longest lag "
    "over the largest of all lags. λ₁ is the largest Lyapunov exponent. Both are along the "
    "network's own axis, before the first update and after the last one. -inf: a perturbation is "
    "gone, exactly, after some steps; none: the chain has too few steps."
)
CAPTION = (
    "Blue is the task that suits the network, orange its limit; dotted before training, solid "
    f"after it. What is below {FLOOR:g} of a profile's largest norm is not drawn."
)


def steps(count: int, axis: str) -> str:
    """A number of steps along an axis: `3 hops`."""
    return f"{count} {step_of(axis) if count == 1 else steps_of(axis)}"


def table(found: Found) -> list[list[str]]:
    """The rows below `HEADS`, two a network."""
    rows = []
    for network, cases in found:
        for case in cases:
            reach, exponent = (
                " → ".join(map(number, pair)) for pair in (case.reach, case.exponents)
            )
            scores = (number(case.score), number(case.baseline))
            reach = f"{reach} ({steps(len(case.profiles[0]), case.axis)})"
            rows.append([network.name, case.case.title, *scores, reach, exponent])
    return rows


def paragraph(network: Network, cases: Pair) -> str:
    """A network's paragraph with the figures of its runs."""
    strength, limit = map(figures, cases)
    return WORDS[network.name].format(strength=strength, limit=limit)


class Figures(NamedTuple):
    """The figures of a run that a paragraph may name, as text."""

    score: str
    baseline: str
    reach_before: str
    reach_after: str
    exponent_before: str
    exponent_after: str


def figures(case: Measured) -> Figures:
    """The figures of a run as text."""
    values = (case.score, case.baseline, *case.reach, *case.exponents)
    return Figures(*map(number, values))


def write_markdown(found: Found, out: Path) -> None:
    """The table and the paragraphs."""
    lines = [f"# {TITLE}", "", "`python experiments/atlas.py` writes this page.", ""]
    lines += [INTRODUCTION, "", "![profiles of every network](pictures/atlas.png)", "", CAPTION, ""]
    lines += [f"| {' | '.join(HEADS)} |", "| --- " * len(HEADS) + "|"]
    lines += [f"| {' | '.join(row)} |" for row in table(found)]
    lines += ["", LEGEND]
    for network, cases in found:
        lines += ["", f"## {network.name}", "", paragraph(network, cases)]
    out.write_text("\n".join(lines) + "\n", "utf-8")
    print(f"written: {out}")


def write_page(found: Found, picture: Path, out: Path) -> None:
    """One page without links: the picture, the table and the paragraphs."""
    image = base64.b64encode(picture.read_bytes()).decode()
    head = "".join(f"<th>{html.escape(text)}" for text in HEADS)
    rows = "".join(
        "<tr>" + "".join(f"<td>{html.escape(text)}" for text in row) for row in table(found)
    )
    sections = "".join(
        f"<h2>{html.escape(network.name)}</h2><p>{html.escape(paragraph(network, cases))}</p>"
        for network, cases in found
    )
    out.write_text(
        f"<!doctype html><html lang=en><meta charset=utf-8><title>{TITLE}</title>"
        "<meta name=viewport content='width=device-width'>"
        f"<style>{CSS}</style><h1>{TITLE}</h1><p>{html.escape(INTRODUCTION)}</p>"
        f"<figure><img alt='profiles of every network' src='data:image/png;base64,{image}'>"
        f"<figcaption>{html.escape(CAPTION)}</figcaption></figure>"
        f"<div><table><tr>{head}{rows}</table></div><p>{html.escape(LEGEND)}</p>{sections}</html>",
        "utf-8",
    )
    print(f"written: {out}")
