"""Readable names of runs: what differs among them, in the order of a report."""

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from rnnexp.results.groups import telling_keys, value_text, varying
from rnnexp.results.summary import Record

NAMES = ("task.name", "cell.name")


class Named(NamedTuple):
    """A run among others.

    Attributes:
      label: a short name, unique among them.
      options: the values of the keys, except the seed, on which runs of its task and cell differ,
        and of the keys of all cells on which runs of its task differ.
      group, member: the number of its setting, and of the run within that setting.
    """

    record: Record
    label: str
    options: dict[str, str]
    group: int
    member: int


def labels_of(records: Sequence[Record]) -> list[str]:
    """The labels of `name_runs`, in the order of the records."""
    found = {id(named.record): named.label for named in name_runs(records)}
    return [found[id(record)] for record in records]


def name_runs(records: Sequence[Record]) -> list[Named]:
    """Labels and groups, in the order of task, cell, options and seed.

    A label is the name that its user gave the run. Otherwise it has the cell, and the task,
    options and seed if these differ among the runs. Two labels that would be equal also have the
    run's directory.
    """
    tasks = len({record.keys.get("task.name") for record in records})
    seeds = len({record.keys.get("seed") for record in records})
    named, differing = [], varying(records)
    for names, like in _by_names(records).items():
        same = [
            record for record in records if record.keys.get(NAMES[0]) == like[0].keys.get(NAMES[0])
        ]
        shared = [
            key for key in varying(same, differing) if all(key in record.keys for record in same)
        ]
        keys = dict.fromkeys([*varying(like, differing), *shared])
        shown = [key for key in telling_keys(like, differing) if key not in NAMES]
        for record in like:
            options = _options(record, keys)
            texts = list(names[0 if tasks > 1 else 1 :])
            texts += [f"{short_option(key)}={options[key]}" for key in shown if key in options]
            if seeds > 1 and "seed" in record.keys:
                texts.append(f"seed {record.keys['seed']}")
            label = record.about.name or " ".join(texts)
            named.append(Named(record, label, options, 0, 0))
    return _numbered(sorted(named, key=_place))


def _numbered(named: Sequence[Named]) -> list[Named]:
    """The same runs with groups, members and unique labels."""
    times = Counter(run.label for run in named)
    groups, members = dict[str, int](), Counter[str]()
    result = []
    for run in named:
        setting = json.dumps([_names(run.record), run.options])
        group, member = groups.setdefault(setting, len(groups)), members[setting]
        members[setting] += 1
        label = run.label if times[run.label] == 1 else f"{run.label} ({run.record.path})"
        result.append(run._replace(label=label, group=group, member=member))
    return result


def _options(record: Record, keys: Iterable[str]) -> dict[str, str]:
    return {
        key: value_text(record.keys[key])
        for key in keys
        if key not in NAMES and record.keys.get(key) is not None
    }


def short_option(key: str) -> str:
    """`learning_rate` of `optimizer.learning_rate`, but `clip` of `clip.name`."""
    section, _, last = key.rpartition(".")
    return section if last == "name" and section else last


def _by_names(records: Sequence[Record]) -> dict[tuple[str, ...], list[Record]]:
    """Runs by their task and cell."""
    groups: dict[tuple[str, ...], list[Record]] = {}
    for record in records:
        groups.setdefault(_names(record), []).append(record)
    return groups


def _names(record: Record) -> tuple[str, ...]:
    return tuple(str(record.keys.get(key)) for key in NAMES)


def _place(run: Named) -> tuple:
    """A run's sort key in the report: task, cell, options, seed."""
    seed = run.record.keys.get("seed")
    number = seed if isinstance(seed, int) else 0
    return *_names(run.record), list(run.options.items()), number, run.record.run
