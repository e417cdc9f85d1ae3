"""The first section of the page: which group wins on each task, with a small picture.

All of it is text made here: the page's scripts compute no statistics, and hiding runs changes
nothing in it. A picture is a line of a table: a dot for the mean, a bar for its interval, the
baseline dashed; places are percentages, so that a picture is as wide as its column.
"""

import html
import math
from collections.abc import Sequence
from typing import Any, NamedTuple

from rnnexp.report.compare_tables import comparison_tables
from rnnexp.report.winner_words import (
    answer_words,
    difference_words,
    ended_words,
    level_words,
    metric_words,
    number,
    relation_words,
    setting_words,
    span,
)
from rnnexp.results.groups import NOTHING
from rnnexp.results.summary import Rows
from rnnexp.results.winner import Answer, Contender

MOST_ROWS = 30
"""A table shows so many groups, and says how many it leaves out."""
LOGARITHMIC_FROM = 30.0
"""The greatest of positive values over the least, from which on a picture is logarithmic."""
MARGIN = 4.0
"""Per cent of a picture's width that are free on either side."""
HIDDEN = (
    "Counted are all runs of the directory. Hiding runs on this page changes the pictures below, "
    "but nothing here."
)


class Scale(NamedTuple):
    """From the values of a picture to per cent of its width."""

    low: float
    high: float
    log: bool

    def place(self, value: float) -> float:
        """Per cent from the left; beyond the ends, that of the end."""
        low, high, at = (self._of(x) for x in (self.low, self.high, value))
        share = (min(max(at, low), high) - low) / (high - low)
        return MARGIN + (100 - 2 * MARGIN) * share

    def _of(self, value: float) -> float:
        return math.log(max(value, self.low)) if self.log else value


def answers_html(answers: Sequence[Answer]) -> str:
    """The content of the section; texts from outside are escaped."""
    parts = []
    for answer in answers:
        if len(answers) > 1:
            parts.append(f"<h3>{html.escape(answer.task)}</h3>\n")
        who, more = (html.escape(words) for words in answer_words(answer))
        parts.append(f'<p class="verdict">{who}</p>\n' + (f"<p>{more}</p>\n" if more else ""))
        if answer.contenders:
            parts += [_table(answer), _compared(answer, is_open=len(answers) == 1)]
    return "".join([*parts, f'<p class="soft">{HIDDEN}</p>\n'])


def scale_of(answer: Answer) -> Scale | None:
    """The scale on which all means and the baseline are; None without any finite mean.

    An interval may leave it: one of two seeds can be wider than all else. The scale follows
    the intervals for at most the range of the means and the baseline on either side.
    """
    best = [one.row["best_setting"] for one in answer.contenders if one.row["best_setting"]]
    values = [b["mean"] for b in best if b["mean"] is not None and math.isfinite(b["mean"])]
    if not values:
        return None
    values += answer.baseline or ()
    ends = [end for b in best if b["interval"] for end in (b["low"], b["high"])]
    low, high = min(values), max(values)
    if low > 0 and high > LOGARITHMIC_FROM * low:
        inside = [end for end in ends if end > 0]
        return Scale(
            max(min([low, *inside]), low**2 / high), min(max([high, *inside]), high**2 / low), True
        )
    reach = (high - low) or max((b["high"] - b["low"] for b in best if b["interval"]), default=0.0)
    reach = reach or abs(high) or 1.0
    low, high = max(min([low, *ends]), low - reach), min(max([high, *ends]), high + reach)
    return Scale(low, high, False) if low < high else Scale(low - reach, high + reach, False)


def _table(answer: Answer) -> str:
    """The groups with their picture, best first."""
    scale, several = scale_of(answer), any(setting_words(row) for row in answer.rows)
    with_difference = sum(bool(one.relation) for one in answer.contenders) > 1
    heads = ["group", "", f"{metric_words(answer)} [95 %]", "seeds"]
    heads += ["more than the first", "that is"] if with_difference else []
    heads += ["without a score", "validation", *(["setting"] if several else [])]
    body = []
    for one in answer.contenders[:MOST_ROWS]:
        best = one.row["best_setting"] or {"mean": None, "interval": None, "seeds": 0}
        ends = f" {span(best['low'], best['high'])}" if best["interval"] else ""
        cells = [f"{number(best['mean'])}{ends}", str(best["seeds"])]
        cells += [difference_words(one), relation_words(one, answer)] if with_difference else []
        cells += [ended_words(one.row) or NOTHING, number(one.validation)]
        cells += [setting_words(one.row) or NOTHING] if several else []
        picture = _picture(one, answer, scale) if scale else NOTHING
        body.append(
            f'<tr><th scope="row">{html.escape(one.name)}</th><td class="dots">{picture}</td>'
            + "".join(f"<td>{html.escape(cell)}</td>" for cell in cells) + "</tr>"
        )  # fmt: skip
    axis = f'<tr><th></th><td class="dots">{_axis(scale)}</td></tr>' if scale else ""
    table = _framed("wins", f"The groups of {answer.task}", heads, "\n".join(body), axis)
    return f'{table}<p class="soft">{html.escape(_explained(answer, scale))}</p>\n'


def _explained(answer: Answer, scale: Scale | None) -> str:
    """What the table shows."""
    better = "higher" if answer.higher else "lower"
    parts = [f"Best first by validation; a {better} {metric_words(answer)} is better."]
    if answer.counts.keys() & {"diverged", "pruned"}:
        parts.append("A group of which a run diverged or was pruned comes after those without.")
    if answer.baseline is not None:
        parts.append("Dashed: the closed-form baseline.")
    if scale is not None and scale.log:
        parts.append("The picture's scale is logarithmic.")
    if sum(bool(one.relation) for one in answer.contenders) > 1:
        parts.append(
            "More than the first: the mean difference, seed by seed where both have the seeds."
        )
        parts.append(level_words(answer))
    if (more := len(answer.contenders) - MOST_ROWS) > 0:
        parts.append(f"Left out here: {more} groups that are further behind.")
    return " ".join(parts)


def _picture(one: Contender, answer: Answer, scale: Scale) -> str:
    """A dot with its interval, and the baseline."""
    best, shapes = one.row["best_setting"], []
    for value in dict.fromkeys(answer.baseline or ()):
        at = f"{scale.place(value):.2f}%"
        shapes.append(f'<line class="base" x1="{at}" x2="{at}" y1="0" y2="100%"/>')
    label = "no score"
    if best is not None and best["mean"] is not None and math.isfinite(best["mean"]):
        label = number(best["mean"])
        if best["interval"]:
            low, high = best["low"], best["high"]
            label = f"{label} {span(low, high)}"
            x1, x2 = (f"{scale.place(end):.2f}%" for end in (low, high))
            shapes.append(f'<line class="bar" x1="{x1}" x2="{x2}" y1="50%" y2="50%"/>')
            if low < scale.low:
                shapes.append('<text x="0" y="50%" dy=".35em">◂</text>')
            if high > scale.high:
                shapes.append('<text x="100%" y="50%" dy=".35em" text-anchor="end">▸</text>')
        full = "first" if one.relation == "first" else "other"
        shapes.append(
            f'<circle class="{full}" cx="{scale.place(best["mean"]):.2f}%" cy="50%" r="5"/>'
        )
    return f'<svg role="img" aria-label="{html.escape(label)}">{"".join(shapes)}</svg>'


def _axis(scale: Scale) -> str:
    """Numbers below the pictures."""
    from matplotlib.ticker import LogLocator, MaxNLocator

    locator = LogLocator(numticks=5) if scale.log else MaxNLocator(3)
    ticks = [float(t) for t in locator.tick_values(scale.low, scale.high)]
    inside = [tick for tick in ticks if scale.low <= tick <= scale.high]
    shown = inside if len(inside) > 1 else [scale.low, scale.high]
    texts = []
    for tick in shown:
        at = scale.place(tick)
        anchor = "start" if at < 12 else "end" if at > 88 else "middle"
        texts.append(f'<text x="{at:.2f}%" y="1em" text-anchor="{anchor}">{tick:.3g}</text>')
    return f'<svg aria-hidden="true">{"".join(texts)}</svg>'


def _compared(answer: Answer, *, is_open: bool) -> str:
    """The tables of `rnnexp compare` about the groups of a task."""
    tables = []
    for title, rows in comparison_tables(answer.rows, answer.metric):
        more = len(rows) - MOST_ROWS
        caption = f"{title}; {more} more groups are left out" if more > 0 else title
        tables.append(_framed("", caption, list(rows[0]), _rows_html(rows[:MOST_ROWS])))
    return (
        f'<details class="compared"{" open" if is_open else ""}><summary>The tables of rnnexp '
        f"compare</summary>\n{''.join(tables)}</details>\n"
    )


def _rows_html(rows: Rows) -> str:
    return "\n".join(
        "<tr>" + "".join(_cell(value) for value in row.values()) + "</tr>" for row in rows
    )


def _cell(value: Any) -> str:
    text = f"{value:.4g}" if isinstance(value, float) else str(value)
    kind = "" if isinstance(value, str) else ' class="number"'
    return f"<td{kind}>{html.escape(text)}</td>"


def _framed(kind: str, caption: str, heads: Sequence[str], body: str, foot: str = "") -> str:
    """A table that scrolls by itself where it is wider than the page."""
    columns = "".join(f'<th scope="col">{html.escape(head)}</th>' for head in heads)
    end, words = f"<tfoot>{foot}</tfoot>" if foot else "", html.escape(caption)
    return (
        f'<div class="scroll" tabindex="0" role="region" aria-label="{words}">'
        f'<table class="{kind}"><caption>{words}</caption><thead><tr>{columns}</tr></thead>\n'
        f"<tbody>{body}</tbody>{end}</table></div>\n"
    )
