"""Which group of runs wins on a task, and whether the seeds suffice to say so.

The groups of a task are its cells; of a single cell, its settings. A group stands for the setting
with the best mean validation score, as in `rnnexp.results.compare`, and the groups are ordered by
that score. What is compared is the metric, the test score of the headline: the mean difference of
every other group from the first one, over the seeds that both have.

A difference counts if its interval excludes zero. With k groups to compare, the intervals are of
the level 1 - 0.05 / (k - 1), so that all of them hold together in 95 of 100 such experiments
(Bonferroni). The truly best group is then among the first and those that cannot be told apart from
it in at least 95 of 100 experiments, whichever group happens to be the first: it is missing only if
one of k - 1 intervals of differences from *it* excludes their true value (the argument of Hsu 1984,
"Constrained simultaneous confidence intervals for multiple comparisons with the best", Annals of
Statistics 12).
"""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from rnnexp.core.errors import UsageError
from rnnexp.results.compare import chosen_setting, group_row, handicap, task_text
from rnnexp.results.groups import (
    Setting,
    full_key,
    grouped,
    settings,
    short_key,
    status_kind,
    task_keys,
    telling_keys,
    value_text,
    with_tasks,
)
from rnnexp.results.labels import short_option
from rnnexp.results.metrics import default_metric, headline_direction, known_metrics, metric_value
from rnnexp.results.statistics import LEVEL, mean_interval, welch_interval
from rnnexp.results.summary import Record, Rows
from rnnexp.run.files import read_closed_forms

FIRST, WORSE, OPEN, BETTER, UNKNOWN = "first", "worse", "open", "better", "unknown"
MOST_BASELINES = 20
"""So many runs of a task are asked for its baseline."""


class Difference(NamedTuple):
    """How much greater the mean of another group is than that of the first.

    Attributes:
      mean: of the differences; None if a group has no value.
      low, high: the ends of its interval; None if it has none.
      pairs: the number of seeds that both have; 0 if the groups are compared as independent ones.
      why: why there is no interval; empty if there is one.
    """

    mean: float | None
    low: float | None
    high: float | None
    pairs: int
    why: str


class Contender(NamedTuple):
    """A group among those of a task.

    Attributes:
      name: of the group, such as `gru`.
      row: that of `compare`, with its `best_setting`.
      validation: the mean headline of the chosen setting; None without any.
      relation: to the first group, by the interval of the difference: `first`; `worse`, `better`
        if it excludes zero; `open` if it does not; `unknown` if there is none; empty if the group
        has no value of the metric.
      difference: from the first group; None for that itself, and without a value.
    """

    name: str
    row: dict[str, Any]
    validation: float | None
    relation: str
    difference: Difference | None


class Answer(NamedTuple):
    """The groups of a task, best first by validation; those that have no score come last.

    Attributes:
      metric: such as `test_loss`; empty if there is none.
      higher: whether a higher metric is better.
      level: that of the intervals of the differences.
      baseline: the least and the greatest closed-form baseline of its runs; None without any.
      counts: the runs by status.
      why: why there is nothing to compare; empty if there is.
    """

    task: str
    metric: str
    higher: bool
    level: float
    contenders: list[Contender]
    baseline: tuple[float, float] | None
    counts: dict[str, int]
    why: str = ""

    @property
    def rows(self) -> Rows:
        """The rows of `compare`, in the order of the groups."""
        return [contender.row for contender in self.contenders]


def answers(records: Sequence[Record]) -> list[Answer]:
    """An answer for each task among the runs; damaged ones, whose task is not known, are left out.

    Different options make different tasks: see `task_keys`.
    """
    known = [record for record in records if record.status != "damaged"]
    keys = task_keys(known) if known else []
    found = []
    for group, members in grouped(known, keys) if known else []:
        name = {"task": members[0].keys.get("task.name")}
        found.append(_answer(task_text(name | group, "task"), members))
    return found


def difference(
    first: Mapping[int, float] | Sequence[float],
    other: Mapping[int, float] | Sequence[float],
    level: float = LEVEL,
) -> Difference:
    """The mean of another group's values minus that of the first's, with its interval.

    Args:
      first, other: values by seed, or values whose seeds are unknown. Differences are taken
        seed by seed if at least two seeds, and half of the smaller group, are in both; then
        the interval is `mean_interval` of the differences. Otherwise it is `welch_interval`.
    """
    one, two = (np.array(_values(group), np.float64) for group in (first, other))
    if not len(one) or not len(two):
        return Difference(None, None, None, 0, "no value")
    pairs = _shared(first, other)
    with np.errstate(invalid="ignore", over="ignore"):
        if pairs:
            one, two = (np.array([group[seed] for seed in pairs]) for group in (first, other))
            apart_P = two - one
            mean, interval = float(apart_P.mean()), None
            # Equal scores differ by equal amounts but for rounding: they are coarse.
            if not _alike(apart_P, max(np.abs(one).max(), np.abs(two).max())):
                interval = mean_interval(apart_P, level=level)
        else:
            mean = float(two.mean() - one.mean())
            interval = welch_interval(one, two, level=level)
    if interval is not None:
        return Difference(mean, *interval, len(pairs), "")
    return Difference(mean, None, None, len(pairs), _why(one, two))


def _values(group: Mapping[int, float] | Sequence[float]) -> list[float]:
    return list(group.values() if isinstance(group, Mapping) else group)


def _shared(first: Any, other: Any) -> list[int]:
    """The seeds that both have, if they are enough to compare seed by seed."""
    if not (isinstance(first, Mapping) and isinstance(other, Mapping)):
        return []
    shared = sorted(set(first) & set(other))
    return shared if len(shared) > 1 and 2 * len(shared) >= min(len(first), len(other)) else []


def _alike(values_P: np.ndarray, size: float) -> bool:
    """Whether values are equal within the rounding of differences of numbers of this size."""
    return bool(np.ptp(values_P) <= 4 * np.finfo(np.float64).eps * size)


def _why(one_N: np.ndarray, two_M: np.ndarray) -> str:
    """Why a difference has no interval."""
    if min(len(one_N), len(two_M)) < 2:
        return "one seed"
    if not (np.isfinite(one_N).all() and np.isfinite(two_M).all()):
        return "not finite"
    return "all differences equal"


class _Group(NamedTuple):
    """A group before it is compared: its row, and the metric of its chosen setting by seed."""

    name: str
    row: dict[str, Any]
    order: tuple[bool, int, float]
    validation: float | None
    scores: Mapping[int, float] | Sequence[float]


def _answer(task: str, members: Sequence[Record]) -> Answer:
    counts = dict(sorted(Counter(status_kind(record) for record in members).items()))
    try:
        metric = _metric(members)
        higher = headline_direction(members)
    except UsageError as error:
        return Answer(task, "", False, LEVEL, [], None, counts, str(error))
    if not metric:
        return Answer(task, "", False, LEVEL, [], None, counts, "no run is completed")
    groups = _groups(members, metric, higher)
    scored = [group for group in groups if len(group.scores)]
    level = 1 - (1 - LEVEL) / max(1, len(scored) - 1)
    contenders = []
    for group in groups:
        relation, apart = "", None
        if scored and group is scored[0]:
            relation = FIRST
        elif len(group.scores):
            apart = difference(scored[0].scores, group.scores, level)
            relation = _relation(apart, higher)
        contenders.append(Contender(group.name, group.row, group.validation, relation, apart))
    baseline = _baseline(members, metric.partition("_")[2])
    return Answer(task, metric, higher, level, contenders, baseline, counts)


def _metric(members: Sequence[Record]) -> str:
    """The test score of the headline, or the headline itself if no run has one; or nothing."""
    known = known_metrics(members)
    if not known:
        return ""
    metric = default_metric(members)
    return metric if metric in known else f"valid_{metric.partition('_')[2]}"


def _groups(members: Sequence[Record], metric: str, higher: bool) -> list[_Group]:
    """The groups of a task, best first by validation."""
    found = []
    for group, runs in grouped(members, with_tasks(members, _by(members))):
        every = settings(runs)
        chosen = chosen_setting(every, runs)
        setting, validation = chosen or (Setting({}, []), math.nan)
        scores = _by_seed(setting.records, metric)
        order = not len(scores), handicap(setting.records), -validation if higher else validation
        row = group_row(group, runs, every, metric)
        known = None if chosen is None else validation
        found.append(_Group(_name(group), row, order, known, scores))
    return sorted(found, key=lambda group: (*group.order, group.name))


def _by(members: Sequence[Record]) -> list[str]:
    """What differs between groups: the cell, or else the keys that distinguish the settings."""
    if len({record.keys.get("cell.name") for record in members}) > 1:
        return ["cell"]
    return [short_key(key) for key in telling_keys(members)] or ["cell"]


def _name(group: dict[str, Any]) -> str:
    """`gru`, or `learning_rate=0.01`."""
    if list(group) == ["cell"]:
        return value_text(group["cell"])
    texts = []
    for key, value in group.items():
        text = value_text(value)
        texts.append(text if key == "cell" else f"{short_option(full_key(key))}={text}")
    return " ".join(texts)


def _by_seed(records: Sequence[Record], metric: str) -> Mapping[int, float] | Sequence[float]:
    """The metric of completed runs by seed; by no seed if two runs share one."""
    values = [(r.keys.get("seed"), metric_value(r, metric)) for r in records]
    there = [(seed, value) for seed, value in values if value is not None]
    by_seed = {seed: value for seed, value in there if isinstance(seed, int)}
    return by_seed if len(by_seed) == len(there) else [value for _, value in there]


def _relation(apart: Difference, higher: bool) -> str:
    """Of a group to the first, by the interval of its difference."""
    if apart.low is None or apart.high is None:
        return UNKNOWN
    if apart.low <= 0 <= apart.high:
        return OPEN
    return BETTER if (apart.low > 0) == higher else WORSE


def _baseline(members: Sequence[Record], name: str) -> tuple[float, float] | None:
    """The least and the greatest baseline of a score among some of the runs."""
    stride = max(1, len(members) // MOST_BASELINES)
    some = [read_closed_forms(r.path).get("baseline", {}).get(name) for r in members[::stride]]
    found = [value for value in some if value is not None and math.isfinite(value)]
    return (min(found), max(found)) if found else None
