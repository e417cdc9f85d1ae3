"""The trainings of a study: their configurations, and what is measured of them."""

import itertools
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from ml_collections import FrozenConfigDict

from rnnexp.config.overrides import configuration
from rnnexp.core.errors import UsageError, unknown
from rnnexp.results.compare import best_run
from rnnexp.results.index import read_index
from rnnexp.results.load import load_run
from rnnexp.results.metrics import metric_value
from rnnexp.results.summary import Record
from rnnexp.run.files import read_metrics
from rnnexp.study.claims import Computation, Runs, Study, Value, needs_of, seeds_of
from rnnexp.sweep.launch import SweepPlan, plan_runs

MOST_GAP = 600.0
"""Seconds between two lines of a run's log that still count as training."""


class Training(NamedTuple):
    """One training of a study: its group, its seed, which of the seed's settings it has, and what
    the group and the setting change."""

    group: str
    seed: int
    setting: int
    changes: dict[str, Any]
    config: FrozenConfigDict


def trainings(study: Study) -> list[Training]:
    """All trainings of a study, group by group and seed by seed.

    Raises `UsageError` for a configuration that cannot be, naming group and seed.
    """
    found = []
    for group in study.groups:
        if isinstance(group, Computation):
            continue
        for seed in seeds_of(group):
            settings = group.settings(seed) if callable(group.settings) else group.settings
            for number, setting in enumerate(settings):
                changes = {**group.changes, **setting, "seed": seed}
                config = _configured(study, group, changes)
                found.append(Training(group.name, seed, number, changes, config))
    return found


def _configured(study: Study, group: Runs, changes: Mapping[str, Any]) -> FrozenConfigDict:
    try:
        return configuration(group.experiment, changes)
    except UsageError as error:
        seed = changes["seed"]
        raise UsageError(
            f"study {study.name}, group {group.name!r}, seed {seed}: {error}"
        ) from error


def plan_study(
    found: Sequence[Training], data_dir: Path | None = None
) -> tuple[SweepPlan, list[str]]:
    """The sweep that makes the trainings, and the name of each one's run, in their order.

    Two trainings of one configuration, in different groups, are one run.
    """
    once: dict[FrozenConfigDict, dict[str, Any]] = {}
    for training in found:
        once.setdefault(training.config, training.changes)
    runs = dict(zip(once, plan_runs(list(once.items()), data_dir), strict=True))
    return SweepPlan(list(runs.values()), []), [runs[training.config].run for training in found]


class Measured(NamedTuple):
    """What was measured of one seed of a group: values by measure, and the run they are of."""

    values: dict[str, Value]
    run: str = ""


def collect(
    study: Study, found: Sequence[Training], names: Sequence[str], runs_dir: Path
) -> dict[str, dict[int, Measured]]:
    """What the claims need of every group, by group and seed.

    Of a seed with several settings the one with the best validation counts; settings without a
    finite validation are passed over, and a seed with no other setting has diverged.

    Raises `UsageError` for a measure that a finished run does not have, and if a training that has
    not ended is needed.
    """
    records = {record.run: record for record in read_index(runs_dir, dict.fromkeys(names))}
    missing = [name for name in names if not _ended(records.get(name))]
    if missing:
        raise UsageError(
            f"{len(missing)} of {len(set(names))} trainings of study {study.name} have not ended, "
            f"the first is {missing[0]}"
        )
    needed: dict[str, list[str]] = {}
    for group, measure in dict.fromkeys(n for claim in study.claims for n in needs_of(claim)):
        needed.setdefault(group, []).append(measure)
    result: dict[str, dict[int, Measured]] = {}
    pairs = zip(found, names, strict=True)
    for (group, seed), members in itertools.groupby(pairs, lambda pair: pair[0][:2]):
        best = _chosen([records[name] for _, name in members])
        values = {measure: _measured(study, best, measure) for measure in needed.get(group, [])}
        result.setdefault(group, {})[seed] = Measured(values, best.run)
    return result | _computed(study, needed)


def _ended(record: Record | None) -> bool:
    return record is not None and record.status in ("completed", "diverged")


def _chosen(records: Sequence[Record]) -> Record:
    """The record with the best validation; the only one, whatever its validation."""
    found = best_run(records, "test_loss")
    return next((r for r in records if found is not None and r.run == found["run"]), records[0])


def _measured(study: Study, record: Record, measure: str) -> Value:
    """One measure of a run, by a function of the study's or a metric's name."""
    if measure in study.measures:
        return study.measures[measure](load_run(record.path))
    value = metric_value(record, measure)
    if value is None and record.status == "completed":
        known = [f"test_{name}" for name in record.test]
        known += [f"valid_{record.best.metric}"] if record.best else []
        raise unknown("measure", measure, [*study.measures, *known])
    return math.nan if value is None else value


def _computed(study: Study, needed: Mapping[str, Sequence[str]]) -> dict[str, dict[int, Measured]]:
    """The values of the groups that are computed."""
    found: dict[str, dict[int, Measured]] = {}
    for group in study.groups:
        if not isinstance(group, Computation) or group.name not in needed:
            continue
        for seed in seeds_of(group):
            values = group.compute(seed)
            for measure in needed[group.name]:
                if measure not in values:
                    raise unknown(f"measure of group {group.name!r}", measure, values)
            kept: dict[str, Value] = {name: float(values[name]) for name in needed[group.name]}
            found.setdefault(group.name, {})[seed] = Measured(kept)
    return found


def busy_seconds(paths: Sequence[Path]) -> float:
    """The seconds in which at least one of these runs trained, from the times in their logs.

    Runs that train side by side count once. A pause longer than `MOST_GAP` seconds, such as that
    between a kill and the resumption, counts for nothing.
    """
    spans: list[tuple[float, float]] = []
    for path in dict.fromkeys(paths):
        times = sorted(float(row["time"]) for row in read_metrics(path) if "time" in row)
        spans += [(a, b) for a, b in itertools.pairwise(times) if b - a <= MOST_GAP]
    total, end = 0.0, -math.inf
    for first, last in sorted(spans):
        total += max(0.0, last - max(first, end))
        end = max(end, last)
    return total
