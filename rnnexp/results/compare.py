"""Groups of runs side by side: what they reach, how surely, and which setting is chosen.

Nothing is chosen by its test score. Within a group the setting (everything but the
seed) is chosen by its mean validation headline over seeds, and the single best run by
its own; the test scores of what was chosen are then reported.
"""

import math
from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np

from rnnexp.results.groups import (
    Setting,
    full_key,
    grouped,
    settings,
    short_key,
    status_kind,
    with_tasks,
)
from rnnexp.results.metrics import direction, headline_direction, metric_value, require_metric
from rnnexp.results.statistics import interval_words, mean_ranks, summarise
from rnnexp.results.summary import Record, Rows


def compare(records: Sequence[Record], by: Sequence[str], metric: str) -> Rows:
    """One row for each group of runs that agree on the keys `by`.

    Args:
      by: `cell`, `task`, or dotted configuration keys. Keys that distinguish different tasks
        are added, with a line in the log.
      metric: `test_NAME` or `valid_NAME`; see `rnnexp.results.metrics`.

    Returns:
      Rows with `group`: the values of the keys; `runs`, of which `completed` (with a value
      of the metric), `diverged`, `failed` and `other`, counts by status; `settings`: how many
      there are among the runs, and `pooled`, the keys that distinguish them; `mean`, `median`,
      `least`, `greatest`, `low` and `high`: over all completed runs, of all settings, with the
      95 % interval of the mean by the method `interval` (see `mean_interval`);
      `best_setting`, see `best_setting`; `best_by_validation`, see `best_run`.

    Raises `UsageError` if no run has such a key or metric.
    """
    require_metric(records, metric)
    groups = grouped(records, with_tasks(records, by))
    return [group_row(group, members, settings(members), metric) for group, members in groups]


def best_setting(members: Sequence[Record], metric: str) -> dict[str, Any] | None:
    """The setting with the best mean validation headline, and the metric over its seeds.

    A setting that diverged with any seed, or completed without a finite validation, ranks after
    all others. One with a pruned run ranks before those and after the rest, because its remaining
    runs are a selection. A setting without any finite validation cannot be chosen.

    Returns:
      `setting`: its values of the keys that distinguish the settings of the group; `settings`:
      how many there are; `runs`, and the mean `validation` of the completed ones; `seeds`,
      `mean`, `median`, `least`, `greatest`, `low`, `high`, `interval`: as in `compare`, over its
      completed runs. None if no setting can be chosen.
    """
    return _best_of(settings(members), members, metric)


def chosen_setting(
    all_settings: Sequence[Setting], members: Sequence[Record]
) -> tuple[Setting, float] | None:
    """The setting that `best_setting` chooses, and its mean validation headline."""
    sign = -1 if headline_direction(members) else 1
    ranked = []
    for setting in all_settings:
        if evaluated := _evaluated(setting.records):
            mean = float(np.mean([value for _, value in evaluated]))
            ranked.append(((handicap(setting.records), sign * mean), setting, mean))
    if not ranked:
        return None
    _, setting, validation = min(ranked, key=lambda entry: entry[0])
    return setting, validation


def _best_of(
    all_settings: Sequence[Setting], members: Sequence[Record], metric: str
) -> dict[str, Any] | None:
    """`best_setting` of runs whose settings are known."""
    if (chosen := chosen_setting(all_settings, members)) is None:
        return None
    setting, validation = chosen
    figures = _figures(_values(setting.records, metric))
    return {
        "setting": setting.values,
        "settings": len(all_settings),
        "runs": len(setting.records),
        "validation": validation,
        "seeds": figures.pop("n"),
        **figures,
    }


def best_run(members: Sequence[Record], metric: str) -> dict[str, Any] | None:
    """The completed run with the best validation headline: its `run`, `validation`, `value`.

    `value` is its value of the metric. The first by name is the best of equal runs. None if no
    completed run has a finite validation.
    """
    sign = -1 if headline_direction(members) else 1

    def order(entry: tuple[Record, float]) -> tuple[float, str]:
        return sign * entry[1], entry[0].run

    if not (evaluated := _evaluated(members)):
        return None
    record, validation = min(evaluated, key=order)
    value = metric_value(record, metric)
    return {"run": record.run, "validation": validation, "value": value}


def rank(
    records: Sequence[Record],
    *,
    metric: str,
    over: str = "task",
    by: str = "cell",
    higher_is_better: bool | None = None,
) -> Rows:
    """The mean rank over tasks of each value of the key `by`, 1 the best.

    Within a task, alternatives are ranked by the mean of the metric of their `best_setting`;
    equal ones share the mean of their ranks. An alternative without a value for a task has no
    rank there, and the others are ranked among themselves.

    Args:
      over: the key whose values are the tasks; options of tasks that differ are added.
      higher_is_better: None: see `rnnexp.results.metrics.direction`.

    Returns:
      Rows, best first: the alternative under the name `by`, its mean `rank` over so many
      `tasks`, its `ranks` by task, and `missing`: the tasks without a value, with the counts
      of their runs by status. `rank` is None for an alternative without any value.
    """
    if higher_is_better is None:
        higher_is_better = direction(records, metric)
    over, by = (short_key(full_key(name)) for name in (over, by))
    rows = compare(records, [over, by], metric)
    cells = {(task_text(row["group"], over, by), str(row["group"][by])): row for row in rows}
    tasks, alternatives = ([*dict.fromkeys(key[place] for key in cells)] for place in (0, 1))
    scores_TxA = np.array([[_score(cells.get((t, a))) for a in alternatives] for t in tasks])
    ranks_TxA, means_A = mean_ranks(scores_TxA, higher_is_better=higher_is_better)
    result = []
    for place, alternative in enumerate(alternatives):
        ranks_T = ranks_TxA[:, place].tolist()
        found = {t: rank for t, rank in zip(tasks, ranks_T, strict=True) if not math.isnan(rank)}
        result.append(
            {
                by: alternative,
                "rank": float(means_A[place]) if found else None,
                "tasks": len(found),
                "ranks": found,
                "missing": {
                    task: left_out(cells.get((task, alternative)))
                    for task in tasks
                    if task not in found
                },
            }
        )
    return sorted(result, key=lambda row: (row["rank"] is None, row["rank"] or 0.0, row[by]))


def left_out(row: dict[str, Any] | None) -> str:
    """The runs of a group that no mean includes, by status: `3 diverged, 1 failed`."""
    if row is None:
        return "no runs"
    counts = {"diverged": row["diverged"], "failed": row["failed"], **row["other"]}
    if row["mean"] is not None and math.isnan(row["mean"]):
        counts["completed with nan"] = row["completed"]
    return ", ".join(f"{count} {status}" for status, count in counts.items() if count)


def as_data(
    rows: Rows, metric: str, ranking: Rows | None = None, lengths: Rows | None = None
) -> dict[str, Any]:
    """What `compare --json` prints; the same for the same runs, byte for byte."""
    data: dict[str, Any] = {"metric": metric, "groups": rows}
    data |= {} if ranking is None else {"rank": ranking}
    return data | ({"by_length": lengths} if lengths else {})


def group_row(
    group: dict[str, Any], members: Sequence[Record], found: Sequence[Setting], metric: str
) -> dict[str, Any]:
    """The row of `compare` of a group whose settings are known."""
    values = _values(members, metric)
    counts = Counter(status_kind(record) for record in members)
    without = counts.pop("completed", 0) - len(values)
    other = {kind: counts[kind] for kind in sorted(counts) if kind not in ("diverged", "failed")}
    figures = _figures(values)
    return {
        "group": group,
        "runs": len(members),
        "completed": figures.pop("n"),
        "diverged": counts["diverged"],
        "failed": counts["failed"],
        "other": other | ({f"without {metric}": without} if without else {}),
        "settings": len(found),
        "pooled": list(found[0].values) if len(found) > 1 else [],
        **figures,
        "best_setting": _best_of(found, members, metric),
        "best_by_validation": best_run(members, metric),
    }


def _figures(values_N: np.ndarray) -> dict[str, Any]:
    """`n`, mean, median, range and interval of values, and the method of the interval."""
    found = summarise(values_N)
    ends = (float(values_N.min()), float(values_N.max())) if found.n else (None, None)
    method = None if found.low is None else interval_words([found.n])
    return {
        "n": found.n, "mean": found.mean, "median": found.median, "least": ends[0],
        "greatest": ends[1], "low": found.low, "high": found.high, "interval": method,
    }  # fmt: skip


def _values(members: Sequence[Record], metric: str) -> np.ndarray:
    found = [metric_value(record, metric) for record in members]
    return np.array([value for value in found if value is not None], np.float64)


def _evaluated(members: Sequence[Record]) -> list[tuple[Record, float]]:
    """The completed runs with a finite validation, each with its best headline."""
    done = [record for record in members if record.status == "completed"]
    return [
        (record, record.best.value)
        for record in done
        if record.best is not None and math.isfinite(record.best.value)
    ]


def handicap(records: Sequence[Record]) -> int:
    """Of the runs of a setting: 0, but 1 if one was pruned, and 2 if one diverged or completed
    without a finite validation."""
    kinds = {status_kind(record) for record in records}
    completed = [record for record in records if record.status == "completed"]
    if "diverged" in kinds or len(_evaluated(completed)) < len(completed):
        return 2
    return int("pruned" in kinds)


def task_text(group: dict[str, Any], over: str, by: str = "") -> str:
    """`copy_memory`, or `copy_memory delay_steps=50` where options distinguish tasks."""
    options = {key: value for key, value in group.items() if key not in (over, by)}
    texts = [f"{key.removeprefix('task.')}={v}" for key, v in options.items() if v is not None]
    return " ".join([str(group[over]), *texts])


def _score(row: dict[str, Any] | None) -> float:
    best = None if row is None else row["best_setting"]
    return math.nan if best is None or best["mean"] is None else best["mean"]
