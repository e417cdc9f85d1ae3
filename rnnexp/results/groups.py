"""Runs in groups of like configuration, and the settings within a group.

A setting is everything in the configuration but the seed.
"""

import json
import logging
from collections.abc import Collection, Sequence
from typing import Any, NamedTuple

from rnnexp.config.aliases import meant_key
from rnnexp.config.defaults import WORK
from rnnexp.core.errors import UsageError, unknown
from rnnexp.results.summary import SOURCES, Record

log = logging.getLogger("rnnexp")
NOTHING = "-"
ALIASES = {"cell": "cell.name", "task": "task.name"}


class Setting(NamedTuple):
    """The runs that differ in their seeds only, and the values that distinguish them."""

    values: dict[str, Any]
    records: list[Record]


def full_key(name: str) -> str:
    """The dotted key for a column's name: `cell.name` for `cell`."""
    return ALIASES.get(name, name)


def short_key(key: str) -> str:
    """The name of the column of a dotted key: `cell` for `cell.name`."""
    return next((name for name, full in ALIASES.items() if full == key), key)


def grouped(
    records: Sequence[Record], by: Sequence[str]
) -> list[tuple[dict[str, Any], list[Record]]]:
    """Groups of runs that agree on the keys `by`, in the order of their values.

    If a run's cell or task has no such option, its value is None. Runs within a group are in
    the order of their names. Raises `UsageError` for a key that no run has.
    """
    known = set[str]().union(*(record.keys for record in records))
    for name in by:
        if full_key(name) not in known:
            section = name.partition(".")[0] + "."
            siblings = [key for key in known if key.startswith(section)]
            meant = meant_key(name, {*known, *ALIASES})
            raise unknown("configuration key", name, siblings or {*known, *ALIASES}, meant=meant)
    groups: dict[tuple, list[Record]] = {}
    for record in sorted(records, key=lambda record: record.run):
        places = tuple(_place(record.keys.get(full_key(name))) for name in by)
        groups.setdefault(places, []).append(record)
    return [
        ({name: members[0].keys.get(full_key(name)) for name in by}, members)
        for _, members in sorted(groups.items())
    ]


def task_keys(records: Sequence[Record], by: Sequence[str] = ()) -> list[str]:
    """The keys that distinguish different tasks within groups of `by`, the task's name first.

    Different options make different tasks: copy memory with delays 50 and 200 are two.
    """
    added: list[str] = []
    if "task" not in by and _mixed(records, by, ["task.name"]):
        added.append("task")
    every = set[str]().union(*(record.keys for record in records))
    options = sorted(key for key in every - {"task.name"} if key.startswith("task."))
    return added + [key for key in _mixed(records, [*added, *by], options) if key not in by]


def with_tasks(records: Sequence[Record], by: Sequence[str]) -> list[str]:
    """`by` with the keys that distinguish different tasks (see `task_keys`).

    Runs of one name whose code or data differ are different too (`SOURCES`). Keys that are added
    to `by` are logged.
    """
    by = list(dict.fromkeys(short_key(full_key(name)) for name in by))
    if added := task_keys(records, by):
        log.warning(
            "runs of different tasks are not averaged: grouped by %s as well", ", ".join(added)
        )
    after = by.index("task") + 1 if "task" in by else 0
    by = [*by[:after], *added, *by[after:]]
    if SOURCES not in by and _mixed(records, [*by, "task", "cell"], [SOURCES]):
        log.warning(
            "runs of one name, but of different code or data, are not averaged: grouped by %s as "
            "well; each run's sources.json lists its files",
            SOURCES,
        )
        by.append(SOURCES)
    return by


def varying(records: Sequence[Record], among: Collection[str] | None = None) -> list[str]:
    """The keys, except the seed, on which runs differ; swept keys first, then names.

    Args:
      among: the only keys to look at, such as those on which more runs differ; None: all.
    """
    whole = [record for record in records if _is_whole(record)]
    if not whole:
        return []
    first = whole[0].keys
    keys = {*among} if among is not None else set[str]().union(*(r.keys for r in whole))
    keys -= {"seed", *WORK}
    rows, most = [record.keys for record in whole], len(whole)
    found = [key for key in keys if [row.get(key) for row in rows].count(first.get(key)) < most]
    swept = {key for record in whole for key in record.swept}
    return sorted(found, key=lambda key: (key not in swept, not key.endswith(".name"), key))


def settings(records: Sequence[Record], among: Collection[str] | None = None) -> list[Setting]:
    """The settings among the runs; a run whose configuration cannot be read belongs to none.

    Of keys that vary together, such as the cells' own options, the fewest that distinguish the
    settings are kept; keys that a sweep varies are all kept. `among`: as of `varying`.
    """
    keys = varying(records, among)
    swept = {key for record in records for key in record.swept}
    parts: dict[tuple[str, ...], list[Record]] = {}
    for record in records:
        if _is_whole(record):
            values = tuple(json.dumps(record.keys.get(key)) for key in keys)
            parts.setdefault(values, []).append(record)
    shown = list(range(len(keys)))
    for place in reversed(range(len(keys))):
        fewer = [other for other in shown if other != place]
        distinct = {tuple(values[other] for other in fewer) for values in parts}
        if keys[place] not in swept and len(distinct) == len(parts):
            shown = fewer
    return [
        Setting({keys[place]: members[0].keys.get(keys[place]) for place in shown}, members)
        for _, members in sorted(parts.items())
    ]


def telling_keys(records: Sequence[Record], among: Collection[str] | None = None) -> list[str]:
    """The keys that distinguish the settings among the runs; none for a single setting.

    `among`: as of `varying`.
    """
    found = settings(records, among)
    return list(found[0].values) if len(found) > 1 else []


def with_numbers(records: Sequence[Record], key: str) -> list[Record]:
    """The runs that have a value of the key; the number of the others is logged.

    Raises `UsageError` if no run has one, or a value is not a number.
    """
    grouped(records, [key])  # raises the error that lists the known keys
    found = [record for record in records if record.keys.get(key) is not None]
    if not found:
        raise UsageError(f"{key} has no value in any of the runs")
    for record in found:
        value = record.keys[key]
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise UsageError(f"{key} must be a number, not {value!r} as of {record.run}")
    if len(found) < len(records):
        log.warning("%d runs have no %s and are left out", len(records) - len(found), key)
    return found


def value_text(value: Any) -> str:
    """A configuration value for a table or a legend, floats with six digits."""
    if value is None:
        return NOTHING
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def status_kind(record: Record) -> str:
    """The first word of a run's status: `killed` of `killed (the same command resumes)`."""
    return record.status.partition(" ")[0]


def _mixed(records: Sequence[Record], by: Sequence[str], keys: Sequence[str]) -> list[str]:
    """The keys that differ within a group."""
    whole = [record for record in records if _is_whole(record)]
    groups = [members for _, members in grouped(whole, by)] if whole else []
    return [
        key
        for key in keys
        if any(r.keys.get(key) != members[0].keys.get(key) for members in groups for r in members)
    ]


def _is_whole(record: Record) -> bool:
    """Whether the whole configuration is known, not only the task and the cell."""
    return "seed" in record.keys


def _place(value: Any) -> tuple[int, float, str]:
    """A sort key for the values of a column: missing, then numbers, then texts."""
    if value is None:
        return 0, 0.0, ""
    if isinstance(value, int | float):
        return 1, float(value), json.dumps(value) if isinstance(value, bool) else ""
    return 2, 0.0, value if isinstance(value, str) else json.dumps(value)
