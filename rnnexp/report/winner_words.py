"""Which group wins, in one plain sentence or a few, and in the cells of a table.

A group is called the best only if the interval of its difference from every other group that has a
score excludes zero; see `rnnexp.results.winner`.
"""

import math
from collections.abc import Sequence
from typing import Any

from rnnexp.results.groups import NOTHING, value_text
from rnnexp.results.statistics import LEVEL
from rnnexp.results.winner import (
    BETTER,
    FIRST,
    OPEN,
    UNKNOWN,
    WORSE,
    Answer,
    Contender,
)

MOST_NAMES = 5
"""A sentence names so many groups, and counts the others."""


def answer_words(answer: Answer) -> tuple[str, str]:
    """The answer for a task in a sentence: who wins, or that no winner can be named; and the rest.

    The rest says why, how the first group stands to the baseline, and which runs have no score.
    """
    who, why = _who(answer)
    parts = [why, _baseline(answer), *_left_out(answer)]
    return who, " ".join(part for part in parts if part)


def metric_words(answer: Answer) -> str:
    """`test loss` of `test_loss`."""
    prefix, _, name = answer.metric.partition("_")
    return f"{'validation' if prefix == 'valid' else prefix} {name.replace('_', ' ')}"


def reach(contender: Contender) -> str:
    """`0.012 [0.010, 0.014], 5 seeds`, or why there is no interval."""
    best = contender.row["best_setting"]
    mean, seeds = best["mean"], best["seeds"]
    if seeds == 1:
        return f"{number(mean)}, one seed: no interval"
    if best["interval"]:
        return f"{number(mean)} {span(best['low'], best['high'])}, {seeds} seeds"
    why = "all equal" if math.isfinite(mean) else "not all finite"
    return f"{number(mean)}, {seeds} seeds, {why}: no interval"


def number(value: float | None) -> str:
    """Three significant digits."""
    return NOTHING if value is None else f"{value:.3g}"


def span(low: float, high: float) -> str:
    """`[0.010, 0.014]`."""
    return f"[{number(low)}, {number(high)}]"


def relation_words(contender: Contender, answer: Answer) -> str:
    """What the difference from the first group says, for a table."""
    if contender.relation == FIRST:
        return "first by validation"
    if contender.relation == UNKNOWN:
        why = contender.difference.why if contender.difference else ""
        return f"no interval ({why})"
    words = {OPEN: "cannot be told apart", WORSE: "worse", BETTER: f"better by {_kind(answer)}"}
    return words.get(contender.relation, "no score")


def difference_words(contender: Contender) -> str:
    """`0.02 [0.01, 0.03], 5 pairs` for a table."""
    if (apart := contender.difference) is None or apart.mean is None:
        return NOTHING
    ends = "" if apart.low is None or apart.high is None else f" {span(apart.low, apart.high)}"
    return f"{apart.mean:+.3g}{ends}, {_pairs(apart.pairs)}"


def ended_words(row: dict[str, Any]) -> str:
    """`2 diverged, 1 running` of a row of `compare`; nothing if all runs have a score."""
    counts = {"diverged": row["diverged"], "failed": row["failed"], **row["other"]}
    return ", ".join(f"{count} {kind}" for kind, count in counts.items() if count)


def setting_words(row: dict[str, Any]) -> str:
    """The setting that was chosen for a group of several."""
    best = row["best_setting"]
    if best is None or best["settings"] == 1:
        return ""
    return ", ".join(f"{key}={value_text(value)}" for key, value in best["setting"].items())


def level_words(answer: Answer) -> str:
    """How sure the intervals of the differences are, for a reader of the table."""
    others = sum(one.difference is not None for one in answer.contenders)
    if others < 2:
        return "The interval of the difference holds the true one in 95 of 100 such experiments."
    return (
        f"The intervals of the differences have the level {100 * answer.level:.4g} % each, so that "
        f"all {others} together hold the true ones in 95 of 100 such experiments (Bonferroni)."
    )


def _pairs(pairs: int) -> str:
    return "unpaired" if not pairs else "1 pair" if pairs == 1 else f"{pairs} pairs"


def _who(answer: Answer) -> tuple[str, str]:
    """Who wins, and why."""
    scored = [one for one in answer.contenders if one.relation]
    if not answer.metric or not scored:
        why = answer.why or "no completed run has been validated"
        return f"On {answer.task}, nothing can be compared: {why}.", ""
    first, others = scored[0], scored[1:]
    reached = f"({metric_words(answer)} {reach(first)})"
    if not others:
        alone = "the only group" if len(answer.contenders) == 1 else "the only group with a score"
        return f"On {answer.task}, {first.name} is {alone} {reached}: nothing to compare.", ""
    if all(one.relation == WORSE for one in others):
        return f"On {answer.task}, {first.name} is best {reached}.", _beaten(others)
    return (
        f"On {answer.task}, {first.name} is first by validation {reached}, but no winner can be "
        "named.",
        _open(answer, first, others),
    )


def _beaten(others: Sequence[Contender]) -> str:
    """By what the first group is better than all others."""
    if len(others) == 1:
        return (
            f"The difference of {others[0].name} from it excludes zero: "
            f"{difference_words(others[0])}."
        )
    return (
        f"The differences of all {len(others)} others from it exclude zero, by intervals that all "
        f"hold together in {100 * LEVEL:.0f} of 100 such experiments."
    )


def _open(answer: Answer, first: Contender, others: Sequence[Contender]) -> str:
    """Why the first group is not called the best."""
    by = {kind: [one for one in others if one.relation == kind] for kind in (OPEN, BETTER, UNKNOWN)}
    parts = []
    if by[OPEN]:
        names = _names(by[OPEN])
        of = "the difference" if len(by[OPEN]) == 1 else "each difference"
        parts.append(f"The seeds cannot tell it from {names}: the interval of {of} includes zero.")
    if by[BETTER]:
        verb = "is" if len(by[BETTER]) == 1 else "are"
        parts.append(f"By {_kind(answer)}, {_names(by[BETTER])} {verb} better than it.")
    if by[UNKNOWN]:
        whys = {one.difference.why for one in by[UNKNOWN] if one.difference}
        alone = first.row["best_setting"]["seeds"] == 1
        whom = f"it from {_names(by[UNKNOWN])}" if alone else _names(by[UNKNOWN])
        say = f"tells {whom}" if alone else f"tells it from {whom}"
        parts.append(f"No interval {say} ({', '.join(sorted(whys))}).")
    if worse := [one for one in others if one.relation == WORSE]:
        parts.append(f"{_names(worse)} {'is' if len(worse) == 1 else 'are'} worse.")
    return " ".join(parts)


def _kind(answer: Answer) -> str:
    return f"the {metric_words(answer)}"


def _baseline(answer: Answer) -> str:
    """Whether the first group is better than the baseline."""
    first = next((one for one in answer.contenders if one.relation == FIRST), None)
    if answer.baseline is None or first is None:
        return ""
    least, greatest = answer.baseline
    value = number(least) if least == greatest else f"{number(least)} to {number(greatest)}"
    best = first.row["best_setting"]
    if best["low"] is None:
        return f"The baseline is {value}."
    low, high = best["low"], best["high"]
    if low > greatest if answer.higher else high < least:
        return f"The interval of {first.name} is better than the baseline, {value}."
    if high < least if answer.higher else low > greatest:
        return f"The interval of {first.name} is worse than the baseline, {value}."
    return f"The interval of {first.name} includes the baseline, {value}."


def _left_out(answer: Answer) -> list[str]:
    """The runs that no mean includes, and whether the answer may still change."""
    counts = {kind: count for kind, count in answer.counts.items() if kind != "completed"}
    if not counts:
        return []
    which = [one for one in answer.contenders if ended_words(one.row)]
    whose = ""
    if len(answer.contenders) > 1 and 0 < len(which) <= MOST_NAMES:
        whose = f" ({'; '.join(f'{one.name}: {ended_words(one.row)}' for one in which)})"
    total, all_runs = sum(counts.values()), sum(answer.counts.values())
    said = ", ".join(f"{count} {kind}" for kind, count in counts.items())
    share = f"{total} of {all_runs}" if total < all_runs else f"All {total}"
    parts = [f"{share} runs have no score: {said}{whose}."]
    if counts.keys() & {"running", "waiting", "interrupted", "killed"}:
        parts.append("The answer may change when they are done.")
    return parts


def _names(contenders: Sequence[Contender]) -> str:
    """`lstm, rnn and lem`, at most `MOST_NAMES`."""
    names = [one.name for one in contenders]
    if len(names) > MOST_NAMES:
        names = [*names[: MOST_NAMES - 1], f"{len(names) - MOST_NAMES + 1} others"]
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
